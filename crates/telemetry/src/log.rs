//! Log lines for people.

use std::{
    cell::RefCell,
    fmt::{self, Write as _},
    io::{self, IsTerminal as _},
};

use tracing::{Level, Metadata, enabled, error, info, level_filters::LevelFilter, warn};
use tracing_subscriber::{
    EnvFilter,
    field::MakeExt as _,
    fmt::{MakeWriter, format::debug_fn},
};
use waxseal_queue::{Account, Connection, Event, Failure, Outcome, RecipientResult, Settled};
use waxseal_types::{EnhancedStatus, Envelope, Mailbox, Reply, UnixTime};

use crate::{Error, events::deciding, json::is_hidden, turn};

/// Sends log messages of the whole process to standard error, those that `level` lets through.
///
/// # Errors
/// `level` is no filter, or something else has taken the log.
pub fn init_logging(level: &str) -> Result<(), Error> {
    let lines = tracing_subscriber::fmt().with_env_filter(filter(level)?);
    let taken = if io::stderr().is_terminal() {
        lines.with_writer(io::stderr).try_init()
    } else {
        // The usual way escapes each field piece by piece; here the finished line is looked at once.
        let fields = debug_fn(|to, field, value| match field.name() {
            "message" => write!(to, "{value:?}"),
            name => write!(to, "{name}={value:?}"),
        });
        lines.with_ansi(false).fmt_fields(fields.delimited(" ")).with_writer(Turn).try_init()
    };
    taken.map_err(|_| Error::LogTaken)
}

/// Log lines go to the end of the turn, but for warnings.
struct Turn;

/// One of them.
struct TurnLine {
    urgent: bool,
}

impl MakeWriter<'_> for Turn {
    type Writer = CleanLines<TurnLine>;

    fn make_writer(&self) -> Self::Writer {
        CleanLines(TurnLine { urgent: true })
    }

    fn make_writer_for(&self, about: &Metadata<'_>) -> Self::Writer {
        CleanLines(TurnLine { urgent: *about.level() <= Level::WARN })
    }
}

impl io::Write for TurnLine {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        turn::log(line, self.urgent)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes lines, each given whole, with what is hidden in them made visible.
struct CleanLines<W>(W);

impl<W: io::Write> io::Write for CleanLines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let (words, end) = match line.split_last() {
            Some((b'\n', words)) => (words, "\n"),
            Some(_) | None => (line, ""),
        };
        if words.iter().all(|b| matches!(b, b' '..=b'~')) {
            self.0.write_all(line)?;
        } else {
            let clean = format!("{}{end}", Clean(String::from_utf8_lossy(words)));
            self.0.write_all(clean.as_bytes())?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn filter(text: &str) -> Result<EnvFilter, Error> {
    let bad = |reason| Error::Level { text: text.to_owned(), reason };
    // The filter's reader takes a misspelt level for the name of a module, and would silence all others.
    for part in text.split(',').map(str::trim).filter(|part| !part.contains(['=', '['])) {
        if part.is_empty() || part.parse::<LevelFilter>().is_err() {
            return Err(bad(format!("{part:?} is no level")));
        }
    }
    EnvFilter::try_new(text).map_err(|error| bad(error.to_string()))
}

/// Logs what happened.
pub(crate) fn log(event: &Event<'_>) {
    match event {
        Event::ServiceDied { service, wait } => {
            error!(target: "waxseal_telemetry", "service {service} has died; it is started again in {wait} s");
        }
        Event::DestinationDead { destination, until } => {
            let until = until.rfc3339();
            let nexthop = Clean(&destination.nexthop);
            warn!(target: "waxseal_telemetry", "{nexthop}: not reachable; its mail waits until {until}");
        }
        Event::Queued { envelope, destination, .. } => {
            line(&Queued { envelope, nexthop: destination.nexthop.as_str() });
        }
        Event::Attempted { account, .. } => attempted(account),
        Event::Settled { envelope, recipients, how, failure, at, .. } => {
            for index in *recipients {
                let to = envelope.recipients.get(*index).map(|recipient| &recipient.mailbox);
                line(&SettledLine { envelope, to, how: *how, failure, at: *at });
            }
        }
        // `Event` may grow; what is unknown here has no line.
        _ => {}
    }
}

fn attempted(account: &Account) {
    let id = account.envelope.id;
    for connection in account.connections.iter().filter(|connection| connection.injected > 0) {
        let (relay, octets) = (Relay(Some(connection)), connection.injected);
        warn!(
            target: "waxseal_telemetry",
            "{id}: {relay}: {octets} octets in clear behind the reply to STARTTLS were discarded: a sign of attack"
        );
    }
    // Nothing is formatted for a level that is off.
    if !enabled!(target: "waxseal_telemetry", Level::INFO) {
        return;
    }
    for connection in &account.connections {
        let Some(failure) = &connection.failure else { continue };
        let relay = Relay(Some(connection));
        info!(target: "waxseal_telemetry", "{id}: {relay}: {}", Clean(&failure.reason));
        for certificate in &connection.chain {
            info!(target: "waxseal_telemetry", "{id}: {relay} presented {}", Clean(certificate));
        }
    }
    for result in &account.results {
        line(&Delivery { account, result });
    }
}

thread_local! {
    static LINE: RefCell<String> = RefCell::default();
}

/// Logs a line that each message has. The log's own escaping costs a call for each piece it is given: it gets one.
fn line(words: &dyn fmt::Display) {
    // Nothing is formatted for a level that is off.
    if !enabled!(target: "waxseal_telemetry", Level::INFO) {
        return;
    }
    LINE.with_borrow_mut(|line| {
        line.clear();
        // Writing to a string does not fail.
        let _ = write!(line, "{words}");
        info!(target: "waxseal_telemetry", "{line}");
    });
}

/// `3Zk: from=<a@example.org>, size=120, nrcpt=1, client=..., message-id=<...>, nexthop=example.com, trace=...`: the queue id of the other lines leads to the trace
struct Queued<'a> {
    envelope: &'a Envelope,
    nexthop: &'a str,
}

impl fmt::Display for Queued<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Envelope { id, size, client, recipients, .. } = self.envelope;
        let from = Clean(self.envelope.sender.as_ref().map_or("", Mailbox::as_str));
        write!(f, "{id}: from=<{from}>, size={size}, nrcpt={}, client={}", recipients.len(), Clean(client))?;
        if let Some(message_id) = &self.envelope.message_id {
            write!(f, ", message-id={}", Clean(message_id))?;
        }
        write!(f, ", nexthop={}, trace={:032x}", Clean(self.nexthop), self.envelope.trace.trace_id)
    }
}

