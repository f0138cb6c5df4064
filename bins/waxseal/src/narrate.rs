//! An account as a person reads it. `demo` and `explain` tell with it what the delivery plan asked, was answered, and did.

use std::time::Duration;

use serde_json::{Value, json};
use waxseal_queue::{
    Account, AccountStep, CertificateFact, Connection, Fact, Failure, Outcome, Standing, TlsaFact, advice,
};
use waxseal_types::{Proof, TlsFacts, TlsLevel, TlsStatus};

use crate::conclude;
use crate::terminal::{Printable, Terminal, Tone};

/// Answers from a cache take less.
const NOTICED: Duration = Duration::from_millis(1);
/// Certificates of a chain that are told of.
const MOST_CERTIFICATES: usize = 4;
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
        let (label, mut lines) = fact(account, step);
        took(&mut lines, step);
        row(terminal, label, &lines);
    }
    for result in &account.results {
        let mailbox = account.mailbox(result.index).map(ToString::to_string).unwrap_or_default();
        let mut lines = vec![mailbox];
        match &result.outcome {
            Outcome::Delivered { reply, .. } => lines.push(format!("the server took it: {reply}")),
            Outcome::Deferred(failure) | Outcome::Bounced(failure) => lines.extend(failed(failure)),
        }
        row(terminal, word(&result.outcome), &lines);
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
        let (label, lines) = fact(account, step);
        row(terminal, label, &lines);
    }
}

pub(crate) const fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered { .. } => "delivered",
        Outcome::Deferred(_) => "deferred",
        Outcome::Bounced(_) => "bounced",
    }
}

pub(crate) fn failed(failure: &Failure) -> Vec<String> {
    let mut lines = vec![format!("{} {}", failure.status, failure.reason)];
    // A reason often quotes the server; its words are not said twice.
    if let Some(reply) = failure.reply.as_ref().filter(|reply| !failure.reason.contains(&*reply.text)) {
        lines.push(format!("the server said: {reply}"));
    }
    lines
}

/// `secure by DNSSEC`; where it is not, why; and what an alias stands for.
fn proven(standing: &Standing) -> String {
    let mut text = match (standing.proof, &standing.why) {
        (Proof::Secure, _) => "secure by DNSSEC".to_owned(),
        (Proof::Insecure, None) => "not secured by DNSSEC".to_owned(),
        (Proof::Insecure, Some(why)) => format!("not secured by DNSSEC: {why}"),
    };
    if let Some(canonical) = &standing.canonical {
        text.push_str(&format!("; an alias of {canonical}"));
    }
    text
}

fn record(record: &TlsaFact) -> String {
    match &record.unusable {
        None => record.text.clone(),
        Some(why) => format!("{}, unusable: {why}", record.text),
    }
}

fn fact(account: &Account, step: &AccountStep) -> (&'static str, Vec<String>) {
    let one = |text: String| vec![text];
    match &step.fact {
        Fact::Policy(number) => (
            "policy",
            account.policies.get(*number).map_or_else(Vec::new, |policy| {
                one(format!("{}: level {}, from {}", policy.nexthop, policy.level, policy.source))
            }),
        ),
        Fact::PolicyFailed(reason) => ("policy", one(reason.clone())),
        Fact::Mx { domain, hosts, standing } => {
            let host = |(preference, host): &(u16, Option<waxseal_types::Domain>)| {
                format!("{preference} {}", host.as_ref().map_or(".", |host| host.as_str()))
            };
            let hosts: Vec<String> = hosts.iter().map(host).collect();
            ("mail hosts", one(format!("{domain} has MX {}; {}", hosts.join(", "), proven(standing))))
        }
        Fact::Addresses { host, addresses, standing } => {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            ("addresses", one(format!("{host} is at {}; {}", addresses.join(", "), proven(standing))))
        }
        Fact::Alias { name, target, standing } => {
            ("alias", one(format!("{name} is an alias of {target}; the alias is {}", proven(standing))))
        }
        Fact::Tlsa { base, port, records, standing } => {
            let mut lines = one(format!("{base} has TLSA records for port {port}; {}", proven(standing)));
            lines.extend(records.iter().map(record));
            ("tlsa", lines)
        }
        Fact::Lowered { host, level, reason } => {
            let host = host.as_ref().map_or("this address", |host| host.as_str());
            ("level", one(format!("{level} for {host}: {reason}")))
        }
        Fact::Absent { what, standing } => {
            ("absent", one(format!("{what} does not exist; {}", proven(standing))))
        }
        Fact::DnsFailed(failure) => ("dns failed", one(failure.to_string())),
        Fact::Skipped { host, reason } => ("passed over", one(format!("{host}: {reason}"))),
        Fact::Unavailable(service) => ("missing", one(format!("the service {service} did not answer"))),
        Fact::Connection(number) => {
            ("connection", account.connections.get(*number).map_or_else(Vec::new, connection))
        }
    }
}

