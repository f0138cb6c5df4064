//! An account in sentences. `explain`, the demo, the admin API and its page tell it with these words, so that no two of them differ.

use std::time::Duration;

use waxseal_types::{Domain, Proof, TlsFacts, TlsLevel, TlsStatus};

use crate::{
    account::{Account, Connection, Fact, Failure, Outcome, Standing, Step, TlsaFact},
    advice,
};

/// Certificates of a chain that are told of.
const MOST_CERTIFICATES: usize = 4;

impl Outcome {
    /// `delivered`, `deferred` or `bounced`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Delivered { .. } => "delivered",
            Self::Deferred(_) => "deferred",
            Self::Bounced(_) => "bounced",
        }
    }
}

impl Failure {
    /// Code and sentence, and what the server said where the sentence does not quote it.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{} {}", self.status, self.reason)];
        // A reason often quotes the server; its words are not said twice.
        if let Some(reply) = self.reply.as_ref().filter(|reply| !self.reason.contains(&*reply.text)) {
            lines.push(format!("the server said: {reply}"));
        }
        lines
    }
}

impl Account {
    /// A label for one of its steps, and what was asked and answered in it.
    #[must_use]
    pub fn lines(&self, step: &Step) -> (&'static str, Vec<String>) {
        fact(self, step)
    }
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

fn fact(account: &Account, step: &Step) -> (&'static str, Vec<String>) {
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
            let host = |(preference, host): &(u16, Option<Domain>)| {
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
    lines.extend(connection.failure.iter().flat_map(Failure::lines));
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

/// `12.3 ms`.
#[must_use]
pub fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