/// `3Zk: to=<b@example.com>, relay=mx.example.com[192.0.2.1]:25, delay=0.31, dsn=2.0.0, status=sent (250 ok), tls=verified ...`
struct Delivery<'a> {
    account: &'a Account,
    result: &'a RecipientResult,
}

impl fmt::Display for Delivery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, result } = self;
        let connection = deciding(account, result);
        let head = Head {
            envelope: &account.envelope,
            to: account.mailbox(result.index),
            relay: Relay(connection),
            at: account.ended,
        };
        let (dsn, word, why) = match &result.outcome {
            Outcome::Delivered { reply, .. } => (reply.enhanced(), "sent", Why::Reply(reply)),
            Outcome::Deferred(failure) => (failure.status, "deferred", Why::Failure(failure)),
            Outcome::Bounced(failure) => (failure.status, "bounced", Why::Failure(failure)),
        };
        write!(f, "{head}{}", Ending { dsn, word, why })?;
        connection.map_or(Ok(()), |connection| write!(f, ", tls={}", Tls(connection)))
    }
}

struct SettledLine<'a> {
    envelope: &'a Envelope,
    to: Option<&'a Mailbox>,
    how: Settled,
    failure: &'a Failure,
    at: UnixTime,
}

impl fmt::Display for SettledLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = Head { envelope: self.envelope, to: self.to, relay: Relay(None), at: self.at };
        let word = match self.how {
            Settled::Expired => "expired",
            Settled::Bounced => "bounced",
            Settled::Deferred => "deferred",
            Settled::Removed => "removed",
        };
        let ending = Ending { dsn: self.failure.status, word, why: Why::Failure(self.failure) };
        write!(f, "{head}{ending}")
    }
}

struct Head<'a> {
    envelope: &'a Envelope,
    to: Option<&'a Mailbox>,
    relay: Relay<'a>,
    at: UnixTime,
}

impl fmt::Display for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = Clean(self.to.map_or("", Mailbox::as_str));
        let delay = self.at.since(self.envelope.arrived).as_secs_f64();
        write!(f, "{}: to=<{to}>, relay={}, delay={delay:.2}", self.envelope.id, self.relay)
    }
}

struct Ending<'a> {
    dsn: EnhancedStatus,
    word: &'static str,
    why: Why<'a>,
}

enum Why<'a> {
    Reply(&'a Reply),
    Failure(&'a Failure),
}

impl fmt::Display for Ending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ", dsn={}, status={} ", self.dsn, self.word)?;
        match self.why {
            Why::Reply(reply) => write!(f, "({})", Clean(reply)),
            Why::Failure(failure) => write!(f, "({})", Clean(&failure.reason)),
        }
    }
}

/// `mx.example.com[192.0.2.1]:25`, `none`, or what is known of it.
struct Relay<'a>(Option<&'a Connection>);

impl fmt::Display for Relay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(connection) = self.0 else { return f.write_str("none") };
        if let Some(host) = &connection.host {
            f.write_str(host.as_str())?;
        }
        match connection.address {
            Some(address) => write!(f, "[{address}]:{}", connection.port),
            None if connection.host.is_none() => f.write_str("local socket"),
            None => Ok(()),
        }
    }
}

/// `verified TLSv1.3 TLS_AES_256_GCM_SHA384 (dane, TLSA 3 1 1 ...)`
struct Tls<'a>(&'a Connection);

impl fmt::Display for Tls<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connection = self.0;
        write!(f, "{}", connection.status)?;
        if let Some(facts) = &connection.tls {
            write!(f, " {} {}", facts.protocol, facts.cipher)?;
        }
        write!(f, " ({}", connection.level)?;
        if let Some(matched) = &connection.matched {
            write!(f, ", {}", Clean(matched))?;
        }
        if let Some(downgrade) = connection.downgrade {
            write!(f, ", {downgrade}")?;
        }
        f.write_char(')')
    }
}

/// A stranger's words, with what is hidden in them made visible: a log line stays one line and moves no cursor.
struct Clean<T>(T);

impl<T: fmt::Display> fmt::Display for Clean<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Cleaner(f), "{}", self.0)
    }
}

struct Cleaner<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Cleaner<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        // Nearly all text needs nothing.
        if text.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return self.0.write_str(text);
        }
        while let Some(at) = rest.find(is_hidden) {
            let (plain, hidden) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut after = hidden.chars();
            let c = after.next().map_or(0, u32::from);
            write!(self.0, "\\u{{{c:x}}}")?;
            rest = after.as_str();
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests;
