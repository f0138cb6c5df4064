//! How often somebody was told to come back later (RFC 6585 §4), for the metrics of whoever serves the API.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of answers with 429, by what there was too much of.
#[derive(Debug, Default)]
pub struct TurnedAway {
    tokens: AtomicU64,
    listings: AtomicU64,
    explanations: AtomicU64,
}

/// What there was too much of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Crowd {
    /// Wrong tokens from one address.
    Tokens,
    /// Listings that are streamed.
    Listings,
    /// Live explanations.
    Explanations,
}

impl TurnedAway {
    pub(crate) fn count(&self, crowd: Crowd) {
        let counter = match crowd {
            Crowd::Tokens => &self.tokens,
            Crowd::Listings => &self.listings,
            Crowd::Explanations => &self.explanations,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The bounds by name, and how often each was reached.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 3] {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("admin.tokens", count(&self.tokens)),
            ("admin.listings", count(&self.listings)),
            ("admin.explanations", count(&self.explanations)),
        ]
    }
}
