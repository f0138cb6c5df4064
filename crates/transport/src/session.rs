//! A session that takes mail.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;
use waxseal_smtp::{
    Afterwards, DataText, Ehlo, Job, Settled, Stage, Transaction, TransactionStep, Unsupported,
};
use waxseal_types::{ConnectionId, Protocol, TlsFacts, UnixTime};
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
        Self { channel, settings, protocol, report, key, opened, state: State::Clean, single: false }
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
        self.channel.is_quiet()
    }

    /// Sends one message. No octet of it leaves unless `clearance` covers it, on this connection and now.
    ///
    /// Every recipient in `message` gets an outcome, whatever happens.
    pub async fn send(&mut self, clearance: &Clearance, message: &OutMessage) -> Sent {
        let started = Instant::now();
        let mut sent = match self.prepare(clearance, message) {
            Ok((transaction, text)) => self.transact(transaction, &text).await,
            Err(outcome) => self.nothing_sent(message, &outcome),
        };
        sent.took = started.elapsed();
        sent
    }

    /// Says QUIT and closes.
    pub async fn quit(self) {
        if self.state != State::Closed {
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
        self.check(clearance, message).map_err(|error| failed(error.into()))?;
        if self.state == State::Closed {
            return Err(failed(Cause::Lost));
        }
        let text = DataText::new(message.body.clone(), self.settings.line_length_limit)
            .map_err(|bad| RcptOutcome::Unsupported(Unsupported::BareLineEnd(bad)))?;
        // A reply that came before its command answers something else, or was put there by somebody else.
        if self.channel.is_spoken_to() {
            return Err(self.spoken_to(stage));
        }
        self.single |= clearance.only_message().is_some();
        let job = Job {
            envelope: Arc::clone(&message.envelope),
            recipients: &message.recipients,
            text: &message.body,
        };
        let reset = self.state == State::NeedsReset;
        Ok((Transaction::new(&job, self.protocol, Arc::clone(&self.report.ehlo), reset), text))
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

    async fn transact(&mut self, mut transaction: Transaction, text: &DataText) -> Sent {
        let broken = self.drive(&mut transaction, text).await.err();
        let ambiguous = broken.is_some() && transaction.awaits_final();
        self.state = match (&broken, transaction.afterwards()) {
            (Some(_), _) | (None, Afterwards::Closed) => State::Closed,
            (None, Afterwards::NeedsReset) => State::NeedsReset,
            (None, Afterwards::Clean) => State::Clean,
        };
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

    async fn drive(&mut self, transaction: &mut Transaction, text: &DataText) -> Result<(), Break> {
        loop {
            match transaction.step() {
                TransactionStep::Done => return Ok(()),
                TransactionStep::Write => transaction.commands(&mut self.channel.output),
                TransactionStep::Await(stage) => self.answer(transaction, stage).await?,
                TransactionStep::SendText => {
                    self.send_text(transaction, text).await?;
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

    async fn send_text(&mut self, transaction: &mut Transaction, text: &DataText) -> Result<(), Break> {
        let limit = self.settings.limit(Stage::Body);
        let Err(cause) = self.channel.write_text(text.segments(), limit).await else { return Ok(()) };
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
