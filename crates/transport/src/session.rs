//! A session that takes mail.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;
use waxseal_smtp::{BareLineEnd, DataText, Ehlo, Job, Stage, Transaction, TransactionStep, Unsupported};
use waxseal_types::{ConnectionId, Protocol, TlsFacts, UnixTime};
use waxseal_verify::{Clearance, ClearanceError};

use crate::{
    Cause, Hold, OpenReport, OutMessage, RcptOutcome, Sent, SessionAfter, Settings, Text,
    channel::Channel,
    flight::{Flight, FlightText},
    limits::Berth,
    pour::Pour,
    shape::Key,
};

/// Messages under way at once on a connection whose server takes chunks and has taken one (design §6).
const DEPTH: usize = 8;
/// The same with PIPELINING alone: one whose text is out, and the commands of the next.
const SHALLOW: usize = 2;
/// Texts up to this go in one flight with MAIL and RCPT, wanted or not; a larger one waits for somebody to want it.
const SMALL: usize = 64 << 10;

/// An open session. Dropping it closes the connection; [`Session::quit`] says QUIT first.
#[derive(Debug)]
pub struct Session {
    pub(crate) channel: Channel,
    pub(crate) settings: Arc<Settings>,
    pub(crate) protocol: Protocol,
    pub(crate) report: OpenReport,
    pub(crate) key: Key,
    pub(crate) opened: Instant,
    pub(crate) state: State,
    /// The connection carried a message under a clearance for that message alone, and must not carry another.
    single: bool,
    /// Messages under way, in the order of their commands.
    pub(crate) flights: VecDeque<Flight>,
    /// The server took the last message that went to it as a chunk.
    pub(crate) behaved: bool,
    /// A chunk was refused while others were under way behind it.
    pub(crate) doubtful: bool,
    /// When the reply that is awaited has to be there.
    pub(crate) deadline: Option<Instant>,
    /// Its place among all connections.
    pub(crate) berth: Option<Berth>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Clean,
    NeedsReset,
    Closed,
}

/// What came of the wish to begin a message.
#[derive(Debug)]
pub(crate) enum Begun {
    /// It is under way.
    Yes,
    /// It is not, and will not be.
    No(Sent),
    /// It has to wait until nothing else is under way.
    Later,
}

impl Session {
    pub(crate) fn new(
        channel: Channel,
        settings: Arc<Settings>,
        protocol: Protocol,
        report: OpenReport,
        key: Key,
    ) -> Self {
        Self {
            channel,
            settings,
            protocol,
            report,
            key,
            opened: Instant::now(),
            state: State::Clean,
            single: false,
            flights: VecDeque::new(),
            behaved: false,
            doubtful: false,
            deadline: None,
            berth: None,
        }
    }

    /// The connection's name, for the judgement of its TLS.
    #[must_use]
    pub const fn connection(&self) -> ConnectionId {
        self.report.connection
    }

    /// What its TLS handshake produced; `None` in clear.
    #[must_use]
    pub const fn facts(&self) -> Option<&Arc<TlsFacts>> {
        self.report.facts()
    }

    /// How it came about.
    #[must_use]
    pub const fn report(&self) -> &OpenReport {
        &self.report
    }

    /// What the server offers.
    #[must_use]
    pub fn ehlo(&self) -> &Ehlo {
        &self.report.ehlo
    }

    /// Whether another message may be tried: it is open, not too old, and not bound to one message.
    #[must_use]
    pub fn usable(&self) -> bool {
        self.state != State::Closed && !self.single && self.opened.elapsed() < self.settings.reuse_time_limit
    }

