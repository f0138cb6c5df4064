//! A session that takes mail.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;
use waxseal_smtp::{
    Afterwards, DataText, Ehlo, Job, Settled, Stage, Transaction, TransactionStep, Unsupported,
};
use waxseal_types::{ConnectionId, Protocol, QueueId, TlsFacts, UnixTime};
use waxseal_verify::{Clearance, ClearanceError};

use crate::{
    Cause, OpenReport, OutMessage, RcptOutcome, Sent, SessionAfter, Settings, channel::Channel, shape::Key,
};

/// An open session. Dropping it closes the connection; [`Session::quit`] says QUIT first.
#[derive(Debug)]
pub struct Session {
    pub(crate) channel: Channel,
    pub(crate) settings: Arc<Settings>,
    pub(crate) protocol: Protocol,
    pub(crate) report: OpenReport,
    pub(crate) key: Key,
    pub(crate) opened: Instant,
    state: State,
    /// The connection carried a message under a clearance for that message alone, and must not carry another.
    single: bool,
    /// The message whose commands were written behind the last text, and whose replies are still to be read.
    ahead: Option<Ahead>,
}

/// A message of which all but the text has been written.
#[derive(Debug)]
struct Ahead {
    message: QueueId,
    recipients: Vec<usize>,
    transaction: Transaction,
    text: DataText,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Clean,
    NeedsReset,
    Closed,
}

/// Where and why a transaction ended before all was settled.
struct Break {
    stage: Stage,
    cause: Cause,
}

impl Session {
    pub(crate) fn new(
        channel: Channel,
        settings: Arc<Settings>,
        protocol: Protocol,
        report: OpenReport,
        key: Key,
    ) -> Self {
        let opened = Instant::now();
        Self {
            channel,
            settings,
            protocol,
            report,
            key,
            opened,
            state: State::Clean,
            single: false,
            ahead: None,
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
        self.state != State::Closed
            && !self.single
            && self.ahead.is_none()
            && self.opened.elapsed() < self.settings.reuse_time_limit
    }

    /// Whether nothing has come in that nobody asked for.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.channel.is_quiet()
    }

    /// Sends one message. No octet of it leaves unless `clearance` covers it, on this connection and now.
    ///
    /// Every recipient in `message` gets an outcome, whatever happens.
    pub async fn send(&mut self, clearance: &Clearance, message: &OutMessage) -> Sent {
        self.send_then(clearance, message, None).await
    }

    /// As [`Session::send`], and announces the message that is sent next: where the server knows PIPELINING, its commands ride behind the
    /// final dot, which saves a round trip (RFC 2920 §3.1). That message must be the next one given to this session.
    pub async fn send_then(
        &mut self,
        clearance: &Clearance,
        message: &OutMessage,
        next: Option<(&Clearance, &OutMessage)>,
    ) -> Sent {
        let started = Instant::now();
        let mut sent = match self.prepare(clearance, message) {
            Ok((transaction, text)) => {
                let ahead = next.and_then(|(clearance, message)| self.look_ahead(clearance, message));
                self.transact(transaction, &text, ahead).await
            }
            Err(outcome) => self.nothing_sent(message, &outcome),
        };
        sent.took = started.elapsed();
        sent
    }

    /// Says QUIT and closes.
    pub async fn quit(self) {
        // With a transaction half begun QUIT would be its text; closing says the same.
        if self.state != State::Closed && self.ahead.is_none() {
            self.channel.quit(self.settings.quit_timeout).await;
        }
    }

    fn prepare(
        &mut self,
        clearance: &Clearance,
        message: &OutMessage,
    ) -> Result<(Transaction, DataText), RcptOutcome> {
        let stage = Stage::Mail;
        let failed = |cause| RcptOutcome::Failed { stage, cause };
        let ahead = self.ahead.take();
        if let Err(error) = self.check(clearance, message) {
            // What was announced is not sent after all, and the server waits for it.
            self.state = if ahead.is_some() { State::Closed } else { self.state };
            return Err(failed(error.into()));
        }
        if self.state == State::Closed {
            return Err(failed(Cause::Lost));
        }
        self.single |= clearance.only_message().is_some();
        match ahead {
            None => self.begin(message),
            Some(ahead) if ahead.is_for(message) => Ok((ahead.transaction, ahead.text)),
            Some(_) => {
                self.state = State::Closed;
                Err(failed(Cause::Protocol("another message was announced".into())))
            }
        }
    }

    fn begin(&mut self, message: &OutMessage) -> Result<(Transaction, DataText), RcptOutcome> {
        // A reply that came before its command answers something else, or was put there by somebody else.
        if self.channel.is_spoken_to() {
            return Err(self.spoken_to(Stage::Mail));
        }
        let text = self.text(message)?;
        Ok((self.transaction(message, self.state == State::NeedsReset), text))
    }

    fn text(&self, message: &OutMessage) -> Result<DataText, RcptOutcome> {
        DataText::new(message.body.clone(), self.settings.line_length_limit)
            .map_err(|bad| RcptOutcome::Unsupported(Unsupported::BareLineEnd(bad)))
    }

    fn transaction(&self, message: &OutMessage, reset: bool) -> Transaction {
        let job = Job {
            envelope: Arc::clone(&message.envelope),
            recipients: &message.recipients,
            text: &message.body,
        };
        Transaction::new(&job, self.protocol, Arc::clone(&self.report.ehlo), reset)
    }

