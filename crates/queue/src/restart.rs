//! When is a service that died started anew? Pure: `now` is an argument.

use std::{collections::VecDeque, time::Duration};

use waxseal_types::UnixTime;

/// Deaths within this time count together.
const WINDOW: Duration = Duration::from_secs(60);
/// So many deaths in the window are answered at once; from then on each waits twice as long as the last.
const AT_ONCE: usize = 3;
/// Postfix's master waits as long for a service that dies before its first use (master(5), `service_throttle_time`).
const LONGEST: Duration = Duration::from_secs(60);

/// The deaths of one service.
#[derive(Debug, Default)]
pub struct Restart {
    deaths: VecDeque<UnixTime>,
}

impl Restart {
    /// The service died at `now`: how long to wait before it is started anew.
    pub fn died(&mut self, now: UnixTime) -> Duration {
        while self.deaths.front().is_some_and(|death| now.since(*death) > WINDOW) {
            self.deaths.pop_front();
        }
        self.deaths.push_back(now);
        // A service that keeps dying is remembered for long enough to be throttled, not for ever.
        while self.deaths.len() > AT_ONCE + 8 {
            self.deaths.pop_front();
        }
        let excess = self.deaths.len().saturating_sub(AT_ONCE);
        if excess == 0 { Duration::ZERO } else { Duration::from_secs(1 << (excess - 1).min(6)).min(LONGEST) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_keeps_dying_is_throttled_and_forgiven() {
        let mut restart = Restart::default();
        let start = UnixTime::from_secs(1000);
        let waits: Vec<_> = (0..6).map(|n| restart.died(start + Duration::from_secs(n)).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 1, 2, 4]);
        assert_eq!(restart.died(start + Duration::from_secs(600)).as_secs(), 0);
    }
}
