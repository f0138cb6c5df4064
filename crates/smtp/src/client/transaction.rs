//! One mail transaction: MAIL, RCPT and DATA, in as few flights as the server allows.

use alloc::{sync::Arc, vec::Vec};

use waxseal_types::{Envelope, Protocol, Reply};

use super::{
    commands,
    ehlo::Ehlo,
    outcome::{Afterwards, OutOfStep, Settled, Unsupported, header, too_many},
};
use crate::Stage;

/// Most commands in one flight. RFC 2920 §3.1 warns of both sides waiting for the other with full windows; the replies to this many fit any window.
const FLIGHT: usize = 100;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStep {
    /// Write what [`Transaction::commands`] gives.
    Write,
    /// Read one reply within the time limit of this stage and give it to [`Transaction::reply`].
    Await(Stage),
    /// Write the text ([`crate::DataText`]) and then call [`Transaction::text_sent`].
    SendText,
    /// DATA was taken although no recipient was: write a lone dot, `.` CRLF, then call [`Transaction::text_sent`].
    SendLoneDot,
    /// All recipients that could be settled are.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Reset,
    Mail,
    /// To the recipient at this position.
    Rcpt(usize),
    Data,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Commands and their replies.
    Commands,
    /// 354 was said; the text, or the lone dot, is to be written.
    Text,
    /// The text is written; final replies are awaited.
    Final,
    Over,
}

#[derive(Debug)]
struct Target {
    index: usize,
    accepted: bool,
    settled: Option<Settled>,
}

/// The machine of one transaction. It never holds the text.
#[derive(Debug)]
pub struct Transaction {
    envelope: Arc<Envelope>,
    ehlo: Arc<Ehlo>,
    protocol: Protocol,
    targets: Vec<Target>,
    reset_first: bool,
    phase: Phase,
    /// Commands written and replies to them read.
    written: usize,
    answered: usize,
    /// Final replies read; LMTP gives one for each accepted recipient.
    finals: usize,
    mail_taken: bool,
    afterwards: Afterwards,
}

/// What a transaction rests on.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// The message.
    pub envelope: Arc<Envelope>,
    /// The recipients to send to, as indices into the envelope's.
    pub recipients: &'a [usize],
    /// The text, to see whether its header needs SMTPUTF8. Not kept.
    pub text: &'a [u8],
}

impl Transaction {
    /// Prepares a transaction. Recipients that cannot be offered are settled as [`Settled::Unsupported`] at once.
    ///
    /// `reset_first` where the transaction before this one ended with [`Afterwards::NeedsReset`].
    #[must_use]
    pub fn new(job: &Job<'_>, protocol: Protocol, ehlo: Arc<Ehlo>, reset_first: bool) -> Self {
        let in_range = job.recipients.iter().copied().filter(|index| *index < job.envelope.recipients.len());
        let targets = in_range.map(|index| Target { index, accepted: false, settled: None }).collect();
        let mut transaction = Self {
            envelope: Arc::clone(&job.envelope),
            ehlo,
            protocol,
            targets,
            reset_first,
            phase: Phase::Commands,
            written: 0,
            answered: 0,
            finals: 0,
            mail_taken: false,
            afterwards: if reset_first { Afterwards::NeedsReset } else { Afterwards::Clean },
        };
        transaction.refuse_unsupported(job.text);
        if transaction.targets.iter().all(|target| target.settled.is_some()) {
            transaction.phase = Phase::Over;
        }
        transaction
    }

    /// What to do next.
    #[must_use]
    pub fn step(&self) -> TransactionStep {
        match self.phase {
            Phase::Over => TransactionStep::Done,
            Phase::Text if self.targets.iter().any(|t| t.accepted) => TransactionStep::SendText,
            Phase::Text => TransactionStep::SendLoneDot,
            Phase::Final => TransactionStep::Await(Stage::EndOfData),
            Phase::Commands if self.answered == self.written => TransactionStep::Write,
            Phase::Commands => TransactionStep::Await(self.command(self.answered).stage()),
        }
    }

    /// Appends the next flight to `out`: all commands with PIPELINING (RFC 2920), otherwise one.
    pub fn commands(&mut self, out: &mut Vec<u8>) {
        let flight = if self.ehlo.pipelining { FLIGHT } else { 1 };
        for _ in 0..flight {
            let command = self.command(self.written);
            match command {
                Command::Reset => out.extend_from_slice(b"RSET\r\n"),
                Command::Mail => commands::mail(&self.envelope, &self.ehlo, out),
                Command::Rcpt(at) => {
                    let recipient = &self.envelope.recipients[self.targets[at].index];
                    commands::rcpt(recipient, &self.ehlo, out);
                }
                Command::Data => out.extend_from_slice(b"DATA\r\n"),
            }
            self.written += 1;
            // RFC 2920 §3.1: DATA is the last of its flight.
            if command == Command::Data {
                break;
            }
        }
    }