fn connection(connection: &Connection) -> Vec<String> {
    let host = connection.host.as_ref().map_or("", |host| host.as_str());
    let address = connection.address.map_or_else(|| "a socket".to_owned(), |address| format!("[{address}]"));
    let pooled = if connection.pooled { ", open from before" } else { "" };
    let mut lines =
        vec![format!("to {host}{address}:{} at level {}{pooled}", connection.port, connection.level)];
    match &connection.tls {
        Some(facts) => lines.extend([tls(facts), certificate(connection)]),
        None => lines.push(match (connection.downgrade, connection.level) {
            (Some(downgrade), _) => downgrade.to_string(),
            (None, TlsLevel::None) => "in clear, as the policy says".to_owned(),
            (None, _) => "without TLS".to_owned(),
        }),
    }
    if connection.injected > 0 {
        lines.push(format!(
            "{} octets came in clear behind the reply to STARTTLS and were thrown away: a sign of attack",
            connection.injected
        ));
    }
    lines.extend(connection.failure.iter().flat_map(failed));
    let certificates = connection.certificates();
    for (depth, certificate) in certificates.iter().enumerate().take(MOST_CERTIFICATES) {
        lines.push(format!("certificate {depth}: {}", advice::describe(certificate)));
    }
    lines.extend(Some(times(connection)).filter(|times| !times.is_empty()));
    lines
}

fn tls(facts: &TlsFacts) -> String {
    let mut parts = vec![facts.protocol.to_owned(), facts.cipher.to_owned()];
    parts.extend(facts.group.map(|group| format!("key exchange {group}")));
    parts.push(
        facts
            .sni
            .as_ref()
            .map_or_else(|| "no server name sent".to_owned(), |sni| format!("server name {sni}")),
    );
    parts.push(if facts.resumed { "session resumed" } else { "full handshake" }.to_owned());
    if facts.client_certificate {
        parts.push("client certificate shown".to_owned());
    }
    parts.join(", ")
}

fn certificate(connection: &Connection) -> String {
    let what = match connection.status {
        TlsStatus::Verified => "the server is who the policy demands",
        TlsStatus::Trusted if connection.failure.is_some() => {
            "its certificate leads to a trusted authority, but is not for the name that is demanded"
        }
        TlsStatus::Untrusted if connection.failure.is_some() => {
            "encrypted; the server did not prove who it is"
        }
        TlsStatus::Trusted => "its certificate leads to a trusted authority; its name was not demanded",
        TlsStatus::Untrusted => "encrypted; the policy demands no proof of who it is",
        TlsStatus::None => "not judged",
    };
    let matched = connection.matched.as_ref().map(|matched| format!(", by {matched}")).unwrap_or_default();
    format!("verdict {}: {what}{matched}", connection.status)
}

fn times(connection: &Connection) -> String {
    let times = &connection.times;
    let phases = [
        ("connect", times.connect),
        ("greeting", times.greeting),
        ("TLS", times.tls),
        ("transaction", times.transaction),
    ];
    let said: Vec<String> = phases
        .into_iter()
        .filter(|(_, time)| !time.is_zero())
        .map(|(name, time)| format!("{name} {}", milliseconds(time)))
        .collect();
    said.join(", ")
}

pub(crate) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// The same as data.
pub(crate) fn to_json(account: &Account) -> Value {
    let step = |step: &AccountStep| {
        let (label, lines) = fact(account, step);
        json!({ "at": step.at.rfc3339().to_string(), "took_us": micros(step.took), "step": label, "text": lines })
    };
    json!({
        "nexthop": account.destination.nexthop.as_str(),
        "protocol": account.destination.protocol.as_str(),
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
