//! What the schedule needs of every message, in one file: read in one go at a start, where the messages themselves lie scattered over the log.
//!
//! It is a copy and never the truth: an item counts only if the index, which comes from the log, has the message and its latest results at the very places
//! that the item was made from. Otherwise, and wherever the file is missing, old or damaged, the log is read.
//!
//! ```text
//! header   "WXCHKPNT" version:4 0:4                                               (16 octets)
//! block    length:4 items:4 0:4 crc:4, items                                      the checksum is of the items; see `brief.rs`
//! ```

use std::io::{self, IoSlice};

use crate::{
    Error, Storage, StorageFile, Waiting,
    brief::{Before, Brief},
    format::u32_at,
    index::Entry,
    numbers::Numbers,
    read::Reader,
};

const NAME: &str = "checkpoint";
const UNFINISHED: &str = "checkpoint.new";
const MAGIC: &[u8; 8] = b"WXCHKPNT";
const VERSION: u32 = 2;
const HEADER: u64 = 16;
const BLOCK_HEADER: usize = 16;
/// A block is closed when it has grown to this.
const BLOCK: usize = 256 << 10;
/// More than any block: an item is no longer than an envelope, and that than a record may be.
const LONGEST_BLOCK: usize = 1 << 30;

/// The file, read from its beginning to its end in step with the index.
pub(crate) struct Checkpoint {
    file: Box<dyn StorageFile>,
    offset: u64,
    block: Vec<u8>,
    /// Where the next item of the block is, and what differences in it are to.
    at: usize,
    before: Before,
}

impl Checkpoint {
    /// `None` if there is none that can be read.
    pub(crate) fn open(storage: &dyn Storage) -> Option<Self> {
        let file = storage.open(NAME).ok()?;
        let mut header = [0; HEADER as usize];
        let got = file.read_at(&mut header, 0).ok()?;
        let known = got == header.len() && &header[..8] == MAGIC && u32_at(&header, 8) == VERSION;
        known.then(|| Self { file, offset: HEADER, block: Vec::new(), at: 0, before: Before::default() })
    }

    fn next_block(&mut self) -> Option<()> {
        let mut header = [0; BLOCK_HEADER];
        if self.file.read_at(&mut header, self.offset).ok()? < BLOCK_HEADER {
            return None;
        }
        let length = u32_at(&header, 0) as usize;
        if length == 0 || length > LONGEST_BLOCK || self.file.len().ok()? < self.offset + length as u64 {
            return None;
        }
        self.block.resize(length, 0);
        (self.at, self.before) = (0, Before::default());
        let got = self.file.read_at(&mut self.block, self.offset + BLOCK_HEADER as u64).ok()?;
        self.offset += (BLOCK_HEADER + length) as u64;
        (got == length && crc32c::crc32c(&self.block) == u32_at(&header, 12)).then_some(())
    }

    /// The item of a message, if it still holds. Ids must be asked for in their order.
    fn find(&mut self, id: u64, entry: &Entry) -> Option<Brief<'_>> {
        loop {
            if self.at >= self.block.len() && self.next_block().is_none() {
                self.block.clear();
                (self.at, self.before) = (0, Before::default());
                return None;
            }
            let (at, before) = (self.at, self.before.clone());
            let mut octets = Numbers(&self.block[at..]);
            let item = Brief::parse(&mut octets, &before, &self.block)?;
            if item.id > id {
                return None;
            }
            let holds = item.id == id && item.put == entry.put && item.mark == entry.mark;
            self.at = self.block.len() - octets.0.len();
            self.before = before.after(&item, &self.block);
            if holds {
                return Brief::parse(&mut Numbers(&self.block[at..]), &before, &self.block);
            }
        }
    }

    /// The message, if it only waits and nothing has happened to it since.
    pub(crate) fn waiting(&mut self, id: u64, entry: &Entry) -> Option<Waiting> {
        self.find(id, entry)?.waiting()
    }
}

/// Writes a checkpoint of all messages; what the former one has need not be read again. How many there are.
pub(crate) fn write(storage: &dyn Storage, reader: &Reader) -> Result<usize, Error> {
    let failed = |doing| {
        move |source: io::Error| Error::Io {
            doing,
            name: NAME.to_owned(),
            source: std::sync::Arc::new(source),
        }
    };
    let mut former = Checkpoint::open(storage);
    // One that a crash left; there is none in most cases.
    let _ = storage.remove(UNFINISHED);
    let file = storage.create(UNFINISHED).map_err(failed("create"))?;
    let mut writing = Writing::new(file);
    let (mut last, mut count) = (0, 0);
    while let Some((id, entry)) = reader.next_after(last) {
        last = id;
        match former.as_mut().and_then(|former| former.find(id, &entry)) {
            Some(item) => writing.add(&item),
            None => match reader.recovered_at(id) {
                Ok((entry, recovered)) => {
                    let (waiting, mut recipients) = (Waiting::of(&recovered), Vec::new());
                    writing.add(&Brief::new(id, &entry, waiting.as_ref(), &mut recipients));
                }
                // It is gone, or damaged: the start will see.
                Err(_) => continue,
            },
        }
        count += 1;
        writing.end_block(BLOCK).map_err(failed("write"))?;
    }
    writing.end_block(1).map_err(failed("write"))?;
    let mut header = [0; HEADER as usize];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    writing.file.write_at(&mut [IoSlice::new(&header)], 0).map_err(failed("write"))?;
    writing.file.sync_data().map_err(failed("sync"))?;
    storage.rename(UNFINISHED, NAME).map_err(failed("rename"))?;
    storage.sync_dir().map_err(failed("sync the folder of"))?;
    Ok(count)
}

struct Writing {
    file: Box<dyn StorageFile>,
    offset: u64,
    block: Vec<u8>,
    before: Before,
    items: u32,
}

impl Writing {
    fn new(file: Box<dyn StorageFile>) -> Self {
        let (block, before) = (Vec::with_capacity(BLOCK), Before::default());
        Self { file, offset: HEADER, block, before, items: 0 }
    }

    fn add(&mut self, item: &Brief<'_>) {
        self.before = item.encode(&self.before, &mut self.block);
        self.items += 1;
    }

    /// Writes the block if it has at least so many octets.
    fn end_block(&mut self, least: usize) -> io::Result<()> {
        if self.block.len() < least {
            return Ok(());
        }
        let mut header = [0; BLOCK_HEADER];
        header[..4].copy_from_slice(&(self.block.len() as u32).to_le_bytes());
        header[4..8].copy_from_slice(&self.items.to_le_bytes());
        header[12..].copy_from_slice(&crc32c::crc32c(&self.block).to_le_bytes());
        self.file.write_at(&mut [IoSlice::new(&header), IoSlice::new(&self.block)], self.offset)?;
        self.offset += (BLOCK_HEADER + self.block.len()) as u64;
        self.block.clear();
        (self.before, self.items) = (Before::default(), 0);
        Ok(())
    }
}
