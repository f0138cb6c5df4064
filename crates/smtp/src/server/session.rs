//! The machine: commands in, replies out.

use alloc::{boxed::Box, sync::Arc};
use core::fmt::{self, Write};

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;
use waxseal_types::{QueueId, Recipient};

use super::{
    Credentials, Hello, Message, Refusal, Settings, Transaction, auth::Exchange, command::Command,
    scanner::Scanner,
};

/// What the protocol leaves to the one who runs the server. Each question is answered at once.
pub trait Host {
    /// A sender was named; nothing else is known yet.
    ///
    /// # Errors
    /// The refusal that the client is to read.
    fn mail(&mut self, transaction: &Transaction) -> Result<(), Refusal>;

    /// One more recipient was named.
    ///
    /// # Errors
    /// The refusal that the client is to read.
    fn recipient(&mut self, transaction: &Transaction, recipient: &Recipient) -> Result<(), Refusal>;

    /// The text is about to come; what has to stand in front of it (RFC 5321 §4.4) is written to `text`.
    ///
    /// # Errors
    /// The refusal that the client is to read.
    fn text(&mut self, hello: &Hello, transaction: &Transaction, text: &mut BytesMut) -> Result<(), Refusal>;
}

/// What the driver has to do next. Pending [`output`](Session::output) is written before it waits for anything but a final answer.
#[derive(Debug)]
pub enum Step {
    /// Read more octets. All that were there have been taken, but for the beginning of a command line.
    Read,
    /// Put this message into the queue, then call [`Session::settle`].
    Message(Box<Message>),
    /// Write the output and wait a little: the client makes one error after the other (postconf(5) `smtpd_error_sleep_time`).
    Pause,
    /// Find out whether these are right, then call [`Session::authenticate`].
    Authenticate(Box<Credentials>),
    /// Call [`Session::begin_tls`], write the output, discard what was read, start TLS, then call [`Session::secured`]; or
    /// [`Session::close`] where that cannot be.
    StartTls,
    /// Write the output and close the connection.
    Close,
}

/// What the next octet belongs to.
#[derive(Debug)]
pub(super) enum Phase {
    /// A command line.
    Command,
    /// The rest of a line that is too long.
    LongLine,
    /// What the client says to prove who it is.
    Auth(Exchange),
    /// The text of a DATA transfer.
    Text,
    /// A chunk of a BDAT transfer of which so much is missing.
    Chunk { size: u64, missing: u64, last: bool },
    /// A chunk that is not wanted; the refusal follows it.
    Skip { missing: u64, last: bool, refusal: Refusal },
    /// Nothing: the connection ends.
    Closed,
}

/// One SMTP session, from the greeting on.
#[derive(Debug)]
pub struct Session {
    pub(super) settings: Arc<Settings>,
    output: BytesMut,
    pub(super) phase: Phase,
    pub(super) hello: Option<Hello>,
    pub(super) tls: bool,
    pub(super) authenticated: bool,
    pub(super) transaction: Option<Transaction>,
    /// Collects the text, from DATA or the first BDAT on.
    pub(super) scanner: Option<Scanner>,
    /// A chunk was refused: nothing but RSET and the like helps (RFC 3030 §2).
    pub(super) failed: bool,
    /// A message was given out and its answer is owed.
    pub(super) owed: bool,
    /// A recipient of this transaction was refused.
    pub(super) refused_recipient: bool,
    pub(super) errors: usize,
    junk: usize,
    pub(super) overshoot: usize,
    last_refusal: Option<Refusal>,
}

