//! Databases that postmap(1) makes: cdb and LMDB are read as they are, Berkeley DB by the text that it was made from.
//!
//! All of them are read as a whole into memory, so that a file that is replaced, damaged or half written is treated like any other table's.

mod cdb;
mod lmdb;
mod source;

pub(crate) use cdb::parse as parse_cdb;
pub(crate) use lmdb::parse as parse_lmdb;
pub(crate) use source::Berkeley;

use crate::{
    TableError, Warning,
    entries::{Added, Entries},
};

/// The records of a database, one after the other.
struct Records<'a> {
    path: &'a str,
    entries: Entries,
    warnings: Vec<Warning>,
    number: usize,
}

impl<'a> Records<'a> {
    fn new(path: &'a str) -> Self {
        Self { path, entries: Entries::default(), warnings: Vec::new(), number: 0 }
    }

    /// Postfix makes and looks up keys and values with or without a NUL at their ends (`DICT_FLAG_TRY0NULL`, `DICT_FLAG_TRY1NULL`).
    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), TableError> {
        self.number += 1;
        let [key, value] = [key, value].map(|octets| octets.strip_suffix(b"\0").unwrap_or(octets));
        let Ok(key) = std::str::from_utf8(key) else {
            self.warn("a key that is not UTF-8 (record ignored)");
            return Ok(());
        };
        // There is such a key, and its value cannot be told: no lookup may say that it is not there.
        let Ok(value) = std::str::from_utf8(value) else {
            return Err(damaged(self.path, &format!("the value of {key:?} is not UTF-8")));
        };
        match self.entries.add(key, value, 0) {
            Added::New => Ok(()),
            Added::Duplicate(_) => {
                self.warn(&format!("duplicate entry {key:?} (ignored)"));
                Ok(())
            }
            Added::Full => Err(TableError::TooLarge(self.path.to_owned())),
        }
    }

    fn warn(&mut self, text: &str) {
        let text = format!("record {}: {text}", self.number);
        self.warnings.push(Warning { place: self.path.to_owned(), text });
    }

    fn done(mut self) -> (Entries, Vec<Warning>) {
        self.entries.shrink();
        (self.entries, self.warnings)
    }
}

fn damaged(path: &str, problem: &str) -> TableError {
    TableError::Damaged { path: path.to_owned(), problem: problem.to_owned() }
}

/// Little-endian numbers at an offset.
fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(data.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(data.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(data.get(at..at.checked_add(8)?)?.try_into().ok()?))
}
