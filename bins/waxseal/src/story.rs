//! The story of one message: what the ledger has of it, and whether it still waits.

use serde_json::{Value, json};
use waxseal_config::Config;
use waxseal_ledger::{Entry, Happening, Ledger};
use waxseal_types::{QueueId, UnixTime};

use crate::{
    conclude, narrate,
    narrate::row,
    queue,
    terminal::{Status, Terminal, complain, count},
};

/// 2020-01-01: a queue id is a time in microseconds, and this one is older than any of ours.
const OLDEST: u64 = 1_577_836_800_000_000;

/// The message that a target names, where it is a queue id and no name of a host.
pub(crate) fn message(target: &str) -> Option<QueueId> {
    target.parse::<QueueId>().ok().filter(|id| id.as_u64() >= OLDEST)
}

pub(crate) fn tell(config: &Config, id: QueueId, as_json: bool, terminal: &mut Terminal) -> Status {
    let entries = match config.ledger.as_ref().map(|ledger| Ledger::open(&ledger.path)) {
        None => Vec::new(),
        Some(opened) => match opened.and_then(|ledger| ledger.story(id)) {
            Ok(entries) => entries,
            Err(error) => {
                complain(format_args!("the ledger: {error}"));
                Vec::new()
            }
        },
    };
    let waiting = queue::waiting(&config.spool.path, id);
    if entries.is_empty() && waiting.is_none() {
        complain(format_args!("{id}: neither in the ledger nor in the queue of a running queue-manager"));
        return Status::No;
    }
    let hostname = config.hostname.as_str();
    if as_json {
        let entries: Vec<Value> = entries.iter().map(|entry| entry.to_json(hostname)).collect();
        terminal.json(&json!({ "queue_id": id.to_string(), "entries": entries, "waiting": waiting }));
        return Status::Done;
    }
    tell_entries(&entries, hostname, terminal);
    match &waiting {
        Some(message) => tell_waiting(message, entries.is_empty(), terminal),
        None => {
            row(terminal, "now", &["no longer in the queue, as far as a running queue-manager says".into()])
        }
    }
    Status::Done
}

fn tell_entries(entries: &[Entry], hostname: &str, terminal: &mut Terminal) {
    let Some(first) = entries.first() else { return };
    let envelope = first.envelope();
    let sender = envelope.sender.as_ref().map_or("<>", |sender| sender.as_str());
    let mut lines = vec![
        format!(
            "{} from {sender}, {} octets, {}",
            envelope.id,
            envelope.size,
            count(first.recipients, "recipient")
        ),
        format!("taken at {} from {}", time(envelope.arrived), envelope.client),
    ];
    lines.extend(envelope.message_id.as_ref().map(|id| format!("Message-ID {id}")));
    row(terminal, "message", &lines);
    for (number, entry) in entries.iter().enumerate() {
        terminal.line("");
        let last = number + 1 == entries.len();
        match &entry.happening {
            Happening::Attempt { account, next_attempt } => {
                let waited = waxseal_queue::milliseconds(account.started.since(envelope.arrived));
                let took = waxseal_queue::milliseconds(account.ended.since(account.started));
                let line = format!(
                    "{} at {}, {waited} after it was taken; it took {took}",
                    account.attempt,
                    time(account.started)
                );
                row(terminal, "attempt", &[line, format!("to {}", account.destination.nexthop)]);
                if !entry.complete {
                    row(terminal, "damaged", &["the rest of this entry of the ledger cannot be read".into()]);
                }
                narrate::tell(account, terminal);
                if let Some(next) = next_attempt {
                    row(terminal, "next", &[format!("to be tried again at {}", time(*next))]);
                }
                if last {
                    conclude::tell(account, hostname, terminal);
                    conclude::tell_stakes(account, terminal);
                }
            }
            Happening::Settled { failure, attempts, .. } => {
                let word = entry.outcomes().next().map_or("settled", |(_, word, _)| word);
                let mut lines: Vec<String> = entry
                    .envelope()
                    .recipients
                    .iter()
                    .map(|recipient| recipient.mailbox.to_string())
                    .collect();
                lines.push(format!(
                    "at {}, after {}",
                    time(entry.time),
                    count(*attempts as usize, "attempt")
                ));
                lines.extend(failure.lines());
                row(terminal, word, &lines);
                if last {
                    conclude::paragraph(terminal, "verdict", failure.trouble.meaning());
                    conclude::paragraph(terminal, "who", failure.trouble.whose().sentence());
                    conclude::paragraph(terminal, "remedy", failure.trouble.remedy());
                }
            }
        }
    }
    terminal.line("");
}

/// What `queue show` says, shortly.
fn tell_waiting(message: &Value, alone: bool, terminal: &mut Terminal) {
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    if alone {
        row(
            terminal,
            "message",
            &[format!("taken at {} from {}", text(message, "arrived"), text(message, "client"))],
        );
    }
    for recipient in message.get("recipients").and_then(Value::as_array).into_iter().flatten() {
        let state = text(recipient, "state");
        let mut lines = vec![format!("{}: {state}", text(recipient, "recipient"))];
        if state == "pending" {
            lines.push(format!("next attempt at {}", text(recipient, "next_attempt")));
        }
        lines.extend(recipient.get("reason").and_then(Value::as_str).map(str::to_owned));
        row(terminal, "waits", &lines);
    }
}

/// To the second.
pub(crate) fn time(time: UnixTime) -> String {
    let text = time.rfc3339().to_string();
    text.split('.').next().map_or_else(|| text.clone(), |seconds| format!("{}Z", seconds.replace('T', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_id_is_told_from_a_name() {
        assert!(message("dZCyJSqXd").is_some());
        for name in ["mx", "localhost", "example.com", "b.test", "[192.0.2.1]", "someone@example.com", ""] {
            assert_eq!(message(name), None, "{name}");
        }
    }
}
