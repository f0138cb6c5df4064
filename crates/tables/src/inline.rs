//! `inline:` and `static:` (inline_table(5), static_table(5)).

use std::{borrow::Cow, collections::HashMap};

use crate::{
    TableError,
    braces::{closing, inner, words},
    entries::{Added, Entries},
    texthash::{fold, word_end},
};

const INLINE: &str = "inline:{name=value, { name = value with spaces }}";
const STATIC: &str = "static:value or static:{ text }";

fn syntax(problem: impl Into<String>, text: &str, expected: &'static str) -> TableError {
    TableError::Syntax { problem: problem.into(), text: text.to_owned(), expected }
}

/// The entries of an inline table, all of them in line 0, since the table has none of its own; and its odd places.
pub(crate) fn parse(name: &str) -> Result<(Entries, Vec<String>), TableError> {
    let inner = inner(name).ok_or_else(|| syntax("bad syntax", name, INLINE))?;
    let (mut pairs, mut odd): (Vec<(Cow<'_, str>, &str)>, _) = (Vec::new(), Vec::new());
    let mut places: HashMap<Cow<'_, str>, usize> = HashMap::new();
    for word in words(inner) {
        let pair = if word.starts_with('{') {
            match closing(word) {
                Some(end) if end + 1 == word.len() => &word[1..end],
                Some(_) => return Err(syntax(format!("syntax error after '}}' in {word:?}"), name, INLINE)),
                None => return Err(syntax(format!("missing '}}' in {word:?}"), name, INLINE)),
            }
        } else {
            word
        };
        let (key, value) = name_and_value(pair).map_err(|problem| syntax(problem, name, INLINE))?;
        let at = *places.entry(fold(key)).or_insert(pairs.len());
        match pairs.get_mut(at) {
            // Unlike a texthash, which is refused: of this Postfix makes no word, and the last one counts.
            Some(before) => {
                before.1 = value;
                odd.push(format!("duplicate entry, the last one counts: {key:?}"));
            }
            None => pairs.push((fold(key), value)),
        }
    }
    let mut entries = Entries::default();
    for (key, value) in pairs {
        if entries.add(&key, value, 0) == Added::Full {
            return Err(TableError::TooLarge("inline table".to_owned()));
        }
    }
    if entries.len() == 0 { Err(syntax("empty table", name, INLINE)) } else { Ok((entries, odd)) }
}

/// The value of a static table.
pub(crate) fn static_value(name: &str) -> Result<&str, TableError> {
    if !name.starts_with('{') {
        return Ok(name);
    }
    match closing(name) {
        Some(end) if end + 1 == name.len() => Ok(name[1..end].trim()),
        Some(_) => Err(syntax("syntax error after '}'", name, STATIC)),
        None => Err(syntax("missing '}'", name, STATIC)),
    }
}

/// `name = value`; inside quotes a name may have spaces and `=`. The quotes stay, as in a texthash.
fn name_and_value(pair: &str) -> Result<(&str, &str), String> {
    let pair = pair.trim();
    if pair.is_empty() {
        return Err("no key found; expected format: key = value".into());
    }
    let end = word_end(pair, |c| c == '=' || c.is_ascii_whitespace()).ok_or("unbalanced '\"'")?;
    let (name, rest) = pair.split_at(end);
    let value = rest.trim_start().strip_prefix('=').ok_or("missing '=' after attribute name")?;
    Ok((name, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_tables_are_read() {
        let text = "{ foo=XX, { bAr = lotsa stuff }, {\"a = b\" = c},d={e f}, {x\\\"y = z}, FOO=1 }";
        let (entries, odd) = parse(text).unwrap();
        let keys = ["foo", "bar", "\"a = b\"", "a = b", "d", "x\\\"y", "baz"];
        let got = keys.map(|key| entries.get(key).map(|(value, _)| value));
        assert_eq!(got, [Some("1"), Some("lotsa stuff"), Some("c"), None, Some("{e f}"), Some("z"), None]);
        assert_eq!(odd, ["duplicate entry, the last one counts: \"FOO\""]);
    }

    #[test]
    fn what_is_wrong_with_an_inline_table_is_said_in_postfix_words() {
        let table = [
            ("{ }", "empty table"),
            ("{ foo = xx }", "missing '=' after attribute name"),
            ("{ foo=xx }x", "bad syntax"),
            ("{ foo=xx x", "bad syntax"),
            ("foo=xx", "bad syntax"),
            ("{ foo=xx {x=y}x}", "syntax error after '}' in \"{x=y}x\""),
            ("{ {} }", "no key found"),
            ("{ {\"a = x} }", "unbalanced '\"'"),
        ];
        for (text, expected) in table {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    #[test]
    fn static_tables_have_one_value() {
        assert_eq!(static_value("fooxx").unwrap(), "fooxx");
        assert_eq!(static_value("{ foo xx }").unwrap(), "foo xx");
        assert!(static_value("{ foo xx ").is_err());
        assert!(static_value("{ foo xx }x").is_err());
    }
}
