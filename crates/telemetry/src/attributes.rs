//! Attributes of spans. The table in the crate's documentation lists them all.
//!
//! Names are those of OpenTelemetry's semantic conventions (messaging, network, TLS, DNS) where there is one, and `waxseal.` otherwise.

use std::{fmt::Write as _, net::IpAddr};

use opentelemetry::{Array, KeyValue, StringValue, Value};
use waxseal_queue::{Account, Connection, Outcome, RecipientResult, Standing, TlsaFact};
use waxseal_types::{Domain, Envelope, RecordKind, Reply, TlsLevel, UnixTime};

use crate::events::{Policy, count};

/// Values of one list attribute; the rest is in the delivery's account, not in the trace.
const LIST_LIMIT: usize = 32;

fn number(key: &'static str, value: u64) -> KeyValue {
    KeyValue::new(key, i64::try_from(value).unwrap_or(i64::MAX))
}

fn list(key: &'static str, values: impl Iterator<Item = String>) -> KeyValue {
    let values: Vec<StringValue> = values.take(LIST_LIMIT).map(StringValue::from).collect();
    KeyValue::new(key, Value::Array(Array::String(values)))
}

/// On every span that is about the message as a whole.
pub(crate) fn message(envelope: &Envelope) -> Vec<KeyValue> {
    vec![
        KeyValue::new("messaging.system", "smtp"),
        KeyValue::new("messaging.message.id", envelope.id.to_string()),
    ]
}

pub(crate) fn intake(envelope: &Envelope) -> Vec<KeyValue> {
    let mut attributes = message(envelope);
    attributes.push(KeyValue::new("messaging.operation.name", "receive"));
    attributes.push(KeyValue::new("messaging.operation.type", "receive"));
    attributes.push(number("messaging.message.body.size", envelope.size));
    attributes.push(KeyValue::new("client.address", envelope.client.to_string()));
    attributes.push(number("waxseal.recipients", count(envelope.recipients.len())));
    if let Some(message_id) = &envelope.message_id {
        attributes.push(KeyValue::new("messaging.message.conversation_id", message_id.to_string()));
    }
    attributes
}

pub(crate) fn queue(account: &Account) -> Vec<KeyValue> {
    let mut attributes = message(&account.envelope);
    attributes.push(KeyValue::new("messaging.destination.name", account.destination.nexthop.to_string()));
    attributes.push(number("waxseal.attempt", account.attempt.into()));
    attributes
}

pub(crate) fn attempt(account: &Account) -> Vec<KeyValue> {
    let mut attributes = queue(account);
    attributes.push(KeyValue::new("messaging.operation.name", "send"));
    attributes.push(KeyValue::new("messaging.operation.type", "send"));
    let (mut delivered, mut deferred, mut bounced) = (0, 0, 0);
    for result in &account.results {
        match result.outcome {
            Outcome::Delivered { .. } => delivered += 1,
            Outcome::Deferred(_) => deferred += 1,
            Outcome::Bounced(_) => bounced += 1,
        }
    }
    attributes.push(number("waxseal.recipients.delivered", delivered));
    attributes.push(number("waxseal.recipients.deferred", deferred));
    attributes.push(number("waxseal.recipients.bounced", bounced));
    attributes
}

/// One recipient's end, as an event of the attempt.
pub(crate) fn result(account: &Account, result: &RecipientResult) -> Vec<KeyValue> {
    let mut attributes = Vec::new();
    if let Some(mailbox) = account.mailbox(result.index) {
        attributes.push(KeyValue::new("waxseal.recipient", mailbox.to_string()));
    }
    let (word, dsn, words) = match &result.outcome {
        Outcome::Delivered { reply, .. } => ("delivered", reply.enhanced(), Some(reply)),
        Outcome::Deferred(failure) => ("deferred", failure.status, failure.reply.as_ref()),
        Outcome::Bounced(failure) => ("bounced", failure.status, failure.reply.as_ref()),
    };
    attributes.push(KeyValue::new("waxseal.outcome", word));
    attributes.push(KeyValue::new("waxseal.dsn", dsn.to_string()));
    reply(&mut attributes, words);
    if let Some(failure) = result.outcome.failure() {
        attributes.push(KeyValue::new("waxseal.reason", failure.reason.clone()));
    }
    attributes
}

pub(crate) fn reply(attributes: &mut Vec<KeyValue>, reply: Option<&Reply>) {
    if let Some(reply) = reply {
        attributes.push(KeyValue::new("waxseal.reply", reply.to_string()));
    }
}

