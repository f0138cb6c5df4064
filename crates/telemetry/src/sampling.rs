//! Which events become spans.
//!
//! The head decides: a message is sampled at intake, by its trace id or as its client says, and that travels in its envelope. Against it, failures are kept
//! whatever was decided, for they are what somebody will look for; as many as [`KEPT_A_SECOND`].

use std::sync::atomic::{AtomicU64, Ordering};

use waxseal_queue::{Account, Event, Outcome, Settled};
use waxseal_types::{Envelope, UnixTime};

use crate::metrics::{Page, TRACES};

/// Failures that are kept in one second although their messages are not sampled: some ten thousand spans at worst.
const KEPT_A_SECOND: u64 = 100;

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Its message is sampled.
    Sampled,
    /// It failed.
    Kept,
    /// No span is built.
    LeftOut,
}

/// Decides, and counts.
#[derive(Debug, Default)]
pub(crate) struct Sampling {
    sampled: AtomicU64,
    kept: AtomicU64,
    left_out: AtomicU64,
    over_limit: AtomicU64,
    /// The second in the upper half, how many failures were kept in it in the lower.
    second: AtomicU64,
}

impl Sampling {
    pub(crate) fn decide(&self, event: &Event<'_>) -> Decision {
        match event {
            Event::Queued { envelope, .. } => simple(envelope),
            Event::Attempted { account, .. } => {
                let failed = account.attempt > 1 || is_failure(account);
                self.attempt(&account.envelope, failed, account.ended)
            }
            Event::Settled { envelope, how, at, .. } => {
                let failed = match how {
                    Settled::Expired | Settled::Bounced | Settled::Deferred => true,
                    Settled::Removed => false,
                };
                self.attempt(envelope, failed, *at)
            }
            // About no message; and what is unknown here has no span.
            _ => Decision::LeftOut,
        }
    }

    fn attempt(&self, envelope: &Envelope, failed: bool, at: UnixTime) -> Decision {
        let (decision, counter) = match (simple(envelope), failed) {
            (Decision::Sampled, _) => (Decision::Sampled, &self.sampled),
            (_, true) if self.has_room(at) => (Decision::Kept, &self.kept),
            (_, true) => (Decision::LeftOut, &self.over_limit),
            (_, false) => (Decision::LeftOut, &self.left_out),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        decision
    }

    fn has_room(&self, at: UnixTime) -> bool {
        let second = at.as_secs() & u64::from(u32::MAX);
        let more = |state: u64| {
            let kept = if state >> 32 == second { state & u64::from(u32::MAX) } else { 0 };
            (kept < KEPT_A_SECOND).then_some(second << 32 | (kept + 1))
        };
        self.second.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    pub(crate) fn read(&self, page: &mut Page) {
        for (word, counter) in [
            ("sampled", &self.sampled),
            ("kept", &self.kept),
            ("left-out", &self.left_out),
            ("over-limit", &self.over_limit),
        ] {
            page.set(&TRACES, &[word], counter.load(Ordering::Relaxed));
        }
    }
}

fn simple(envelope: &Envelope) -> Decision {
    if envelope.trace.sampled { Decision::Sampled } else { Decision::LeftOut }
}

/// Not everybody was delivered to, or not at the first connection.
fn is_failure(account: &Account) -> bool {
    let undelivered = |outcome: &Outcome| outcome.failure().is_some();
    account.results.iter().any(|result| undelivered(&result.outcome))
        || account.connections.iter().any(|connection| connection.failure.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_kept_up_to_a_limit_a_second() {
        let sampling = Sampling::default();
        let at = UnixTime::from_secs(1_795_249_800);
        let kept = (0..150).filter(|_| sampling.has_room(at)).count();
        assert_eq!(kept, 100);
        assert!(sampling.has_room(UnixTime::from_secs(1_795_249_801)), "the next second");
    }
}
