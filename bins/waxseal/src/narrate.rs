//! An account as a person reads it. `demo` and `explain` tell with it what the delivery plan asked, was answered, and did.

use std::time::Duration;

use waxseal_queue::{Account, AccountStep, Fact, Outcome, milliseconds};

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
