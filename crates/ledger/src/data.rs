//! An entry as data: what `explain --json`, `ledger --json` and the admin API give away. docs/explain.md has every field.

use serde_json::{Value, json};

use crate::{Entry, Happening};

impl Entry {
    /// All of it; `hostname` is our own name, for the letter to the other side's postmaster.
    #[must_use]
    pub fn to_json(&self, hostname: &str) -> Value {
        let envelope = self.envelope();
        let mut value = json!({
            "time": self.time.rfc3339().to_string(),
            "queue_id": envelope.id.to_string(),
            "sender": envelope.sender.as_ref().map_or("", |sender| sender.as_str()),
            "message_id": envelope.message_id.as_deref(),
            "client": &*envelope.client,
            "arrived": envelope.arrived.rfc3339().to_string(),
            "size": envelope.size,
            "recipients": self.recipients,
            "trace_id": format!("{:032x}", envelope.trace.trace_id),
            "complete": self.complete,
        });
        match &self.happening {
            Happening::Attempt { account, next_attempt } => {
                value["attempt"] = account.to_json();
                value["next_attempt"] = json!(next_attempt.map(|next| next.rfc3339().to_string()));
                value["letter"] = json!(account.letters(hostname).next());
            }
            Happening::Settled { failure, attempts, destination, .. } => {
                let recipients: Vec<&str> =
                    envelope.recipients.iter().map(|recipient| recipient.mailbox.as_str()).collect();
                let mut settled = failure.to_json();
                settled["outcome"] = json!(self.outcomes().next().map(|(_, word, _)| word));
                settled["recipients"] = json!(recipients);
                settled["nexthop"] =
                    json!(destination.as_ref().map(|destination| destination.nexthop.as_str()));
                settled["attempts"] = json!(attempts);
                value["settled"] = settled;
            }
        }
        value
    }
}
