//! What can be read of a log while it runs.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{Gate, gate::Refused, index::Index};

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// The counters at one moment; all but `unsynced_marks`, `live`, `live_bytes`, `segments`, `disk_bytes`, `index_bytes` and `quarantined` only grow.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Metrics { $($(#[$doc])* pub $name: u64,)+ }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)+
            pub(crate) commits: Classes,
        }

        impl Counters {
            pub(crate) fn read(&self) -> Metrics {
                Metrics { $($name: self.$name.get(),)+ }
            }
        }
    };
}

metrics! {
    /// Groups written.
    groups,
    /// Syncs of files and of the folder.
    syncs,
    /// Messages made durable.
    puts,
    /// Marks made durable.
    marks,
    /// Octets written.
    bytes,
    /// Microseconds spent in commits: writing, syncing, answering.
    commit_micros,
    /// The longest of them.
    commit_micros_max,
    /// Marks asked for and not yet durable: the most duplicates that a loss of power can cause now.
    unsynced_marks,
    /// Writes and syncs that failed.
    failures,
    /// Messages given up after [`crate::Settings::stale`].
    stale,
    /// Damaged records found.
    damaged,
    /// Messages copied forward.
    copied,
    /// Segments that nothing needed any more.
    reclaimed,
    /// Segments written over such a one.
    recycled,
    /// Messages in the spool.
    live,
    /// Segments on disk.
    segments,
    /// Octets in segments.
    disk_bytes,
    /// Of these, the ones of messages that are in the spool.
    live_bytes,
    /// Octets of memory for the index of messages.
    index_bytes,
    /// Segments kept aside because of damage.
    quarantined,
    /// Messages that the last start found.
    found,
    /// Of these, the ones that were handed on since.
    recovered,
}

/// Upper bounds of the classes that commits are counted in, in microseconds.
pub const COMMIT_BOUNDS: &[u64] =
    &[100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 100_000, 500_000, 1_000_000, 10_000_000];

/// How long commits took: one count for each of [`COMMIT_BOUNDS`], inclusive, and one for what took longer.
pub type CommitTimes = [u64; COMMIT_BOUNDS.len() + 1];

#[derive(Debug, Default)]
pub(crate) struct Classes([Counter; COMMIT_BOUNDS.len() + 1]);

impl Classes {
    pub(crate) fn add(&self, micros: u64) {
        if let Some(class) = self.0.get(COMMIT_BOUNDS.partition_point(|bound| *bound < micros)) {
            class.add(1);
        }
    }

    fn read(&self) -> CommitTimes {
        std::array::from_fn(|class| self.0[class].get())
    }
}

impl Counters {
    /// Notes how much there is.
    pub(crate) fn survey(&self, index: &Index) {
        self.live.set(index.len() as u64);
        self.segments.set(index.segments.len() as u64);
        self.disk_bytes.set(index.disk_bytes());
        self.live_bytes.set(index.live_bytes());
        self.index_bytes.set(index.memory());
    }
}

/// Reads the numbers of a log, and does not keep it open. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Meter {
    counters: Arc<Counters>,
    gate: Gate,
}

impl Meter {
    pub(crate) const fn new(counters: Arc<Counters>, gate: Gate) -> Self {
        Self { counters, gate }
    }

    /// The counters now.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.counters.read()
    }

    /// How long commits took.
    #[must_use]
    pub fn commit_times(&self) -> CommitTimes {
        self.counters.commits.read()
    }

    /// How often mail was not taken, by the bound that was reached.
    #[must_use]
    pub fn refused(&self) -> Refused {
        self.gate.refused()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn max(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
