//! From what the queue tells to octets, on the thread that delivers: nothing is allocated but room in one buffer.
//!
//! Shared facts ride along whole ("parts"); the writer's thread puts each into the file once and refers to it. That thread also reads the
//! certificates, so that a delivery carries only an [`Arc`] of them.

use std::sync::Arc;

use waxseal_queue::{Account, Connection, Destination, Failure, Outcome, RecipientResult, Settled};
use waxseal_types::{EnhancedStatus, Envelope, Mailbox, Reply, TlsFacts, TlsStatus, UnixTime};

use crate::{
    facts,
    octets::{maybe_text, number, signed, text},
    veil::Veil,
    words,
};

/// Kinds of records; below 16 happenings, from 16 on facts.
pub(crate) mod kind {
    pub(crate) const ATTEMPT: u8 = 1;
    pub(crate) const SETTLED: u8 = 2;
    pub(crate) const CLIENT: u8 = 16;
    pub(crate) const DESTINATION: u8 = 17;
    pub(crate) const WAY: u8 = 18;
    pub(crate) const CONNECTION: u8 = 19;
    pub(crate) const CHAIN: u8 = 20;
}

/// What a record says of itself ahead of everything else, for searches.
pub(crate) mod flag {
    pub(crate) const DELIVERED: u8 = 1;
    pub(crate) const DEFERRED: u8 = 2;
    pub(crate) const BOUNCED: u8 = 4;
    pub(crate) const OTHER: u8 = 8;
    /// A text went in clear.
    pub(crate) const CLEAR: u8 = 16;
    /// A level was lowered, or clear taken in place of TLS.
    pub(crate) const DOWNGRADED: u8 = 32;
    /// A connection failed, or came with signs of attack.
    pub(crate) const TROUBLED: u8 = 64;

    /// Whether it goes to the ring that lives longer.
    pub(crate) const fn is_kept(flags: u8) -> bool {
        flags & !DELIVERED != 0
    }
}

/// What waits for the writer's thread.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    /// Records, each: length (4 octets, of what follows), kind, flags, time (8), parts, body. A part: kind, length (4), octets; kind 0 is none.
    pub(crate) octets: Vec<u8>,
    /// The handshakes that parts of the kind CHAIN stand for, in order.
    pub(crate) handshakes: Vec<Arc<TlsFacts>>,
    /// How many records.
    pub(crate) records: u64,
}

/// One record under construction.
struct Record<'a> {
    raw: &'a mut Raw,
    start: usize,
    parts_at: usize,
    parts: u8,
}

impl<'a> Record<'a> {
    fn begin(raw: &'a mut Raw, kind: u8, flags: u8, time: UnixTime) -> Self {
        let start = raw.octets.len();
        raw.octets.extend_from_slice(&[0; 4]);
        raw.octets.extend_from_slice(&[kind, flags]);
        raw.octets.extend_from_slice(&time.as_micros().to_le_bytes());
        let parts_at = raw.octets.len();
        raw.octets.push(0);
        Self { raw, start, parts_at, parts: 0 }
    }

    fn part(&mut self, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
        let out = &mut self.raw.octets;
        out.push(kind);
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        write(out);
        let length = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX);
        out[at..at + 4].copy_from_slice(&length.to_le_bytes());
        self.parts += 1;
        out[self.parts_at] = self.parts;
    }

    fn body(&mut self) -> &mut Vec<u8> {
        &mut self.raw.octets
    }

    fn end(self) {
        let out = &mut self.raw.octets;
        let length = u32::try_from(out.len() - self.start - 4).unwrap_or(u32::MAX);
        out[self.start..self.start + 4].copy_from_slice(&length.to_le_bytes());
        self.raw.records += 1;
    }
}

/// More connections than this are not told of; an attempt makes a handful.
pub(crate) const MOST_CONNECTIONS: usize = 64;