    /// Whether all of it up to DATA fits one flight that may be written behind the text of the transaction before it.
    ///
    /// RFC 2920 §3.1: the text of a message may be the first of a group of commands.
    #[must_use]
    pub fn may_ride_behind(&self) -> bool {
        self.ehlo.pipelining
            && self.protocol == Protocol::Smtp
            && !self.reset_first
            && self.step() == TransactionStep::Write
            && self.offered() + 2 <= FLIGHT
    }

    /// Takes the reply that was awaited.
    ///
    /// # Errors
    /// [`OutOfStep`]: the session is lost, what is settled stays settled, and the rest failed at that stage.
    pub fn reply(&mut self, reply: Reply) -> Result<(), OutOfStep> {
        let TransactionStep::Await(stage) = self.step() else {
            return Err(self.out_of_step(Stage::Mail, reply));
        };
        // RFC 5321 §3.8: 421 may answer any command; the channel is closing.
        if reply.code == 421 {
            self.reject_open(stage, &reply);
            self.close();
            return Ok(());
        }
        if self.phase == Phase::Final {
            return self.final_reply(reply);
        }
        let command = self.command(self.answered);
        self.answered += 1;
        match command {
            Command::Reset => self.reset_answered(reply),
            Command::Mail => self.mail_answered(reply),
            Command::Rcpt(at) => self.rcpt_answered(at, reply),
            Command::Data => self.data_answered(reply),
        }
    }

    /// The text and the final dot have been written.
    pub fn text_sent(&mut self) {
        self.phase = Phase::Final;
    }

    /// The text could not be written to its end, and the server had already said this.
    pub fn text_refused(&mut self, reply: &Reply) {
        for target in self.targets.iter_mut().filter(|target| target.accepted && target.settled.is_none()) {
            target.settled = Some(Settled::Rejected { stage: Stage::Body, reply: reply.clone() });
        }
        self.close();
    }

    /// Whether the reply to the final dot is owed: who loses the connection now does not know what became of the message.
    #[must_use]
    pub fn awaits_final(&self) -> bool {
        self.phase == Phase::Final && self.targets.iter().any(|t| t.accepted && t.settled.is_none())
    }

    /// Each recipient's index in the envelope and what became of it; `None` where the session ended before.
    pub fn into_settled(self) -> impl Iterator<Item = (usize, Option<Settled>)> {
        self.targets.into_iter().map(|target| (target.index, target.settled))
    }

    /// How the session is left.
    #[must_use]
    pub fn afterwards(&self) -> Afterwards {
        if self.phase == Phase::Over { self.afterwards } else { Afterwards::Closed }
    }

    /// Whether DSN parameters are passed on (RFC 3461 §5.2.1); where not, success is reported as "relayed" by us.
    #[must_use]
    pub fn passes_dsn(&self) -> bool {
        self.ehlo.dsn
    }

    fn refuse_unsupported(&mut self, text: &[u8]) {
        let size = self.envelope.size;
        if let Some(limit) = self.ehlo.size_limit.filter(|limit| size > *limit) {
            self.settle_open(&Settled::Unsupported(Unsupported::Size { size, limit }));
        }
        if self.ehlo.smtputf8 {
            return;
        }
        // RFC 6531 §3.5, and as Postfix: who asked for SMTPUTF8 without using it can be served by anybody.
        let sender_needs_it = self.envelope.sender.as_ref().is_some_and(|sender| !sender.is_ascii());
        if sender_needs_it || (self.envelope.smtputf8 && !header(text).is_ascii()) {
            self.settle_open(&Settled::Unsupported(Unsupported::SmtpUtf8));
        }
        for target in &mut self.targets {
            if !self.envelope.recipients[target.index].mailbox.is_ascii() {
                target.settled.get_or_insert(Settled::Unsupported(Unsupported::SmtpUtf8));
            }
        }
        self.targets.sort_by_key(|target| target.settled.is_some());
    }

    /// How many recipients are offered; the others are behind them.
    fn offered(&self) -> usize {
        let unsupported = |t: &&Target| matches!(t.settled, Some(Settled::Unsupported(_)));
        self.targets.len() - self.targets.iter().rev().take_while(unsupported).count()
    }

