//! What a person sees: lines on standard output, complaints on standard error, and the exit status.

use std::{
    fmt::{self, Display, Write as _},
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use serde_json::Value;

/// How a command ended (interface, "the operator's command"; sysexits(3) from 64 on).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// It is done, or the answer is yes.
    Done,
    /// The answer is no.
    No,
    /// Called with the wrong words.
    Usage,
    /// Something is not there just now.
    TryAgain,
    /// The configuration is wrong.
    Configuration,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Done => 0,
            Status::No => 1,
            Status::Usage => 64,
            Status::TryAgain => 75,
            Status::Configuration => 78,
        })
    }
}

/// Standard output. A reader that went away (`waxseal queue list | head`) is no fault; nothing more is written then.
pub(crate) struct Terminal {
    out: Box<dyn io::Write>,
    fault: Option<io::Error>,
    colour: bool,
    person: bool,
}

/// What a label says at a glance, where the terminal has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Waiting,
    Bad,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let person = io::stdout().is_terminal();
        // https://no-color.org: any value but the empty one.
        let colour = person && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        Self { out: Box::new(io::stdout()), fault: None, colour, person }
    }

    /// Whether a person reads it, and not a program behind a pipe.
    pub(crate) const fn is_for_a_person(&self) -> bool {
        self.person
    }

    /// A label, so wide, with a colour on a terminal only; and what it is of.
    pub(crate) fn labelled(&mut self, label: &str, width: usize, tone: Tone, text: impl Display) {
        let code = match tone {
            Tone::Plain => "1",
            Tone::Good => "1;32",
            Tone::Waiting => "1;33",
            Tone::Bad => "1;31",
        };
        if self.colour && !label.is_empty() {
            self.line(format_args!("  \u{1b}[{code}m{label:<width$}\u{1b}[0m{text}"));
        } else {
            self.line(format_args!("  {label:<width$}{text}"));
        }
    }

    /// Writes one line, or several.
    pub(crate) fn line(&mut self, text: impl Display) {
        if self.fault.is_none() {
            self.fault = writeln!(self.out, "{text}").err();
        }
    }

    /// Whether anybody still reads.
    pub(crate) const fn is_open(&self) -> bool {
        self.fault.is_none()
    }

    /// Writes one JSON value on one line.
    pub(crate) fn json(&mut self, value: &Value) {
        self.line(value);
    }

    /// The exit code; a standard output that could not be written, a full disk say, is not a success.
    pub(crate) fn finish(mut self, status: Status) -> ExitCode {
        let fault = self.fault.take().or_else(|| self.out.flush().err());
        match fault {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                complain(format_args!("cannot write to standard output: {error}"));
                Status::TryAgain.into()
            }
            Some(_) | None => status.into(),
        }
    }
}

/// One line on standard error. Nobody can be told that it could not be written.
pub(crate) fn complain(text: impl Display) {
    let _ = writeln!(io::stderr(), "waxseal: {text}");
}

/// Text of strangers as a terminal may show it: control characters, and those that turn the direction of writing, are
/// escaped; line ends stay where the text has lines.
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // UAX #9 §2: embeddings, overrides and isolates.
        let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        for c in self.0.chars() {
            match c {
                '\n' | '\t' => f.write_char(c)?,
                c if c.is_control() || turns(c) => write!(f, "{}", c.escape_unicode())?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// `1 message`, `2 messages`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_strangers_cannot_drive_the_terminal() {
        for (text, shown) in [
            ("plain, 例え", "plain, 例え"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\r\nb", "a\\u{d}\nb"),
            ("\u{9b}31m", "\\u{9b}31m"),
        ] {
            assert_eq!(Printable(text).to_string(), shown);
        }
    }
}
