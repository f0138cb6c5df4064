//! How long what waits.

use std::time::Duration;

use waxseal_types::{QueueId, UnixTime};

use super::Schedule;
use crate::Feedback;

/// Which part of the shortest wait what came due before a restart is spread over.
const SPREAD: u32 = 4;
/// And how long that is at most.
const LONGEST_SPREAD: Duration = Duration::from_secs(60);

impl Schedule {
    /// How long a job waits after an attempt that ended so. A connection that failed says nothing of the message: its destination waits, longer and
    /// longer, and the message has only to be there when that is probed.
    #[must_use]
    pub fn wait_after(&self, feedback: Feedback, attempts: u32) -> Duration {
        match feedback {
            Feedback::Dead => self.backoff(1),
            Feedback::Alive | Feedback::Busy | Feedback::None => self.backoff(attempts),
        }
    }

    /// When a message that was found in the spool is tried. What came due while nobody was there does not come due in one moment: it is spread, always in
    /// the same way, over a part of the shortest wait. Fresh mail is not held back.
    #[must_use]
    pub fn after_restart(&self, id: QueueId, attempts: u32, due: UnixTime, now: UnixTime) -> UnixTime {
        if attempts == 0 || due > now {
            return due;
        }
        let span = (self.limits.minimal_backoff / SPREAD).min(LONGEST_SPREAD);
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX).max(1);
        // Ids are times; Fibonacci hashing puts neighbours far from each other.
        let place = id.as_u64().wrapping_mul(0x9e37_79b9_7f4a_7c15) % micros;
        now + Duration::from_micros(place)
    }

    /// How long a job waits after its `attempts`-th failure: doubling from `minimal_backoff` to `maximal_backoff`.
    #[must_use]
    pub fn backoff(&self, attempts: u32) -> Duration {
        let doubled = self.limits.minimal_backoff.saturating_mul(1 << attempts.saturating_sub(1).min(20));
        doubled
            .min(self.limits.maximal_backoff)
            .max(self.limits.minimal_backoff.min(self.limits.maximal_backoff))
    }
}
