//! What happened, for the metrics.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) pool_hits: AtomicU64,
    pub(crate) pool_misses: AtomicU64,
    pub(crate) crowded: AtomicU64,
    pub(crate) resumed: AtomicU64,
    pub(crate) full: AtomicU64,
    pub(crate) remembered: AtomicU64,
    pub(crate) idle: AtomicUsize,
    pub(crate) open: AtomicUsize,
    pub(crate) crowded_address: AtomicU64,
    pub(crate) crowded_all: AtomicU64,
    pub(crate) crowded_descriptors: AtomicU64,
}

/// What connectors have done since the first of them was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Connections taken from the pool.
    pub pool_hits: u64,
    /// Connections asked for that the pool did not have.
    pub pool_misses: u64,
    /// Connections that were closed because the pool was full.
    pub crowded: u64,
    /// Handshakes that resumed a session.
    pub resumed: u64,
    /// Handshakes that did not.
    pub full: u64,
    /// Addresses that were not tried because they had not answered a while ago.
    pub remembered: u64,
    /// Servers whose TLS sessions were forgotten to make room for others.
    pub sessions_crowded: u64,
    /// Addresses that did not answer and were not remembered, because too many were.
    pub graves_crowded: u64,
    /// Connections that are open, idle ones too.
    pub open: usize,
    /// Connections that were not opened because their address had as many as are allowed.
    pub crowded_address: u64,
    /// Connections that were not opened because there were as many as are allowed.
    pub crowded_all: u64,
    /// Connections that were not opened because the system had no descriptor left.
    pub crowded_descriptors: u64,
    /// Idle connections that are kept, by all of them.
    pub idle: usize,
    /// Servers with TLS sessions that are kept.
    pub sessions: usize,
}

impl Counters {
    pub(crate) fn read(&self, sessions: usize) -> Statistics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            pool_hits: get(&self.pool_hits),
            pool_misses: get(&self.pool_misses),
            crowded: get(&self.crowded),
            resumed: get(&self.resumed),
            full: get(&self.full),
            remembered: get(&self.remembered),
            open: self.open.load(Ordering::Relaxed),
            crowded_address: get(&self.crowded_address),
            crowded_all: get(&self.crowded_all),
            crowded_descriptors: get(&self.crowded_descriptors),
            sessions_crowded: 0,
            graves_crowded: 0,
            idle: self.idle.load(Ordering::Relaxed),
            sessions,
        }
    }
}
