//! Durations in buckets.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

const MS: u64 = 1000;
const S: u64 = 1000 * MS;

/// From a cache on the same machine to a server that is about to time out.
pub(crate) static NETWORK: &[u64] = &[
    100,
    MS,
    5 * MS,
    10 * MS,
    25 * MS,
    50 * MS,
    100 * MS,
    250 * MS,
    500 * MS,
    S,
    5 * S / 2,
    5 * S,
    10 * S,
    30 * S,
    60 * S,
    300 * S,
];

/// From at once to the usual lifetime of a message.
pub(crate) static DELAY: &[u64] = &[
    100 * MS,
    500 * MS,
    S,
    5 * S,
    30 * S,
    60 * S,
    300 * S,
    900 * S,
    3600 * S,
    4 * 3600 * S,
    86_400 * S,
    5 * 86_400 * S,
];

/// Commits of the spool.
pub(crate) static COMMIT: &[u64] =
    &[100, 250, 500, MS, 2500, 5 * MS, 10 * MS, 25 * MS, 100 * MS, 500 * MS, S, 10 * S];

/// Counts in buckets, read while they are written to: each number is right, all together nearly.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: &'static [u64],
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// The counts at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buckets {
    /// Upper bounds in microseconds, inclusive.
    pub bounds: &'static [u64],
    /// One count for each bound, and one for what is beyond the last.
    pub counts: Vec<u64>,
    /// The sum of all durations in microseconds.
    pub sum: u64,
}

impl Buckets {
    /// How many durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Histogram {
    pub(crate) fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    pub(crate) fn add(&self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let place = self.bounds.partition_point(|bound| *bound < micros);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Buckets {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Buckets { bounds: self.bounds, counts, sum: self.sum.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_within_its_bucket() {
        static BOUNDS: &[u64] = &[10, 20];
        let histogram = Histogram::new(BOUNDS);
        for micros in [0, 10, 11, 20, 21, 1_000_000] {
            histogram.add(Duration::from_micros(micros));
        }
        let read = histogram.read();
        assert_eq!((read.counts.as_slice(), read.sum, read.count()), (&[2, 2, 2][..], 1_000_062, 6));
    }

    #[test]
    fn bounds_grow() {
        for bounds in [NETWORK, DELAY, COMMIT] {
            assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
        }
    }
}