impl Session {
    /// A session whose greeting waits in the output.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        let mut output = BytesMut::with_capacity(512);
        let _ = write!(output, "220 {} ESMTP Waxseal\r\n", settings.hostname);
        Self {
            settings,
            output,
            phase: Phase::Command,
            hello: None,
            tls: false,
            authenticated: false,
            transaction: None,
            scanner: None,
            failed: false,
            owed: false,
            refused_recipient: false,
            errors: 0,
            junk: 0,
            overshoot: 0,
            last_refusal: None,
        }
    }

    /// Takes octets from `input` until something has to be done outside.
    pub fn advance(&mut self, input: &mut BytesMut, host: &mut dyn Host) -> Step {
        if self.owed {
            self.settle(Err(Refusal::LOCAL_ERROR));
        }
        loop {
            let step = match self.phase {
                Phase::Command | Phase::Auth(_) => self.command_line(input, host),
                Phase::LongLine => self.skip_line(input),
                Phase::Text => self.receive_text(input),
                Phase::Chunk { .. } => self.receive_chunk(input),
                Phase::Skip { .. } => self.skip_chunk(input),
                Phase::Closed => Some(Step::Close),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// The final answer to the message that [`Step::Message`] gave out: its queue id once it is safe on disk, or why not.
    pub fn settle(&mut self, outcome: Result<QueueId, Refusal>) {
        self.owed = false;
        match outcome {
            Ok(id) => {
                self.junk = 0;
                self.say(format_args!("250 2.0.0 Ok: queued as {id}\r\n"));
            }
            Err(refusal) => self.refuse(&refusal),
        }
    }

    /// Replies that wait to be written; the driver clears what it wrote.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Whether a client that has the word is sending a text: from 354 or the first chunk until its end.
    #[must_use]
    pub const fn is_receiving(&self) -> bool {
        self.scanner.is_some()
    }

    /// Whether the next octets belong to a text, wanted or not, and the client's time depends on how fast they come.
    #[must_use]
    pub const fn in_transfer(&self) -> bool {
        match self.phase {
            Phase::Text | Phase::Chunk { .. } | Phase::Skip { .. } => true,
            Phase::Command | Phase::Auth(_) | Phase::LongLine | Phase::Closed => false,
        }
    }

    /// The last refusal since this was asked, for the log.
    pub const fn take_refusal(&mut self) -> Option<Refusal> {
        self.last_refusal.take()
    }

    /// Takes out what has come of a text, once that is more than `least` octets, so that no text has to fit into memory; what follows is collected in `spare`,
    /// which comes back where nothing is given out. The first piece has the whole header in it; a text whose header does not end is not given out in
    /// pieces. What was given out may still be refused: only [`Step::Message`] ends a text.
    ///
    /// # Errors
    /// Nothing is wrong: there is nothing to take.
    pub fn take_piece(&mut self, least: usize, spare: BytesMut) -> Result<Bytes, BytesMut> {
        match &mut self.scanner {
            Some(scanner) => scanner.take(least, spare),
            None => Err(spare),
        }
    }

    /// What the text under way says in its header, once a piece of it was given out: whether there is a `Traceparent:`.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.scanner.as_ref().is_some_and(Scanner::is_traced)
    }

    /// Octets of text held in memory.
    #[must_use]
    pub fn held(&self) -> usize {
        self.scanner.as_ref().map_or(0, Scanner::held)
    }

    /// Says `refusal` (421: shutting down, too slow, too many connections) and ends.
    pub fn close(&mut self, refusal: &Refusal) {
        self.refuse(refusal);
        self.reset();
        self.phase = Phase::Closed;
    }

    /// Agrees to STARTTLS.
    pub fn begin_tls(&mut self) {
        self.say(format_args!("220 2.0.0 Ready to start TLS\r\n"));
    }

    /// TLS has been started: all that the client said before is forgotten (RFC 3207 §4.2).
    pub fn secured(&mut self) {
        self.reset();
        self.hello = None;
        self.authenticated = false;
        self.phase = Phase::Command;
        self.tls = true;
    }

    fn command_line(&mut self, input: &mut BytesMut, host: &mut dyn Host) -> Option<Step> {
        if self.errors >= self.settings.hard_error_limit {
            self.close(&Refusal::TOO_MANY_ERRORS);
            return None;
        }
        let Some(end) = line_end(input) else {
            // Its last octet may be the CR of the CRLF.
            if input.len() > self.settings.line_length_limit + 1 {
                self.phase = Phase::LongLine;
                return None;
            }
            return Some(Step::Read);
        };
        let before = self.errors;
        let step = if end > self.settings.line_length_limit {
            self.fail(&Refusal::LINE_TOO_LONG);
            None
        } else {
            let alone = input.len() == end + 2;
            self.execute(&input[..end], alone, host)
        };
        input.advance(end + 2);
        let slow = self.errors > before && self.errors > self.settings.soft_error_limit;
        if step.is_none() && slow { Some(Step::Pause) } else { step }
    }

    fn skip_line(&mut self, input: &mut BytesMut) -> Option<Step> {
        let Some(end) = line_end(input) else {
            let keep = usize::from(input.last() == Some(&b'\r'));
            input.advance(input.len() - keep);
            return Some(Step::Read);
        };
        input.advance(end + 2);
        self.phase = Phase::Command;
        self.fail(&Refusal::LINE_TOO_LONG);
        None
    }

    /// Runs one line; `alone` says that nothing else has been sent behind it.
    fn execute(&mut self, line: &[u8], alone: bool, host: &mut dyn Host) -> Option<Step> {
        if matches!(self.phase, Phase::Auth(_)) {
            return self.response(line, alone);
        }
        let command = match Command::parse(line, &self.settings.forbidden) {
            Ok(command) => command,
            Err(refusal) => {
                self.fail(&refusal);
                return None;
            }
        };
        // RFC 2920 §3.1; postconf(5) smtpd_forbid_unauth_pipelining. Without EHLO nobody may pipeline.
        let may_pipeline = self.hello.as_ref().is_some_and(|hello| hello.extended) && !command.ends_group();
        if !(alone || may_pipeline || command == Command::Forbidden || command == Command::Quit) {
            self.close(&Refusal::SYNCHRONISATION);
            return None;
        }
        if self.settings.require_tls && !self.tls && !command.may_be_in_clear() {
            self.fail(&Refusal::TLS_REQUIRED);
            return None;
        }
        if command.is_junk() {
            self.junk += 1;
            if self.junk > self.settings.junk_command_limit {
                self.close(&Refusal::TOO_MUCH_JUNK);
                return None;
            }
        }
        self.dispatch(command, host)
    }

    fn dispatch(&mut self, command: Command<'_>, host: &mut dyn Host) -> Option<Step> {
        let done = match command {
            Command::Helo(name) => self.hello(name, false),
            Command::Ehlo(name) => self.hello(name, true),
            Command::Mail(argument) => self.mail(argument, host),
            Command::Rcpt(argument) => self.rcpt(argument, host),
            Command::Data => self.data(host),
            Command::Bdat(argument) => self.bdat(argument, host),
            Command::Rset => {
                self.reset();
                self.ok("2.0.0 Ok")
            }
            Command::Noop => self.ok("2.0.0 Ok"),
            // RFC 5321 §4.1.1.8, §3.5.3: help is optional, and whether a mailbox exists is for the next server to know.
            Command::Help => self.reply("214 2.0.0 See RFC 5321"),
            Command::Vrfy => {
                self.reply("252 2.5.2 Cannot VRFY user, but will accept message and attempt delivery")
            }
            Command::Quit => self.end("221 2.0.0 Bye"),
            Command::StartTls => return self.start_tls(),
            Command::Auth(argument) => return self.auth(argument),
            Command::Forbidden => self.end("221 2.7.0 Error: this is a mail server. Goodbye"),
        };
        if let Err(refusal) = done {
            self.fail(&refusal);
        }
        None
    }

    /// Forgets the transaction.
    pub(super) fn reset(&mut self) {
        self.transaction = None;
        self.scanner = None;
        self.failed = false;
        self.refused_recipient = false;
        self.overshoot = 0;
    }

    pub(super) fn say(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a BytesMut does not fail; it grows.
        let _ = self.output.write_fmt(text);
    }

    pub(super) fn reply(&mut self, line: &'static str) -> Result<(), Refusal> {
        self.say(format_args!("{line}\r\n"));
        Ok(())
    }

    pub(super) fn ok(&mut self, text: &'static str) -> Result<(), Refusal> {
        self.say(format_args!("250 {text}\r\n"));
        Ok(())
    }

    fn end(&mut self, line: &'static str) -> Result<(), Refusal> {
        self.reset();
        self.phase = Phase::Closed;
        self.reply(line)
    }

    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        self.say(format_args!("{refusal}\r\n"));
        self.last_refusal = Some(refusal.clone());
    }

    /// Refuses, and counts it as an error of the client, unless it is a trouble of ours.
    pub(super) fn fail(&mut self, refusal: &Refusal) {
        self.errors += usize::from(refusal.code >= 500);
        self.refuse(refusal);
    }
}

/// Where the line's CRLF stands. A bare LF does not end a line (RFC 5321 §2.3.8).
fn line_end(input: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(ahead) = memchr(b'\n', &input[from..]) {
        let at = from + ahead;
        if at > 0 && input[at - 1] == b'\r' {
            return Some(at - 1);
        }
        from = at + 1;
    }
    None
}
