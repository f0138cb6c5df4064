//! Reading: newest first, in bounded memory, while another process writes.

use std::{
    collections::HashMap,
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use waxseal_queue::{CertificateFact, Connection, Destination};
use waxseal_types::{QueueId, UnixTime};

use crate::{
    block::{self, Block, Ring, Segment},
    decode::{self, Facts},
    encode::kind,
    entry::Entry,
    facts::{self, Way},
    octets::{Flaw, Read, Reader},
    query::{Asked, Query},
    settings::Error,
    veil::Veil,
};

/// Facts of each kind of one file that are kept at hand: some 300 octets each.
const MOST_AT_HAND: usize = 4096;
/// Octets read for a fact at first; most are shorter.
const FIRST_READ: usize = 1024;
/// Records are in the order of their being told, which is that of their times but for this much.
const DISORDER: u64 = 60_000_000;
/// More entries of one message are not told of in one story.
const MOST_OF_A_STORY: usize = 1000;

/// A ledger to be read. Opening it again is cheap, and sees what was written since.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub(crate) folder: PathBuf,
    pub(crate) veil: Veil,
}

/// How far back a ledger reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Horizon {
    /// The oldest plain success is from about here.
    pub plain: Option<UnixTime>,
    /// The oldest failure or downgrade is from about here.
    pub kept: Option<UnixTime>,
}

impl Ledger {
    /// The ledger in `folder`.
    ///
    /// # Errors
    /// There is no such folder, or it may not be read.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        std::fs::read_dir(folder).map_err(|error| Error::file("read", folder, error))?;
        let veil = Veil::existing(folder).map_err(|error| Error::file("use the key in", folder, error))?;
        Ok(Self { folder: folder.to_owned(), veil })
    }

    /// All entries that are what the query says, the newest first. What cannot be read is passed over.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn search(&self, query: Query) -> Result<Search, Error> {
        let segments = self.segments()?;
        let asked = Asked::new(query, &self.veil);
        let rings = Ring::BOTH.map(|ring| {
            let needless = ring == Ring::Plain && asked.passes_over_successes();
            let of_ring = segments.iter().filter(|segment| segment.ring == ring && !needless);
            let files = of_ring.cloned().collect();
            RingSearch { files, open: None, found: Vec::new(), next: None }
        });
        Ok(Search { asked, rings })
    }

    /// All that happened to one message, the oldest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn story(&self, id: QueueId) -> Result<Vec<Entry>, Error> {
        let query = Query { id: Some(id), ..Query::default() };
        let mut entries: Vec<Entry> = self.search(query)?.take(MOST_OF_A_STORY).collect();
        entries.reverse();
        Ok(entries)
    }

    /// How far back it reaches.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn horizon(&self) -> Result<Horizon, Error> {
        let segments = self.segments()?;
        let oldest = |ring: Ring| {
            let mut files = segments.iter().filter(|segment| segment.ring == ring);
            files
                .find_map(|segment| File::open(&segment.path).ok().and_then(|file| block::opening(&file)))
                .map(|opening| UnixTime::from_micros(opening.created))
        };
        Ok(Horizon { plain: oldest(Ring::Plain), kept: oldest(Ring::Kept) })
    }

    pub(crate) fn segments(&self) -> Result<Vec<Segment>, Error> {
        block::segments(&self.folder).map_err(|error| Error::file("read", &self.folder, error))
    }
}

/// Entries, the newest first. Holds one block of each ring at a time.
pub struct Search {
    asked: Asked,
    rings: [RingSearch; 2],
}

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search").field("query", &self.asked.query).finish_non_exhaustive()
    }
}

impl Iterator for Search {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        for ring in &mut self.rings {
            if ring.next.is_none() {
                ring.next = ring.find(&self.asked);
            }
        }
        let [plain, kept] = &mut self.rings;
        let newer = match (&plain.next, &kept.next) {
            (Some(plain), Some(kept)) => plain.time > kept.time,
            (plain, _) => plain.is_some(),
        };
        if newer { plain.next.take() } else { kept.next.take() }
    }
}

struct RingSearch {
    /// Those not looked at, the oldest first.
    files: Vec<Segment>,
    open: Option<OpenFile>,
    /// What the block in work has left, the oldest first.
    found: Vec<Entry>,
    next: Option<Entry>,
}

struct OpenFile {
    facts: FileFacts,
    /// Those not looked at, the oldest first.
    blocks: Vec<Block>,
    packed: bool,
}

