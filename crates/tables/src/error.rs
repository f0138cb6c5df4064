//! What can be wrong with a table.

use std::io;

/// For the messages.
const SUPPORTED: &str = "texthash, hash, btree, dbm, sdbm, lmdb, cdb, regexp, pcre, cidr, inline, static, randmap, unionmap, pipemap, fail, \
    socketmap, tcp, pgsql, mysql, sqlite";

/// Why a table cannot be opened, or a version of it cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// No `type:` in front of the name.
    #[error("{0:?} is not of the form type:name (texthash:/path, inline:{{...}}, static:value)")]
    NoType(String),
    /// A type of Postfix that is not supported.
    #[error("table type {0:?} is not supported yet (supported: {SUPPORTED})")]
    Unsupported(String),
    /// A type whose driver is a feature of the crate that was left out.
    #[error("this program was built without table type {0:?}; build it with the feature of that name")]
    NotBuilt(String),
    /// No type of Postfix either.
    #[error("unknown table type {0:?} (supported: {SUPPORTED})")]
    UnknownType(String),
    /// A file that is named by a relative path: relative to what differs from start to start.
    #[error("table file {0:?} is not an absolute path")]
    RelativePath(String),
    /// The text of an inline or static table.
    #[error("{problem} in {text:?}; need {expected}")]
    Syntax {
        /// What is wrong.
        problem: String,
        /// Where.
        text: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Io {
        /// The file.
        path: String,
        /// The system's words.
        error: io::Error,
    },
    /// A database of Berkeley DB without the text that it was made from.
    #[error(
        "{path}: no such file; Berkeley DB is read by the text that the database was made from, so put that there, or use lmdb: or cdb:"
    )]
    NoSource {
        /// The text's path.
        path: String,
    },
    /// A database that is not one, or not whole.
    #[error("{path}: {problem}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// A query file (pgsql_table(5), mysql_table(5), sqlite_table(5)) that says nothing that could be done.
    #[error("{path}{}: {problem}", line_of(*line))]
    QueryFile {
        /// The file.
        path: String,
        /// The line, or 0.
        line: u32,
        /// What is wrong.
        problem: String,
    },
    /// The same key twice: neither is more right than the other, so Postfix refuses the whole table.
    #[error("{path}:{line}: duplicate entry {key:?} (first in line {first}); remove one of them")]
    Duplicate {
        /// The file.
        path: String,
        /// Where the second one is.
        line: u32,
        /// Where the first one is.
        first: u32,
        /// The key.
        key: String,
    },
    /// The last line does not end, as in a file that is just being written.
    #[error("{0}: the last line is not complete; end it with a newline")]
    Unfinished(String),
    /// The file changes all the time.
    #[error("{0}: is being written")]
    Busy(String),
    /// More than 4 GiB of text.
    #[error("{0}: too large for a table in memory")]
    TooLarge(String),
    /// A `fail:` table.
    #[error("a table of type fail always fails")]
    AlwaysFails,
}

fn line_of(line: u32) -> String {
    if line == 0 { String::new() } else { format!(":{line}") }
}

/// The table has no answer just now. Whoever asked must try again later and must not take this for "no such key".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{table}: {reason}")]
pub struct TempFail {
    /// The table.
    pub table: String,
    /// What is wrong with it.
    pub reason: String,
}
