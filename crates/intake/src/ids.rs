//! Trace ids (W3C Trace Context §3.2.2.3: random, not zero).

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use waxseal_types::TraceContext;

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014), which is a counter and a mixer and so needs
/// no lock. Ids only have to differ; nobody's safety hangs on them.
#[derive(Debug)]
pub(crate) struct Ids(AtomicU64);

impl Ids {
    /// Seeded from what the system gives the hash tables of this process.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(RandomState::new().build_hasher().finish()))
    }

    pub(crate) fn trace(&self, sampled: bool) -> TraceContext {
        let trace_id = u128::from(self.next()) << 64 | u128::from(self.next());
        TraceContext { trace_id: trace_id.max(1), span_id: self.next().max(1), sampled }
    }

    fn next(&self) -> u64 {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_are_not_zero() {
        let ids = Ids::new();
        let mut seen: Vec<_> = (0..1000).map(|_| ids.trace(true)).map(|t| (t.trace_id, t.span_id)).collect();
        assert!(seen.iter().all(|(trace, span)| *trace != 0 && *span != 0));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 1000);
        assert_ne!(Ids::new().trace(true), Ids::new().trace(true));
    }
}
