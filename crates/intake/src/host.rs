//! What the protocol leaves open, answered for one client.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::{Bytes, BytesMut};
use waxseal_smtp::server::{Hello, Host, Message, Received, Refusal, Transaction};
use waxseal_spool::Accept;
use waxseal_types::{Envelope, QueueId, Recipient, UnixTime};

use crate::{
    client::Client,
    counters::Counters,
    intake::Intake,
    large::{Large, Traced},
    rates::Event,
    traceparent::{self, TraceParent},
};

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
    /// How that text is kept, once that was asked.
    large: Option<Large>,
}

impl Door {
    pub(crate) fn new(intake: Arc<Intake>, accept: Arc<dyn Accept>, client: Client) -> Self {
        let relay = Err(Refusal::RELAY_DENIED);
        Self { intake, accept, client, relay, tls: String::new(), id: None, large: None }
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

    /// Whether pieces of the text under way may be given to [`Door::pass`].
    pub(crate) async fn takes_pieces(&mut self) -> bool {
        if self.large.is_none()
            && let Some(id) = self.id
        {
            self.large = Some(Large::begin(&*self.accept, id).await);
        }
        matches!(self.large, Some(Large::Passing(_)))
    }

    /// Passes on a piece of a large text; gives memory for another.
    pub(crate) async fn pass(&mut self, piece: Bytes, names_trace: bool) -> BytesMut {
        let traced = Traced {
            heeded: names_trace && self.client.may_trace,
            kept: self.intake.settings.keep_traceparent,
        };
        match &mut self.large {
            Some(Large::Passing(passing)) => passing.pass(piece, traced).await,
            Some(Large::Whole) | None => BytesMut::new(),
        }
    }

    /// Whether the text under way goes on in pieces.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self.large, Some(Large::Passing(_)))
    }

    /// Octets of a large text on their way to the disk.
    pub(crate) fn held(&self) -> usize {
        self.large.as_ref().map_or(0, Large::held)
    }

    /// The text under way has come to nothing: what went on of it is thrown away.
    pub(crate) fn forget(&mut self) {
        self.large = None;
    }

    /// Hands a message over. `Ok` says that it is durable.
    pub(crate) async fn commit(&mut self, message: Message) -> Result<QueueId, Refusal> {
        // A message without an id has no `Received:` line either; the machine gives none out.
        let id = self.id.take().ok_or(Refusal::LOCAL_ERROR)?;
        let accepted = match self.large.take() {
            Some(Large::Passing(passing)) if message.taken > 0 => {
                let (before, parent) = passing.passed();
                let rest = message.text.clone();
                let envelope = self.envelope(id, message, (before + rest.len() as u64, parent));
                passing.end(rest, envelope).await
            }
            // Pieces were taken and nobody has them.
            Some(_) | None if message.taken > 0 => return Err(Refusal::LOCAL_ERROR),
            Some(_) | None => {
                let (text, parent) = self.untraced(message.text.clone(), message.traceparent);
                let envelope = self.envelope(id, message, (text.len() as u64, parent));
                self.accept.accept(envelope, text).await
            }
        };
        accepted.map(|()| id).map_err(refusal)
    }

    /// A text and the trace that it names; without the fields that name it, unless they are to be kept.
    fn untraced(&self, text: Bytes, names_trace: bool) -> (Bytes, Option<TraceParent>) {
        if !(names_trace && self.client.may_trace) {
            return (text, None);
        }
        let parent = traceparent::find(&text);
        (if self.intake.settings.keep_traceparent { text } else { traceparent::remove(text) }, parent)
    }

    fn envelope(&self, id: QueueId, message: Message, text: (u64, Option<TraceParent>)) -> Envelope {
        let (size, parent) = text;
        let Message { transaction, leading_dots, message_id, .. } = message;
        let settings = &self.intake.settings;
        let ids = &self.intake.ids;
        let trace = parent.map_or_else(|| ids.trace(settings.sampling_ratio), |parent| ids.within(parent));
        let Transaction { sender, recipients, body, smtputf8, envelope_id, ret } = transaction;
        Envelope {
            id,
            arrived: now(),
            sender,
            recipients,
            body,
            smtputf8,
            envelope_id,
            ret,
            size,
            leading_dots,
            message_id,
            client: Arc::clone(&self.client.label),
            trace,
        }
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
        self.large = None;
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
