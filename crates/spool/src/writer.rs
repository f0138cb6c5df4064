//! The segment that is written to, and its end: closed, full, or poisoned by a write or a sync that failed.

use std::{io, sync::Arc, time::Instant};

use parking_lot::Mutex;

use crate::{
    Error, Storage, StorageFile,
    footer::{self, Item},
    format::{FIRST_GROUP, Seed, SegmentHeader, segment_name},
    group::Group,
    index::{Index, Segment, Source},
    metrics::Counters,
    spares::Spares,
};

/// Why a group is not durable.
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// For want of space.
    pub(crate) full: bool,
}

fn failed(doing: &'static str, name: &str, error: io::Error) -> Failure {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    Failure { error: Error::Io { doing, name: name.to_owned(), source: Arc::new(error) }, full }
}

struct Active {
    number: u32,
    source: Source,
    end: u64,
    /// Octets of the file.
    allocated: u64,
    /// Its name is not durable yet.
    fresh: bool,
    /// What is in it, for its index.
    items: Vec<Item>,
}

pub(crate) struct Writer {
    pub(crate) storage: Arc<dyn Storage>,
    index: Arc<Mutex<Index>>,
    counters: Arc<Counters>,
    segment_size: u64,
    active: Option<Active>,
    next_number: u32,
    sequence: u64,
    pub(crate) spares: Spares,
    /// The segment before the active one, and how far it is durable.
    previous: (u32, u64),
    /// Segments begun so far.
    pub(crate) begun: u64,
}

