//! What it comes to: the verdict, what a failure would mean, who can mend it, and what to write to the other side's postmaster.

use waxseal_queue::{Account, Outcome, RecipientResult, Rehearsed, advice};

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

/// Of a rehearsal that called its servers: what would become of mail.
pub(crate) fn tell_live(rehearsed: &Rehearsed, hostname: &str, terminal: &mut Terminal) {
    of(&rehearsed.account, rehearsed.failed(), hostname, terminal);
    tell_stakes(&rehearsed.account, terminal);
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