    /// The next message, if nothing speaks against writing its commands already.
    fn look_ahead(&self, clearance: &Clearance, message: &OutMessage) -> Option<Ahead> {
        if clearance.only_message().is_some() || !self.usable() || self.check(clearance, message).is_err() {
            return None;
        }
        let (text, transaction) = (self.text(message).ok()?, self.transaction(message, false));
        let (message, recipients) = (message.envelope.id, message.recipients.clone());
        transaction.may_ride_behind().then_some(Ahead { message, recipients, transaction, text })
    }

    /// The clearance is looked at before each MAIL: for this connection, this demand, this policy, this message, now.
    fn check(&self, clearance: &Clearance, message: &OutMessage) -> Result<(), ClearanceError> {
        clearance.covers(message.demand, message.policy_generation)?;
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
            None => RcptOutcome::Failed { stage, cause: Cause::Lost },
        }
    }

    async fn transact(
        &mut self,
        mut transaction: Transaction,
        text: &DataText,
        mut ahead: Option<Ahead>,
    ) -> Sent {
        let broken = self.drive(&mut transaction, text, &mut ahead).await.err();
        let ambiguous = broken.is_some() && transaction.awaits_final();
        self.state = match (&broken, transaction.afterwards()) {
            (Some(_), _) | (None, Afterwards::Closed) => State::Closed,
            (None, Afterwards::NeedsReset) => State::NeedsReset,
            (None, Afterwards::Clean) => State::Clean,
        };
        // Only what was written is ahead; a transaction that came to no text took nothing along.
        self.ahead = ahead.filter(|ahead| self.state != State::Closed && ahead.is_written());
        let dsn = transaction.passes_dsn();
        let failed = |broken: &Option<Break>| {
            let (stage, cause) =
                broken.as_ref().map_or((Stage::Mail, Cause::Lost), |b| (b.stage, b.cause.clone()));
            RcptOutcome::Failed { stage, cause }
        };
        let outcome = |settled: Option<Settled>| settled.map_or_else(|| failed(&broken), RcptOutcome::from);
        let recipients =
            transaction.into_settled().map(|(index, settled)| (index, outcome(settled))).collect();
        Sent { recipients, session: self.after(), ambiguous, dsn, took: Duration::ZERO }
    }

    async fn drive(
        &mut self,
        transaction: &mut Transaction,
        text: &DataText,
        ahead: &mut Option<Ahead>,
    ) -> Result<(), Break> {
        loop {
            match transaction.step() {
                TransactionStep::Done => return Ok(()),
                TransactionStep::Write => transaction.commands(&mut self.channel.output),
                TransactionStep::Await(stage) => self.answer(transaction, stage).await?,
                TransactionStep::SendText => {
                    self.send_text(transaction, text, ahead).await?;
                    transaction.text_sent();
                }
                TransactionStep::SendLoneDot => {
                    self.channel.output.extend_from_slice(b".\r\n");
                    transaction.text_sent();
                }
            }
        }
    }

    /// Writes what waits, reads one reply and hands it over.
    async fn answer(&mut self, transaction: &mut Transaction, stage: Stage) -> Result<(), Break> {
        let limit = self.settings.limit(stage);
        let broken = |cause| Break { stage, cause };
        self.channel.flush(limit).await.map_err(broken)?;
        let reply = self.channel.reply(limit).await.map_err(broken)?;
        transaction.reply(reply).map_err(|error| Break { stage: error.stage, cause: error.into() })
    }

    async fn send_text(
        &mut self,
        transaction: &mut Transaction,
        text: &DataText,
        ahead: &mut Option<Ahead>,
    ) -> Result<(), Break> {
        let limit = self.settings.limit(Stage::Body);
        let mut commands = Vec::new();
        if let Some(ahead) = ahead {
            ahead.transaction.commands(&mut commands);
        }
        let behind = Some(&commands[..]).filter(|commands| !commands.is_empty());
        let segments = text.segments().chain(behind);
        let Err(cause) = self.channel.write_text(segments, limit).await else { return Ok(()) };
        // The text did not leave in full, so the message was not taken; a server that refused it may have said so.
        let refused = self.channel.unasked().filter(|reply| reply.is_transient() || reply.is_permanent());
        if let Some(reply) = refused {
            transaction.text_refused(&reply);
        }
        Err(Break { stage: Stage::Body, cause })
    }

    fn nothing_sent(&self, message: &OutMessage, outcome: &RcptOutcome) -> Sent {
        Sent {
            recipients: message.recipients.iter().map(|index| (*index, outcome.clone())).collect(),
            session: self.after(),
            ambiguous: false,
            dsn: self.report.ehlo.dsn,
            took: Duration::ZERO,
        }
    }

    fn after(&self) -> SessionAfter {
        if self.usable() { SessionAfter::Usable } else { SessionAfter::Closed }
    }
}

impl Ahead {
    fn is_for(&self, message: &OutMessage) -> bool {
        self.message == message.envelope.id && self.recipients == message.recipients
    }

    fn is_written(&self) -> bool {
        self.transaction.step() != TransactionStep::Write
    }
}

impl From<Settled> for RcptOutcome {
    fn from(settled: Settled) -> Self {
        match settled {
            Settled::Delivered(reply) => Self::Delivered(reply),
            Settled::Rejected { stage, reply } => Self::Rejected { stage, reply },
            Settled::Unsupported(why) => Self::Unsupported(why),
        }
    }
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
