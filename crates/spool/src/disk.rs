//! A folder on a real disk.

use std::{
    fs::{DirBuilder, File, OpenOptions, Permissions},
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, IoSlice, IoSliceMut, Read, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{FlockOperation, OFlags},
    io::ReadWriteFlags,
};

use crate::{Error, Storage, StorageFile};

/// The most slices in one write: IOV_MAX of Linux (limits.h).
const SLICES: usize = 1024;

/// A folder that this process has locked until the value is dropped.
#[derive(Debug)]
pub(crate) struct RealDisk {
    path: PathBuf,
    folder: File,
    /// Held for its lock; one who only looks has none.
    _lock: Option<File>,
}

impl RealDisk {
    /// A folder that is there, to be looked at beside whoever has locked it. Nothing may be written through this.
    pub(crate) fn look(path: &Path) -> Result<Self, Error> {
        let folder = File::open(path).map_err(|source| Error::Folder {
            doing: "open",
            path: path.to_owned(),
            source: Arc::new(source),
        })?;
        Ok(Self { path: path.to_owned(), folder, _lock: None })
    }

    /// Makes the folder if it is missing, and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Self, Error> {
        let fail = |doing: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| Error::Folder { doing, path, source: Arc::new(source) }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fail("create", path))?;
        let folder = File::open(path).map_err(fail("open", path))?;
        let mode = folder.metadata().map_err(fail("open", path))?.mode();
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), mode = format!("{:o}", mode & 0o777), "spool folder open to others: now 0700");
            folder.set_permissions(Permissions::from_mode(0o700)).map_err(fail("chmod", path))?;
        }
        let lock = path.join("lock");
        let file = private().write(true).create(true).open(&lock).map_err(fail("open", &lock))?;
        let mut file = take_lock(file, path)?;
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(fail("write", &lock))?;
        Ok(Self { path: path.to_owned(), folder, _lock: Some(file) })
    }
}

fn take_lock(mut file: File, path: &Path) -> Result<File, Error> {
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            Err(Error::Locked { path: path.to_owned(), pid })
        }
        Err(errno) => Err(Error::Folder {
            doing: "lock",
            path: path.to_owned(),
            source: Arc::new(io::Error::from(errno)),
        }),
    }
}

/// Files that are nobody else's business, and never through a symbolic link.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).mode(0o600).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
    options
}

impl Storage for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string().ok());
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        Ok(Box::new(private().write(true).create_new(true).open(self.path.join(name))?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let file = private().open(self.path.join(name))?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(Box::new(file))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.folder.sync_all()
    }

    fn free_space(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn entropy(&self) -> u64 {
        // The keys of a RandomState come from the system's generator.
        RandomState::new().build_hasher().finish()
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }
}

impl StorageFile for File {
    fn write_at(&self, mut parts: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        while !parts.is_empty() {
            let some = &parts[..parts.len().min(SLICES)];
            match rustix::io::pwritev(self, some, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut parts, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match FileExt::read_at(self, &mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(more) => done += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn read_cached(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            let part = &mut [IoSliceMut::new(&mut buf[done..])];
            // preadv2(2): RWF_NOWAIT reads what the page cache has.
            match rustix::io::preadv2(self, part, offset + done as u64, ReadWriteFlags::NOWAIT) {
                Ok(0) => break,
                Ok(more) => done += more,
                Err(rustix::io::Errno::INTR) => {}
                // A file system that cannot tell is waited for elsewhere.
                Err(rustix::io::Errno::OPNOTSUPP) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(done)
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let now = self.metadata()?.len();
        if len > now {
            rustix::fs::fallocate(self, rustix::fs::FallocateFlags::empty(), now, len - now)?;
            return Ok(());
        }
        Self::set_len(self, len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
