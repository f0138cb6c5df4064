//! Accounts as JSON: the fields of docs/explain.md that the page shows.

use std::time::Duration;

use serde_json::{Value, json};
use waxseal_ledger::{Entry, Happening};
use waxseal_queue::{Account, AccountStep, Outcome};

/// One attempt, or a rehearsal of one.
pub(super) fn account(account: &Account) -> Value {
    let step = |step: &AccountStep| {
        let (label, text) = account.lines(step);
        json!({ "at": step.at.rfc3339().to_string(), "took_us": micros(step.took), "step": label, "text": text })
    };
    let result = |result: &waxseal_queue::RecipientResult| {
        let failure = result.outcome.failure();
        let reply = match &result.outcome {
            Outcome::Delivered { reply, .. } => Some(reply),
            Outcome::Deferred(failure) | Outcome::Bounced(failure) => failure.reply.as_ref(),
        };
        json!({
            "recipient": account.mailbox(result.index).map(ToString::to_string),
            "outcome": result.outcome.word(),
            "status": failure.map(|failure| failure.status.to_string()),
            "reason": failure.map(|failure| &failure.reason),
            "reply": reply.map(ToString::to_string),
        })
    };
    json!({
        "nexthop": account.destination.nexthop.as_str(),
        "protocol": account.destination.service.protocol().as_str(),
        "service": account.destination.service.as_str(),
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

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
