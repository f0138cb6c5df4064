//! An account as data: what `explain --json`, `ledger --json`, the demo and the admin API give away. docs/explain.md has every field.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{Account, AccountStep, CertificateFact, Connection, Failure, Outcome, RecipientResult, advice};

impl Account {
    /// All of it but the envelope.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let step = |step: &AccountStep| {
            let (label, lines) = self.lines(step);
            json!({ "at": step.at.rfc3339().to_string(), "took_us": micros(step.took), "step": label, "text": lines })
        };
        json!({
            "nexthop": self.destination.nexthop.as_str(),
            "protocol": self.destination.service.protocol().as_str(),
            "service": self.destination.service.as_str(),
            "attempt": self.attempt,
            "started": self.started.rfc3339().to_string(),
            "ended": self.ended.rfc3339().to_string(),
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
            "connections": self.connections.iter().map(|one| connection(self, one)).collect::<Vec<_>>(),
            "results": self.results.iter().map(|one| result(self, one)).collect::<Vec<_>>(),
        })
    }

    /// The letters to the other side's postmaster; recipients that ended alike have one.
    pub fn letters(&self, hostname: &str) -> impl Iterator<Item = String> {
        let mut told: Vec<&Outcome> = Vec::new();
        self.results.iter().filter_map(move |result| {
            if told.contains(&&result.outcome) {
                return None;
            }
            told.push(&result.outcome);
            advice::letter(self, result, hostname)
        })
    }
}

impl Failure {
    /// What sort of thing failed, who can mend it, and how.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "status": self.status.to_string(),
            "reason": self.reason,
            "reply": self.reply.as_ref().map(ToString::to_string),
            "trouble": self.trouble.as_str(),
            "whose": self.trouble.whose().as_str(),
            "remedy": self.trouble.remedy(),
        })
    }
}

fn connection(account: &Account, connection: &Connection) -> Value {
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
        "certificates": connection.certificates().iter().map(certificate).collect::<Vec<_>>(),
        "failure": connection.failure.as_ref().map(|failure| format!("{} {}", failure.status, failure.reason)),
    })
}

fn certificate(certificate: &CertificateFact) -> Value {
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

/// One recipient's end, by the names of the delivery event.
fn result(account: &Account, result: &RecipientResult) -> Value {
    let failure = result.outcome.failure();
    let (status, reply) = match &result.outcome {
        Outcome::Delivered { reply, .. } => (reply.enhanced(), Some(reply)),
        Outcome::Deferred(failure) | Outcome::Bounced(failure) => (failure.status, failure.reply.as_ref()),
    };
    let connection = advice::deciding(account, result);
    json!({
        "recipient": account.mailbox(result.index).map(ToString::to_string),
        "outcome": result.outcome.word(),
        "status": status.to_string(),
        "reason": failure.map(|failure| &failure.reason),
        "reply": reply.map(ToString::to_string),
        "connection": result.connection,
        "level": advice::level(account, Some(result)).map(|level| level.as_str()),
        "tls_status": connection.map_or("none", |connection| connection.status.as_str()),
        "trouble": failure.map(|failure| failure.trouble.as_str()),
        "whose": failure.map(|failure| failure.trouble.whose().as_str()),
        "remedy": failure.map(|failure| failure.trouble.remedy()),
        "verdict": advice::verdict(account, Some(result)),
    })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
