//! What is in a table that is held in memory, whichever language it is written in.

use std::borrow::Cow;

use crate::{
    TableError, Warning,
    braces::{self, closing},
    cidr::Cidr,
    entries::Entries,
    lines::{LogicalLine, logical_lines},
    patterns::Patterns,
    regex::Dialect,
    sql::{Query, Sql},
    stored::{self, Berkeley},
    texthash::{self, Duplicates, fold},
};

/// The language of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Texthash,
    Rules(Language),
    /// The text beside a database.
    Source(Berkeley),
    Cdb,
    Lmdb,
    /// A query file.
    Query(Sql),
}

/// The language of rules that are tried in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Regexp,
    Pcre,
    Cidr,
}

#[derive(Debug)]
pub(crate) enum Content {
    Entries(Entries),
    Rules(Box<Rules>),
    /// Somebody else has the answers.
    Query(Box<Query>),
}

#[derive(Debug)]
pub(crate) struct Rules {
    script: Script,
    /// What they were read from: the same text is no new version.
    source: Vec<u8>,
}

#[derive(Debug)]
enum Script {
    Patterns(Patterns),
    Cidr(Cidr),
}

/// The lookup of a rule that cannot be decided: the rule's line, and why.
pub(crate) type Undecided = (u32, String);

impl Format {
    /// Reads a whole file. What Postfix skips with a warning is skipped with a warning.
    pub(crate) fn parse(self, path: &str, text: &[u8]) -> Result<(Content, Vec<Warning>), TableError> {
        if self.is_text() && !text.is_empty() && !text.ends_with(b"\n") {
            return Err(TableError::Unfinished(path.to_owned()));
        }
        let entries = |(entries, warnings)| (Content::Entries(entries), warnings);
        match self {
            Self::Texthash => texthash::parse(path, text, Duplicates::Refused).map(entries),
            Self::Source(database) => {
                let (content, mut warnings) =
                    texthash::parse(path, text, Duplicates::Ignored).map(entries)?;
                warnings.insert(0, database.warning(path));
                Ok((content, warnings))
            }
            Self::Cdb => stored::parse_cdb(path, text).map(entries),
            Self::Lmdb => stored::parse_lmdb(path, text).map(entries),
            Self::Query(sql) => {
                let (query, warnings) = Query::parse(sql, path, text)?;
                Ok((Content::Query(Box::new(query)), warnings))
            }
            Self::Rules(language) => {
                // A line that is not UTF-8 is skipped; its neighbours are sound.
                let lines = String::from_utf8_lossy(text);
                let place = |line: u32| format!("{path}:{line}");
                let (script, warnings) = language.parse(logical_lines(&lines), &place);
                Ok((Content::Rules(Box::new(Rules { script, source: text.to_owned() })), warnings))
            }
        }
    }
}

impl Format {
    /// Whether a key is looked up in lower case: rules are matched with the key as it came.
    pub(crate) const fn folds(self) -> bool {
        match self {
            Self::Texthash | Self::Source(_) | Self::Cdb | Self::Lmdb | Self::Query(_) => true,
            Self::Rules(_) => false,
        }
    }

    const fn is_text(self) -> bool {
        match self {
            Self::Texthash | Self::Rules(_) | Self::Source(_) | Self::Query(_) => true,
            Self::Cdb | Self::Lmdb => false,
        }
    }
}

impl Language {
    /// `{ { rule }, { rule } }`: the rules stand in the name of the table.
    pub(crate) fn parse_inline(self, name: &str, place: &str) -> Result<(Content, Vec<Warning>), TableError> {
        let fault = |problem: String| TableError::Syntax {
            problem,
            text: name.to_owned(),
            expected: "type:{ {rule}, {rule} }",
        };
        let inner = braces::inner(name).ok_or_else(|| fault("bad syntax".to_owned()))?;
        let mut lines = Vec::new();
        for (word, line) in braces::words(inner).zip(1_u32..) {
            let rule = match closing(word) {
                Some(end) if end + 1 == word.len() => word[1..end].trim(),
                Some(_) => return Err(fault(format!("syntax error after '}}' in {word:?}"))),
                None => return Err(fault(format!("no '{{' at start of text in {word:?}"))),
            };
            if !rule.is_empty() && !rule.starts_with('#') {
                lines.push(LogicalLine { text: rule.into(), line });
            }
        }
        let (script, warnings) =
            self.parse(lines.into_iter(), &|line| format!("{place} (rule {line} of the table)"));
        Ok((Content::Rules(Box::new(Rules { script, source: name.into() })), warnings))
    }

