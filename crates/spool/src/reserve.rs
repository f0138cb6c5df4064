//! Room for marks when the disk is full: messages are refused early, and a file of zeros gives its blocks back.

use crate::Storage;

const NAME: &str = "reserve";
/// How much may be written before the free space is asked for again.
const STRIDE: u64 = 16 << 20;

pub(crate) struct Reserve {
    size: u64,
    /// Octets that may be written before asking again.
    budget: u64,
    held: bool,
}

impl Reserve {
    pub(crate) const fn new(size: u64) -> Self {
        Self { size, budget: 0, held: false }
    }

    /// Whether messages of `need` octets may be written; `room` is what can be written over without more space.
    pub(crate) fn admit(&mut self, need: u64, room: u64, storage: &dyn Storage) -> bool {
        if need > self.budget {
            // A disk that does not tell is asked by writing to it.
            let free = storage.free_space().unwrap_or(u64::MAX);
            self.hold(free, storage);
            let usable = free.saturating_add(room).saturating_sub(self.size);
            self.budget = usable.min(need.max(STRIDE));
        }
        let enough = need <= self.budget;
        if enough {
            self.budget -= need;
        }
        enough
    }

    /// Makes the file when there is plenty of room.
    fn hold(&mut self, free: u64, storage: &dyn Storage) {
        if self.held || free / 4 < self.size {
            return;
        }
        self.held = match storage.open(NAME) {
            Ok(file) => file.len().is_ok_and(|length| length >= self.size),
            Err(_) => storage.create(NAME).is_ok_and(|file| file.set_len(self.size).is_ok()),
        };
        if !self.held {
            let _ = storage.remove(NAME);
        }
    }

    /// Gives the room back; the next write may succeed.
    pub(crate) fn release(&mut self, storage: &dyn Storage) {
        self.budget = 0;
        self.held = false;
        let _ = storage.remove(NAME);
    }

    /// Whether there is room again.
    pub(crate) fn has_recovered(&self, room: u64, storage: &dyn Storage) -> bool {
        storage.free_space().is_ok_and(|free| free.saturating_add(room) > 2 * self.size)
    }
}
