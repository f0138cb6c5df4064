//! Messages under way over one session: what is due is written in one go, and replies go to the oldest.
//!
//! Of each message it is known whether its whole text left, since that decides what a lost connection means (design §6, "the wire's end"):
//! where it did, and no reply to it came, nobody knows what became of the message; where it did not, the message was not taken.

use std::collections::VecDeque;

use tokio::time::Instant;
use waxseal_smtp::{Afterwards, DataText, Settled, Stage, Transaction, TransactionStep};

use crate::{Cause, Hold, RcptOutcome, Sent, Session, SessionAfter, pour::Pour, session::State};

/// One message under way.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) transaction: Transaction,
    text: FlightText,
    /// Commands that are due.
    commands: Vec<u8>,
    /// Its text may not leave while this is here. Taken away in one place, so that what is said to be due and what is said to have left agree.
    hold: Option<Hold>,
    begun: Instant,
}

/// What there is of its text.
#[derive(Debug)]
pub(crate) enum FlightText {
    /// All of it.
    Whole(DataText),
    /// A way to read it, until that is used.
    Stored(Option<Pour>),
}

/// Where and why a session ended before all was settled.
#[derive(Debug)]
pub(crate) struct Break {
    stage: Stage,
    cause: Cause,
    /// The server said that it closes (RFC 5321 §3.8): what came behind that word it did not take.
    announced: bool,
}

impl Flight {
    pub(crate) fn new(transaction: Transaction, text: FlightText, hold: Option<Hold>) -> Self {
        Self { transaction, text, commands: Vec::with_capacity(256), hold, begun: Instant::now() }
    }

    /// What has to be written of it now.
    fn due(&self) -> impl Iterator<Item = &[u8]> {
        let due = self.sends_text();
        let (chunk, data) = match (&self.text, self.transaction.is_chunked()) {
            (FlightText::Whole(text), true) if due => (Some(text.chunk()), None),
            (FlightText::Whole(text), false) if due => (None, Some(text.segments())),
            (FlightText::Whole(_) | FlightText::Stored(_), _) => (None, None),
        };
        let lone = matches!(self.transaction.step(), TransactionStep::SendLoneDot).then_some(&b".\r\n"[..]);
        let commands = Some(&self.commands[..]).filter(|commands| !commands.is_empty());
        commands.into_iter().chain(chunk.into_iter().flatten()).chain(data.into_iter().flatten()).chain(lone)
    }

    fn is_text_due(&self) -> bool {
        self.sends_text() || self.transaction.step() == TransactionStep::SendLoneDot
    }

    /// Whether its text is what is next, and may leave.
    pub(crate) fn sends_text(&self) -> bool {
        self.transaction.step() == TransactionStep::SendText && self.hold.is_none()
    }

    /// Whether its text is written piece by piece.
    pub(crate) const fn is_stored(&self) -> bool {
        matches!(self.text, FlightText::Stored(_))
    }

    /// The way to read its text, where that is what is due now.
    fn pour_due(&mut self) -> Option<Pour> {
        let due = self.sends_text();
        match &mut self.text {
            FlightText::Stored(pour) if due => pour.take(),
            FlightText::Stored(_) | FlightText::Whole(_) => None,
        }
    }

    /// What became of it. `broken` says why the session ended, where that settled it.
    pub(crate) fn into_sent(self, broken: Option<&Break>, session: SessionAfter) -> Sent {
        let ambiguous = broken.is_some_and(|broken| !broken.announced) && self.transaction.awaits_final();
        let dsn = self.transaction.passes_dsn();
        let failed = || {
            let (stage, cause) = broken.map_or((Stage::Mail, Cause::Lost), |b| (b.stage, b.cause.clone()));
            RcptOutcome::Failed { stage: if ambiguous { Stage::EndOfData } else { stage }, cause }
        };
        let outcome = |settled: Option<Settled>| settled.map_or_else(failed, RcptOutcome::from);
        let recipients =
            self.transaction.into_settled().map(|(index, settled)| (index, outcome(settled))).collect();
        Sent { recipients, session, ambiguous, dsn, took: self.begun.elapsed() }
    }
}

impl Session {
    /// Whether something has to be written.
    pub(crate) fn has_due(&self) -> bool {
        self.flights
            .iter()
            .any(|flight| flight.is_text_due() || flight.transaction.step() == TransactionStep::Write)
    }

    /// What stands between the last message and its text, where that is all it waits for.
    pub(crate) fn hold(&self) -> Option<Hold> {
        let last = self.flights.back()?;
        last.hold.clone().filter(|_| last.transaction.step() == TransactionStep::SendText)
    }

    /// The word about the last message's text has come: it may leave, or never will.
    pub(crate) fn hold_ended(&mut self, released: bool) -> Result<(), Break> {
        if !released {
            return Err(Break::at(Stage::Body, Cause::Text("it was withdrawn".into())));
        }
        if let Some(last) = self.flights.back_mut() {
            last.hold = None;
        }
        Ok(())
    }

    /// Whether the oldest message waits for a reply.
    pub(crate) fn awaits(&self) -> bool {
        let front = self.flights.front();
        front.is_some_and(|front| matches!(front.transaction.step(), TransactionStep::Await(_)))
    }

