//! An account in words for people: what was demanded, what was tried, what it comes to, and whom to write to. Pure; `explain`, notifications and
//! the web page say the same because they say this.

use std::{fmt::Write as _, sync::Arc};

use waxseal_types::{TlsLevel, TlsStatus, UnixTime};

use crate::{
    Account, CertificateFact, Connection, Fact, Failure, Outcome, RecipientResult, Whose, plan::Downgrade,
};

/// More lines about what was tried are not told; an attempt goes to a handful of servers.
const MOST_LINES: usize = 6;
/// Longer ones are cut; server's replies are longer at times.
const LONGEST_LINE: usize = 300;

/// What a level demands, for somebody who has never seen its name.
#[must_use]
pub const fn demanded(level: TlsLevel) -> &'static str {
    match level {
        TlsLevel::None => "nothing: mail to this destination goes in clear",
        TlsLevel::May => "encryption where the server offers it",
        TlsLevel::Encrypt => "encryption, whoever the server is",
        TlsLevel::Dane => {
            "a server that proves itself by keys published in signed DNS (DANE), where the domain publishes them"
        }
        TlsLevel::DaneOnly => "a server that proves itself by keys published in signed DNS (DANE)",
        TlsLevel::Fingerprint => "a server with one of the certificates that are listed for it",
        TlsLevel::Verify => "a server with a certificate of a trusted authority for its own name",
        TlsLevel::Secure => "a server with a certificate of a trusted authority for the destination's name",
    }
}

/// What a failure at that level means.
#[must_use]
pub const fn stakes(level: TlsLevel) -> &'static str {
    match level {
        TlsLevel::None => "nothing protects this mail; whoever is on the way can read it",
        TlsLevel::May => {
            "without TLS the mail goes in clear, at once where it is not offered and after the first wait where it fails; an attacker on the way can \
             cause that"
        }
        TlsLevel::Encrypt => {
            "without TLS the mail waits and is returned in the end; a false server with any certificate would not be noticed"
        }
        TlsLevel::Dane | TlsLevel::DaneOnly | TlsLevel::Fingerprint | TlsLevel::Verify | TlsLevel::Secure => {
            "a server that does not prove itself gets nothing; the mail waits, and is returned when it has waited too long"
        }
    }
}

/// The connection that decided about a recipient, or else the last one.
#[must_use]
pub fn deciding<'a>(account: &'a Account, result: &RecipientResult) -> Option<&'a Connection> {
    match result.connection {
        Some(number) => account.connections.get(number),
        None => account.connections.last(),
    }
}

/// The level in effect for a recipient: that of the connection, or else of the policy.
#[must_use]
pub fn level(account: &Account, result: Option<&RecipientResult>) -> Option<TlsLevel> {
    let connection = match result {
        Some(result) => deciding(account, result),
        None => account.connections.last(),
    };
    connection
        .map(|connection| connection.level)
        .or_else(|| account.policies.last().map(|policy| policy.level))
}

/// `mx.example.com[192.0.2.1]:25`.
#[must_use]
pub fn server(connection: &Connection) -> String {
    let mut text = connection.host.as_ref().map_or_else(String::new, ToString::to_string);
    if let Some(address) = connection.address {
        let _ = write!(text, "[{address}]:{}", connection.port);
    }
    text
}

/// What was demanded and what was tried, one thing a line: what a notification tells besides the last reason.
#[must_use]
pub fn tried(account: &Account, result: &RecipientResult) -> Option<Arc<str>> {
    let mut lines = Vec::new();
    if let Some(level) = level(account, Some(result)) {
        lines.push(format!("Demanded: {}.", demanded(level)));
    }
    for step in &account.steps {
        match &step.fact {
            Fact::Skipped { host, reason } => lines.push(format!("{host} was not called: {reason}")),
            Fact::Connection(number) => {
                let Some(connection) = account.connections.get(*number) else { continue };
                if let Some(failure) = &connection.failure {
                    lines.push(format!("{}: {}", server(connection), failure.reason));
                }
            }
            Fact::Policy(_)
            | Fact::PolicyFailed(_)
            | Fact::Mx { .. }
            | Fact::Addresses { .. }
            | Fact::Alias { .. }
            | Fact::Tlsa { .. }
            | Fact::Absent { .. }
            | Fact::DnsFailed(_)
            | Fact::Lowered { .. }
            | Fact::Unavailable(_) => {}
        }
    }
    lines.dedup();
    let left_out = lines.len().saturating_sub(MOST_LINES);
    lines.truncate(MOST_LINES);
    if left_out > 0 {
        lines.push(format!("and {left_out} more."));
    }
    let lines: Vec<String> = lines.iter().map(|line| cut(line)).collect();
    (!lines.is_empty()).then(|| lines.join("\n").into())
}

fn cut(line: &str) -> String {
    let line = line.replace(['\r', '\n'], " ");
    if line.chars().count() <= LONGEST_LINE {
        return line;
    }
    line.chars().take(LONGEST_LINE).chain("...".chars()).collect()
}

