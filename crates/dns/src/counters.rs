//! What happened, for the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: AtomicU64,
    pub(crate) joined: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) bogus: AtomicU64,
    pub(crate) udp: AtomicU64,
    pub(crate) tcp: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) probes: AtomicU64,
    pub(crate) blind: AtomicU64,
    pub(crate) crowded: AtomicU64,
    pub(crate) waited: AtomicU64,
}

/// What the resolver has done since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Questions answered from the cache.
    pub hits: u64,
    /// Questions that waited for the same question of somebody else.
    pub joined: u64,
    /// Questions that went to a server.
    pub misses: u64,
    /// Of these, the ones that got no answer.
    pub failures: u64,
    /// Of these, the ones whose answer was bogus.
    pub bogus: u64,
    /// Queries sent over UDP.
    pub udp: u64,
    /// Queries repeated over TCP.
    pub tcp: u64,
    /// Waits for a server that ended without an answer.
    pub timeouts: u64,
    /// Probes of the resolver's DNSSEC.
    pub probes: u64,
    /// Of these, the ones that found DANE blind, for whatever cause.
    pub blind: u64,
    /// Times that answers left the cache because it was full.
    pub crowded: u64,
    /// Questions that waited because too many were under way.
    pub waited: u64,
    /// Answers in the cache.
    pub entries: usize,
    /// About the octets that these answers and the chain of trust hold in memory.
    pub octets: u64,
}

impl Counters {
    pub(crate) fn read(&self, entries: usize, octets: u64) -> Statistics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            hits: get(&self.hits),
            joined: get(&self.joined),
            misses: get(&self.misses),
            failures: get(&self.failures),
            bogus: get(&self.bogus),
            udp: get(&self.udp),
            tcp: get(&self.tcp),
            timeouts: get(&self.timeouts),
            probes: get(&self.probes),
            blind: get(&self.blind),
            crowded: get(&self.crowded),
            waited: get(&self.waited),
            entries,
            octets,
        }
    }
}
