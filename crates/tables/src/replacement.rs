//! The right side of a regexp or pcre rule (regexp_table(5), "TEXT SUBSTITUTION").

use crate::regex::Matched;

/// Text with `$1`, `${1}` and `$(1)` in it; `$$` is a dollar sign.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Replacement {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Group(usize),
}

impl Replacement {
    /// The error is what Postfix skips the rule for.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut replacement = Self::default();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            replacement.text(before);
            if let Some(after) = after.strip_prefix('$') {
                replacement.text("$");
                rest = after;
                continue;
            }
            let (name, after) = macro_name(after)?;
            if name.is_empty() {
                return Err("empty macro name: bad replacement syntax".to_owned());
            }
            if !name.bytes().all(|b| b.is_ascii_digit()) {
                return Err(format!("non-numeric replacement index {name:?}: bad replacement syntax"));
            }
            let group = name.parse().unwrap_or(usize::MAX);
            if group == 0 {
                return Err(format!("out-of-range replacement index {name:?}: bad replacement syntax"));
            }
            replacement.pieces.push(Piece::Group(group));
            rest = after;
        }
        replacement.text(rest);
        Ok(replacement)
    }

    fn text(&mut self, text: &str) {
        match self.pieces.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            Some(Piece::Group(_)) | None if !text.is_empty() => {
                self.pieces.push(Piece::Text(text.to_owned()))
            }
            Some(Piece::Group(_)) | None => {}
        }
    }

    /// The highest group that it needs; 0 when it needs none.
    pub(crate) fn highest(&self) -> usize {
        let groups = self.pieces.iter().map(|piece| match piece {
            Piece::Group(group) => *group,
            Piece::Text(_) => 0,
        });
        groups.max().unwrap_or(0)
    }

    /// The result; a group that took no part in the match is empty. `None` when it would not be UTF-8.
    pub(crate) fn expand(&self, groups: &Matched<'_>) -> Option<String> {
        let mut out = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Group(group) => {
                    out.extend_from_slice(groups.get(*group).copied().flatten().unwrap_or_default())
                }
            }
        }
        String::from_utf8(out).ok()
    }
}

/// What is behind a dollar sign: `1`, `{1}` or `(1)`, and the rest.
fn macro_name(text: &str) -> Result<(&str, &str), String> {
    let close = match text.chars().next() {
        Some('{') => '}',
        Some('(') => ')',
        Some(_) | None => {
            let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
            return Ok(text.split_at(end));
        }
    };
    // What is nested in it is no number, so the first closing one will do.
    let Some((name, rest)) = text[1..].split_once(close) else {
        return Err(format!("truncated macro reference \"${text}\": bad replacement syntax"));
    };
    Ok((name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substitutions_are_written_as_regexp_table_5_has_them() {
        let groups: Matched<'_> = vec![Some(b"all"), Some(b"one"), None];
        let table = [
            ("plain text", Ok("plain text")),
            ("$1", Ok("one")),
            ("a${1}b$(1)c", Ok("aonebonec")),
            ("<$2>", Ok("<>")),
            ("$$1 $$", Ok("$1 $")),
            ("$1.x", Ok("one.x")),
            ("$1x", Err("non-numeric replacement index \"1x\"")),
            ("$0", Err("out-of-range replacement index \"0\"")),
            ("$", Err("empty macro name")),
            ("${}", Err("empty macro name")),
            ("${1", Err("truncated macro reference \"${1\"")),
            ("${name}", Err("non-numeric replacement index \"name\"")),
        ];
        for (text, expected) in table {
            match (Replacement::parse(text), expected) {
                (Ok(parsed), Ok(expected)) => {
                    assert_eq!(parsed.expand(&groups).as_deref(), Some(expected), "{text}")
                }
                (Err(got), Err(expected)) => assert!(got.starts_with(expected), "{text}: {got}"),
                (got, expected) => panic!("{text}: {got:?} for {expected:?}"),
            }
        }
    }

    #[test]
    fn half_a_character_is_no_result() {
        let replacement = Replacement::parse("$1").unwrap();
        assert_eq!(replacement.expand(&vec![None, Some(b"\xc3")]), None);
    }
}