/// What it comes to, in one sentence: of a recipient, or of a connection over which mail could be sent.
#[must_use]
pub fn verdict(account: &Account, result: Option<&RecipientResult>) -> String {
    let connection = match result {
        Some(result) => deciding(account, result),
        None => account.connections.last(),
    };
    match result.map(|result| &result.outcome) {
        Some(Outcome::Deferred(failure)) => format!("it waits. {}", failure.trouble.meaning()),
        Some(Outcome::Bounced(failure)) => format!("it cannot be delivered. {}", failure.trouble.meaning()),
        Some(Outcome::Delivered { .. }) => format!("delivered{}", seal(connection)),
        None => format!("mail would go{}", seal(connection)),
    }
}

fn seal(connection: Option<&Connection>) -> String {
    let Some(connection) = connection else { return ".".to_owned() };
    match connection.status {
        TlsStatus::Verified => {
            " sealed, to a server that proved to be the one that the policy demands.".to_owned()
        }
        TlsStatus::Trusted => {
            " encrypted, to a server with a certificate of a trusted authority; its name was not demanded."
                .to_owned()
        }
        TlsStatus::Untrusted => {
            " encrypted, but nobody proved who the server is: somebody in between would not be noticed."
                .to_owned()
        }
        TlsStatus::None => format!(" in clear: {}.", why_clear(connection)),
    }
}

/// Why a connection was without TLS.
#[must_use]
pub const fn why_clear(connection: &Connection) -> &'static str {
    match (connection.downgrade, connection.level) {
        (Some(Downgrade::NotOffered), _) => "the server does not offer STARTTLS",
        (Some(Downgrade::EhloRefused), _) => "the server refused EHLO, without which there is no STARTTLS",
        (Some(Downgrade::Refused), _) => "the server refused STARTTLS",
        (Some(Downgrade::HandshakeFailed), _) => {
            "the TLS handshake failed, and the message had waited long enough"
        }
        (Some(Downgrade::SessionDied), _) => {
            "a TLS session broke off, and the message had waited long enough"
        }
        (None, TlsLevel::None) => "the policy says so",
        (None, _) => "there is no TLS on this connection",
    }
}

/// Whether something is wrong on the other side, so that their postmaster should know.
#[must_use]
pub const fn is_theirs(failure: &Failure) -> bool {
    matches!(failure.trouble.whose(), Whose::TheirServer | Whose::TheirDns)
}

/// A paragraph for the postmaster of the other side, where something is wrong there.
#[must_use]
pub fn letter(account: &Account, result: &RecipientResult, hostname: &str) -> Option<String> {
    let failure = result.outcome.failure().filter(|failure| is_theirs(failure))?;
    let domain = account
        .destination
        .nexthop
        .domain()
        .map_or_else(|| account.destination.nexthop.to_string(), ToString::to_string);
    let mut text = format!(
        "To the postmaster of {domain}: our mail system {hostname} has mail for you that it cannot hand over (first seen at {}). ",
        account.started.rfc5322()
    );
    if let Some(connection) = deciding(account, result) {
        let _ = write!(text, "The server is {}. ", server(connection));
    }
    let _ =
        write!(text, "What failed: {}. {} ", failure.reason.trim_end_matches('.'), failure.trouble.remedy());
    evidence(&mut text, account, deciding(account, result));
    let _ =
        write!(text, "Until then your mail waits here; nothing was sent over a connection that is not safe.");
    Some(text)
}

/// What they publish and what they show, side by side.
fn evidence(text: &mut String, account: &Account, connection: Option<&Connection>) {
    for step in &account.steps {
        if let Fact::Tlsa { base, port, records, .. } = &step.fact {
            let records: Vec<&str> = records.iter().map(|record| record.text.as_str()).collect();
            let _ =
                write!(text, "DNS has these TLSA records at _{port}._tcp.{base}: {}. ", records.join("; "));
        }
    }
    let Some(leaf) = connection.and_then(|connection| connection.certificates().first().cloned()) else {
        return;
    };
    let _ = write!(text, "Your server shows the certificate {}. ", describe(&leaf));
    let _ = write!(text, "The record that fits it is \"TLSA 3 1 1 {}\". ", hex(&leaf.spki_sha256));
}

/// A certificate in one line.
#[must_use]
pub fn describe(certificate: &CertificateFact) -> String {
    let mut text = format!("{} for ", certificate.subject);
    if certificate.names.is_empty() {
        text.push_str("no name in DNS");
    } else {
        text.push_str(&certificate.names.join(", "));
    }
    if certificate.all_names > certificate.names.len() {
        let _ = write!(text, " and {} more", certificate.all_names - certificate.names.len());
    }
    let date = |seconds: Option<i64>| {
        seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(|seconds| UnixTime::from_secs(seconds).rfc3339())
    };
    if let Some(end) = date(certificate.not_after) {
        let end = end.to_string();
        let _ = write!(text, ", valid until {}", end.get(..10).unwrap_or(&end));
    }
    let _ = write!(text, ", key SHA-256 {}", hex(&certificate.spki_sha256));
    text
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}
