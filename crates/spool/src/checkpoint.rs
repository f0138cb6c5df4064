//! What the schedule needs of every message, in one file: read in one go at a start, where the messages themselves lie scattered over the log.
//!
//! It is a copy and never the truth: an item counts only if the index, which comes from the log, has the message and its latest results at the very places
//! that the item was made from. Otherwise, and wherever the file is missing, old or damaged, the log is read.
//!
//! ```text
//! header   "WXCHKPNT" version:4 0:4                                               (16 octets)
//! block    length:4 items:4 0:4 crc:4, items                                      the checksum is of the items
//! item     id:8 put:8 mark:8 envelope:4 results:4, envelope, results              as in PUT and UPDATE, in the order of ids
//! ```

use std::io::{self, IoSlice};

use crate::{
    Error, Recovered, Storage, StorageFile,
    codec::{self, Mark},
    format::{u32_at, u64_at},
    index::{Entry, Place},
    read::{Reader, as_states},
};

const NAME: &str = "checkpoint";
const UNFINISHED: &str = "checkpoint.new";
const MAGIC: &[u8; 8] = b"WXCHKPNT";
const VERSION: u32 = 1;
const HEADER: u64 = 16;
const BLOCK_HEADER: usize = 16;
const ITEM_HEADER: usize = 32;
/// A block is closed when it has grown to this.
const BLOCK: usize = 256 << 10;
/// More than any block: an envelope is no longer than a record may be.
const LONGEST_BLOCK: usize = 1 << 30;

/// One message, as it is in the file.
struct Item<'a> {
    id: u64,
    put: Place,
    mark: Place,
    envelope: &'a [u8],
    results: &'a [u8],
}

fn place(octets: &[u8], at: usize) -> Place {
    Place { segment: u32_at(octets, at), unit: u32_at(octets, at + 4) }
}

impl<'a> Item<'a> {
    fn parse(octets: &'a [u8]) -> Option<(Self, usize)> {
        let header = octets.get(..ITEM_HEADER)?;
        let (envelope, results) = (u32_at(header, 24) as usize, u32_at(header, 28) as usize);
        let envelope_end = ITEM_HEADER.checked_add(envelope)?;
        let end = envelope_end.checked_add(results)?;
        let item = Self {
            id: u64_at(header, 0),
            put: place(header, 8),
            mark: place(header, 16),
            envelope: octets.get(ITEM_HEADER..envelope_end)?,
            results: octets.get(envelope_end..end)?,
        };
        Some((item, end))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_le_bytes());
        for place in [self.put, self.mark] {
            out.extend_from_slice(&place.segment.to_le_bytes());
            out.extend_from_slice(&place.unit.to_le_bytes());
        }
        out.extend_from_slice(&(self.envelope.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.results.len() as u32).to_le_bytes());
        out.extend_from_slice(self.envelope);
        out.extend_from_slice(self.results);
    }

    fn decode(&self, entry: &Entry) -> Option<Recovered> {
        let envelope = codec::decode_envelope(self.id, self.envelope).ok()?;
        let mark = codec::decode_mark(self.results).ok()?;
        Some(Recovered { envelope, states: as_states(mark.results, entry.recipients()) })
    }
}

/// The file, read from its beginning to its end in step with the index.
pub(crate) struct Checkpoint {
    file: Box<dyn StorageFile>,
    offset: u64,
    block: Vec<u8>,
    at: usize,
}

impl Checkpoint {
    /// `None` if there is none that can be read.
    pub(crate) fn open(storage: &dyn Storage) -> Option<Self> {
        let file = storage.open(NAME).ok()?;
        let mut header = [0; HEADER as usize];
        let got = file.read_at(&mut header, 0).ok()?;
        let known = got == header.len() && &header[..8] == MAGIC && u32_at(&header, 8) == VERSION;
        known.then_some(Self { file, offset: HEADER, block: Vec::new(), at: 0 })
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
        self.at = 0;
        let got = self.file.read_at(&mut self.block, self.offset + BLOCK_HEADER as u64).ok()?;
        self.offset += (BLOCK_HEADER + length) as u64;
        (got == length && crc32c::crc32c(&self.block) == u32_at(&header, 12)).then_some(())
    }

    /// The item of a message, if it still holds. Ids must be asked for in their order.
    fn find(&mut self, id: u64, entry: &Entry) -> Option<Item<'_>> {
        loop {
            if self.at >= self.block.len() && self.next_block().is_none() {
                self.block.clear();
                self.at = 0;
                return None;
            }
            let (item, length) = Item::parse(&self.block[self.at..])?;
            if item.id > id {
                return None;
            }
            let (at, holds) = (self.at, item.id == id && item.put == entry.put && item.mark == entry.mark);
            self.at += length;
            if holds {
                return Some(Item::parse(&self.block[at..])?.0);
            }
        }
    }

    pub(crate) fn recovered(&mut self, id: u64, entry: &Entry) -> Option<Recovered> {
        self.find(id, entry)?.decode(entry)
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
    let mut writing = Writing { file, offset: HEADER, block: Vec::with_capacity(BLOCK), items: 0 };
    let (mut last, mut count) = (0, 0);
    while let Some((id, entry)) = reader.next_after(last) {
        last = id;
        match former.as_mut().and_then(|former| former.find(id, &entry)) {
            Some(item) => item.encode(&mut writing.block),
            None => match fresh(reader, id) {
                Ok((entry, envelope, results)) => {
                    let (put, mark) = (entry.put, entry.mark);
                    Item { id, put, mark, envelope: &envelope, results: &results }.encode(&mut writing.block);
                }
                // It is gone, or damaged: the start will see.
                Err(_) => continue,
            },
        }
        writing.items += 1;
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

/// A message as the log has it.
fn fresh(reader: &Reader, id: u64) -> Result<(Entry, Vec<u8>, Vec<u8>), Error> {
    let (entry, recovered) = reader.recovered_at(id)?;
    let results = crate::build::told(recovered.states);
    let results = codec::encode_mark(&Mark { id, previous: None, results });
    Ok((entry, codec::encode_envelope(&recovered.envelope), results))
}

struct Writing {
    file: Box<dyn StorageFile>,
    offset: u64,
    block: Vec<u8>,
    items: u32,
}

impl Writing {
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
        self.items = 0;
        Ok(())
    }
}
