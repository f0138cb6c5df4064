//! Records into files: each shared fact once, blocks with checksums, two rings in bounded room.

use std::{
    collections::{HashMap, VecDeque},
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::Arc,
};

use waxseal_queue::CertificateFact;
use waxseal_types::TlsFacts;

use crate::{
    block::{self, BLOCK_HEADER, BLOCK_SIZE, FILE_HEADER, MOST_BLOCK, Ring, Segment},
    contents::FACTS_AT,
    encode::{Raw, flag, kind, time_in_block},
    facts,
    octets::number,
};

/// Octets of facts that are remembered for one file; beyond that they are forgotten, and written once more.
const MOST_REMEMBERED: usize = 1 << 20;
/// Connections whose chain is remembered for one file.
const MOST_CHAINS: usize = 4096;
/// A file is full at a 32nd of the whole, within these bounds.
const SMALLEST_FILE: u64 = 64 << 10;
const LARGEST_FILE: u64 = 16 << 20;

/// The end of one ring that is written.
struct Tail {
    ring: Ring,
    file: Option<File>,
    /// Octets in the file.
    position: u64,
    /// The block that is being filled: new facts, which are written as they are,
    facts: Vec<u8>,
    /// and records, which are packed.
    records: Vec<u8>,
    /// How many records.
    count: u64,
    time: u64,
    /// The last block as it was written, for its room.
    block: Vec<u8>,
    remembered: HashMap<Box<[u8]>, u32>,
    remembered_octets: usize,
    chains: HashMap<u64, u32>,
    /// The files, the oldest first, this one included: number, octets.
    files: VecDeque<(u64, u64)>,
    next: u64,
}

/// Writes both rings.
pub(crate) struct Writer {
    folder: PathBuf,
    size: u64,
    tails: [Tail; 2],
    scratch: Vec<u8>,
    /// Records that could not be written.
    pub(crate) lost: u64,
    /// Records written.
    pub(crate) written: u64,
}

impl Writer {
    /// Goes on behind what is in the folder, in new files: what a crash left behind is not touched.
    pub(crate) fn open(folder: PathBuf, size: u64) -> io::Result<Self> {
        let segments = block::segments(&folder)?;
        let tails = Ring::BOTH.map(|ring| Tail::new(ring, &segments));
        let mut writer = Self { folder, size, tails, scratch: Vec::new(), lost: 0, written: 0 };
        writer.make_room();
        Ok(writer)
    }

    /// Octets on disk.
    pub(crate) fn octets(&self) -> u64 {
        self.tails.iter().map(Tail::octets).sum()
    }

    fn file_limit(&self) -> u64 {
        (self.size / 32).clamp(SMALLEST_FILE, LARGEST_FILE)
    }

    /// Writes all of it; what cannot be written is counted.
    pub(crate) fn write(&mut self, raw: &Raw) -> io::Result<()> {
        let mut outcome = Ok(());
        let mut rest = raw.octets.as_slice();
        let mut handshakes = raw.handshakes.iter();
        while let Some((record, more)) = split(rest) {
            rest = more;
            if let Err(error) = self.record(record, &mut handshakes) {
                self.lost += 1;
                outcome = Err(error);
            }
        }
        for at in 0..self.tails.len() {
            outcome = self.flush(at).and(outcome);
        }
        outcome
    }

    fn record<'a>(
        &mut self,
        record: &[u8],
        handshakes: &mut impl Iterator<Item = &'a Arc<TlsFacts>>,
    ) -> io::Result<()> {
        let Some(record) = Parts::of(record) else { return Err(io::ErrorKind::InvalidInput.into()) };
        // Handshakes are counted off whatever becomes of the record.
        let chains = record.parts().filter(|(kind, _)| *kind == kind::CHAIN).count();
        let mut handshakes = handshakes.take(chains).collect::<Vec<_>>().into_iter();
        let at = usize::from(flag::is_kept(record.flags));
        if record.whole > MOST_BLOCK / 2 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if self.tails[at].records.len() + self.tails[at].facts.len() > BLOCK_SIZE {
            self.flush(at)?;
        }
        if self.tails[at].position > self.file_limit() {
            self.tails[at].close();
        }
        self.tails[at].open(&self.folder, record.time)?;
        let tail = &mut self.tails[at];
        let mut places = [0u32; 256];
        let mut count = 0;
        for (kind, octets) in record.parts() {
            places[count] = match kind {
                0 => 0,
                kind::CHAIN => tail.chain(octets, handshakes.next()),
                kind => tail.fact(kind, octets),
            };
            count += 1;
        }
        let scratch = &mut self.scratch;
        scratch.clear();
        scratch.extend_from_slice(&[record.kind, record.flags]);
        time_in_block(scratch, record.time, tail.time);
        number(scratch, count as u64);
        places[..count].iter().for_each(|place| number(scratch, u64::from(*place)));
        scratch.extend_from_slice(record.body);
        number(&mut tail.records, scratch.len() as u64);
        tail.records.extend_from_slice(scratch);
        tail.count += 1;
        Ok(())
    }

    fn flush(&mut self, at: usize) -> io::Result<()> {
        let tail = &mut self.tails[at];
        let count = std::mem::take(&mut tail.count);
        match tail.flush() {
            Ok(()) => self.written += count,
            Err(error) => {
                self.lost += count;
                return Err(error);
            }
        }
        if self.octets() > self.size {
            self.make_room();
        }
        Ok(())
    }

    /// Removes the oldest files until the rest fits: plain successes first, as long as they have more than a quarter.
    fn make_room(&mut self) {
        while self.octets() > self.size {
            let plain = self.tails[0].octets() > self.size / 4;
            let at = usize::from(!plain || self.tails[0].files.len() < 2);
            let at = if self.tails[at].files.len() > 1 { at } else { 1 - at };
            let tail = &mut self.tails[at];
            // The file that is being written stays.
            if tail.files.len() < 2 {
                return;
            }
            if let Some((number, _)) = tail.files.pop_front() {
                let path = block::path_of(&self.folder, tail.ring, number);
                if let Err(error) = std::fs::remove_file(&path) {
                    tracing::warn!("the ledger cannot remove {}: {error}", path.display());
                }
            }
        }
    }
}

