//! One mail transaction: MAIL, RCPT and DATA, in as few flights as the server allows; with CHUNKING in one, the text included.

use alloc::{sync::Arc, vec::Vec};

use waxseal_types::{Envelope, Protocol, Reply};

use super::{
    commands,
    ehlo::Ehlo,
    outcome::{Afterwards, OutOfStep, Settled, Unsupported, header},
};
use crate::Stage;

mod answers;

/// Most commands in one flight. RFC 2920 §3.1 warns of both sides waiting for the other with full windows; the replies to this many fit any window.
const FLIGHT: usize = 100;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStep {
    /// Write what [`Transaction::commands`] gives.
    Write,
    /// Read one reply within the time limit of this stage and give it to [`Transaction::reply`].
    Await(Stage),
    /// Write the text ([`crate::DataText`]; as a chunk where [`Transaction::is_chunked`]) and then call [`Transaction::text_sent`].
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
    /// The whole text as one chunk; its octets follow.
    Bdat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Commands and their replies.
    Commands,
    /// 354 was said; the text, or the lone dot, is to be written.
    Text,
    /// The text is written; final replies are awaited. With a chunk, those to the commands before it come first.
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
    /// The length of the text, where it goes as one chunk behind the recipients.
    chunk: Option<usize>,
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
    /// The text, or its beginning, to see whether its header needs SMTPUTF8. Not kept.
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
            chunk: None,
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

    /// Sends the text of `octets` as one chunk in the same flight as MAIL and RCPT, where the server knows CHUNKING and PIPELINING
    /// (RFC 3030 §2, RFC 2920); for small messages, since it goes out although nobody may want it. Before anything is written.
    #[must_use]
    pub fn chunked(mut self, octets: usize) -> Self {
        // RFC 2033 has no word on chunks: how many replies an LMTP server gives to the last one, nobody can know.
        let may = self.ehlo.chunking && self.ehlo.pipelining && self.protocol == Protocol::Smtp;
        if may && self.written == 0 && self.flight_length() <= FLIGHT {
            self.chunk = Some(octets);
        }
        self
    }

    /// Whether the text goes as a chunk: without dot-stuffing, and without a final dot.
    #[must_use]
    pub const fn is_chunked(&self) -> bool {
        self.chunk.is_some()
    }

    /// What to do next.
    #[must_use]
    pub fn step(&self) -> TransactionStep {
        match self.phase {
            Phase::Over => TransactionStep::Done,
            Phase::Text if self.is_chunked() || self.targets.iter().any(|t| t.accepted) => {
                TransactionStep::SendText
            }
            Phase::Text => TransactionStep::SendLoneDot,
            Phase::Final if self.is_chunked() => TransactionStep::Await(self.command(self.answered).stage()),
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
                Command::Bdat => {
                    commands::last_chunk(self.chunk.unwrap_or_default(), out);
                    self.phase = Phase::Text;
                }
            }
            self.written += 1;
            // RFC 2920 §3.1: DATA is the last of its flight.
            if matches!(command, Command::Data | Command::Bdat) {
                break;
            }
        }
    }

    /// Whether all of it up to the text fits one flight that may be written behind the text of the transaction before it.
    ///
    /// RFC 2920 §3.1: the text of a message may be the first of a group of commands.
    #[must_use]
    pub fn may_ride_behind(&self) -> bool {
        self.ehlo.pipelining
            && self.protocol == Protocol::Smtp
            && !self.reset_first
            && self.step() == TransactionStep::Write
            && self.flight_length() <= FLIGHT
    }

    /// Commands up to DATA or BDAT.
    fn flight_length(&self) -> usize {
        usize::from(self.reset_first) + self.offered() + 2
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
        if self.phase == Phase::Final && !self.is_chunked() {
            return self.final_reply(reply);
        }
        let command = self.command(self.answered);
        self.answered += 1;
        match command {
            Command::Reset => self.reset_answered(reply),
            Command::Mail => self.mail_answered(reply),
            Command::Rcpt(at) => self.rcpt_answered(at, reply),
            Command::Data => self.data_answered(reply),
            Command::Bdat => self.chunk_answered(reply),
        }
    }

    /// The text and its end have been written.
    pub fn text_sent(&mut self) {
        self.phase = Phase::Final;
    }

    /// The text could not be written to its end, and the server had already said this.
    pub fn text_refused(&mut self, reply: &Reply) {
        let chunked = self.is_chunked();
        let open = |target: &&mut Target| (target.accepted || chunked) && target.settled.is_none();
        for target in self.targets.iter_mut().filter(open) {
            target.settled = Some(Settled::Rejected { stage: Stage::Body, reply: reply.clone() });
        }
        self.close();
    }

    /// The text turned out to be one that cannot be sent, and was not ended: the server has no message, and the connection has to be closed.
    pub fn text_unfit(&mut self, why: Unsupported) {
        self.settle_open(&Settled::Unsupported(why));
        self.close();
    }

    /// Whether the reply to the end of the text is owed: who loses the connection now does not know what became of the message.
    ///
    /// A chunk may have been taken although no reply to its recipients has been seen.
    #[must_use]
    pub fn awaits_final(&self) -> bool {
        let open = |t: &Target| (t.accepted || self.is_chunked()) && t.settled.is_none();
        self.phase == Phase::Final && self.targets.iter().any(open)
    }

    /// Whether all of the text is written, so that another transaction may follow.
    #[must_use]
    pub fn is_text_sent(&self) -> bool {
        self.phase == Phase::Final
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
                match self.chunk {
                    _ if at < self.offered() => Command::Rcpt(at),
                    Some(_) => Command::Bdat,
                    None => Command::Data,
                }
            }
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
            Self::Bdat => Stage::EndOfData,
        }
    }
}
