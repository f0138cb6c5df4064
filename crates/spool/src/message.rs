//! What goes into the spool and comes out of it.

use std::sync::Arc;

use bytes::Bytes;
use waxseal_types::{EnhancedStatus, Envelope, QueueId, Reply, UnixTime};

/// A message to be made durable.
#[derive(Debug, Clone)]
pub struct Put {
    /// Its envelope; the id comes from [`crate::Gate::next_id`].
    pub envelope: Envelope,
    /// Its text, line ends as CRLF, before dot-stuffing.
    pub body: Bytes,
}

/// How far one recipient of a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecipientState {
    /// To be delivered; tried or not.
    Pending,
    /// A server took the message for it.
    Delivered,
    /// Refused for good.
    Failed,
    /// Too old to be tried again.
    Expired,
    /// Taken out by the operator, or discarded by policy.
    Removed,
    /// To be delivered when an operator releases it.
    Held,
}

impl RecipientState {
    /// Whether nothing more will be tried.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Held => false,
            Self::Delivered | Self::Failed | Self::Expired | Self::Removed => true,
        }
    }
}

/// What the last attempt for a recipient ended with: the words of a later bounce (RFC 3464 §2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// When it ended.
    pub at: UnixTime,
    /// The status that a notification reports.
    pub status: EnhancedStatus,
    /// The server that spoke or was tried, where there was one.
    pub host: Option<Arc<str>>,
    /// The server's own words.
    pub reply: Option<Reply>,
    /// One sentence for the operator and the sender.
    pub reason: Arc<str>,
    /// What sort of thing failed, in a word of the queue's.
    pub trouble: Option<Arc<str>>,
    /// What was demanded and tried, one thing a line.
    pub tried: Option<Arc<str>>,
}

/// All that the spool remembers of one recipient beyond its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// How far it has come.
    pub state: RecipientState,
    /// Whether the sender has been told of a final state or a delay, or need not be.
    pub reported: bool,
    /// Whether the sender is told, or was, that this recipient still waits.
    pub warned: bool,
    /// Attempts made.
    pub attempts: u32,
    /// When to try again; [`UnixTime::default`] is at once.
    pub next_attempt: UnixTime,
    /// When the first attempt failed.
    pub first_failure: Option<UnixTime>,
    /// What the last attempt ended with.
    pub last: Option<Outcome>,
}

impl Progress {
    /// A recipient that nothing has happened to.
    pub const NEW: Self = Self {
        state: RecipientState::Pending,
        reported: false,
        warned: false,
        attempts: 0,
        next_attempt: UnixTime::from_micros(0),
        first_failure: None,
        last: None,
    };
}

/// The new progress of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientResult {
    /// Which of `Envelope::recipients`.
    pub index: u32,
    /// Replaces what was known.
    pub progress: Progress,
}

/// The results of one transaction: one record, all of it or nothing.
#[derive(Debug, Clone)]
pub struct Update {
    /// The message.
    pub id: QueueId,
    /// New progress of some of its recipients.
    pub results: Vec<RecipientResult>,
    /// A notification about them, which becomes a message in the same record: it exists if and only if the results are on disk.
    pub dsn: Option<Put>,
}

/// The end of a message: it leaves the spool.
#[derive(Debug, Clone)]
pub struct Done {
    /// The message.
    pub id: QueueId,
    /// A notification, which becomes a message in the same record.
    pub dsn: Option<Put>,
}

/// A message as it is in the spool.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its envelope.
    pub envelope: Envelope,
    /// One for each recipient, in the envelope's order.
    pub states: Vec<Progress>,
    /// Its text.
    pub body: Bytes,
}

/// A message without its text, which stays on disk: as it was found at the start, or for a listing.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// Its envelope.
    pub envelope: Envelope,
    /// One for each recipient, in the envelope's order.
    pub states: Vec<Progress>,
}
