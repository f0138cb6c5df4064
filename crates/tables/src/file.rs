//! Files that may be changed under our hands.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime},
};

use crate::TableError;

/// design: a file is read once nobody has written to it for this long. Postfix waits as long.
const QUIET: Duration = Duration::from_secs(1);

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// The state the file is in now.
    pub(crate) fn take(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self::of(&metadata))
    }

    /// How much longer the file must be left alone before it may be read; times in the future count as long ago, as in Postfix.
    pub(crate) fn unquiet(&self, now: SystemTime) -> Option<Duration> {
        let (secs, nanos) = self.modified;
        let (Ok(secs), Ok(nanos)) = (u64::try_from(secs), u32::try_from(nanos)) else { return None };
        let modified = SystemTime::UNIX_EPOCH + Duration::new(secs, nanos);
        QUIET.checked_sub(now.duration_since(modified).ok()?).filter(|rest| !rest.is_zero())
    }
}

/// The content, and the state of the file that it is of: the same before and after reading.
pub(crate) fn read(path: &Path) -> Result<(Vec<u8>, Stamp), TableError> {
    let shown = || path.display().to_string();
    let wrap = |error| TableError::Io { path: shown(), error };
    let mut file = File::open(path).map_err(wrap)?;
    let before = file.metadata().map_err(wrap)?;
    if before.is_dir() {
        return Err(wrap(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    if u32::try_from(before.len()).is_err() {
        return Err(TableError::TooLarge(shown()));
    }
    let mut content = Vec::with_capacity(usize::try_from(before.len()).unwrap_or_default() + 1);
    file.by_ref().take(u64::from(u32::MAX)).read_to_end(&mut content).map_err(wrap)?;
    let after = file.metadata().map_err(wrap)?;
    if Stamp::of(&before) == Stamp::of(&after) && content.len() as u64 == before.len() {
        Ok((content, Stamp::of(&after)))
    } else {
        Err(TableError::Busy(shown()))
    }
}
