//! Postfix lookup tables: open `type:name`, look up keys, notice changes.
//!
//! | type | name | manual |
//! | --- | --- | --- |
//! | `texthash` | a text file, read as a whole | postmap(1), postconf(5) |
//! | `regexp` | a text file, or `{ {rule}, {rule} }` | regexp_table(5) |
//! | `pcre` | the same | pcre_table(5) |
//! | `cidr` | the same | cidr_table(5) |
//! | `inline` | `{ key = value, { key = text with spaces } }` | inline_table(5) |
//! | `static` | one value for every key, or `{ text with spaces }` | static_table(5) |
//! | `randmap` | `{ value, value }`, one of them for every key | postconf(5) |
//! | `unionmap` | `{ type:name, type:name }`, all their values with commas | postconf(5) |
//! | `pipemap` | `{ type:name, type:name }`, each value is the next key | postconf(5) |
//! | `fail` | a name; every lookup fails | fail_table(5) |
//!
//! Each answer names the line that it comes from. A table that fails says so ([`TempFail`]); it never answers "not found" for what it
//! does not know. Files are re-read by [`Table::refresh`] once they have been left alone for a second, as a whole or not at all: a file that
//! vanished, is damaged or half written leaves the last good version in force for [`Options::stale_limit`], and from then on
//! every lookup fails. A file that could never be read fails at once.
//!
//! The crate refuses to know what the values mean, and starts no threads: whoever owns a table calls `refresh` with the time.
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
mod content;
mod entries;
mod error;
mod file;
mod inline;
mod lines;
mod patterns;
mod regex;
mod replacement;
mod script;
mod table;
mod texthash;
mod watched;

pub use error::{TableError, TempFail};
pub use lines::{LogicalLine, logical_lines};
pub use table::{Found, Options, Refresh, Table, Warning};