fn attempt_flags(account: &Account) -> u8 {
    let mut flags = 0;
    for result in &account.results {
        let connection = result.connection.and_then(|number| account.connections.get(number));
        flags |= match &result.outcome {
            Outcome::Delivered { .. } if connection.is_some_and(|c| c.status == TlsStatus::None) => {
                flag::DELIVERED | flag::CLEAR
            }
            Outcome::Delivered { .. } => flag::DELIVERED,
            Outcome::Deferred(_) => flag::DEFERRED,
            Outcome::Bounced(_) => flag::BOUNCED,
        };
    }
    for connection in &account.connections {
        if connection.downgrade.is_some() {
            flags |= flag::DOWNGRADED;
        }
        if connection.failure.is_some() || connection.injected > 0 {
            flags |= flag::TROUBLED;
        }
    }
    flags
}

/// The end of an attempt.
pub(crate) fn attempt(raw: &mut Raw, veil: &Veil, account: &Account, next_attempt: Option<UnixTime>) {
    let mut record = Record::begin(raw, kind::ATTEMPT, attempt_flags(account), account.ended);
    record.part(kind::CLIENT, |out| text(out, &account.envelope.client));
    record.part(kind::DESTINATION, |out| facts::write_destination(out, &account.destination));
    record.part(kind::WAY, |out| facts::write_way(out, account));
    let connections = &account.connections[..account.connections.len().min(MOST_CONNECTIONS)];
    for connection in connections {
        record.part(kind::CONNECTION, |out| facts::write_connection(out, connection));
        match (&connection.tls, connection.id) {
            (Some(handshake), Some(id)) => {
                record.part(kind::CHAIN, |out| out.extend_from_slice(&id.0.to_le_bytes()));
                record.raw.handshakes.push(Arc::clone(handshake));
            }
            (Some(_) | None, _) => record.part(0, |_| ()),
        }
    }
    let envelope = &account.envelope;
    let addresses = addresses(veil, envelope, account.results.iter().map(|result| result.index));
    let out = record.body();
    head(out, veil, envelope);
    results(out, (veil, &addresses), account);
    tail(out, envelope, account.ended);
    number(out, u64::from(account.attempt));
    number(out, micros_between(account.started, account.ended));
    time_after(out, next_attempt, account.ended);
    number(out, account.steps.len() as u64);
    for step in &account.steps {
        number(out, micros_between(account.started, step.at));
        number(out, u64::try_from(step.took.as_micros()).unwrap_or(u64::MAX));
    }
    number(out, connections.len() as u64);
    connections.iter().for_each(|connection| course(out, (veil, &addresses), account.started, connection));
    record.end();
}

/// Recipients that were settled without an attempt.
pub(crate) fn settled(
    raw: &mut Raw,
    veil: &Veil,
    about: (&Envelope, Option<&Destination>, &[usize]),
    how: (Settled, &Failure, u32),
    at: UnixTime,
) {
    let (envelope, destination, recipients) = about;
    let (how, failure, attempts) = how;
    let flags = match how {
        Settled::Expired | Settled::Bounced => flag::BOUNCED,
        Settled::Deferred => flag::DEFERRED,
        Settled::Removed => flag::OTHER,
    };
    let mut record = Record::begin(raw, kind::SETTLED, flags, at);
    record.part(kind::CLIENT, |out| text(out, &envelope.client));
    match destination {
        Some(destination) => {
            record.part(kind::DESTINATION, |out| facts::write_destination(out, destination));
        }
        None => record.part(0, |_| ()),
    }
    let addresses = addresses(veil, envelope, recipients.iter().copied());
    let out = record.body();
    head(out, veil, envelope);
    number(out, recipients.len() as u64);
    for index in recipients {
        let mailbox = envelope.recipients.get(*index).map(|recipient| recipient.mailbox.as_str());
        number(out, *index as u64);
        text(out, &veil.address(mailbox.unwrap_or_default()));
    }
    tail(out, envelope, at);
    out.push(words::settled(how));
    number(out, u64::from(attempts));
    write_failure(out, (veil, &addresses), failure);
    record.end();
}

/// Those whose addresses may stand in somebody's words; looked for only where there is a veil.
fn addresses<'a>(
    veil: &Veil,
    envelope: &'a Envelope,
    recipients: impl Iterator<Item = usize>,
) -> Vec<&'a Mailbox> {
    if veil.is_none() {
        return Vec::new();
    }
    let recipients = recipients.filter_map(|index| envelope.recipients.get(index)).map(|r| &r.mailbox);
    recipients.chain(&envelope.sender).collect()
}

