//! What it comes to: the verdict, what a failure would mean, who can mend it, and what to write to the other side's postmaster.

use serde_json::{Value, json};
use waxseal_queue::{Account, Outcome, RecipientResult, advice};

use crate::{narrate::row, terminal::Terminal};

/// How wide a paragraph is.
const WIDTH: usize = 100;

/// A paragraph: in lines of some width for a person, in one for a program.
pub(crate) fn paragraph(terminal: &mut Terminal, label: &str, text: &str) {
    let lines = if terminal.is_for_a_person() { folded(text) } else { vec![text.to_owned()] };
    row(terminal, label, &lines);
}

fn folded(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { continue };
        if !line.is_empty() && line.len() + word.len() >= WIDTH {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// Of an attempt that is over: one verdict for all that ended alike.
pub(crate) fn tell(account: &Account, hostname: &str, terminal: &mut Terminal) {
    let mut told: Vec<&Outcome> = Vec::new();
    for result in &account.results {
        if told.contains(&&result.outcome) {
            continue;
        }
        told.push(&result.outcome);
        of(account, Some(result), hostname, terminal);
    }
}

/// Of a rehearsal: what would become of mail.
pub(crate) fn tell_live(account: &Account, hostname: &str, terminal: &mut Terminal) {
    of(account, account.results.first(), hostname, terminal);
    tell_stakes(account, terminal);
}

/// What a failure would mean.
pub(crate) fn tell_stakes(account: &Account, terminal: &mut Terminal) {
    if let Some(level) = advice::level(account, account.results.first()) {
        paragraph(terminal, "demanded", advice::demanded(level));
        paragraph(terminal, "if it fails", advice::stakes(level));
    }
}

fn of(account: &Account, result: Option<&RecipientResult>, hostname: &str, terminal: &mut Terminal) {
    paragraph(terminal, "verdict", &advice::verdict(account, result));
    let Some(result) = result else { return };
    if let Some(failure) = result.outcome.failure() {
        paragraph(terminal, "who", failure.trouble.whose().sentence());
        paragraph(terminal, "remedy", failure.trouble.remedy());
    }
    if let Some(letter) = advice::letter(account, result, hostname) {
        paragraph(terminal, "to them", &letter);
    }
}

/// One recipient's end as data, by the names of the delivery event.
pub(crate) fn to_json(account: &Account, result: &RecipientResult) -> Value {
    let failure = result.outcome.failure();
    let reply = match &result.outcome {
        Outcome::Delivered { reply, .. } => Some(reply),
        Outcome::Deferred(failure) | Outcome::Bounced(failure) => failure.reply.as_ref(),
    };
    let connection = advice::deciding(account, result);
    let status = match &result.outcome {
        Outcome::Delivered { reply, .. } => reply.enhanced(),
        Outcome::Deferred(failure) | Outcome::Bounced(failure) => failure.status,
    };
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

/// The end of a rehearsal as data.
pub(crate) fn live_to_json(account: &Account, called: bool, hostname: &str) -> Value {
    let result = account.results.first().filter(|_| called);
    let level = advice::level(account, result);
    json!({
        "verdict": called.then(|| advice::verdict(account, result)),
        "demanded": level.map(advice::demanded),
        "if_it_fails": level.map(advice::stakes),
        "letter": result.and_then(|result| advice::letter(account, result, hostname)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_folded_between_words() {
        let text = "word ".repeat(60);
        let lines = folded(text.trim());
        assert!(lines.len() == 3 && lines.iter().all(|line| line.len() <= WIDTH));
        assert_eq!(lines.join(" "), text.trim());
        assert_eq!(folded(""), [""]);
    }
}
