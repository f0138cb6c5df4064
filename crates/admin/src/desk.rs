//! Whom the API asks: the words that cross between it and the queue.

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use waxseal_types::{QueueId, UnixTime};

use crate::words::{read_span, write_time, write_time_if};

/// An answer that takes its time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

/// Why a question has no answer, or an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The question makes no sense: whose fault it is, the caller's, is told in this sentence.
    Wrong(String),
    /// There is no such thing.
    Unknown(String),
    /// It cannot be had just now.
    Unavailable(String),
}

/// Who knows the queue and may change it.
pub trait Desk: Send + Sync {
    /// Whether mail is taken; if not, why.
    fn ready(&self) -> Result<(), String>;
    /// Our own name.
    fn hostname(&self) -> String;
    /// The queue in a few numbers.
    fn overview(&self) -> Answer<'_, Overview>;
    /// Up to `limit` rows that pass the filter, behind `after`. A slice may be empty although more follow.
    fn list(&self, filter: &Filter, after: Option<&str>, limit: usize) -> Answer<'_, Page>;
    /// One message in the queue.
    fn message(&self, id: QueueId) -> Answer<'_, Shown>;
    /// Its text, as it was taken.
    fn raw(&self, id: QueueId) -> Answer<'_, Bytes>;
    /// The destinations that something waits for, the fullest first, at most `limit`.
    fn destinations(&self, limit: usize) -> Answer<'_, Vec<Destination>>;
    /// Does something to all messages that pass a filter, or counts them.
    fn act(&self, order: &Order) -> Answer<'_, Done>;
    /// Closes a destination to deliveries, or opens it again.
    fn suspend(&self, nexthop: &str, closed: bool) -> Answer<'_, Done>;
    /// How the switches stand.
    fn switches(&self) -> Answer<'_, Switches>;
    /// Sets those that are named.
    fn switch(&self, change: SwitchesChange) -> Answer<'_, Switches>;
    /// Reads tables, certificates and trust stores anew; what is odd about them. With `switches` the intake takes the certificates that its
    /// files hold, whatever TLSA records say.
    fn reload(&self, switches: bool) -> Answer<'_, Vec<String>>;
    /// The TLS policy in force for a next hop.
    fn policy(&self, nexthop: &str) -> Answer<'_, Value>;
    /// How mail for an address or a next hop would go; calls its servers only with `connect`.
    fn explain(&self, target: &str, connect: bool) -> Answer<'_, Value>;
    /// What happened to a message so far.
    fn story(&self, id: QueueId) -> Answer<'_, Value>;
    /// What the ledger remembers, newest first.
    fn ledger(&self, lookup: &Lookup) -> Answer<'_, Vec<Value>>;
    /// All metrics, as Prometheus reads them.
    fn metrics(&self) -> Answer<'_, String>;
}

/// Which messages. What is not named does not matter; all that is named must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// One of these.
    pub ids: Vec<String>,
    /// Its sender; empty for notifications, which have none.
    pub sender: Option<String>,
    /// One of its recipients.
    pub recipient: Option<String>,
    /// The domain of one of its recipients.
    pub domain: Option<String>,
    /// The next hop.
    pub destination: Option<String>,
    /// A piece of what was last said of it.
    pub reason: Option<String>,
    /// How far it is.
    pub state: Option<State>,
    /// At least this old.
    #[serde(deserialize_with = "read_span")]
    pub older_than: Option<Duration>,
    /// At most this old.
    #[serde(deserialize_with = "read_span")]
    pub younger_than: Option<Duration>,
}

impl Filter {
    /// Whether everything passes.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Its ids as such.
    ///
    /// # Errors
    /// [`Refusal::Wrong`] where one is none.
    pub fn ids(&self) -> Result<Vec<QueueId>, Refusal> {
        let id = |text: &String| text.parse().map_err(|error| Refusal::Wrong(format!("{error}")));
        self.ids.iter().map(id).collect()
    }
}

/// How far the recipients of a message at one destination are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// An attempt is under way.
    Active,
    /// It is due, or waits for its time.
    Waiting,
    /// An operator holds it.
    Held,
}

/// The recipients of one message at one destination.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "openapi.json tells what each field means")]
pub struct Row {
    pub queue_id: String,
    pub size: u64,
    #[serde(serialize_with = "write_time")]
    pub arrived: UnixTime,
    pub sender: String,
    pub recipients: Vec<String>,
    /// How many they are; the list may be shorter.
    pub recipient_count: usize,
    pub destination: String,
    pub attempts: u32,
    pub state: State,
    /// `state` is `active`.
    pub active: bool,
    #[serde(serialize_with = "write_time")]
    pub next_attempt: UnixTime,
    pub reason: Option<String>,
}