    /// Writes all that is due in one go: commands, texts, and commands behind texts.
    pub(crate) async fn write(&mut self) -> Result<(), Break> {
        for flight in &mut self.flights {
            if flight.transaction.step() == TransactionStep::Write {
                flight.transaction.commands(&mut flight.commands);
            }
        }
        let stage = if self.flights.iter().any(Flight::is_text_due) { Stage::Body } else { self.awaited() };
        let due = self.flights.iter().flat_map(Flight::due);
        let written = self.channel.write_all(due, self.settings.limit(stage)).await;
        self.deadline = None;
        match written {
            Ok(()) => {
                self.left(usize::MAX);
                // Nothing begins behind a text that is read: it is the last.
                match self.flights.back_mut().and_then(Flight::pour_due) {
                    Some(pour) => self.pour(pour).await,
                    None => Ok(()),
                }
            }
            Err((octets, cause)) => {
                self.left(octets);
                self.hear_out();
                Err(Break { stage, cause, announced: false })
            }
        }
    }

    /// So many octets of what was due have left.
    fn left(&mut self, mut octets: usize) {
        for flight in &mut self.flights {
            let length: usize = flight.due().map(<[u8]>::len).sum();
            let whole = octets >= length;
            octets = octets.saturating_sub(length);
            flight.commands.clear();
            let lone_dot = flight.transaction.step() == TransactionStep::SendLoneDot;
            if flight.is_text_due() && whole && (lone_dot || !flight.is_stored()) {
                flight.transaction.text_sent();
            }
        }
    }

    /// The connection broke while something was written; the server may have said why. A text that did not leave in full was not taken.
    pub(crate) fn hear_out(&mut self) {
        let Some(front) = self.flights.front_mut() else { return };
        loop {
            let text_due = front.is_text_due();
            if !text_due && !matches!(front.transaction.step(), TransactionStep::Await(_)) {
                return;
            }
            let Some(reply) = self.channel.unasked() else { return };
            if text_due {
                if reply.is_transient() || reply.is_permanent() {
                    front.transaction.text_refused(&reply);
                }
                return;
            }
            if front.transaction.reply(reply).is_err() {
                return;
            }
        }
    }

    /// What the oldest message waits for.
    fn awaited(&self) -> Stage {
        match self.flights.front().map(|front| front.transaction.step()) {
            Some(TransactionStep::Await(stage)) => stage,
            Some(
                TransactionStep::Write
                | TransactionStep::SendText
                | TransactionStep::SendLoneDot
                | TransactionStep::Done,
            )
            | None => Stage::Mail,
        }
    }

    /// Reads one reply for the oldest message. May be dropped and called again: nothing is lost, and time runs on.
    pub(crate) async fn hear(&mut self) -> Result<(), Break> {
        let stage = self.awaited();
        let broken = |cause| Break { stage, cause, announced: false };
        let reply = match self.channel.buffered_reply().map_err(broken)? {
            Some(reply) => reply,
            None => {
                let limit = self.settings.limit(stage);
                let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + limit);
                self.channel.reply_until(deadline).await.map_err(broken)?
            }
        };
        self.deadline = None;
        let Some(front) = self.flights.front_mut() else { return Ok(()) };
        let outcome = front.transaction.reply(reply);
        outcome.map_err(|error| Break { stage: error.stage, cause: error.into(), announced: false })
    }

    /// The oldest message, where all is said about it.
    pub(crate) fn settle(&mut self) -> Option<Sent> {
        if self.flights.front()?.transaction.step() != TransactionStep::Done {
            return None;
        }
        let flight = self.flights.pop_front()?;
        let chunked = flight.transaction.is_chunked();
        let behind_a_failure = self.doubtful;
        match flight.transaction.afterwards() {
            Afterwards::Closed => self.state = State::Closed,
            Afterwards::NeedsReset if self.flights.is_empty() => self.state = State::NeedsReset,
            Afterwards::NeedsReset => self.doubtful = true,
            Afterwards::Clean => {
                self.doubtful = false;
                self.state = State::Clean;
            }
        }
        if self.flights.is_empty() && std::mem::take(&mut self.doubtful) && self.state == State::Clean {
            self.state = State::NeedsReset;
        }
        self.behaved = chunked && self.state == State::Clean && !self.doubtful;
        let mut sent = flight.into_sent(None, self.after());
        if behind_a_failure {
            void_mail(&mut sent);
        }
        Some(sent)
    }

    /// The session is over: what became of all that was under way. What had left in full may have been taken all the same.
    pub(crate) fn break_off(&mut self, broken: &Break) -> VecDeque<Sent> {
        self.state = State::Closed;
        let mut stage = broken.stage;
        let flights = std::mem::take(&mut self.flights);
        let sent = flights.into_iter().map(|flight| {
            // The server's fault was the oldest message's; of the others it had not spoken.
            let stage = std::mem::replace(&mut stage, Stage::Mail);
            let broken = Break { stage, cause: broken.cause.clone(), announced: broken.announced };
            flight.into_sent(Some(&broken), SessionAfter::Closed)
        });
        sent.collect()
    }
}

impl Break {
    pub(crate) const fn at(stage: Stage, cause: Cause) -> Self {
        Self { stage, cause, announced: false }
    }

    /// The server said 421 to one message while others were under way.
    pub(crate) const fn announced() -> Self {
        Self { stage: Stage::Mail, cause: Cause::Lost, announced: true }
    }
}

/// MAIL behind a chunk that was refused: some servers hold on to the failed transaction until RSET (RFC 3030 §2), so their refusal says nothing about
/// this message. It counts as not tried.
fn void_mail(sent: &mut Sent) {
    for (_, outcome) in &mut sent.recipients {
        if let RcptOutcome::Rejected { stage: Stage::Mail, reply } = outcome
            && reply.code != 421
        {
            let cause = Cause::Protocol(format!("behind a transaction that failed: {reply}"));
            *outcome = RcptOutcome::Failed { stage: Stage::Mail, cause };
        }
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