pub(crate) fn skipped(host: &str, reason: &str) -> Vec<KeyValue> {
    vec![KeyValue::new("server.address", host.to_owned()), KeyValue::new("waxseal.reason", reason.to_owned())]
}

pub(crate) fn policy(account: &Account, number: usize) -> Vec<KeyValue> {
    let Some(fact) = account.policies.get(number) else { return Vec::new() };
    vec![
        KeyValue::new("waxseal.tls.policy", fact.level.as_str()),
        KeyValue::new("waxseal.tls.policy_source", fact.source.to_string()),
        KeyValue::new("messaging.destination.name", fact.nexthop.clone()),
    ]
}

/// One question to DNS.
pub(crate) fn lookup(name: &str, kind: &RecordKind) -> Vec<KeyValue> {
    vec![
        KeyValue::new("dns.question.name", name.to_owned()),
        KeyValue::new("waxseal.dns.type", kind.to_string()),
    ]
}

/// What DNSSEC says of an answer, and why.
fn standing(attributes: &mut Vec<KeyValue>, standing: &Standing) {
    attributes.push(KeyValue::new("waxseal.dns.security", standing.proof.as_str()));
    if let Some(why) = &standing.why {
        attributes.push(KeyValue::new("waxseal.dns.why", why.to_string()));
    }
    if let Some(canonical) = &standing.canonical {
        attributes.push(KeyValue::new("waxseal.dns.canonical", canonical.to_string()));
    }
}

fn answer(
    question: (&str, &'static str),
    answers: impl Iterator<Item = String>,
    of: &Standing,
) -> Vec<KeyValue> {
    let (name, kind) = question;
    let mut attributes = vec![
        KeyValue::new("dns.question.name", name.to_owned()),
        KeyValue::new("waxseal.dns.type", kind),
        list("dns.answers", answers),
    ];
    standing(&mut attributes, of);
    attributes
}

pub(crate) fn mx(domain: &Domain, hosts: &[(u16, Option<Domain>)], standing: &Standing) -> Vec<KeyValue> {
    let answers = hosts.iter().map(|(preference, host)| {
        // The root: a null MX (RFC 7505 §3).
        format!("{preference} {}", host.as_ref().map_or(".", |host| host.as_str()))
    });
    answer((domain.as_str(), "MX"), answers, standing)
}

pub(crate) fn addresses(host: &Domain, addresses: &[IpAddr], standing: &Standing) -> Vec<KeyValue> {
    answer((host.as_str(), "A/AAAA"), addresses.iter().map(ToString::to_string), standing)
}

pub(crate) fn alias(name: &Domain, target: &Domain, standing: &Standing) -> Vec<KeyValue> {
    answer((name.as_str(), "CNAME"), std::iter::once(target.to_string()), standing)
}

pub(crate) fn tlsa(place: &str, records: &[TlsaFact], standing: &Standing) -> Vec<KeyValue> {
    let mut attributes = answer((place, "TLSA"), records.iter().map(|record| record.text.clone()), standing);
    let unusable = |record: &TlsaFact| Some(format!("{}: {}", record.text, record.unusable.as_ref()?));
    if records.iter().any(|record| record.unusable.is_some()) {
        attributes.push(list("waxseal.tlsa.unusable", records.iter().filter_map(unusable)));
    }
    attributes
}

pub(crate) fn absent(what: &str, of: &Standing) -> Vec<KeyValue> {
    let (kind, name) = what.split_once(' ').unwrap_or(("", what));
    let mut attributes = vec![
        KeyValue::new("dns.question.name", name.to_owned()),
        KeyValue::new("waxseal.dns.type", kind.to_owned()),
        KeyValue::new("waxseal.dns.absent", true),
    ];
    standing(&mut attributes, of);
    attributes
}

/// Less is demanded of a host than its policy would have.
pub(crate) fn lowered(host: Option<&Domain>, level: TlsLevel, reason: &str) -> Vec<KeyValue> {
    let mut attributes = Vec::new();
    if let Some(host) = host {
        attributes.push(KeyValue::new("server.address", host.to_string()));
    }
    attributes.push(KeyValue::new("waxseal.tls.level", level.as_str()));
    attributes.push(KeyValue::new("waxseal.reason", reason.to_owned()));
    attributes
}

/// On every span of a connection.
pub(crate) fn peer(connection: &Connection) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(20);
    if let Some(host) = &connection.host {
        attributes.push(KeyValue::new("server.address", host.to_string()));
    }
    if let Some(address) = connection.address {
        attributes.push(number("server.port", connection.port.into()));
        attributes.push(KeyValue::new("network.peer.address", address.to_string()));
        attributes.push(number("network.peer.port", connection.port.into()));
    }
    if let Some(id) = connection.id {
        attributes.push(number("waxseal.connection.id", id.0));
    }
    attributes.push(KeyValue::new("waxseal.connection.pooled", connection.pooled));
    attributes
}

