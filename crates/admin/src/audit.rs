//! Who did what: one JSON object a line, appended and synced.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use waxseal_types::UnixTime;

use crate::words::write_time;

/// A log of this size becomes `.1`, in whose place it comes.
const FULL: u64 = 16 << 20;
/// How much of its end is read for the API.
const SHOWN: u64 = 256 << 10;

/// One line.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// When.
    #[serde(serialize_with = "write_time")]
    pub time: UnixTime,
    /// `asked` before it is done, `done` or `failed` behind it.
    pub event: &'static str,
    /// The user of this machine, or the address with how it was let in.
    pub who: String,
    /// What: `hold`, `reload`, ...
    pub what: String,
    /// The request as it came; then what came of it.
    pub detail: Value,
}

/// The log.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    file: Mutex<Option<File>>,
}

impl Audit {
    /// A log in this file, which is made by the first entry.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path, file: Mutex::new(None) }
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)
    }

    /// Writes an entry down for good.
    ///
    /// # Errors
    /// It is not sure to be on disk; then what it tells of must not be done.
    pub fn record(&self, entry: &Entry) -> io::Result<()> {
        let mut text = serde_json::to_string(entry)?;
        text.push('\n');
        let mut slot = self.file.lock();
        let mut file = match slot.take() {
            Some(file) => file,
            None => self.open()?,
        };
        if file.metadata()?.len() >= FULL {
            fs::rename(&self.path, self.path.with_extension("jsonl.1"))?;
            file = self.open()?;
        }
        // After a fault the file is opened anew.
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        *slot = Some(file);
        Ok(())
    }

    /// The last entries, newest first, at most `limit`.
    ///
    /// # Errors
    /// The file cannot be read; that there is none yet is no error.
    pub fn last(&self, limit: usize) -> io::Result<Vec<Value>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(SHOWN)))?;
        let mut bytes = Vec::new();
        file.take(SHOWN).read_to_end(&mut bytes)?;
        // The first line may be a piece of one, which is no JSON.
        let lines = bytes.split(|byte| *byte == b'\n').rev();
        Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).take(limit).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    use super::*;

    fn entry(number: u64) -> Entry {
        Entry {
            time: UnixTime::from_secs(number),
            event: "asked",
            who: "uid 0".into(),
            what: "hold".into(),
            detail: json!({ "number": number, "text": "a\nb" }),
        }
    }

    #[test]
    fn entries_are_lines_that_only_we_can_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        let audit = Audit::new(path.clone());
        assert!(audit.last(10).expect("no file is no error").is_empty());
        for number in 0..5 {
            audit.record(&entry(number)).expect("it can be written");
        }
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&path).expect("text").lines().count(), 5);
        let last = audit.last(2).expect("it can be read");
        assert_eq!(last.iter().map(|entry| entry["detail"]["number"].clone()).collect::<Vec<_>>(), [4, 3]);
    }

    #[test]
    fn a_log_that_cannot_be_written_says_so() {
        let audit = Audit::new(PathBuf::from("/nonexistent/audit.jsonl"));
        assert!(audit.record(&entry(1)).is_err());
    }

    #[test]
    fn a_long_log_is_read_from_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        let line = format!("{{\"pad\":\"{}\"}}\n", "x".repeat(1000));
        fs::write(&path, line.repeat(1000)).expect("our file");
        let audit = Audit::new(path);
        audit.record(&entry(7)).expect("it can be written");
        let last = audit.last(10_000).expect("it can be read");
        assert!(last.len() < 400, "{}", last.len());
        assert_eq!(last[0]["detail"]["number"], 7);
    }
}
