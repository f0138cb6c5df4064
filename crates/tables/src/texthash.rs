//! `texthash:` files (postmap(1), "TEXT FILE FORMAT").

use std::borrow::Cow;

use crate::{
    TableError, Warning,
    entries::{Added, Entries},
    lines::logical_lines,
};

/// What becomes of a second entry with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duplicates {
    /// `texthash:` is refused as a whole by whoever uses it.
    Refused,
    /// postmap(1) warns of it and leaves it out of the database that it makes.
    Ignored,
}

/// Reads a whole file's text. What Postfix skips with a warning is skipped with a warning.
pub(crate) fn parse(
    path: &str,
    text: &[u8],
    duplicates: Duplicates,
) -> Result<(Entries, Vec<Warning>), TableError> {
    let (mut entries, mut warnings) = (Entries::default(), Vec::new());
    let mut warn = |line: u32, problem: &str, text: &str| {
        let text: String = text.chars().take(80).collect();
        warnings.push(Warning { place: format!("{path}:{line}"), text: format!("{problem}: {text:?}") });
    };
    // A line that is not UTF-8 is one that Postfix skips; its neighbours are sound.
    let text = String::from_utf8_lossy(text);
    for logical in logical_lines(&text) {
        let (line, text) = (logical.line, &*logical.text);
        if text.starts_with(|c: char| c.is_ascii_whitespace()) {
            warn(line, "a logical line must not start with white space (line ignored)", text);
            continue;
        }
        if text.contains(char::REPLACEMENT_CHARACTER) {
            warn(line, "not UTF-8 (line ignored)", text);
            continue;
        }
        let Some((key, value)) = key_and_value(text) else {
            warn(line, "unbalanced '\"' (line ignored)", text);
            continue;
        };
        if value.is_empty() {
            warn(line, "expected a key, white space and a value (line ignored)", text);
            continue;
        }
        if key.ends_with(':') {
            warn(line, "key with a colon at its end, as in an alias file", text);
        }
        match entries.add(&fold(key), value, line) {
            Added::New => {}
            Added::Duplicate(first) if duplicates == Duplicates::Ignored => {
                warn(line, &format!("duplicate entry, the one in line {first} counts"), key);
            }
            Added::Duplicate(first) => {
                return Err(TableError::Duplicate {
                    path: path.to_owned(),
                    line,
                    first,
                    key: key.to_owned(),
                });
            }
            Added::Full => return Err(TableError::TooLarge(path.to_owned())),
        }
    }
    entries.shrink();
    Ok((entries, warnings))
}

/// The key ends at the first white space outside quotes; the quotes stay. `None` where a quote does not end.
fn key_and_value(text: &str) -> Option<(&str, &str)> {
    let (key, value) = text.split_at(word_end(text, |c| c.is_ascii_whitespace())?);
    Some((key, value.trim_matches(|c: char| c.is_ascii_whitespace())))
}

/// Where the first word ends: at a separator outside quotes. `None` where a quote does not end.
pub(crate) fn word_end(text: &str, separates: impl Fn(char) -> bool) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    let end = text.find(|c: char| {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == '"' {
            quoted = !quoted;
        } else {
            return separates(c) && !quoted;
        }
        false
    });
    (!quoted).then(|| end.unwrap_or(text.len()))
}

/// Keys compare without regard to case, beyond ASCII, too (Postfix with `smtputf8_enable`).
pub(crate) fn fold(key: &str) -> Cow<'_, str> {
    if !key.is_ascii() {
        key.chars().flat_map(char::to_lowercase).flat_map(unfolded).flat_map(char::to_lowercase).collect()
    } else if key.bytes().any(|b| b.is_ascii_uppercase()) {
        key.to_ascii_lowercase().into()
    } else {
        key.into()
    }
}

/// Unicode's full case folding, which has "ss" for the sharp s, is the lower case of the upper case; but the dotless i stays what it is.
fn unfolded(c: char) -> impl Iterator<Item = char> {
    let upper = (c != 'ı').then(|| c.to_uppercase());
    upper.is_none().then_some(c).into_iter().chain(upper.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Option<String>>, Vec<String>) {
        let (entries, warnings) = parse("/t", text.as_bytes(), Duplicates::Refused).unwrap();
        let keys = ["a", "a b", "\"a b\"", "x:", "bücher.example", "the"];
        let got =
            keys.iter().map(|key| entries.get(key).map(|(value, line)| format!("{value}@{line}"))).collect();
        (got, warnings.into_iter().map(|warning| warning.place).collect())
    }

    #[test]
    fn entries_are_read_as_postmap_reads_them() {
        let text = "# comment\nA  b c \t\n\"a b\"\tquoted\nx: y\nonly\n\"open x\n  more\nBÜCHER.example may\nthe\n  answer\n# no\n is\n";
        let (got, warned) = read(text);
        let expected = ["b c@2", "", "quoted@3", "y@4", "may@8", "answer is@9"];
        let got: Vec<String> = got.into_iter().map(Option::unwrap_or_default).collect();
        assert_eq!(got, expected);
        assert_eq!(warned, ["/t:4", "/t:5", "/t:6"]);
    }

    #[test]
    fn a_duplicate_makes_the_whole_table_unusable() {
        let error = parse("/t", b"a may\nb may\nB none\n", Duplicates::Refused).unwrap_err();
        assert_eq!(error.to_string(), "/t:3: duplicate entry \"B\" (first in line 2); remove one of them");
    }

    #[test]
    fn keys_are_folded_as_unicode_has_it() {
        for (key, folded) in [
            ("a.Test", "a.test"),
            ("BÜCHER", "bücher"),
            ("STRAẞE straße", "strasse strasse"),
            ("ΣΑΣ ς", "σασ σ"),
            ("Iı", "iı"),
        ] {
            assert_eq!(fold(key), folded);
        }
    }

    #[test]
    fn a_line_that_is_not_utf8_is_skipped() {
        let (entries, warnings) = parse("/t", b"a\xff may\nb may\n", Duplicates::Refused).unwrap();
        assert_eq!((entries.len(), warnings.len()), (1, 1));
    }
}