impl RingSearch {
    fn find(&mut self, asked: &Asked) -> Option<Entry> {
        loop {
            if let Some(entry) = self.found.pop() {
                return Some(entry);
            }
            let Some(open) = &mut self.open else {
                self.open = Some(open_file(&self.files.pop()?));
                continue;
            };
            let Some(block) = open.blocks.pop() else {
                self.open = None;
                continue;
            };
            if !asked.may_be_before(block.time.saturating_sub(DISORDER)) {
                continue;
            }
            let newest = open.read(&block, asked, &mut self.found);
            if newest.is_some_and(|newest| newest.saturating_add(DISORDER) < asked.since()) {
                // All else of this ring is older still.
                self.files.clear();
                self.open = None;
            }
        }
    }
}

/// A file that is gone, or is none of ours, has no blocks.
fn open_file(segment: &Segment) -> OpenFile {
    let opened = File::open(&segment.path).ok().and_then(|file| Some((block::opening(&file)?, file)));
    let packed = opened.as_ref().is_some_and(|(opening, _)| opening.packed);
    let file = opened.map(|(_, file)| file);
    let blocks = file.as_ref().and_then(|file| block::blocks(file).ok()).unwrap_or_default();
    OpenFile { facts: FileFacts::of(file), blocks, packed }
}

impl OpenFile {
    /// Adds what matches; the time of the newest record, where one could be read.
    fn read(&mut self, block: &Block, asked: &Asked, found: &mut Vec<Entry>) -> Option<u64> {
        let payload =
            self.facts.file.as_ref().and_then(|file| block::contents(file, block, self.packed))?.records;
        let mut newest = None;
        if !asked.may_be_in(&payload) {
            // What is in older blocks happened before this one was begun.
            return Some(block.time);
        }
        for record in records(&payload) {
            let Ok(record) = Record::of(record, block.time) else { continue };
            newest = newest.max(Some(record.time));
            if let Ok(Some(entry)) = record.matching(asked, &mut self.facts) {
                found.push(entry);
            }
        }
        newest
    }
}

/// The records and facts of a block; ends at the first that cannot be there.
pub(crate) fn records(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut reader = Reader::new(payload);
    std::iter::from_fn(move || {
        if reader.is_empty() {
            return None;
        }
        let length = reader.small().ok()?;
        reader.octets(length).ok()
    })
}

/// A record's own head.
pub(crate) struct Record<'a> {
    pub(crate) kind: u8,
    flags: u8,
    pub(crate) time: u64,
    places: Vec<u32>,
    body: Reader<'a>,
}

impl<'a> Record<'a> {
    /// `Err` for facts.
    pub(crate) fn of(octets: &'a [u8], block_time: u64) -> Read<Self> {
        Self::read(Reader::new(octets), block_time)
    }

    /// The same of a reader that may note things.
    pub(crate) fn read(mut reader: Reader<'a>, block_time: u64) -> Read<Self> {
        let (kind, flags) = (reader.octet()?, reader.octet()?);
        if !matches!(kind, kind::ATTEMPT | kind::SETTLED) {
            return Err(Flaw);
        }
        let time = block_time.wrapping_add_signed(reader.signed()?);
        let count = reader.count()?;
        let places = (0..count).map(|_| reader.small()).collect::<Read<_>>()?;
        Ok(Self { kind, flags, time, places, body: reader })
    }

    fn matching(mut self, asked: &Asked, facts: &mut FileFacts) -> Read<Option<Entry>> {
        let head = decode::head(&mut self.body)?;
        if !asked.may_match(self.flags, self.time, &head) || !self.may_have(asked, facts) {
            return Ok(None);
        }
        let entry = self.entry(&head, facts)?.0;
        Ok(asked.matches(&entry).then_some(entry))
    }

    /// Most searches are for little, and most of what they go through is told here from what is looked for, before anything is made of it.
    fn may_have(&self, asked: &Asked, facts: &mut FileFacts) -> bool {
        let destination = self.places.get(1).copied().filter(|place| *place != 0);
        let nexthop = || Some(facts.destination(destination?)?.nexthop);
        if !asked.may_have(self.body.rest(), nexthop) {
            return false;
        }
        let calls = self.places.iter().skip(3).step_by(2);
        !asked.asks_for_calls()
            || (self.kind == kind::ATTEMPT && calls.into_iter().any(|place| facts.may_be_over(*place, asked)))
    }

