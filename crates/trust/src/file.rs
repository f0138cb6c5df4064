//! Reading files with a limit, and noticing that they changed.

use std::{
    fs::{File, Metadata},
    io::Read as _,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use waxseal_types::UnixTime;

use crate::Error;

/// No file of certificates is larger: the bundle of a whole operating system has a quarter of a megabyte.
pub(crate) const MAX_FILE: usize = 8 << 20;

/// What tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<Duration>,
    length: u64,
    inode: u64,
}

impl Stamp {
    /// `None` where there is no such file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = path.metadata().ok()?;
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Some(Self { modified, length: metadata.len(), inode: inode(&metadata) })
    }

    /// Whether it was written to within `quiet` before `now`: it may be half-written. A time in the future is no reason to wait.
    pub(crate) fn is_fresh(&self, now: UnixTime, quiet: Duration) -> bool {
        let now = Duration::from_micros(now.as_micros());
        self.modified.and_then(|modified| now.checked_sub(modified)).is_some_and(|age| age < quiet)
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

/// Whether a user could read the file by its permission bits: the file itself, and each folder on the way to it.
#[cfg(unix)]
pub(crate) fn readable_by(path: &Path, uid: u32, gid: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let allows = |path: &Path, wanted: u32| {
        let Ok(metadata) = path.metadata() else { return false };
        let shift = match () {
            () if metadata.uid() == uid => 6,
            () if metadata.gid() == gid => 3,
            () => 0,
        };
        metadata.mode() >> shift & wanted == wanted
    };
    // A relative path starts in a folder that the process is in already.
    let folders = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
    uid == 0 || (allows(path, 4) && folders.into_iter().all(|folder| allows(folder, 1)))
}

#[cfg(not(unix))]
pub(crate) fn readable_by(_: &Path, _: u32, _: u32) -> bool {
    true
}

/// The whole file, if it is one and not too large.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable =
        |cause: std::io::Error| Error::Unreadable { path: path.into(), cause: cause.to_string() };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(Error::Unreadable { path: path.into(), cause: "it is a directory".into() });
    }
    let mut text = Vec::new();
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() > MAX_FILE {
        return Err(Error::TooLarge { path: path.into(), limit: MAX_FILE });
    }
    Ok(text)
}
