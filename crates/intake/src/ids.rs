//! Trace ids (W3C Trace Context §3.2.2.3: random, not zero).

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use waxseal_types::TraceContext;

use crate::traceparent::TraceParent;

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014), which is a counter and a mixer and so needs
/// no lock. Ids only have to differ; nobody's safety hangs on them.
#[derive(Debug)]
pub(crate) struct Ids(AtomicU64);

impl Ids {
    /// Seeded from what the system gives the hash tables of this process.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(RandomState::new().build_hasher().finish()))
    }

    /// A trace of its own, exported for `ratio` of all messages.
    pub(crate) fn trace(&self, ratio: f64) -> TraceContext {
        let trace_id = u128::from(self.next()) << 64 | u128::from(self.next());
        TraceContext {
            trace_id: trace_id.max(1),
            span_id: self.next().max(1),
            sampled: is_sampled(trace_id, ratio),
            parent_id: 0,
        }
    }

    /// A part of the client's trace, which is exported when the client's is.
    pub(crate) fn within(&self, parent: TraceParent) -> TraceContext {
        TraceContext {
            trace_id: parent.trace_id,
            span_id: self.next().max(1),
            sampled: parent.sampled,
            parent_id: parent.span_id,
        }
    }

    fn next(&self) -> u64 {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The id decides, so that everybody who samples by it decides alike (OpenTelemetry specification, `TraceIdRatioBased`).
fn is_sampled(trace_id: u128, ratio: f64) -> bool {
    // 53 random bits fit into the fraction.
    const BITS: u64 = (1 << 53) - 1;
    let low = (trace_id as u64) & BITS;
    (low as f64) < ratio * (BITS as f64 + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_are_not_zero() {
        let ids = Ids::new();
        let mut seen: Vec<_> = (0..1000).map(|_| ids.trace(1.0)).map(|t| (t.trace_id, t.span_id)).collect();
        assert!(seen.iter().all(|(trace, span)| *trace != 0 && *span != 0));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 1000);
        assert_ne!(Ids::new().trace(1.0), Ids::new().trace(1.0));
    }

    #[test]
    fn a_share_of_all_traces_is_sampled() {
        let ids = Ids::new();
        let share = |ratio| (0..10_000).filter(|_| ids.trace(ratio).sampled).count();
        assert_eq!((share(0.0), share(1.0)), (0, 10_000));
        // Five standard deviations around a thousand.
        assert!((850..1150).contains(&share(0.1)));
    }
}
