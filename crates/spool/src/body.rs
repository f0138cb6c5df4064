//! Bodies in files of their own: no message has to fit into memory or into a segment.
//!
//! `<id>.body` (16 hexadecimal digits) has the text, and behind it the CRC-32C of each 256 KiB of it, 4 octets each; the PUT has the length of the text and the
//! checksum of that table. The file is synced, and its name, before the PUT is written; it goes when the end of its message is durable.

use std::{
    io::{self, IoSlice},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use waxseal_types::QueueId;

use crate::{Error, Storage, StorageFile};

/// What is read, checked and handed on at a time.
pub(crate) const CHUNK: usize = 256 << 10;
const SUFFIX: &str = ".body";

pub(crate) fn body_name(id: u64) -> String {
    format!("{id:016x}{SUFFIX}")
}

/// The message that a file has the text of; other names are not ours.
pub(crate) fn body_id(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX).filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok().filter(|id| body_name(*id) == name)
}

pub(crate) fn failed(doing: &'static str, id: u64) -> impl Fn(io::Error) -> Error {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full,
        _ => Error::Io { doing, name: body_name(id), source: Arc::new(source) },
    }
}

/// A body that is being written.
pub(crate) struct Sink {
    id: u64,
    file: Box<dyn StorageFile>,
    length: u64,
    /// Of each full chunk.
    table: Vec<u8>,
    /// Of the last one, so far.
    crc: u32,
}

/// What the PUT has to say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) length: u64,
    pub(crate) crc_table: u32,
}

impl Sink {
    pub(crate) fn create(storage: &dyn Storage, id: u64) -> Result<Self, Error> {
        let file = storage.create(&body_name(id)).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::Duplicate(QueueId::from_u64(id)),
            _ => failed("create", id)(error),
        })?;
        Ok(Self { id, file, length: 0, table: Vec::new(), crc: 0 })
    }

    pub(crate) fn write(&mut self, octets: &[u8]) -> Result<(), Error> {
        let at = self.length;
        self.file.write_at(&mut [IoSlice::new(octets)], at).map_err(failed("write", self.id))?;
        let mut rest = octets;
        while !rest.is_empty() {
            let room = CHUNK - (self.length % CHUNK as u64) as usize;
            let (some, behind) = rest.split_at(room.min(rest.len()));
            self.crc = crc32c::crc32c_append(self.crc, some);
            self.length += some.len() as u64;
            if self.length.is_multiple_of(CHUNK as u64) {
                self.end_chunk();
            }
            rest = behind;
        }
        Ok(())
    }

    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    fn end_chunk(&mut self) {
        self.table.extend_from_slice(&std::mem::take(&mut self.crc).to_le_bytes());
    }

    /// Makes it durable; its name is not yet.
    pub(crate) fn finish(mut self) -> Result<Sealed, Error> {
        if !self.length.is_multiple_of(CHUNK as u64) {
            self.end_chunk();
        }
        let written = self.file.write_at(&mut [IoSlice::new(&self.table)], self.length);
        written.map_err(failed("write", self.id))?;
        self.file.sync_data().map_err(failed("sync", self.id))?;
        Ok(Sealed { length: self.length, crc_table: crc32c::crc32c(&self.table) })
    }
}

/// A body that is being read.
pub(crate) struct Body {
    id: u64,
    file: Box<dyn StorageFile>,
    length: u64,
    table: Vec<u8>,
    /// Memory of pieces that were handed out and have been dropped.
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// Buffers kept for the next pieces: one that is sent and one that is read.
const SPARE: usize = 2;

/// A piece that was handed out. When the last who has it drops it, its memory serves for another.
struct Lent {
    octets: Vec<u8>,
    length: usize,
    home: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut home = self.home.lock();
        if home.len() < SPARE {
            home.push(std::mem::take(&mut self.octets));
        }
    }
}

impl Body {
    pub(crate) fn open(storage: &dyn Storage, id: u64, sealed: Sealed) -> Result<Self, Error> {
        let file = storage.open(&body_name(id)).map_err(failed("open", id))?;
        let chunks = usize::try_from(sealed.length.div_ceil(CHUNK as u64)).unwrap_or(usize::MAX);
        let mut this = Self { id, file, length: sealed.length, table: Vec::new(), spare: Arc::default() };
        // A length that the file does not have is not worth the memory of its table.
        let whole = this.file.len().map_err(failed("read", id))?;
        if whole != sealed.length.saturating_add(4 * chunks as u64) {
            return Err(this.corrupt(whole, "its text's length"));
        }
        this.table = vec![0; 4 * chunks];
        this.file.read_at(&mut this.table, sealed.length).map_err(failed("read", id))?;
        if crc32c::crc32c(&this.table) != sealed.crc_table {
            return Err(this.corrupt(sealed.length, "the checksums of its text"));
        }
        Ok(this)
    }

    fn corrupt(&self, offset: u64, what: &'static str) -> Error {
        Error::Corrupt { id: QueueId::from_u64(self.id), segment: body_name(self.id), offset, what }
    }

    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// The chunk with that number, checked; `None` behind the last one.
    pub(crate) fn chunk(&self, number: u64) -> Result<Option<Bytes>, Error> {
        self.checked(number, |octets, offset| self.file.read_at(octets, offset))
    }

    /// The same, but only where the disk need not be waited for; see [`crate::read::must_wait`].
    pub(crate) fn chunk_at_hand(&self, number: u64) -> Result<Option<Bytes>, Error> {
        self.checked(number, |octets, offset| self.file.read_cached(octets, offset))
    }

    fn checked(
        &self,
        number: u64,
        read: impl Fn(&mut [u8], u64) -> io::Result<usize>,
    ) -> Result<Option<Bytes>, Error> {
        let offset = number * CHUNK as u64;
        let Some(left) = self.length.checked_sub(offset).filter(|left| *left > 0) else { return Ok(None) };
        let length = left.min(CHUNK as u64) as usize;
        let octets = self.spare.lock().pop().unwrap_or_else(|| vec![0; CHUNK]);
        let mut piece = Lent { octets, length, home: Arc::clone(&self.spare) };
        let octets = &mut piece.octets[..length];
        let got = read(octets, offset).map_err(failed("read", self.id))?;
        let at = 4 * number as usize;
        if got < length || Some(&crc32c::crc32c(octets).to_le_bytes()[..]) != self.table.get(at..at + 4) {
            return Err(self.corrupt(offset, "its text's checksum"));
        }
        Ok(Some(Bytes::from_owner(piece)))
    }

    /// Reads all of it for its checksums; its length.
    pub(crate) fn check(&self) -> Result<u64, Error> {
        let mut number = 0;
        while self.chunk(number)?.is_some() {
            number += 1;
        }
        Ok(self.length)
    }

    /// All of it.
    pub(crate) fn whole(&self) -> Result<Bytes, Error> {
        let mut whole = Vec::with_capacity(self.length as usize);
        let mut number = 0;
        while let Some(chunk) = self.chunk(number)? {
            whole.extend_from_slice(&chunk);
            number += 1;
        }
        Ok(whole.into())
    }
}
