//! Keys inside SQL. They are chosen by whoever sends mail, so they must stay text whatever is in them.
//!
//! Postfix quotes each key and trusts that the operator wrote it between quotes. Here a query that puts a key anywhere else is refused: no quoting
//! could keep such a key from being read as SQL.

use super::{
    Sql,
    template::{Piece, Template},
};

/// Where in a query we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    /// Between quotes of which `quote` can keep a key from leaving.
    Text(char),
    /// Between quotes of another kind: of a name, or with other rules.
    Other(char),
}

/// A key as part of a text between quotes.
pub(crate) fn quote(sql: Sql, text: &str) -> String {
    match sql {
        // The session has standard_conforming_strings on; SQLite knows nothing else. A backslash is a backslash.
        Sql::Pgsql | Sql::Sqlite => text.replace('\'', "''"),
        // mysql_real_escape_string(3); the session has NO_BACKSLASH_ESCAPES off.
        Sql::Mysql => {
            let mut quoted = String::with_capacity(text.len());
            for c in text.chars() {
                match c {
                    '\0' => quoted.push_str("\\0"),
                    '\n' => quoted.push_str("\\n"),
                    '\r' => quoted.push_str("\\r"),
                    '\x1a' => quoted.push_str("\\Z"),
                    '\\' | '\'' | '"' => quoted.extend(['\\', c]),
                    other => quoted.push(other),
                }
            }
            quoted
        }
    }
}

/// Whether each key stands between quotes that [`quote`] is right for.
pub(crate) fn keys_are_quoted(sql: Sql, query: &Template) -> Result<(), String> {
    let last = query.pieces().iter().rposition(|piece| !matches!(piece, Piece::Text(_)));
    let Some(last) = last else { return Ok(()) };
    let mut place = Place::Outside;
    for piece in &query.pieces()[..=last] {
        match piece {
            Piece::Text(text) => place = follow(sql, text, place)?,
            Piece::Own(_) | Piece::Key(_) | Piece::Label(_) if !matches!(place, Place::Text(_)) => {
                return Err(
                    "a key that is not between single quotes could be read as SQL: write '%s'".to_owned()
                );
            }
            Piece::Own(_) | Piece::Key(_) | Piece::Label(_) => {}
        }
    }
    Ok(())
}

/// Where we are behind a piece of the query's own text, before which we were at `place`.
fn follow(sql: Sql, text: &str, mut place: Place) -> Result<Place, String> {
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        place = match place {
            Place::Outside => {
                let next = chars.peek().copied();
                let comment = matches!((c, next), ('-', Some('-')) | ('/', Some('*')))
                    || (sql == Sql::Mysql && c == '#');
                // $1 is a parameter, $$ or $tag$ begins a text that ends at the next of the same.
                let dollar = sql == Sql::Pgsql && c == '$' && !next.is_some_and(|next| next.is_ascii_digit());
                if comment || dollar {
                    return Err("no comments and no $-quoted texts before a key: write '%s'".to_owned());
                }
                match c {
                    // E'' and U&'' have backslashes, which a key may have, too.
                    '\'' if sql == Sql::Pgsql && matches!(before, 'e' | 'E' | '&') => Place::Other(c),
                    '\'' => Place::Text(c),
                    '"' if sql == Sql::Mysql => Place::Text(c),
                    '"' | '`' => Place::Other(c),
                    _ => Place::Outside,
                }
            }
            Place::Text(_) if sql == Sql::Mysql && c == '\\' => {
                chars.next();
                place
            }
            // A doubled quote leaves and enters again.
            Place::Text(end) | Place::Other(end) if c == end => Place::Outside,
            Place::Text(_) | Place::Other(_) => place,
        };
        before = c;
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_outside_of_quotes_is_refused() {
        let all = [Sql::Pgsql, Sql::Mysql, Sql::Sqlite];
        let table: &[(&str, &[Sql])] = &[
            ("SELECT a FROM t WHERE k = '%s'", &all),
            ("SELECT a FROM t WHERE k = '%u@%d' AND x = 'it''s'", &all),
            ("SELECT f('%s', '%1')", &all),
            ("SELECT 1", &all),
            ("SELECT a FROM t WHERE k = '%s' -- don't", &all),
            ("SELECT a FROM t WHERE k = %s", &[]),
            ("SELECT a FROM t WHERE x = 'it''s' AND k = %s", &[]),
            ("SELECT a FROM t WHERE k = \"%s\"", &[Sql::Mysql]),
            ("SELECT a FROM `t%s`", &[]),
            ("SELECT a FROM t WHERE k = E'%s'", &[Sql::Mysql, Sql::Sqlite]),
            ("SELECT a -- don't\n WHERE k = %s", &[]),
            ("SELECT a /* ' */ WHERE k = %s", &[]),
            ("SELECT $$'%s'$$", &[Sql::Mysql, Sql::Sqlite]),
            ("SELECT 'a\\' WHERE k = %s", &[Sql::Mysql]),
            ("SELECT 'a\\'%s'", &[Sql::Mysql]),
        ];
        for (text, fine) in table {
            let query = Template::parse(text).unwrap();
            for sql in all {
                assert_eq!(keys_are_quoted(sql, &query).is_ok(), fine.contains(&sql), "{sql:?} {text}");
            }
        }
    }

    #[test]
    fn quoted_keys_stay_inside() {
        assert_eq!(quote(Sql::Pgsql, "a'b\\'c"), "a''b\\''c");
        assert_eq!(quote(Sql::Sqlite, "' OR 1=1 --"), "'' OR 1=1 --");
        assert_eq!(quote(Sql::Mysql, "a'b\\\"c\n\0"), "a\\'b\\\\\\\"c\\n\\0");
    }
}
