//! What is where: some 34 octets for each message in memory, and the books that say when a segment may go.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    StorageFile,
    footer::Item,
    format::{EXTERNAL, Kind, Seed},
    shelf::Shelf,
};

/// Records begin at multiples of this, so that 32 bits reach 32 GiB into a segment.
const UNIT: u64 = 8;

/// Where a record is. Segment 0 does not exist and stands for "nowhere".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    /// In units of 8 octets.
    pub(crate) unit: u32,
}

impl Place {
    pub(crate) const NOWHERE: Self = Self { segment: 0, unit: 0 };

    pub(crate) fn new(segment: u32, offset: u64) -> Self {
        Self { segment, unit: u32::try_from(offset / UNIT).unwrap_or(u32::MAX) }
    }

    pub(crate) fn offset(self) -> u64 {
        u64::from(self.unit) * UNIT
    }

    pub(crate) fn exists(self) -> bool {
        self != Self::NOWHERE
    }
}

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) put: Place,
    /// The latest results; those before them hang on it within the same segment.
    pub(crate) mark: Place,
    /// Octets of its record, in units.
    pub(crate) size: u32,
    /// How many, and in the highest bit whether the body is in a file of its own.
    recipients: u32,
}

const EXTERNAL_BIT: u32 = 1 << 31;

impl Entry {
    pub(crate) const fn new(put: Place, size: u32, recipients: u32, external: bool) -> Self {
        let bit = if external { EXTERNAL_BIT } else { 0 };
        Self { put, mark: Place::NOWHERE, size, recipients: recipients & !EXTERNAL_BIT | bit }
    }

    pub(crate) const fn recipients(&self) -> u32 {
        self.recipients & !EXTERNAL_BIT
    }

    /// Whether the body is in a file of its own.
    pub(crate) const fn is_external(&self) -> bool {
        self.recipients & EXTERNAL_BIT != 0
    }

    /// Octets of its record.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.size) * UNIT
    }
}

