//! Room that comes back: segments that nothing needs go, and the little that is alive in the oldest one is copied forward.

use std::io;

use crate::{engine::Engine, format::segment_name, spares::spare_name};

/// Segments that are not worth the copying of what lives in them.
const SLACK_SEGMENTS: u64 = 4;

impl Engine {
    /// Removes what nothing needs; begins to copy forward what little is alive in the oldest segment.
    pub(crate) fn reclaim(&mut self) {
        if self.is_loading() {
            return;
        }
        if self.errands.look(self.writer.begun) {
            let index = self.index.lock();
            self.counters.survey(&index);
        }
        if !std::mem::take(&mut self.reclaim_due) {
            return;
        }
        // Each round may set free what only waited for the segments of the round before.
        loop {
            let needless = self.index.lock().removable(self.writer.active());
            if needless.is_empty() || !self.remove(&needless) {
                break;
            }
        }
        let slack = SLACK_SEGMENTS * self.segment_size;
        let index = self.index.lock();
        if self.copying.is_none()
            && let Some(oldest) = index.worth_copying(slack, self.writer.active())
        {
            self.copying = Some((oldest, index.residents(oldest)));
        }
        self.counters.survey(&index);
        drop(index);
    }

    /// Whether what was there at the start is still being read.
    pub(crate) fn is_loading(&self) -> bool {
        self.index.lock().incomplete
    }

    /// The segments with damage.
    pub(crate) fn damaged(&self) -> Vec<u32> {
        let index = self.index.lock();
        index.segments.iter().filter(|(_, segment)| segment.damaged).map(|(number, _)| *number).collect()
    }

    /// Has what lives in a segment copied out of it.
    pub(crate) fn evacuate(&mut self, segment: u32) {
        self.copying = Some((segment, self.index.lock().residents(segment)));
    }

    /// A segment counts as gone only when its removal is durable: its marks may go next, and it must not come back without them.
    fn remove(&mut self, numbers: &[u32]) -> bool {
        let mut gone = Vec::new();
        let mut spares = Vec::new();
        for number in numbers {
            let name = segment_name(*number);
            match self.discard(*number, &name, spares.len()) {
                Ok(spare) => {
                    gone.push(*number);
                    spares.extend(spare);
                }
                Err(error) => tracing::error!(segment = name, %error, "cannot remove segment"),
            }
        }
        if gone.is_empty() {
            return false;
        }
        self.counters.syncs.add(1);
        let synced = self.writer.storage.sync_dir();
        if synced.is_ok() {
            spares.into_iter().for_each(|(name, octets)| self.writer.spares.add(name, octets));
        }
        let mut index = self.index.lock();
        for number in gone {
            if synced.is_ok() {
                index.segments.remove(&number);
                self.counters.reclaimed.add(1);
            } else if let Some(segment) = index.segments.get_mut(&number) {
                segment.undead = true;
            }
        }
        if let Err(error) = &synced {
            tracing::error!(%error, "cannot sync the spool folder");
        }
        synced.is_ok()
    }

    /// Takes a segment's name away: kept if it is damaged, to be written over if that is wanted.
    fn discard(&self, number: u32, name: &str, more: usize) -> io::Result<Option<(String, u64)>> {
        let storage = &*self.writer.storage;
        let state = self.index.lock();
        let segment = state.segments.get(&number);
        let (damaged, poisoned) = segment.map_or((false, true), |s| (s.damaged, s.poisoned));
        let allocated = segment.map_or(0, |segment| segment.allocated);
        drop(state);
        if damaged {
            self.counters.quarantined.add(1);
            return storage.rename(name, &format!("{name}.bad")).map(|()| None);
        }
        if poisoned || !self.writer.spares.wants(more, allocated, self.segment_size) {
            return storage.remove(name).map(|()| None);
        }
        let spare = spare_name(number);
        storage.rename(name, &spare)?;
        Ok(Some((spare, allocated)))
    }
}
