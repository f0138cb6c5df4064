//! What can be read of a log while it runs.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// The counters at one moment; all but `unsynced_marks`, `live`, `segments`, `disk_bytes` and `index_bytes` only grow.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Metrics { $($(#[$doc])* pub $name: u64,)+ }

        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: Counter,)+ }

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
    /// Octets of memory for the index of messages.
    index_bytes,
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
