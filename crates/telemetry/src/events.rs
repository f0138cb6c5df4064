//! Delivery events: one JSON object a line, made of what the queue tells.

use std::{fmt, sync::Arc};

use waxseal_queue::{Account, Connection, Destination, Event, Failure, Outcome, RecipientResult, Settled};
use waxseal_types::{EnhancedStatus, Envelope, Reply, TlsLevel, TlsStatus, UnixTime};

use crate::json::Object;

/// Appends the lines of one event to `out`.
pub(crate) fn write(out: &mut String, event: &Event<'_>) {
    match event {
        Event::Queued { envelope, destination, recipients, at } => {
            for index in *recipients {
                let line = Line::new("queued", *at, envelope, *index);
                line.write(out, |object| object.text("nexthop", destination.nexthop.as_str()));
            }
        }
        Event::Attempted { account, next_attempt } => {
            for result in &account.results {
                attempts(out, account, result);
                ended(out, account, result, *next_attempt);
            }
        }
        Event::Settled { envelope, destination, recipients, how, failure, attempts, at } => {
            for index in *recipients {
                let line = Line::new(settled_word(*how), *at, envelope, *index);
                line.write(out, |object| settled(object, *destination, failure, *attempts));
            }
        }
        // About no message: log lines tell of them.
        Event::DestinationDead { .. } | Event::ServiceDied { .. } => {}
        // `Event` may grow; what is unknown here has no line.
        _ => {}
    }
}

/// What all events have in common.
struct Line<'a> {
    word: &'static str,
    time: UnixTime,
    envelope: &'a Arc<Envelope>,
    recipient: usize,
}

impl<'a> Line<'a> {
    const fn new(word: &'static str, time: UnixTime, envelope: &'a Arc<Envelope>, recipient: usize) -> Self {
        Self { word, time, envelope, recipient }
    }

    /// The whole line; `rest` writes what this event has of its own.
    fn write(&self, out: &mut String, rest: impl FnOnce(&mut Object<'_>)) {
        let envelope = self.envelope;
        let recipient = envelope.recipients.get(self.recipient).map(|recipient| recipient.mailbox.as_str());
        let mut object = Object::begin(out);
        object.display("time", self.time.rfc3339());
        object.text("event", self.word);
        object.display("queue_id", envelope.id);
        // The null reverse-path is the empty string.
        object.text("sender", envelope.sender.as_ref().map_or("", |sender| sender.as_str()));
        object.maybe("recipient", recipient);
        rest(&mut object);
        object.maybe("message_id", envelope.message_id.as_deref());
        object.number("size", envelope.size);
        object.text("client", &envelope.client);
        object.number("recipients", count(envelope.recipients.len()));
        object.number("delay_ms", millis(self.time, envelope.arrived));
        object.display("trace_id", format_args!("{:032x}", envelope.trace.trace_id));
        object.end();
        out.push('\n');
    }
}

/// Connections that ended without settling this recipient, although it was to go over them.
fn attempts(out: &mut String, account: &Account, result: &RecipientResult) {
    let before = result.connection.unwrap_or(account.connections.len());
    for connection in account.connections.iter().take(before) {
        let Some(failure) = &connection.failure else { continue };
        let line = Line::new("attempt", connection.ended, &account.envelope, result.index);
        line.write(out, |object| {
            place(object, account, Some(connection));
            failed(object, failure);
            object.number("attempt", account.attempt);
            tls(object, account, Some(connection));
        });
    }
}

fn ended(out: &mut String, account: &Account, result: &RecipientResult, next_attempt: Option<UnixTime>) {
    let connection = deciding(account, result);
    let (word, next_attempt) = match &result.outcome {
        Outcome::Delivered { .. } => ("delivered", None),
        Outcome::Deferred(_) => ("deferred", next_attempt),
        Outcome::Bounced(_) => ("bounced", None),
    };
    let line = Line::new(word, account.ended, &account.envelope, result.index);
    line.write(out, |object| {
        place(object, account, connection);
        match &result.outcome {
            Outcome::Delivered { reply: words, .. } => {
                status(object, words.enhanced());
                reply(object, words);
            }
            Outcome::Deferred(failure) | Outcome::Bounced(failure) => failed(object, failure),
        }
        object.number("attempt", account.attempt);
        if let Some(next) = next_attempt {
            object.display("next_attempt", next.rfc3339());
        }
        tls(object, account, connection);
    });
}

/// The connection that settled the recipient, or else the last one that was tried.
pub(crate) fn deciding<'a>(account: &'a Account, result: &RecipientResult) -> Option<&'a Connection> {
    match result.connection {
        Some(number) => account.connections.get(number),
        None => account.connections.last(),
    }
}

