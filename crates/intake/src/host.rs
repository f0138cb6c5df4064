//! What the protocol leaves open, answered for one client.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::BytesMut;
use waxseal_smtp::server::{Hello, Host, Message, Received, Refusal, Transaction};
use waxseal_spool::Accept;
use waxseal_types::{Envelope, QueueId, Recipient, UnixTime};

use crate::{client::Client, counters::Counters, intake::Intake, rates::Event, traceparent};

/// The door that one client stands before.
pub(crate) struct Door {
    intake: Arc<Intake>,
    accept: Arc<dyn Accept>,
    client: Client,
    /// Whether it may send mail to anywhere.
    relay: Result<(), Refusal>,
    /// What `Received:` says of TLS.
    tls: String,
    /// The id that the `Received:` line of the text under way names.
    id: Option<QueueId>,
}

impl Door {
    pub(crate) fn new(intake: Arc<Intake>, accept: Arc<dyn Accept>, client: Client) -> Self {
        Self { intake, accept, client, relay: Err(Refusal::RELAY_DENIED), tls: String::new(), id: None }
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Whether it may send mail to anywhere, from now on.
    pub(crate) fn set_relay(&mut self, verdict: Result<(), Refusal>) {
        self.relay = verdict;
    }

    /// The lines about TLS in `Received:`, from now on.
    pub(crate) fn set_tls(&mut self, lines: String) {
        self.tls = lines;
    }

    /// Counts one against the client's limits.
    fn count(&self, event: Event) -> bool {
        self.client.limited().is_none_or(|network| self.intake.rates.count(network, event))
    }

    /// Hands a message over. `Ok` says that it is durable.
    pub(crate) async fn commit(&mut self, message: Message) -> Result<QueueId, Refusal> {
        // A message without an id has no `Received:` line either; the machine gives none out.
        let id = self.id.take().ok_or(Refusal::LOCAL_ERROR)?;
        let (envelope, text) = self.envelope(id, message);
        self.accept.accept(envelope, text).await.map(|()| id).map_err(refusal)
    }

    fn envelope(&self, id: QueueId, message: Message) -> (Envelope, bytes::Bytes) {
        let Message { transaction, mut text, leading_dots, message_id, traceparent } = message;
        let settings = &self.intake.settings;
        let traced = traceparent && self.client.may_trace;
        let parent = if traced { traceparent::find(&text) } else { None };
        if traced && !settings.keep_traceparent {
            text = traceparent::remove(text);
        }
        let ids = &self.intake.ids;
        let trace = parent.map_or_else(|| ids.trace(settings.sampling_ratio), |parent| ids.within(parent));
        let Transaction { sender, recipients, body, smtputf8, envelope_id, ret } = transaction;
        let envelope = Envelope {
            id,
            arrived: now(),
            sender,
            recipients,
            body,
            smtputf8,
            envelope_id,
            ret,
            size: text.len() as u64,
            leading_dots,
            message_id,
            client: Arc::clone(&self.client.label),
            trace,
        };
        (envelope, text)
    }
}

impl Host for Door {
    fn mail(&mut self, _: &Transaction) -> Result<(), Refusal> {
        if !self.count(Event::Message) {
            return Err(Refusal::TOO_MUCH_MAIL);
        }
        self.accept.ready().map_err(refusal)
    }

    fn recipient(&mut self, _: &Transaction, _: &Recipient) -> Result<(), Refusal> {
        if !self.count(Event::Recipient) {
            return Err(Refusal::TOO_MANY_RECIPIENTS_IN_TIME);
        }
        self.relay.clone()
    }

    fn text(&mut self, hello: &Hello, transaction: &Transaction, text: &mut BytesMut) -> Result<(), Refusal> {
        if self.intake.memory.is_full(self.intake.settings.memory_limit) {
            Counters::count(&self.intake.counters.memory);
            return Err(Refusal::NO_SPACE);
        }
        let id = self.accept.next_id();
        self.id = Some(id);
        let hostname = &self.intake.protocol.hostname;
        Received {
            hello,
            client: &self.client.comment,
            tls: &self.tls,
            hostname,
            id,
            transaction,
            time: now(),
        }
        .write_to(text);
        Ok(())
    }
}

fn refusal(refusal: waxseal_spool::Refusal) -> Refusal {
    Refusal::new(refusal.code, refusal.status, refusal.text)
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