/// What searches compare first.
fn head(out: &mut Vec<u8>, veil: &Veil, envelope: &Envelope) {
    out.extend_from_slice(&envelope.id.as_u64().to_le_bytes());
    maybe_text(out, envelope.sender.as_ref().map(|sender| veil.address(sender.as_str())).as_deref());
    maybe_text(out, envelope.message_id.as_deref());
}

fn tail(out: &mut Vec<u8>, envelope: &Envelope, time: UnixTime) {
    number(out, micros_between(envelope.arrived, time));
    number(out, envelope.size);
    number(out, envelope.recipients.len() as u64);
    out.extend_from_slice(&envelope.trace.trace_id.to_le_bytes());
}

type Veiled<'a> = (&'a Veil, &'a [&'a Mailbox]);

fn results(out: &mut Vec<u8>, veiled: Veiled<'_>, account: &Account) {
    number(out, account.results.len() as u64);
    let mut before: Option<&RecipientResult> = None;
    for result in &account.results {
        number(out, result.index as u64);
        let mailbox = account.mailbox(result.index).map(Mailbox::as_str).unwrap_or_default();
        text(out, &veiled.0.address(mailbox));
        let connection = result.connection.filter(|number| *number < MOST_CONNECTIONS);
        number(out, connection.map_or(0, |number| number as u64 + 1));
        // Recipients of one transaction mostly end alike.
        if before.is_some_and(|before| before.outcome == result.outcome) {
            out.push(0);
            continue;
        }
        before = Some(result);
        match &result.outcome {
            Outcome::Delivered { reply, without_dsn } => {
                out.push(if *without_dsn { 2 } else { 1 });
                write_reply(out, veiled, reply);
            }
            Outcome::Deferred(failure) => {
                out.push(3);
                write_failure(out, veiled, failure);
            }
            Outcome::Bounced(failure) => {
                out.push(4);
                write_failure(out, veiled, failure);
            }
        }
    }
}

fn write_failure(out: &mut Vec<u8>, veiled: Veiled<'_>, failure: &Failure) {
    let (veil, addresses) = veiled;
    number(out, words::enhanced(Some(failure.status)));
    out.push(words::trouble(failure.trouble));
    text(out, &veil.words(&failure.reason, addresses));
    match &failure.reply {
        Some(reply) => {
            out.push(1);
            write_reply(out, veiled, reply);
        }
        None => out.push(0),
    }
}

fn write_reply(out: &mut Vec<u8>, veiled: Veiled<'_>, reply: &Reply) {
    let (veil, addresses) = veiled;
    number(out, u64::from(reply.code));
    // Nearly always the code stands at the head of the text.
    let of_text = EnhancedStatus::split_from(&reply.text).map(|(status, _)| status);
    number(out, if of_text == reply.status { 1 } else { words::enhanced(reply.status) });
    text(out, &veil.words(&reply.text, addresses));
}

/// What a connection was for this message alone.
fn course(out: &mut Vec<u8>, veiled: Veiled<'_>, started: UnixTime, connection: &Connection) {
    number(out, micros_between(started, connection.at));
    number(out, micros_between(connection.at, connection.ended));
    out.push(u8::from(connection.pooled) | u8::from(connection.failure.is_some()) << 1);
    let times = &connection.times;
    for time in [times.connect, times.greeting, times.tls, times.transaction] {
        number(out, u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }
    if let Some(failure) = &connection.failure {
        write_failure(out, veiled, failure);
    }
}

fn micros_between(earlier: UnixTime, later: UnixTime) -> u64 {
    later.as_micros().saturating_sub(earlier.as_micros())
}

/// 0 is none.
fn time_after(out: &mut Vec<u8>, time: Option<UnixTime>, base: UnixTime) {
    match time {
        None => out.push(0),
        Some(time) => number(out, micros_between(base, time) + 1),
    }
}

/// The time of a record against that of its block.
pub(crate) fn time_in_block(out: &mut Vec<u8>, time: u64, block: u64) {
    signed(out, time.wrapping_sub(block) as i64);
}