    /// The whole entry, from behind its head; and the reader with what it noted.
    pub(crate) fn entry(
        mut self,
        head: &decode::Head<'_>,
        facts: &mut impl Facts,
    ) -> Read<(Entry, Reader<'a>)> {
        let time = UnixTime::from_micros(self.time);
        let entry = if self.kind == kind::ATTEMPT {
            decode::attempt(&mut self.body, head, &self.places, time, facts)?
        } else {
            decode::settled(&mut self.body, head, &self.places, time, facts)?
        };
        Ok((entry, self.body))
    }

    pub(crate) fn head(&mut self) -> Read<decode::Head<'a>> {
        decode::head(&mut self.body)
    }
}

/// The facts of one file. Each has a checksum of its own, since the block that it is in may be damaged elsewhere.
struct FileFacts {
    file: Option<File>,
    at_hand: HashMap<u32, Arc<[u8]>>,
    /// Those that searches compare, as they are.
    destinations: HashMap<u32, Option<Destination>>,
    connections: HashMap<u32, Option<Connection>>,
}

impl FileFacts {
    fn of(file: Option<File>) -> Self {
        Self { file, at_hand: HashMap::new(), destinations: HashMap::new(), connections: HashMap::new() }
    }

    /// What cannot be read is none that is asked for: an entry over it would be shown without connections.
    fn may_be_over(&mut self, place: u32, asked: &Asked) -> bool {
        if !self.connections.contains_key(&place) {
            let read = self.read(place, kind::CONNECTION, facts::read_connection);
            room(&mut self.connections).insert(place, read);
        }
        self.connections.get(&place).and_then(Option::as_ref).is_some_and(|one| asked.may_be_over(one))
    }

    fn octets(&mut self, place: u32, wanted: u8) -> Option<Arc<[u8]>> {
        if let Some(octets) = self.at_hand.get(&place) {
            return Some(Arc::clone(octets));
        }
        let file = self.file.as_ref()?;
        let mut first = vec![0; FIRST_READ];
        let length = file.read_at(&mut first, u64::from(place)).ok()?;
        first.truncate(length);
        let mut reader = Reader::new(&first);
        let length: usize = reader.small().ok()?;
        let prefix = reader.position();
        if !(5..=block::MOST_BLOCK).contains(&length) {
            return None;
        }
        if first.len() < prefix + length {
            first.resize(prefix + length, 0);
            file.read_exact_at(&mut first, u64::from(place)).ok()?;
        }
        let octets = fact(&first[prefix..prefix + length], wanted)?;
        let octets: Arc<[u8]> = octets.into();
        room(&mut self.at_hand).insert(place, Arc::clone(&octets));
        Some(octets)
    }

    fn read<T>(&mut self, place: u32, kind: u8, read: impl FnOnce(&mut Reader<'_>) -> Read<T>) -> Option<T> {
        let octets = self.octets(place, kind)?;
        read(&mut Reader::new(&octets)).ok()
    }
}

/// The same map, with room for one more.
fn room<T>(facts: &mut HashMap<u32, T>) -> &mut HashMap<u32, T> {
    if facts.len() >= MOST_AT_HAND {
        facts.clear();
    }
    facts
}

/// What a fact of that kind says, where its checksum is right.
pub(crate) fn fact(record: &[u8], wanted: u8) -> Option<&[u8]> {
    let (&kind, rest) = record.split_first()?;
    let (sum, octets) = rest.split_first_chunk::<4>()?;
    let right = u32::from_le_bytes(*sum) == fact_sum(kind, octets);
    (kind == wanted && right).then_some(octets)
}

pub(crate) fn fact_sum(kind: u8, octets: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[kind]), octets)
}

impl Facts for FileFacts {
    fn client(&mut self, place: u32) -> Option<Arc<str>> {
        self.read(place, kind::CLIENT, |reader| reader.text().map(Arc::from))
    }

    fn destination(&mut self, place: u32) -> Option<Destination> {
        if let Some(known) = self.destinations.get(&place) {
            return known.clone();
        }
        let read = self.read(place, kind::DESTINATION, facts::read_destination);
        room(&mut self.destinations).insert(place, read.clone());
        read
    }

    fn way(&mut self, place: u32) -> Option<Way> {
        self.read(place, kind::WAY, facts::read_way)
    }

    fn connection(&mut self, place: u32) -> Option<Connection> {
        if let Some(Some(known)) = self.connections.get(&place) {
            return Some(known.clone());
        }
        self.read(place, kind::CONNECTION, facts::read_connection)
    }

    fn chain(&mut self, place: u32) -> Option<Arc<[CertificateFact]>> {
        self.read(place, kind::CHAIN, facts::read_chain)
    }
}
