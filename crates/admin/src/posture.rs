//! How sealed mail left, over time: counters for the page.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use serde::Serialize;
use waxseal_queue::{Event, Outcome, Settled, Sink};
use waxseal_types::{TlsStatus, UnixTime};

/// The width of a bucket.
const WIDTH: Duration = Duration::from_secs(300);
/// How many there are: a day.
const BUCKETS: usize = 288;
/// Kinds of ends.
const KINDS: usize = 6;

/// Counts the ends of deliveries in buckets of five minutes, for a day, in a few kilobytes. It is a [`Sink`] of the queue, and costs each message one
/// addition.
#[derive(Debug)]
pub struct Posture {
    slots: Vec<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Which bucket since 1970 it holds.
    number: AtomicU64,
    counts: [AtomicU32; KINDS],
}

/// Five minutes of deliveries, in recipients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the words of TLS statuses and of delivery events")]
pub struct Bucket {
    /// Its beginning, in seconds since 1970.
    pub at: u64,
    pub verified: u32,
    pub trusted: u32,
    pub untrusted: u32,
    pub none: u32,
    pub deferred: u32,
    pub bounced: u32,
}

impl Default for Posture {
    fn default() -> Self {
        Self { slots: std::iter::repeat_with(Slot::default).take(BUCKETS).collect() }
    }
}

const fn number(at: UnixTime) -> u64 {
    at.as_micros() / (WIDTH.as_secs() * 1_000_000)
}

impl Posture {
    fn count(&self, at: UnixTime, kind: usize, recipients: u32) {
        let number = number(at);
        // The remainder is below the length.
        let Some(slot) = self.slots.get((number % BUCKETS as u64) as usize) else { return };
        // Deliveries run on one thread. Should that change, the worst is a count that is lost at the turn of a bucket.
        if slot.number.swap(number, Relaxed) != number {
            slot.counts.iter().for_each(|count| count.store(0, Relaxed));
        }
        if let Some(count) = slot.counts.get(kind) {
            count.fetch_add(recipients, Relaxed);
        }
    }

    /// The last day, oldest first, without buckets in which nothing happened.
    #[must_use]
    pub fn since_yesterday(&self, now: UnixTime) -> Vec<Bucket> {
        let last = number(now);
        let first = last.saturating_sub(BUCKETS as u64 - 1);
        let read = |number: u64| {
            let slot = self.slots.get((number % BUCKETS as u64) as usize)?;
            let [verified, trusted, untrusted, none, deferred, bounced] = [0, 1, 2, 3, 4, 5]
                .map(|kind: usize| slot.counts.get(kind).map_or(0, |count| count.load(Relaxed)));
            let at = number * WIDTH.as_secs();
            (slot.number.load(Relaxed) == number).then_some(Bucket {
                at,
                verified,
                trusted,
                untrusted,
                none,
                deferred,
                bounced,
            })
        };
        (first..=last).filter_map(read).collect()
    }
}

const fn sealed(status: TlsStatus) -> usize {
    match status {
        TlsStatus::Verified => 0,
        TlsStatus::Trusted => 1,
        TlsStatus::Untrusted => 2,
        TlsStatus::None => 3,
    }
}

impl Sink for Posture {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Attempted { account, .. } => {
                for result in &account.results {
                    let connection = result.connection.and_then(|number| account.connections.get(number));
                    let kind = match &result.outcome {
                        Outcome::Delivered { .. } => {
                            connection.map_or(3, |connection| sealed(connection.status))
                        }
                        Outcome::Deferred(_) => 4,
                        Outcome::Bounced(_) => 5,
                    };
                    self.count(account.ended, kind, 1);
                }
            }
            Event::Settled { recipients, how, at, .. } => {
                let number = u32::try_from(recipients.len()).unwrap_or(u32::MAX);
                match how {
                    Settled::Expired | Settled::Bounced => self.count(at, 5, number),
                    Settled::Deferred => self.count(at, 4, number),
                    Settled::Removed => {}
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_remembered_and_no_more() {
        let posture = Posture::default();
        let start = UnixTime::from_secs(1_795_249_800);
        posture.count(start, 0, 2);
        posture.count(start, 3, 1);
        let seen = posture.since_yesterday(start);
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].verified, seen[0].none, seen[0].at % 300), (2, 1, 0));
        let tomorrow = start + WIDTH * BUCKETS as u32;
        assert_eq!(posture.since_yesterday(tomorrow), []);
        posture.count(tomorrow, 1, 5);
        let seen = posture.since_yesterday(tomorrow);
        assert_eq!(
            (seen.len(), seen[0].verified, seen[0].trusted),
            (1, 0, 5),
            "the place of yesterday is used again"
        );
    }
}
