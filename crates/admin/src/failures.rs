//! Who showed a wrong token is heard less and less.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Wrong tokens from one address before it has to wait.
const ALLOWED: u32 = 5;
/// One is forgiven in this time.
const FORGIVEN: Duration = Duration::from_secs(12);
/// Addresses that are remembered; all others share one count, so that many addresses win nothing.
const REMEMBERED: usize = 1024;

/// Counts of wrong tokens.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    counts: Mutex<HashMap<Option<IpAddr>, Count>>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    failures: u32,
    since: Instant,
}

impl Count {
    /// What is left of it by now.
    fn left(self, now: Instant) -> u32 {
        let forgiven = now.saturating_duration_since(self.since).as_secs() / FORGIVEN.as_secs();
        self.failures.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }
}

impl Failures {
    /// Whether `who` is heard at all.
    pub(crate) fn hears(&self, who: Option<IpAddr>, now: Instant) -> bool {
        let counts = self.counts.lock();
        let key = if counts.contains_key(&who) || counts.len() < REMEMBERED { who } else { None };
        counts.get(&key).is_none_or(|count| count.left(now) < ALLOWED)
    }

    /// `who` showed a wrong token.
    pub(crate) fn failed(&self, who: Option<IpAddr>, now: Instant) {
        let mut counts = self.counts.lock();
        if counts.len() >= REMEMBERED {
            counts.retain(|_, count| count.left(now) > 0);
        }
        let key = if counts.contains_key(&who) || counts.len() < REMEMBERED { who } else { None };
        let count = counts.entry(key).or_insert(Count { failures: 0, since: now });
        *count = Count { failures: count.left(now) + 1, since: now };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_wrong_tokens_close_the_door_for_a_while() {
        let (failures, start) = (Failures::default(), Instant::now());
        let (guesser, other) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
        for _ in 0..ALLOWED {
            assert!(failures.hears(guesser, start));
            failures.failed(guesser, start);
        }
        assert!(!failures.hears(guesser, start));
        assert!(failures.hears(other, start));
        assert!(failures.hears(guesser, start + FORGIVEN), "one is forgiven");
        failures.failed(guesser, start + FORGIVEN);
        assert!(!failures.hears(guesser, start + FORGIVEN));
    }

    #[test]
    fn a_guesser_with_many_addresses_is_counted_as_one() {
        let (failures, now) = (Failures::default(), Instant::now());
        for number in 0..5000u32 {
            failures.failed(Some(IpAddr::from(number.to_be_bytes())), now);
        }
        assert!(failures.counts.lock().len() <= REMEMBERED + 1);
        assert!(!failures.hears(Some(IpAddr::from([255, 0, 0, 1])), now));
    }
}
