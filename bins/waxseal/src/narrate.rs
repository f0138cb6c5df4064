//! An account as a person reads it. `demo` and `explain` tell with it what the delivery plan asked, was answered, and did.

use std::time::Duration;

use serde_json::{Value, json};
use waxseal_queue::{Account, AccountStep, CertificateFact, Connection, Fact, Outcome, advice, milliseconds};

use crate::conclude;
use crate::terminal::{Printable, Terminal, Tone};

/// Answers from a cache take less.
const NOTICED: Duration = Duration::from_millis(1);
/// How wide labels are.
const LABEL: usize = 12;

/// A label and its lines, the first one beside it and the others below.
pub(crate) fn row(terminal: &mut Terminal, label: &str, lines: &[String]) {
    for (at, line) in lines.iter().enumerate() {
        let label = if at == 0 { label } else { "" };
        terminal.labelled(label, LABEL, tone(label), Printable(line));
    }
}

fn tone(label: &str) -> Tone {
    match label {
        "delivered" => Tone::Good,
        "deferred" | "waits" | "passed over" => Tone::Waiting,
        "bounced" | "expired" | "dns failed" => Tone::Bad,
        _ => Tone::Plain,
    }
}

/// All steps, in order, and what became of each recipient.
pub(crate) fn tell(account: &Account, terminal: &mut Terminal) {
    for step in &account.steps {
        let (label, mut lines) = account.lines(step);
        took(&mut lines, step);
        row(terminal, label, &lines);
    }
    for result in &account.results {
        let mailbox = account.mailbox(result.index).map(ToString::to_string).unwrap_or_default();
        let mut lines = vec![mailbox];
        match &result.outcome {
            Outcome::Delivered { reply, .. } => lines.push(format!("the server took it: {reply}")),
            Outcome::Deferred(failure) | Outcome::Bounced(failure) => lines.extend(failure.lines()),
        }
        row(terminal, result.outcome.word(), &lines);
    }
}

/// How long an answer took, where one could notice; a connection tells its own times.
fn took(lines: &mut [String], step: &AccountStep) {
    let noticed = step.took >= NOTICED && !matches!(step.fact, Fact::Connection(_));
    if let (true, Some(first)) = (noticed, lines.first_mut()) {
        first.push_str(&format!(" ({})", milliseconds(step.took)));
    }
}

/// The steps before anybody was called.
pub(crate) fn tell_until_connection(account: &Account, terminal: &mut Terminal) {
    let before = account
        .steps
        .iter()
        .take_while(|step| !matches!(step.fact, Fact::Connection(_) | Fact::Unavailable(_)));
    for step in before {
        let (label, lines) = account.lines(step);
        row(terminal, label, &lines);
    }
}

/// The same as data.
pub(crate) fn to_json(account: &Account) -> Value {
    let step = |step: &AccountStep| {
        let (label, lines) = account.lines(step);
        json!({ "at": step.at.rfc3339().to_string(), "took_us": micros(step.took), "step": label, "text": lines })
    };
    json!({
        "nexthop": account.destination.nexthop.as_str(),
        "protocol": account.destination.service.protocol().as_str(),
        "service": account.destination.service.as_str(),
        "steps": account.steps.iter().map(step).collect::<Vec<_>>(),
        "connections": account.connections.iter().map(|connection| connection_to_json(account, connection)).collect::<Vec<_>>(),
        "attempt": account.attempt,
        "started": account.started.rfc3339().to_string(),
        "ended": account.ended.rfc3339().to_string(),
        "results": account.results.iter().map(|result| conclude::to_json(account, result)).collect::<Vec<_>>(),
    })
}

fn connection_to_json(account: &Account, connection: &Connection) -> Value {
    let policy = account.policies.get(connection.policy);
    json!({
        "host": connection.host.as_ref().map(|host| host.as_str()),
        "address": connection.address.map(|address| address.to_string()),
        "port": connection.port,
        "policy": policy.map(|policy| policy.level.as_str()),
        "policy_source": policy.map(|policy| policy.source.to_string()),
        "level": connection.level.as_str(),
        "lowered": connection.lowered.as_deref(),
        "tls": connection.tls.as_ref().map(|facts| json!({
            "protocol": facts.protocol,
            "cipher": facts.cipher,
            "group": facts.group,
            "sni": facts.sni.as_ref().map(|sni| sni.as_str()),
            "resumed": facts.resumed,
        })),
        "status": connection.status.as_str(),
        "matched": connection.matched,
        "downgrade": connection.downgrade.map(|downgrade| downgrade.to_string()),
        "injected": connection.injected,
        "pooled": connection.pooled,
        "times_us": {
            "connect": micros(connection.times.connect),
            "greeting": micros(connection.times.greeting),
            "tls": micros(connection.times.tls),
            "transaction": micros(connection.times.transaction),
        },
        "certificates": connection.certificates().iter().map(certificate_to_json).collect::<Vec<_>>(),
        "failure": connection.failure.as_ref().map(|failure| format!("{} {}", failure.status, failure.reason)),
    })
}

fn certificate_to_json(certificate: &CertificateFact) -> Value {
    json!({
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "names": certificate.names,
        "all_names": certificate.all_names,
        "sha256": advice::hex(&certificate.sha256),
        "spki_sha256": advice::hex(&certificate.spki_sha256),
        "not_before": certificate.not_before,
        "not_after": certificate.not_after,
    })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
