//! What happened, for the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) taken: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) crowded: AtomicU64,
    pub(crate) crowded_client: AtomicU64,
    pub(crate) exhausted: AtomicU64,
    pub(crate) memory: AtomicU64,
}

/// What an intake has done since it was made, and what it is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Messages that are durable.
    pub taken: u64,
    /// Messages that came whole and were not taken.
    pub refused: u64,
    /// Clients turned away because too many were connected.
    pub crowded: u64,
    /// Clients turned away because they had too many connections.
    pub crowded_client: u64,
    /// Texts refused because all together held too much memory.
    pub memory: u64,
    /// What clients were refused because they did too much of it in too short a time.
    pub rates: u64,
    /// Clients whose counts were given up for those of others.
    pub rates_forgotten: u64,
    /// Clients whose passwords were not looked at because too many waited for that.
    pub crowded_auth: u64,
    /// Times that nobody was let in because the system had no descriptor or memory left.
    pub exhausted: u64,
    /// Clients that are connected.
    pub connections: usize,
    /// Octets of texts in memory.
    pub octets: usize,
}

impl Counters {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self, connections: usize, octets: usize) -> Statistics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            taken: get(&self.taken),
            refused: get(&self.refused),
            crowded: get(&self.crowded),
            crowded_client: get(&self.crowded_client),
            memory: get(&self.memory),
            rates: 0,
            rates_forgotten: 0,
            crowded_auth: 0,
            exhausted: get(&self.exhausted),
            connections,
            octets,
        }
    }
}
