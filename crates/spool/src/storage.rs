//! The seam between the log and a disk: one folder, flat names.

use std::io::{self, IoSlice};

/// A folder of files. What it does survives a crash only as far as the `sync` calls say, and the log believes nothing else.
pub trait Storage: Send + Sync + 'static {
    /// The names of the regular files in it; no order.
    ///
    /// # Errors
    /// As the system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes a file that does not exist.
    ///
    /// # Errors
    /// As the system says.
    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>>;

    /// Opens a file that exists; a symbolic link is refused.
    ///
    /// # Errors
    /// As the system says.
    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>>;

    /// Removes a file. Not durable, and not ordered with anything, before [`Storage::sync_dir`].
    ///
    /// # Errors
    /// As the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Gives a file another name. Durable with [`Storage::sync_dir`].
    ///
    /// # Errors
    /// As the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes all creations, removals and renamings durable.
    ///
    /// # Errors
    /// As the system says.
    fn sync_dir(&self) -> io::Result<()>;

    /// Octets that may still be written.
    ///
    /// # Errors
    /// As the system says.
    fn free_space(&self) -> io::Result<u64>;

    /// A number that nobody outside can guess; a simulated disk derives it from its seed.
    fn entropy(&self) -> u64;

    /// What the folder is called in messages.
    fn describe(&self) -> String;
}

/// One file. All methods may be called from several threads at a time.
#[expect(clippy::len_without_is_empty, reason = "a file is not a collection")]
pub trait StorageFile: Send + Sync {
    /// Writes all of `parts`, one behind the other, from `offset` on. Nothing of it is durable before [`StorageFile::sync_data`].
    ///
    /// # Errors
    /// As the system says; part of it may have been written.
    fn write_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()>;

    /// Reads up to `buf.len()` octets; fewer only at the end of the file.
    ///
    /// # Errors
    /// As the system says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// As [`StorageFile::read_at`], but only what needs no waiting for a disk.
    ///
    /// # Errors
    /// As the system says; `WouldBlock` if part of it is not in memory.
    fn read_cached(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(buf, offset)
    }

    /// Makes contents and length durable. After an error nothing is known about what was written since the last success, and calling
    /// again proves nothing.
    ///
    /// # Errors
    /// As the system says.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts or extends; really allocates what it adds, where the file system can.
    ///
    /// # Errors
    /// As the system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Its length.
    ///
    /// # Errors
    /// As the system says.
    fn len(&self) -> io::Result<u64>;
}