/// A slice of a listing.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Page {
    /// What is in it, oldest first.
    pub messages: Vec<Row>,
    /// Where the next one begins; `None` behind the last.
    pub next: Option<String>,
}

/// One message in the queue.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "openapi.json tells what each field means")]
pub struct Shown {
    pub queue_id: String,
    pub size: u64,
    #[serde(serialize_with = "write_time")]
    pub arrived: UnixTime,
    pub sender: String,
    pub client: String,
    pub message_id: Option<String>,
    pub held: bool,
    pub recipients: Vec<Recipient>,
    pub header: String,
}

/// One recipient of a message.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "openapi.json tells what each field means")]
pub struct Recipient {
    pub recipient: String,
    pub destination: Option<String>,
    pub state: String,
    pub attempts: u32,
    #[serde(serialize_with = "write_time_if")]
    pub next_attempt: Option<UnixTime>,
    pub reason: Option<String>,
}

/// A destination with what waits for it.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "openapi.json tells what each field means")]
pub struct Destination {
    pub destination: String,
    pub protocol: String,
    pub service: String,
    pub waiting: usize,
    pub active: usize,
    pub held: usize,
    #[serde(serialize_with = "write_time_if")]
    pub oldest: Option<UnixTime>,
    pub ages: Ages,
    pub suspended: bool,
    /// Its servers could not be reached; nothing is tried until then.
    #[serde(serialize_with = "write_time_if")]
    pub dead_until: Option<UnixTime>,
    pub reason: Option<String>,
}

/// Counts by age, youngest first; the borders are [`Ages::BORDERS`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Ages(pub [u64; 7]);

impl Ages {
    /// Where one class ends and the next begins, in seconds: 1 and 10 minutes, 1 and 6 hours, 1 and 5 days.
    pub const BORDERS: [u64; 6] = [60, 600, 3600, 21_600, 86_400, 432_000];
}

/// The queue in a few numbers.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(missing_docs, reason = "openapi.json tells what each field means")]
pub struct Overview {
    pub messages: usize,
    pub waiting: usize,
    pub active: usize,
    pub held: usize,
    #[serde(serialize_with = "write_time_if")]
    pub oldest: Option<UnixTime>,
    pub ages: Ages,
    /// How many destinations there are in all.
    pub destinations: usize,
    /// How many of them are dead or suspended.
    pub stuck: usize,
}

/// What can be done to messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Nothing is tried until they are released.
    Hold,
    /// They may go again.
    Release,
    /// They are tried now.
    Retry,
    /// They are taken out, and nobody is told.
    Remove,
    /// They are given up, and their senders are told.
    Bounce,
    /// They go to another next hop.
    Reroute,
}

/// Something to be done to many messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What.
    pub action: Action,
    /// To which.
    pub select: Filter,
    /// The new next hop of [`Action::Reroute`].
    pub to: Option<String>,
    /// Why, for the senders of [`Action::Bounce`].
    pub reason: Option<String>,
    /// Only counts them.
    pub dry_run: bool,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Messages that it was done to, or would have been.
    pub messages: usize,
    /// Deliveries of them.
    pub deliveries: usize,
    /// Messages that pass the filter and that it was too late for.
    pub refused: usize,
}

/// Switches for the whole queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Switches {
    /// Nothing is delivered; mail is taken.
    pub defer_all: bool,
    /// What would bounce waits.
    pub soft_bounce: bool,
}

/// Those to be set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "as in Switches")]
pub struct SwitchesChange {
    pub defer_all: Option<bool>,
    pub soft_bounce: Option<bool>,
}

/// What is looked for in the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "openapi.json tells what each field means")]
pub struct Lookup {
    pub queue_id: Option<String>,
    pub message_id: Option<String>,
    pub sender: Option<String>,
    pub recipient: Option<String>,
    pub domain: Option<String>,
    pub host: Option<String>,
    pub status: Option<String>,
    pub tls: Option<String>,
    #[serde(deserialize_with = "read_span")]
    pub since: Option<Duration>,
    #[serde(deserialize_with = "read_span")]
    pub until: Option<Duration>,
    pub limit: Option<usize>,
}