impl Tail {
    fn new(ring: Ring, segments: &[Segment]) -> Self {
        let own = segments.iter().filter(|segment| segment.ring == ring);
        let files: VecDeque<_> = own.map(|segment| (segment.number, segment.size)).collect();
        let next = files.back().map_or(1, |(number, _)| number + 1);
        Self {
            ring,
            file: None,
            position: 0,
            facts: Vec::new(),
            records: Vec::new(),
            count: 0,
            time: 0,
            block: Vec::new(),
            remembered: HashMap::new(),
            remembered_octets: 0,
            chains: HashMap::new(),
            files,
            next,
        }
    }

    fn octets(&self) -> u64 {
        self.files.iter().map(|(_, octets)| octets).sum()
    }

    fn close(&mut self) {
        self.file = None;
        self.forget();
    }

    fn forget(&mut self) {
        self.remembered.clear();
        self.remembered_octets = 0;
        self.chains.clear();
    }

    /// A file to write to, and a block that has begun.
    fn open(&mut self, folder: &std::path::Path, time: u64) -> io::Result<()> {
        if self.file.is_none() {
            let path = block::path_of(folder, self.ring, self.next);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            self.files.push_back((self.next, FILE_HEADER));
            self.next += 1;
            file.write_all(&block::file_header(self.ring, time))?;
            self.file = Some(file);
            self.position = FILE_HEADER;
            self.forget();
        }
        if self.facts.is_empty() && self.records.is_empty() {
            self.time = time;
        }
        Ok(())
    }

    /// Where the fact is in the file; written now where it is not.
    fn fact(&mut self, kind: u8, octets: &[u8]) -> u32 {
        let mut key = Vec::with_capacity(octets.len() + 1);
        key.push(kind);
        key.extend_from_slice(octets);
        if let Some(place) = self.remembered.get(key.as_slice()) {
            return *place;
        }
        let in_block = BLOCK_HEADER + FACTS_AT + self.facts.len();
        let place = u32::try_from(self.position + in_block as u64).unwrap_or(0);
        number(&mut self.facts, octets.len() as u64 + 5);
        self.facts.push(kind);
        self.facts.extend_from_slice(&crc32c::crc32c(&key).to_le_bytes());
        self.facts.extend_from_slice(octets);
        self.remembered_octets += key.len();
        if self.remembered_octets > MOST_REMEMBERED {
            self.forget();
        }
        self.remembered.insert(key.into(), place);
        place
    }

    /// The certificates of a connection, read once for each connection and written once for each chain.
    fn chain(&mut self, connection: &[u8], handshake: Option<&Arc<TlsFacts>>) -> u32 {
        let (Ok(connection), Some(handshake)) = (connection.try_into().map(u64::from_le_bytes), handshake)
        else {
            return 0;
        };
        if let Some(place) = self.chains.get(&connection) {
            return *place;
        }
        let mut octets = Vec::with_capacity(512);
        facts::write_chain(&mut octets, &CertificateFact::of_chain(&handshake.chain));
        let place = self.fact(kind::CHAIN, &octets);
        if self.chains.len() >= MOST_CHAINS {
            self.chains.clear();
        }
        self.chains.insert(connection, place);
        place
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.facts.is_empty() && self.records.is_empty() {
            return Ok(());
        }
        self.block.clear();
        block::write(&self.facts, &self.records, self.time, &mut self.block);
        for gathered in [&mut self.facts, &mut self.records] {
            gathered.clear();
            gathered.shrink_to(2 * BLOCK_SIZE);
        }
        let outcome = match &mut self.file {
            Some(file) => file.write_all(&self.block),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        let length = self.block.len() as u64;
        self.block.clear();
        self.block.shrink_to(2 * BLOCK_SIZE);
        if let Err(error) = outcome {
            // Nobody knows how much of it is there: this file ends here.
            self.close();
            return Err(error);
        }
        self.position += length;
        if let Some((_, octets)) = self.files.back_mut() {
            *octets = self.position;
        }
        Ok(())
    }
}

/// The next record of what waits, without its length.
fn split(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// A record as `encode` leaves it.
struct Parts<'a> {
    kind: u8,
    flags: u8,
    time: u64,
    count: u8,
    parts: &'a [u8],
    body: &'a [u8],
    whole: usize,
}

impl<'a> Parts<'a> {
    fn of(record: &'a [u8]) -> Option<Self> {
        let (&[kind, flags], rest) = record.split_first_chunk::<2>()?;
        let (time, rest) = rest.split_first_chunk::<8>()?;
        let (&count, parts) = rest.split_first()?;
        let mut body = parts;
        for _ in 0..count {
            body = part(body)?.1;
        }
        let whole = record.len();
        Some(Self { kind, flags, time: u64::from_le_bytes(*time), count, parts, body, whole })
    }

    fn parts(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let mut rest = self.parts;
        (0..self.count).map_while(move |_| {
            let (found, more) = part(rest)?;
            rest = more;
            Some(found)
        })
    }
}

/// A part's kind and octets.
type Part<'a> = (u8, &'a [u8]);

/// The next part, and what follows it.
fn part(octets: &[u8]) -> Option<(Part<'_>, &[u8])> {
    let (&kind, rest) = octets.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some(((kind, value), rest))
}
