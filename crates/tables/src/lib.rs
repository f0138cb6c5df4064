//! Postfix lookup tables: open `type:name`, look up keys, notice changes.
//!
//! | type | name | manual |
//! | --- | --- | --- |
//! | `texthash` | a text file, read as a whole | postmap(1), postconf(5) |
//! | `hash`, `btree`, `dbm`, `sdbm` | the text that the Berkeley DB beside it was made from | postmap(1), DATABASE_README |
//! | `cdb` | a file that postmap made, with `.cdb` added | cdb_table(5) |
//! | `lmdb` | the same, with `.lmdb` added | lmdb_table(5) |
//! | `regexp` | a text file, or `{ {rule}, {rule} }` | regexp_table(5) |
//! | `pcre` | the same | pcre_table(5) |
//! | `cidr` | the same | cidr_table(5) |
//! | `inline` | `{ key = value, { key = text with spaces } }` | inline_table(5) |
//! | `static` | one value for every key, or `{ text with spaces }` | static_table(5) |
//! | `randmap` | `{ value, value }`, one of them for every key | postconf(5) |
//! | `unionmap` | `{ type:name, type:name }`, all their values with commas | postconf(5) |
//! | `pipemap` | `{ type:name, type:name }`, each value is the next key | postconf(5) |
//! | `socketmap` | `inet:host:port:name`, `unix:/path:name` | socketmap_table(5) |
//! | `tcp` | `host:port` | tcp_table(5) |
//! | `pgsql` | a file with `hosts`, `query`, ... (feature `pgsql`) | pgsql_table(5) |
//! | `mysql` | the same (feature `mysql`) | mysql_table(5) |
//! | `sqlite` | a file with `dbpath`, `query`, ... (feature `sqlite`) | sqlite_table(5) |
//! | `fail` | a name; every lookup fails | fail_table(5) |
//!
//! Each answer names the line that it comes from. A table that fails says so ([`TempFail`]); it never answers "not found" for what it
//! does not know. Files are re-read by [`Table::refresh`] once they have been left alone for a second, as a whole or not at all: a file that
//! vanished, is damaged or half written leaves the last good version in force for [`Options::stale_limit`], and from then on
//! every lookup fails. A file that could never be read fails at once.
//!
//! What is held in memory answers at once ([`Table::find`]). Servers and databases are [asked](Table::ask): over at most eight connections each, with
//! limits of time; a server that failed is left alone for a second, then two, then four, so that a dead one costs nobody time. An answer is
//! believed for two seconds, as long as a changed file takes to be read. A connection to a database is not encrypted, so it should not leave the
//! machine; what asks for encryption is refused. Keys become part of SQL only between quotes: a query that has one elsewhere is refused, too.
//!
//! The crate refuses to know what the values mean, and starts no threads but those that SQLite works on: whoever owns a table calls `refresh` with the
//! time.
//!
//! ```
//! use waxseal_tables::{Options, Table};
//!
//! let table = Table::open("inline:{ example.com=may, { .example.com = secure match=mx.example.com } }", Options::default())?;
//! let found = table.find(".EXAMPLE.com")?.ok_or("no entry")?;
//! assert_eq!(found.value, "secure match=mx.example.com");
//! assert_eq!(table.find("example.org")?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod braces;
mod cidr;
mod combined;
mod content;
mod entries;
mod error;
mod file;
mod inline;
mod lines;
mod net;
mod patterns;
mod regex;
mod replacement;
mod script;
mod sql;
mod stored;
mod table;
mod texthash;
mod watched;

pub use error::{TableError, TempFail};
pub use lines::{LogicalLine, logical_lines};
pub use table::{Found, Options, Refresh, Table, Warning};