    fn command(&self, number: usize) -> Command {
        match (self.reset_first, number) {
            (true, 0) => Command::Reset,
            (true, 1) | (false, 0) => Command::Mail,
            (reset, number) => {
                let at = number - 1 - usize::from(reset);
                if at < self.offered() { Command::Rcpt(at) } else { Command::Data }
            }
        }
    }

    fn reset_answered(&mut self, reply: Reply) -> Result<(), OutOfStep> {
        if !reply.is_positive() {
            return Err(self.out_of_step(Stage::Rset, reply));
        }
        self.afterwards = Afterwards::Clean;
        Ok(())
    }

    fn mail_answered(&mut self, reply: Reply) -> Result<(), OutOfStep> {
        if reply.is_intermediate() {
            return Err(self.out_of_step(Stage::Mail, reply));
        }
        if reply.is_positive() {
            self.mail_taken = true;
            self.afterwards = Afterwards::NeedsReset;
        } else {
            self.reject_open(Stage::Mail, &reply);
        }
        self.end_if_nothing_is_left();
        Ok(())
    }

    fn rcpt_answered(&mut self, at: usize, reply: Reply) -> Result<(), OutOfStep> {
        if reply.is_intermediate() {
            return Err(self.out_of_step(Stage::Rcpt, reply));
        }
        // MAIL was refused: what the server says of the recipients that were sent along means nothing.
        if self.mail_taken {
            let target = &mut self.targets[at];
            if reply.is_positive() {
                target.accepted = true;
            } else {
                target.settled = Some(Settled::Rejected { stage: Stage::Rcpt, reply: too_many(reply) });
            }
        }
        self.end_if_nothing_is_left();
        Ok(())
    }

    fn data_answered(&mut self, reply: Reply) -> Result<(), OutOfStep> {
        if reply.is_intermediate() {
            self.phase = Phase::Text;
            // RFC 2033 §4.2: a final reply for each accepted recipient, so none follows a lone dot in LMTP, or one that answers nothing.
            if self.protocol == Protocol::Lmtp && !self.targets.iter().any(|t| t.accepted) {
                self.close();
            }
            return Ok(());
        }
        if reply.is_positive() {
            return Err(self.out_of_step(Stage::Data, reply));
        }
        self.reject_open(Stage::Data, &reply);
        self.phase = Phase::Over;
        Ok(())
    }

    fn final_reply(&mut self, reply: Reply) -> Result<(), OutOfStep> {
        if reply.is_intermediate() {
            return Err(self.out_of_step(Stage::EndOfData, reply));
        }
        let settled = if reply.is_positive() {
            Settled::Delivered(reply)
        } else {
            Settled::Rejected { stage: Stage::EndOfData, reply }
        };
        self.finals += 1;
        let mut waiting = self.targets.iter_mut().filter(|t| t.accepted && t.settled.is_none());
        match self.protocol {
            Protocol::Smtp => waiting.for_each(|target| target.settled = Some(settled.clone())),
            // RFC 2033 §4.2: one reply for each accepted RCPT, in their order.
            Protocol::Lmtp => {
                if let Some(target) = waiting.next() {
                    target.settled = Some(settled);
                }
            }
        }
        if !self.awaits_final() {
            self.phase = Phase::Over;
            self.afterwards = Afterwards::Clean;
        }
        Ok(())
    }

    /// Without PIPELINING, and before DATA was written, a transaction that serves nobody ends early.
    fn end_if_nothing_is_left(&mut self) {
        if self.answered < self.written {
            return;
        }
        let next_is_data = self.command(self.written) == Command::Data;
        let serves_nobody = self.targets.iter().all(|target| target.settled.is_some());
        if serves_nobody && (next_is_data || !self.mail_taken) {
            self.phase = Phase::Over;
        }
    }

    fn reject_open(&mut self, stage: Stage, reply: &Reply) {
        self.settle_open(&Settled::Rejected { stage, reply: reply.clone() });
    }

    fn settle_open(&mut self, settled: &Settled) {
        for target in self.targets.iter_mut().filter(|target| target.settled.is_none()) {
            target.settled = Some(settled.clone());
        }
    }

    fn out_of_step(&mut self, stage: Stage, reply: Reply) -> OutOfStep {
        self.close();
        OutOfStep { stage, reply }
    }

    fn close(&mut self) {
        self.phase = Phase::Over;
        self.afterwards = Afterwards::Closed;
    }
}

impl Command {
    const fn stage(self) -> Stage {
        match self {
            Self::Reset => Stage::Rset,
            Self::Mail => Stage::Mail,
            Self::Rcpt(_) => Stage::Rcpt,
            Self::Data => Stage::Data,
        }
    }
}