    fn parse<'a>(
        self,
        lines: impl Iterator<Item = LogicalLine<'a>>,
        place: &dyn Fn(u32) -> String,
    ) -> (Script, Vec<Warning>) {
        let mut warnings = Vec::new();
        let mut warn = |line, text| warnings.push(Warning { place: place(line), text });
        let mut orphans = Vec::new();
        // Only the first one can: elsewhere it would continue the one before.
        let lines = lines.filter(|line| {
            let orphan = line.text.starts_with(|c: char| c.is_ascii_whitespace());
            orphans.extend(orphan.then_some(line.line));
            !orphan
        });
        let script = match self {
            Self::Regexp => Script::Patterns(Patterns::parse(Dialect::Posix, lines, &mut warn)),
            Self::Pcre => Script::Patterns(Patterns::parse(Dialect::Pcre, lines, &mut warn)),
            Self::Cidr => Script::Cidr(Cidr::parse(lines, &mut warn)),
        };
        let text = "a logical line must not start with white space (line ignored)";
        warnings.extend(orphans.iter().map(|line| Warning { place: place(*line), text: text.to_owned() }));
        (script, warnings)
    }
}

impl Content {
    /// The value for a key, and its line.
    pub(crate) fn find(&self, key: &str) -> Result<Option<(Cow<'_, str>, u32)>, Undecided> {
        match self {
            Self::Entries(entries) => {
                Ok(entries.get(&fold(key)).map(|(value, line)| (Cow::Borrowed(value), line)))
            }
            Self::Rules(rules) => match &rules.script {
                // Patterns decide for themselves whether case matters.
                Script::Patterns(patterns) => {
                    patterns.find(key).map(|found| found.map(|(value, line)| (Cow::Owned(value), line)))
                }
                Script::Cidr(cidr) => Ok(cidr.find(key).map(|(value, line)| (Cow::Borrowed(value), line))),
            },
            Self::Query(_) => Err((0, "a database has no answer at once: it must be asked".to_owned())),
        }
    }

    /// See [`Format::folds`].
    pub(crate) const fn folds(&self) -> bool {
        match self {
            Self::Entries(_) | Self::Query(_) => true,
            Self::Rules(_) => false,
        }
    }

    /// All entries, `(key or pattern, value, line)`, but for the rules that make their result from the key.
    pub(crate) fn entries(&self) -> Box<dyn Iterator<Item = (&str, Cow<'_, str>, u32)> + '_> {
        match self {
            Self::Entries(entries) => {
                Box::new(entries.iter().map(|(key, value, line)| (key, Cow::Borrowed(value), line)))
            }
            Self::Rules(rules) => match &rules.script {
                Script::Patterns(patterns) => {
                    Box::new(patterns.constant().map(|(key, value, line)| (key, Cow::Owned(value), line)))
                }
                Script::Cidr(cidr) => {
                    Box::new(cidr.rules().map(|(key, value, line)| (key, Cow::Borrowed(value), line)))
                }
            },
            Self::Query(_) => Box::new(std::iter::empty()),
        }
    }

    /// Whether both give the same answers from the same lines.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Entries(one), Self::Entries(other)) => one.same_as(other),
            (Self::Rules(one), Self::Rules(other)) => one.source == other.source,
            (Self::Query(one), Self::Query(other)) => one.same_as(other),
            (Self::Entries(_) | Self::Rules(_) | Self::Query(_), _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_final_newline_is_half_written() {
        for format in [Format::Texthash, Format::Rules(Language::Pcre), Format::Rules(Language::Cidr)] {
            assert!(matches!(format.parse("/t", b"/a/ may\n/b/ sec"), Err(TableError::Unfinished(_))));
            assert!(format.parse("/t", b"").is_ok());
        }
    }
}