/// Octets of a record, in units.
pub(crate) fn units(octets: u64) -> u32 {
    u32::try_from(octets.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// A segment that can be read.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) file: Arc<dyn StorageFile>,
    pub(crate) seed: Seed,
    pub(crate) name: Arc<str>,
    /// Only what is in memory is read.
    pub(crate) cached: bool,
}

pub(crate) struct Segment {
    pub(crate) source: Source,
    /// Octets written in this generation.
    pub(crate) bytes: u64,
    /// Octets of its file.
    pub(crate) allocated: u64,
    /// Messages whose PUT is here.
    live: u32,
    live_bytes: u64,
    /// Messages whose latest results are here.
    marks: u32,
    /// Segments with a PUT that DONE or CANCEL here ends: as long as one of them exists, the end must be told, or the message came back to life.
    ends: BTreeSet<u32>,
    /// Has damage: kept under another name when its time has come, not removed.
    pub(crate) damaged: bool,
    /// Removed, but the folder could not be synced: it may come back after a crash, so what its messages' ends say has to stay until the next start.
    pub(crate) undead: bool,
    /// A write or a sync of its file failed: its blocks are not used again.
    pub(crate) poisoned: bool,
}

impl Segment {
    pub(crate) const fn new(source: Source, bytes: u64, allocated: u64) -> Self {
        Self {
            source,
            bytes,
            allocated,
            live: 0,
            live_bytes: 0,
            marks: 0,
            ends: BTreeSet::new(),
            damaged: false,
            undead: false,
            poisoned: false,
        }
    }
}

#[derive(Default)]
pub(crate) struct Index {
    entries: Shelf<Entry>,
    pub(crate) segments: BTreeMap<u32, Segment>,
    /// Further segments that hold, or may hold, the PUT of a message: after a failed sync it was written again elsewhere, or it was copied forward.
    ghosts: HashMap<u64, BTreeSet<u32>>,
    /// What was there at the start is still being read: nothing may be decided by what is not here.
    pub(crate) incomplete: bool,
}

impl Index {
    /// What was there at the start comes in under what is new.
    pub(crate) fn complete(&mut self, old: Self) {
        let Self { entries, segments, ghosts, .. } = std::mem::replace(self, old);
        self.segments.extend(segments);
        for (id, entry) in entries.iter() {
            // No id is given twice; if one ever were, the newer message is the one that was answered for.
            self.entries.insert(id, entry);
        }
        self.ghosts.extend(ghosts);
        self.incomplete = false;
    }

    pub(crate) fn find(&self, id: u64) -> Option<Entry> {
        self.entries.get(id)
    }

    pub(crate) fn source(&self, segment: u32) -> Option<Source> {
        self.segments.get(&segment).map(|segment| segment.source.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A message, or a further copy of one that is known: then the newer copy counts, and its results stay.
    pub(crate) fn put(&mut self, id: u64, mut entry: Entry) {
        if let Some(old) = self.entries.remove(id) {
            self.leave(&old);
            entry.mark = old.mark;
            if old.put.segment != entry.put.segment {
                self.haunt(id, [old.put.segment]);
            }
        }
        if let Some(segment) = self.segments.get_mut(&entry.put.segment) {
            segment.live += 1;
            segment.live_bytes += entry.bytes();
        }
        self.entries.insert(id, entry);
    }

    fn leave(&mut self, entry: &Entry) {
        if let Some(segment) = self.segments.get_mut(&entry.put.segment) {
            segment.live = segment.live.saturating_sub(1);
            segment.live_bytes = segment.live_bytes.saturating_sub(entry.bytes());
        }
    }

    pub(crate) fn haunt(&mut self, id: u64, segments: impl IntoIterator<Item = u32>) {
        let exists = |number: &u32| self.segments.contains_key(number);
        let more: BTreeSet<u32> = segments.into_iter().filter(exists).collect();
        if !more.is_empty() {
            let ghosts = self.ghosts.entry(id).or_default();
            ghosts.retain(|number| self.segments.contains_key(number));
            ghosts.extend(more);
        }
    }

    /// Newer results of a message; `false` if there is no such message.
    pub(crate) fn mark(&mut self, id: u64, place: Place) -> bool {
        let Some(entry) = self.entries.get_mut(id) else { return false };
        let old = std::mem::replace(&mut entry.mark, place);
        self.unmark(old);
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.marks += 1;
        }
        true
    }

    fn unmark(&mut self, place: Place) {
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.marks = segment.marks.saturating_sub(1);
        }
    }

    /// The end of a message, told in segment `told`.
    pub(crate) fn finish(&mut self, id: u64, told: u32) -> bool {
        let Some(entry) = self.forget(id) else { return false };
        let ghosts = self.ghosts.remove(&id).unwrap_or_default();
        self.ends(told, ghosts.into_iter().chain([entry.put.segment]));
        true
    }

    /// The end of a message that `told` must outlive `segments` for.
    pub(crate) fn ends(&mut self, told: u32, segments: impl IntoIterator<Item = u32>) {
        if let Some(segment) = self.segments.get_mut(&told) {
            segment.ends.extend(segments.into_iter().filter(|number| *number != told));
        }
    }

    /// Takes a message out; its end has yet to be told.
    pub(crate) fn forget(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        self.leave(&entry);
        self.unmark(entry.mark);
        Some(entry)
    }

    /// Segments that nothing needs: never the newest, whose header carries the floor of ids, nor the active one.
    pub(crate) fn removable(&self, active: Option<u32>) -> Vec<u32> {
        let newest = self.segments.keys().next_back().copied();
        let needless = |(number, segment): (&u32, &Segment)| {
            let free = segment.live == 0
                && segment.marks == 0
                && !segment.undead
                && Some(*number) != active
                && Some(*number) != newest
                && segment.ends.iter().all(|put| !self.segments.contains_key(put));
            free.then_some(*number)
        };
        self.segments.iter().filter_map(needless).collect()
    }

    /// The oldest segment, if copying it forward is worth it: the log holds more than twice what is alive, and `slack` more.
    pub(crate) fn worth_copying(&self, slack: u64, active: Option<u32>) -> Option<u32> {
        let held = self.disk_bytes();
        let live = self.live_bytes();
        let (oldest, _) = self.segments.first_key_value()?;
        (held > 2 * live + slack && Some(*oldest) != active && self.segments.len() > 1).then_some(*oldest)
    }

    /// The messages in a segment, first one last; those whose results alone are there come, too.
    pub(crate) fn residents(&self, segment: u32) -> Vec<u64> {
        let here = |entry: &Entry| entry.put.segment == segment || entry.mark.segment == segment;
        let mut found: Vec<_> =
            self.entries.iter().filter(|(_, e)| here(e)).map(|(id, e)| (e.put, id)).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.into_iter().map(|(_, id)| id).collect()
    }

    /// The next message in the order of ids, which is the order of arrival.
    pub(crate) fn next_after(&self, id: u64) -> Option<(u64, Entry)> {
        self.entries.next_after(id)
    }

    /// The messages whose bodies are in files of their own.
    pub(crate) fn external(&self) -> impl Iterator<Item = (u64, Entry)> + '_ {
        self.entries.iter().filter(|(_, entry)| entry.is_external())
    }

    /// Octets of memory for the messages.
    pub(crate) fn memory(&self) -> u64 {
        self.entries.memory()
    }

    /// What a record that was found in segment `number` means.
    pub(crate) fn apply(&mut self, number: u32, item: &Item) {
        let place = Place { segment: number, unit: item.unit };
        if item.kind.is_put() {
            let external = item.flags & EXTERNAL != 0;
            self.put(item.id, Entry::new(place, item.size, item.recipients, external));
        }
        match item.kind {
            Kind::Put => {}
            // Marks of a message that is gone are no news.
            Kind::Update | Kind::PutUpdate => {
                self.mark(item.about, place);
            }
            Kind::Done | Kind::Cancel | Kind::PutDone => {
                self.finish(item.about, number);
            }
        }
    }

    /// Octets of the records of messages that are there.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.live_bytes).sum()
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.allocated.max(segment.bytes)).sum()
    }
}
