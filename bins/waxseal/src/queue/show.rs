//! Rows and messages as a person reads them.

use serde_json::Value;

use crate::terminal::{Printable, Terminal, count};

/// A text of an answer, safe for the terminal.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> Printable<'a> {
    Printable(value.get(key).and_then(Value::as_str).unwrap_or_default())
}

pub(crate) fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn amount(value: &Value, key: &str) -> usize {
    usize::try_from(number(value, key)).unwrap_or(usize::MAX)
}

/// To the second, which is what a person compares with a watch.
pub(crate) fn time(value: &Value, key: &str) -> String {
    let time = text(value, key).to_string();
    time.split('.').next().map(|seconds| format!("{}Z", seconds.replace('T', " "))).unwrap_or(time)
}

fn sender(value: &Value) -> String {
    let sender = text(value, "sender").to_string();
    if sender.is_empty() { "<>".to_owned() } else { sender }
}

/// What an action has done.
pub(super) fn past(action: &str) -> &'static str {
    match action {
        "retry" => "tried again now",
        "hold" => "held",
        "release" => "released",
        "remove" => "removed",
        "bounce" => "bounced",
        "reroute" => "rerouted",
        _ => "changed",
    }
}

pub(super) fn deliveries(done: &Value) -> String {
    match amount(done, "deliveries") {
        1 => "1 delivery".to_owned(),
        number => format!("{number} deliveries"),
    }
}

/// A listing under way.
#[derive(Default)]
pub(super) struct Listing {
    /// Rows of one message follow each other.
    last: Option<String>,
    messages: usize,
}

impl Listing {
    pub(super) fn row(&mut self, row: &Value, terminal: &mut Terminal) {
        let id = text(row, "queue_id").to_string();
        if self.last.as_ref() != Some(&id) {
            self.messages += 1;
            let (arrived, size) = (time(row, "arrived"), number(row, "size"));
            terminal.line(format_args!("{id}  {arrived}  {size} octets  from {}", sender(row)));
            self.last = Some(id);
        }
        let when = match row.get("state").and_then(Value::as_str) {
            Some("active") => "in delivery now".to_owned(),
            Some("held") => "held".to_owned(),
            Some(_) | None => format!("next at {}", time(row, "next_attempt")),
        };
        let attempts = count(amount(row, "attempts"), "attempt");
        terminal.line(format_args!("    for {}: {attempts}, {when}", text(row, "destination")));
        let recipients = row.get("recipients").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for recipient in recipients.iter().filter_map(Value::as_str) {
            terminal.line(format_args!("      to {}", Printable(recipient)));
        }
        let more = amount(row, "recipient_count").saturating_sub(recipients.len());
        if more > 0 {
            terminal.line(format_args!("      and {more} more"));
        }
        if row.get("reason").is_some_and(|reason| !reason.is_null()) {
            terminal.line(format_args!("      {}", text(row, "reason")));
        }
    }

    pub(super) fn end(&self, terminal: &mut Terminal) {
        match self.messages {
            0 => terminal.line("No message waits."),
            number => terminal.line(format_args!("{}.", count(number, "message"))),
        }
    }
}

pub(super) fn message(message: &Value, terminal: &mut Terminal) {
    let held = if message.get("held").and_then(Value::as_bool) == Some(true) { "  held" } else { "" };
    let size = number(message, "size");
    terminal.line(format_args!("{}  {size} octets{held}", text(message, "queue_id")));
    terminal.line(format_args!("  arrived  {} from {}", time(message, "arrived"), text(message, "client")));
    terminal.line(format_args!("  sender   {}", sender(message)));
    let recipients = message.get("recipients").and_then(Value::as_array);
    for recipient in recipients.into_iter().flatten() {
        let next = match recipient.get("next_attempt").is_some_and(Value::is_string) {
            true => format!(", next at {}", time(recipient, "next_attempt")),
            false => String::new(),
        };
        let (state, attempts) = (text(recipient, "state"), count(amount(recipient, "attempts"), "attempt"));
        terminal.line(format_args!(
            "  to       {}: {state} after {attempts}{next}",
            text(recipient, "recipient")
        ));
        if recipient.get("reason").is_some_and(|reason| !reason.is_null()) {
            terminal.line(format_args!("           {}", text(recipient, "reason")));
        }
    }
    let header = message.get("header").and_then(Value::as_str).unwrap_or_default().replace("\r\n", "\n");
    terminal.line("");
    header.lines().for_each(|line| terminal.line(format_args!("  {}", Printable(line))));
}