const fn settled_word(how: Settled) -> &'static str {
    match how {
        Settled::Expired => "expired",
        Settled::Bounced => "bounced",
        Settled::Deferred => "deferred",
        Settled::Removed => "removed",
    }
}

fn settled(object: &mut Object<'_>, destination: Option<&Destination>, failure: &Failure, attempts: u32) {
    object.maybe("nexthop", destination.map(|destination| destination.nexthop.as_str()));
    failed(object, failure);
    object.number("attempt", attempts);
}

fn place(object: &mut Object<'_>, account: &Account, connection: Option<&Connection>) {
    object.text("nexthop", account.destination.nexthop.as_str());
    let Some(connection) = connection else { return };
    object.maybe("host", connection.host.as_ref().map(|host| host.as_str()));
    // A socket in the file system has neither.
    if let Some(address) = connection.address {
        object.display("address", address);
        object.number("port", connection.port);
    }
}

fn failed(object: &mut Object<'_>, failure: &Failure) {
    status(object, failure.status);
    if let Some(words) = &failure.reply {
        reply(object, words);
    }
    object.text("reason", &failure.reason);
}

fn status(object: &mut Object<'_>, status: EnhancedStatus) {
    object.display("dsn", status);
}

fn reply(object: &mut Object<'_>, reply: &Reply) {
    object.display("reply", reply);
}

fn tls(object: &mut Object<'_>, account: &Account, connection: Option<&Connection>) {
    if let Some(policy) = Policy::of(account, connection) {
        object.object("tls", |object| security(object, &policy, connection));
    }
}

/// The security of a connection; without one, the policy that was in force for the next hop.
fn security(object: &mut Object<'_>, policy: &Policy<'_>, connection: Option<&Connection>) {
    object.text("policy", policy.level.as_str());
    object.display("policy_source", policy.source);
    object.text("level", connection.map_or(policy.level, |connection| connection.level).as_str());
    object.text("status", connection.map_or(TlsStatus::None, |connection| connection.status).as_str());
    let Some(connection) = connection else { return };
    object.maybe("lowered", connection.lowered.as_deref());
    if let Some(facts) = &connection.tls {
        object.text("protocol", facts.protocol);
        object.text("cipher", facts.cipher);
        object.maybe("sni", facts.sni.as_ref().map(|name| name.as_str()));
        object.flag("resumed", facts.resumed);
    }
    object.maybe("matched", connection.matched.as_deref());
    if let Some(downgrade) = connection.downgrade {
        object.display("downgrade", downgrade);
    }
    if connection.injected > 0 {
        object.number("injected", count(connection.injected));
    }
}

/// What this crate reads of a policy.
pub(crate) struct Policy<'a> {
    /// As configured.
    pub(crate) level: TlsLevel,
    /// The table entry, or `default`.
    pub(crate) source: &'a dyn fmt::Display,
}

impl<'a> Policy<'a> {
    /// The policy of a connection, or else the last one that was looked up.
    pub(crate) fn of(account: &'a Account, connection: Option<&Connection>) -> Option<Self> {
        let fact = match connection {
            Some(connection) => account.policies.get(connection.policy),
            None => account.policies.last(),
        };
        fact.map(|fact| Self { level: fact.level, source: &fact.source })
    }
}

pub(crate) fn millis(later: UnixTime, earlier: UnixTime) -> u64 {
    u64::try_from(later.since(earlier).as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