/// What was demanded of a connection and what it had.
pub(crate) fn security(account: &Account, connection: &Connection) -> Vec<KeyValue> {
    let mut attributes = Vec::new();
    if let Some(policy) = Policy::of(account, Some(connection)) {
        attributes.push(KeyValue::new("waxseal.tls.policy", policy.level.as_str()));
        attributes.push(KeyValue::new("waxseal.tls.policy_source", policy.source.to_string()));
    }
    attributes.push(KeyValue::new("waxseal.tls.level", TlsLevel::as_str(connection.level)));
    if let Some(reason) = &connection.lowered {
        attributes.push(KeyValue::new("waxseal.tls.lowered", reason.to_string()));
    }
    attributes.push(KeyValue::new("waxseal.tls.status", connection.status.as_str()));
    if let Some(facts) = &connection.tls {
        attributes.push(KeyValue::new("tls.protocol.name", "tls"));
        let version = facts.protocol.strip_prefix("TLSv").unwrap_or(facts.protocol);
        attributes.push(KeyValue::new("tls.protocol.version", version));
        attributes.push(KeyValue::new("tls.cipher", facts.cipher));
        attributes.push(KeyValue::new("tls.resumed", facts.resumed));
        if let Some(group) = facts.group {
            attributes.push(KeyValue::new("tls.curve", group));
        }
        if let Some(name) = &facts.sni {
            attributes.push(KeyValue::new("tls.client.server_name", name.to_string()));
        }
    }
    if let Some(matched) = &connection.matched {
        attributes.push(KeyValue::new("waxseal.tls.matched", matched.clone()));
    }
    if let Some(downgrade) = connection.downgrade {
        attributes.push(KeyValue::new("waxseal.tls.downgrade", downgrade.to_string()));
    }
    if connection.injected > 0 {
        attributes.push(number("waxseal.tls.injected", count(connection.injected)));
    }
    if !connection.chain.is_empty() {
        attributes.push(list("waxseal.tls.chain", connection.chain.iter().cloned()));
    }
    attributes
}

/// The certificates that a server presented (OpenTelemetry semantic conventions, "TLS", for the leaf). Only where a handshake is told of.
pub(crate) fn presented(connection: &Connection) -> Vec<KeyValue> {
    let chain = connection.certificates();
    let Some(leaf) = chain.first() else { return Vec::new() };
    let mut attributes = vec![
        KeyValue::new("tls.server.subject", leaf.subject.clone()),
        KeyValue::new("tls.server.issuer", leaf.issuer.clone()),
        KeyValue::new("tls.server.hash.sha256", hex(&leaf.sha256)),
    ];
    if let Some(end) = leaf.not_after.and_then(|end| u64::try_from(end).ok()) {
        let end = UnixTime::from_secs(end).rfc3339().to_string();
        attributes.push(KeyValue::new("tls.server.not_after", end));
    }
    let certificates = chain.iter().map(|one| format!("{}; key {}", one.subject, hex(&one.spki_sha256)));
    attributes.push(list("waxseal.tls.certificates", certificates));
    attributes
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(2 * octets.len()), |mut text, octet| {
        // Writing to a String does not fail.
        let _ = write!(text, "{octet:02X}");
        text
    })
}

/// What went over a connection.
pub(crate) fn transaction(account: &Account, connection: &Connection) -> Vec<KeyValue> {
    let here = |result: &&RecipientResult| {
        let decided = result.connection.and_then(|number| account.connections.get(number));
        decided.is_some_and(|decided| std::ptr::eq(decided, connection))
    };
    let mut attributes = message(&account.envelope);
    attributes.push(number("messaging.message.body.size", account.envelope.size));
    let delivered = account.results.iter().filter(here).find_map(|result| match &result.outcome {
        Outcome::Delivered { reply, .. } => Some(reply),
        Outcome::Deferred(_) | Outcome::Bounced(_) => None,
    });
    reply(&mut attributes, delivered);
    attributes
}