    /// Whether nothing has come in that nobody asked for.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.flights.is_empty() && self.channel.is_quiet()
    }

    /// Sends one message. No octet of it leaves unless `clearance` covers it, on this connection and now.
    ///
    /// Every recipient in `message` gets an outcome, whatever happens.
    pub async fn send(&mut self, clearance: &Clearance, message: &OutMessage) -> Sent {
        match self.begin(clearance, message, None) {
            Begun::Yes => {}
            Begun::No(sent) => return sent,
            Begun::Later => return self.nothing_sent(message, &lost()),
        }
        loop {
            if let Some(sent) = self.settle() {
                return sent;
            }
            let moved = if self.has_due() { self.write().await } else { self.hear().await };
            if let Err(broken) = moved {
                let sent = self.break_off(&broken).pop_front();
                return sent.unwrap_or_else(|| self.nothing_sent(message, &lost()));
            }
        }
    }

    /// Says QUIT and closes.
    pub async fn quit(self) {
        // With a transaction half begun QUIT would be its text; closing says the same.
        if self.state != State::Closed && self.flights.is_empty() {
            self.channel.quit(self.settings.quit_timeout).await;
        }
    }

    /// How many messages may be under way at once.
    pub(crate) fn depth(&self) -> usize {
        match (self.protocol, self.ehlo()) {
            (Protocol::Smtp, Ehlo { pipelining: true, chunking: true, .. }) if self.behaved => DEPTH,
            (Protocol::Smtp, Ehlo { pipelining: true, .. }) => SHALLOW,
            (Protocol::Smtp | Protocol::Lmtp, _) => 1,
        }
    }

    /// Whether a message may be begun: none is under way, or all of the last one's text is out, or about to leave in the same write.
    ///
    /// RFC 2920 §3.1: the text of a message may be the first of a group of commands.
    pub(crate) fn may_begin(&self) -> bool {
        let Some(last) = self.flights.back() else { return true };
        let leaves = last.sends_text() && !last.is_stored();
        let out = last.transaction.is_text_sent() || leaves;
        out && self.flights.len() < self.depth() && self.state == State::Clean && self.usable()
    }

    /// Begins a message; nothing is written yet. The clearance is looked at here, where its commands are made. With `hold` its text waits for that.
    pub(crate) fn begin(&mut self, clearance: &Clearance, message: &OutMessage, hold: Option<Hold>) -> Begun {
        let failed = |cause| RcptOutcome::Failed { stage: Stage::Mail, cause };
        let alone = self.flights.is_empty();
        if let Err(error) = self.check(clearance, message) {
            return Begun::No(self.nothing_sent(message, &failed(error.into())));
        }
        if self.state == State::Closed {
            return Begun::No(self.nothing_sent(message, &lost()));
        }
        if !alone && clearance.only_message().is_some() {
            return Begun::Later;
        }
        // A reply that came before its command answers something else, or was put there by somebody else.
        if alone && self.channel.is_spoken_to() {
            let outcome = self.spoken_to(Stage::Mail);
            return Begun::No(self.nothing_sent(message, &outcome));
        }
        let text = match self.text(message) {
            Ok(text) => text,
            Err(bad) => {
                let outcome = RcptOutcome::Unsupported(Unsupported::BareLineEnd(bad));
                return Begun::No(self.nothing_sent(message, &outcome));
            }
        };
        let transaction = self.transaction(message, &text);
        let speaks = transaction.step() == TransactionStep::Write;
        if !alone && speaks && !transaction.may_ride_behind() {
            return Begun::Later;
        }
        let flight = Flight::new(transaction, text, hold.filter(|hold| !hold.is_released()));
        if !speaks {
            return Begun::No(flight.into_sent(None, self.after()));
        }
        self.single |= clearance.only_message().is_some();
        self.flights.push_back(flight);
        Begun::Yes
    }

    fn text(&self, message: &OutMessage) -> Result<FlightText, BareLineEnd> {
        let limit = self.settings.line_length_limit;
        match &message.body {
            Text::Whole(whole) => DataText::new(whole.clone(), limit).map(FlightText::Whole),
            Text::Stored(stored) => Ok(FlightText::Stored(Some(Pour::new(&**stored, limit)))),
        }
    }

    fn transaction(&self, message: &OutMessage, text: &FlightText) -> Transaction {
        let job = Job {
            envelope: Arc::clone(&message.envelope),
            recipients: &message.recipients,
            text: message.body.head(),
        };
        let reset = self.state == State::NeedsReset;
        let transaction = Transaction::new(&job, self.protocol, Arc::clone(&self.report.ehlo), reset);
        match text {
            FlightText::Whole(text) if text.chunk_length() <= SMALL => {
                transaction.chunked(text.chunk_length())
            }
            FlightText::Whole(_) | FlightText::Stored(_) => transaction,
        }
    }

    /// The clearance is looked at before each MAIL: for this connection, this demand, this policy, this message, now.
    fn check(&self, clearance: &Clearance, message: &OutMessage) -> Result<(), ClearanceError> {
        clearance.covers(message.demand, message.policy.now())?;
        clearance.permits(self.report.connection, now(), message.envelope.id)?;
        if self.single { Err(ClearanceError::Message) } else { Ok(()) }
    }

    /// The server spoke, or hung up, while nothing was asked of it.
    fn spoken_to(&mut self, stage: Stage) -> RcptOutcome {
        self.state = State::Closed;
        match self.channel.unasked() {
            // RFC 5321 §3.8: a server that shuts down may say so at any time.
            Some(reply) if reply.code == 421 => RcptOutcome::Rejected { stage, reply },
            Some(reply) => {
                RcptOutcome::Failed { stage, cause: Cause::Protocol(format!("unexpected reply: {reply}")) }
            }
            None => lost(),
        }
    }

    fn nothing_sent(&self, message: &OutMessage, outcome: &RcptOutcome) -> Sent {
        Sent { dsn: self.report.ehlo.dsn, ..Sent::nothing(&message.recipients, outcome, self.after()) }
    }

    pub(crate) fn after(&self) -> SessionAfter {
        if self.usable() { SessionAfter::Usable } else { SessionAfter::Closed }
    }
}

/// Nothing of the message was sent: the connection is gone.
pub(crate) const fn lost() -> RcptOutcome {
    RcptOutcome::Failed { stage: Stage::Mail, cause: Cause::Lost }
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