impl Writer {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        index: Arc<Mutex<Index>>,
        counters: Arc<Counters>,
        segment_size: u64,
        (next_number, sequence): (u32, u64),
    ) -> Self {
        let (active, spares, previous) = (None, Spares::default(), (0, 0));
        Self {
            storage,
            index,
            counters,
            segment_size,
            active,
            next_number,
            sequence,
            spares,
            previous,
            begun: 0,
        }
    }

    pub(crate) fn active(&self) -> Option<u32> {
        self.active.as_ref().map(|active| active.number)
    }

    /// Octets that can be written without asking the file system for more.
    pub(crate) fn room(&self) -> u64 {
        let left = |active: &Active| active.allocated.saturating_sub(active.end);
        self.active.as_ref().map_or(0, left) + self.spares.room()
    }

    /// A group to fill, in a segment with room for `need` octets. A segment is never empty but for one group that is larger than segments are.
    pub(crate) fn begin(&mut self, need: u64, id_floor: u64) -> Result<(u32, Group), Failure> {
        let after = |active: &Active| active.end + need + footer::room(active.items.len());
        let full = |active: &Active| active.end > FIRST_GROUP && after(active) > self.segment_size;
        if self.active.as_ref().is_some_and(full) {
            self.seal();
        }
        let active = match self.active.take() {
            Some(active) => active,
            None => self.create(id_floor)?,
        };
        let group = (active.number, Group::new(active.source.seed, active.end));
        self.active = Some(active);
        Ok(group)
    }

    /// A new segment: a spare to be written over, or a new file.
    fn create(&mut self, id_floor: u64) -> Result<Active, Failure> {
        let number = self.next_number;
        self.next_number = number.saturating_add(1);
        let name = segment_name(number);
        let (previous, vouched) = self.previous;
        let header = SegmentHeader { number, salt: self.storage.entropy(), id_floor, previous, vouched };
        let recycled = self.spares.take(&name, &*self.storage);
        let file = match recycled {
            Some(_) => self.storage.open(&name).map_err(|e| failed("open", &name, e))?,
            None => self.storage.create(&name).map_err(|e| failed("create", &name, e))?,
        };
        if let Err(error) = file.write_at(&mut [io::IoSlice::new(&header.encode())], 0) {
            // Without a header it is nothing, whether it can be removed or not.
            let _ = self.storage.remove(&name);
            return Err(failed("write", &name, error));
        }
        self.counters.recycled.add(u64::from(recycled.is_some()));
        self.begun += 1;
        let allocated = recycled.unwrap_or(0).max(FIRST_GROUP);
        let file: Arc<dyn StorageFile> = Arc::from(file);
        let source = Source { file, seed: Seed::new(&header), name: name.into(), cached: false };
        let segment = Segment::new(source.clone(), FIRST_GROUP, allocated);
        self.index.lock().segments.insert(number, segment);
        Ok(Active { number, source, end: FIRST_GROUP, allocated, fresh: true, items: Vec::new() })
    }

    /// Writes a group and makes it durable. After an error the segment is given up, unless the disk was merely full: a sync that failed
    /// may have thrown away what it could not write, and would succeed the next time.
    pub(crate) fn make_durable(&mut self, mut group: Group, items: Vec<Item>) -> Result<(), Failure> {
        let Some(mut active) = self.active.take() else {
            return Err(failed("write", "a segment", io::ErrorKind::NotFound.into()));
        };
        let started = Instant::now();
        self.sequence += 1;
        group.close(self.sequence, 0);
        // Until it is known to be durable, this is how far the segment reaches.
        self.previous = (active.number, active.end);
        let name = Arc::clone(&active.source.name);
        let file = &active.source.file;
        if let Err(error) = file.write_at(&mut group.slices(), active.end) {
            let failure = failed("write", &name, error);
            if !(failure.full && file.set_len(active.end).is_ok()) {
                self.poison(active.number);
            } else if self.spares.is_empty() {
                active.allocated = active.end;
                self.active = Some(active);
            }
            return Err(failure);
        }
        if let Err(error) = file.sync_data() {
            self.poison(active.number);
            return Err(failed("sync", &name, error));
        }
        if active.fresh {
            if let Err(error) = self.storage.sync_dir() {
                self.poison(active.number);
                return Err(failed("sync the folder of", &name, error));
            }
            active.fresh = false;
            self.counters.syncs.add(1);
        }
        self.account(&active, &group, started);
        active.end = group.end();
        active.items.extend(items);
        active.allocated = active.allocated.max(active.end);
        self.previous = (active.number, active.end);
        self.active = Some(active);
        Ok(())
    }

    /// Nothing more is written to a segment, nor over it.
    fn poison(&self, number: u32) {
        if let Some(segment) = self.index.lock().segments.get_mut(&number) {
            segment.poisoned = true;
        }
    }

    fn account(&self, active: &Active, group: &Group, started: Instant) {
        if let Some(segment) = self.index.lock().segments.get_mut(&active.number) {
            segment.bytes = group.end();
            segment.allocated = segment.allocated.max(group.end());
        }
        self.counters.groups.add(1);
        self.counters.syncs.add(1);
        self.counters.bytes.add(group.end() - active.end);
        let took = started.elapsed().as_micros() as u64;
        self.counters.commit_micros.add(took);
        self.counters.commits.add(took);
        self.counters.commit_micros_max.max(took);
    }

    /// Says in the segment what is in it and that nothing follows. Not synced: without it the segment merely looks like one that a crash ended, and is
    /// read as a whole.
    fn seal(&mut self) -> Option<Arc<dyn StorageFile>> {
        let active = self.active.take()?;
        self.sequence += 1;
        let octets = footer::encode(&active.items, self.sequence, active.source.seed, active.end);
        let end = active.end + octets.len() as u64;
        let file = active.source.file;
        // What earlier generations left goes: the end of the file is the end of the segment.
        let written = file
            .write_at(&mut [io::IoSlice::new(&octets)], active.end)
            .and_then(|()| if active.allocated > end { file.set_len(end) } else { Ok(()) });
        if let Err(error) = written {
            tracing::warn!(segment = %active.source.name, %error, "segment not sealed");
        }
        self.counters.bytes.add(octets.len() as u64);
        if let Some(segment) = self.index.lock().segments.get_mut(&active.number) {
            (segment.bytes, segment.allocated) = (end, end);
        }
        Some(file)
    }

    /// The orderly end.
    pub(crate) fn close(&mut self) {
        if let Some(file) = self.seal()
            && let Err(error) = file.sync_data()
        {
            tracing::warn!(%error, "last segment not synced");
        }
    }
}
