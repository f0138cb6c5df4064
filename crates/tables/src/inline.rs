//! `inline:` and `static:` (inline_table(5), static_table(5)).

use crate::{
    TableError,
    braces::{closing, inner, words},
    entries::{Added, Entries},
    texthash::fold,
};

const INLINE: &str = "inline:{name=value, { name = value with spaces }}";
const STATIC: &str = "static:value or static:{ text }";

fn syntax(problem: impl Into<String>, text: &str, expected: &'static str) -> TableError {
    TableError::Syntax { problem: problem.into(), text: text.to_owned(), expected }
}

/// The entries of an inline table; all of them are in line 0, since the table has none of its own.
pub(crate) fn parse(name: &str) -> Result<Entries, TableError> {
    let inner = inner(name).ok_or_else(|| syntax("bad syntax", name, INLINE))?;
    let mut entries = Entries::default();
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
        match entries.add(&fold(key), value, 0) {
            Added::New => {}
            Added::Duplicate(_) => return Err(syntax(format!("duplicate entry {key:?}"), name, INLINE)),
            Added::Full => return Err(TableError::TooLarge("inline table".to_owned())),
        }
    }
    if entries.len() == 0 { Err(syntax("empty table", name, INLINE)) } else { Ok(entries) }
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

/// `name = value`; a name with spaces or `=` in it may be quoted.
fn name_and_value(pair: &str) -> Result<(&str, &str), String> {
    let pair = pair.trim();
    let (name, rest) = match pair.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').ok_or_else(|| format!("missing '\"' in {pair:?}"))?,
        None => pair.split_at(pair.find(|c: char| c == '=' || c.is_ascii_whitespace()).unwrap_or(pair.len())),
    };
    if name.is_empty() {
        return Err("missing attribute name".into());
    }
    let value = rest.trim_start().strip_prefix('=').ok_or("missing '=' after attribute name")?;
    Ok((name, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_tables_are_read() {
        let entries = parse("{ foo=XX, { bAr = lotsa stuff }, {\"a = b\" = c},d={e f} }").unwrap();
        let got = ["foo", "bar", "a = b", "d", "baz"].map(|key| entries.get(key).map(|(value, _)| value));
        assert_eq!(got, [Some("XX"), Some("lotsa stuff"), Some("c"), Some("{e f}"), None]);
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
            ("{ =x }", "missing attribute name"),
            ("{ a=x A=y }", "duplicate entry \"A\""),
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
