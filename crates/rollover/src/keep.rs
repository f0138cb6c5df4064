//! The folder of a rollover: its state, the next key, and a lock.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use crate::{Error, Rollover};

/// Octets of a file that is read; states have thousands.
const MAX_FILE: u64 = 4 << 20;
const STATE: &str = "state.json";

/// An open folder. Nobody else has it open.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Locked as long as it is open (flock(2)), so that a process that dies leaves none.
    _lock: File,
}

impl Folder {
    /// Opens it, and makes it where it is not there.
    ///
    /// # Errors
    /// [`Error::Busy`] where another process has it open; [`Error::File`] where the system says no.
    pub fn open(path: &Path) -> Result<Self, Error> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| Error::file(path, e))?;
        let name = path.join("lock");
        let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&name);
        let lock = open.map_err(|error| Error::file(&name, error))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Busy(path.to_owned())),
            Err(error) => Err(Error::file(&name, error)),
        }
    }

    /// The rollover that is in it, also one that is over.
    ///
    /// # Errors
    /// A state that cannot be read, which is never taken for none.
    pub fn load(&self) -> Result<Option<Rollover>, Error> {
        let path = self.path.join(STATE);
        match read_text(&path) {
            Ok(text) => Rollover::parse(&text).map(Some).map_err(|problem| Error::file(&path, problem)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file(&path, error)),
        }
    }

    /// Writes the state, whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save(&self, rollover: &Rollover) -> Result<(), Error> {
        let path = self.path.join(STATE);
        let text = rollover.text().map_err(|problem| Error::file(&path, problem))?;
        replace(&path, text.as_bytes(), None)
    }

    /// Where the next key stands, with its chain behind it.
    #[must_use]
    pub fn next_file(&self) -> PathBuf {
        self.path.join("next.pem")
    }

    /// Where the request for its certificate stands, if one was made.
    #[must_use]
    pub fn request_file(&self) -> PathBuf {
        self.path.join("next.csr")
    }

    /// Removes what is not needed when a rollover is over: the copy of the key.
    pub fn clear(&self) {
        for path in [self.next_file(), self.request_file()] {
            // What cannot be removed is replaced by the next rollover.
            let _ = fs::remove_file(path);
        }
    }
}

/// Reads a text file of reasonable size.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE).read_to_string(&mut text)?;
    if text.len() as u64 == MAX_FILE { Err(io::Error::other("it is too large")) } else { Ok(text) }
}

/// Owner, group and mode of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rights {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
}

/// Puts a file in the place of another: at each moment the old one is there or the new one, also after a loss of power. Without `rights`
/// it is ours alone.
pub(crate) fn replace(path: &Path, contents: &[u8], rights: Option<Rights>) -> Result<(), Error> {
    let write = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().ok_or_else(|| io::Error::other("it is no file"))?;
        let fresh = folder.join(format!(".{}.next", name.to_string_lossy()));
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(contents)?;
        if let Some(Rights { uid, gid, mode }) = rights {
            std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
            rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(mode & 0o777))?;
        }
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| Error::file(path, error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn two_cannot_work_in_one_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rollover");
        let first = Folder::open(&path).unwrap();
        assert!(matches!(Folder::open(&path), Err(Error::Busy(_))));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        drop(first);
        assert!(Folder::open(&path).unwrap().load().unwrap().is_none());
    }

    #[test]
    fn a_state_that_is_none_is_told_and_not_overlooked() {
        let folder = tempfile::tempdir().unwrap();
        let opened = Folder::open(folder.path()).unwrap();
        for text in ["", "{", "{}", "{\"version\": 2}", "{\"version\": 1}"] {
            replace(&folder.path().join(STATE), text.as_bytes(), None).unwrap();
            assert!(matches!(opened.load(), Err(Error::File { .. })), "{text}");
        }
    }

    #[test]
    fn a_file_is_replaced_with_the_rights_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tls.pem");
        replace(&path, b"one", None).unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        replace(&path, b"two", Some(Rights { uid, gid, mode: 0o640 })).unwrap();
        assert_eq!((mode(), fs::read(&path).unwrap().as_slice()), (0o640, &b"two"[..]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
