//! Accounts as JSON: the fields of docs/explain.md that the page shows.

use std::time::Duration;

use serde_json::{Value, json};
use waxseal_ledger::{Entry, Happening};
use waxseal_queue::{Account, AccountStep, Connection, Fact, Outcome, Standing};
use waxseal_types::{Domain, Proof};

/// One attempt, or a rehearsal of one.
pub(super) fn account(account: &Account) -> Value {
    let step = |step: &AccountStep| {
        let (label, text) = fact(account, step);
        json!({ "at": step.at.rfc3339().to_string(), "took_us": micros(step.took), "step": label, "text": text })
    };
    let result = |result: &waxseal_queue::RecipientResult| {
        let failure = result.outcome.failure();
        let (outcome, reply) = match &result.outcome {
            Outcome::Delivered { reply, .. } => ("delivered", Some(reply)),
            Outcome::Deferred(failure) => ("deferred", failure.reply.as_ref()),
            Outcome::Bounced(failure) => ("bounced", failure.reply.as_ref()),
        };
        json!({
            "recipient": account.mailbox(result.index).map(ToString::to_string),
            "outcome": outcome,
            "status": failure.map(|failure| failure.status.to_string()),
            "reason": failure.map(|failure| &failure.reason),
            "reply": reply.map(ToString::to_string),
        })
    };
    json!({
        "nexthop": account.destination.nexthop.as_str(),
        "protocol": account.destination.protocol.as_str(),
        "attempt": account.attempt,
        "started": account.started.rfc3339().to_string(),
        "ended": account.ended.rfc3339().to_string(),
        "steps": account.steps.iter().map(step).collect::<Vec<_>>(),
        "results": account.results.iter().map(result).collect::<Vec<_>>(),
    })
}

/// One thing that happened to a message.
pub(super) fn entry(entry: &Entry) -> Value {
    let envelope = entry.envelope();
    let mut value = json!({
        "time": entry.time.rfc3339().to_string(),
        "queue_id": envelope.id.to_string(),
        "sender": envelope.sender.as_ref().map_or_else(String::new, ToString::to_string),
        "message_id": envelope.message_id.as_ref().map(ToString::to_string),
        "client": envelope.client.to_string(),
        "arrived": envelope.arrived.rfc3339().to_string(),
        "size": envelope.size,
        "recipients": entry.recipients,
        "complete": entry.complete,
    });
    match &entry.happening {
        Happening::Attempt { account: made, next_attempt } => {
            value["attempt"] = account(made);
            value["next_attempt"] = json!(next_attempt.map(|time| time.rfc3339().to_string()));
        }
        Happening::Settled { destination, failure, attempts, .. } => {
            let outcome = entry.outcomes().next().map(|(_, word, _)| word);
            let recipients = envelope.recipients.iter().map(|one| one.mailbox.to_string());
            value["settled"] = json!({
                "outcome": outcome,
                "recipients": recipients.collect::<Vec<_>>(),
                "nexthop": destination.as_ref().map(|destination| destination.nexthop.as_str()),
                "status": failure.status.to_string(),
                "reason": failure.reason,
                "attempts": attempts,
            });
        }
    }
    value
}

fn proven(standing: &Standing) -> String {
    match (standing.proof, &standing.why) {
        (Proof::Secure, _) => "secure by DNSSEC".to_owned(),
        (Proof::Insecure, None) => "not secured by DNSSEC".to_owned(),
        (Proof::Insecure, Some(why)) => format!("not secured by DNSSEC: {why}"),
    }
}

fn fact(account: &Account, step: &AccountStep) -> (&'static str, Vec<String>) {
    let one = |text: String| vec![text];
    match &step.fact {
        Fact::Policy(number) => {
            let policy = account.policies.get(*number);
            let text =
                policy.map(|fact| format!("{}: level {}, from {}", fact.nexthop, fact.level, fact.source));
            ("policy", text.into_iter().collect())
        }
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
            lines.extend(records.iter().map(|record| match &record.unusable {
                None => record.text.clone(),
                Some(why) => format!("{}, unusable: {why}", record.text),
            }));
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
    let mut lines = vec![format!("to {host}{address}:{} at level {}", connection.port, connection.level)];
    match &connection.tls {
        Some(facts) => {
            let matched =
                connection.matched.as_ref().map(|matched| format!(", by {matched}")).unwrap_or_default();
            lines.push(format!("{}, {}", facts.protocol, facts.cipher));
            lines.push(format!("verdict {}{matched}", connection.status));
        }
        None => {
            lines.push(connection.downgrade.map_or_else(|| "without TLS".to_owned(), |why| why.to_string()));
        }
    }
    if connection.injected > 0 {
        lines.push(format!(
            "{} octets came in clear behind the reply to STARTTLS: a sign of attack",
            connection.injected
        ));
    }
    lines.extend(connection.failure.as_ref().map(|failure| format!("{} {}", failure.status, failure.reason)));
    lines
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
