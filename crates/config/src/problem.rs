//! What is wrong with a configuration, and where.

use std::{fmt, path::Path, sync::Arc};

/// Where something in the configuration stands. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: a default.
    Default,
    /// This line of a file; line 0 is the file as a whole.
    File {
        /// The file.
        file: Arc<str>,
        /// The line, from 1.
        line: u32,
    },
    /// An environment variable.
    Environment(Arc<str>),
}

impl Place {
    /// A file as a whole.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self::line(path, 0)
    }

    /// As tables write it: `/etc/waxseal/tls_policy:12`; without a line, the file as a whole.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let parts = text.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?)));
        let (file, line) = parts.unwrap_or((text, 0));
        Self::File { file: file.into(), line }
    }

    /// A line of a file.
    #[must_use]
    pub fn line(path: &Path, line: u32) -> Self {
        Self::File { file: path.display().to_string().into(), line }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line: 0 } => f.write_str(file),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gravity {
    /// Nothing starts with it, or mail waits for it.
    Error,
    /// It does not do what whoever wrote it may have meant.
    Warning,
    /// Worth knowing.
    Notice,
}

impl Gravity {
    /// `error`, `warning` or `notice`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// One thing that is wrong, or odd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub gravity: Gravity,
    /// Where.
    pub place: Place,
    /// Which key or parameter; empty where the file as a whole is meant.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What would be right; empty where `what` says it.
    pub remedy: String,
}

impl Problem {
    /// An error with a key.
    #[must_use]
    pub fn new(place: Place, key: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { gravity: Gravity::Error, place, key: key.to_owned(), what: what.into(), remedy: remedy.into() }
    }

    /// A warning about a key.
    #[must_use]
    pub fn warning(place: Place, key: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { gravity: Gravity::Warning, ..Self::new(place, key, what, remedy) }
    }

    /// Something about a key that is worth knowing.
    #[must_use]
    pub fn notice(place: Place, key: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { gravity: Gravity::Notice, ..Self::new(place, key, what, remedy) }
    }

    /// From a line of text that begins with its place, `file:line: `, or has none.
    pub(crate) fn of_text(gravity: Gravity, text: &str) -> Self {
        let placed = text.split_once(": ").map(|(place, what)| (Place::of_text(place), what));
        let placed = placed.filter(|(place, _)| matches!(place, Place::File { line: 1.., .. }));
        let (place, what) = placed.unwrap_or((Place::Default, text));
        Self { gravity, ..Self::new(place, "", what, "") }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What stands nowhere has a name at least.
        if self.place != Place::Default {
            write!(f, "{}: ", self.place)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

/// Everything that is wrong with a configuration, at once: errors first, and what else was found. Whoever starts with it ends with status 78.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Those that keep the daemon from starting.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter().filter(|problem| problem.gravity == Gravity::Error)
    }
}

impl fmt::Display for Problems {
    /// The errors, one on a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.errors().enumerate() {
            let newline = if at == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

/// The known name that is most like `word`, where one is alike at all.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let limit = word.chars().count() / 3 + 1;
    let scored = known.into_iter().map(|name| (distance(&word, &name.to_ascii_lowercase()), name));
    scored.filter(|(distance, _)| *distance <= limit).min().map(|(_, name)| name)
}

/// How many letters must be changed, added or left out.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_suggests_the_right_one() {
        let known = ["minimal_backoff", "maximal_backoff", "CAfile", "port"];
        let table = [
            ("minimal_backof", Some("minimal_backoff")),
            ("cafile", Some("CAfile")),
            ("minimal-backoff", Some("minimal_backoff")),
            ("colour", None),
            ("prot", Some("port")),
        ];
        for (word, expected) in table {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
