//! Deliveries that come back without having been made.

use std::time::Duration;

use waxseal_types::UnixTime;

use super::{Schedule, Start, line::Class};
use crate::Feedback;

/// How long a destination waits that found too many connections. In a second one of them may have ended; more often is work for nothing.
const PAUSE: Duration = Duration::from_secs(1);

impl Schedule {
    /// A delivery could not begin after all; it is the next of its destination.
    pub fn put_back(&mut self, start: Start, now: UnixTime) {
        let number = self.number(&start.destination);
        let class = if start.retry { Class::Retry } else { Class::Fresh };
        if let Some(line) = self.lines.get_mut(number as usize) {
            line.jobs(class).put_back(start.job.clone());
        }
        self.finished(&start, Feedback::None, now);
    }

    /// A delivery could not begin because there are as many connections as may be, to its address or in all; its destination waits a moment.
    pub fn crowded_out(&mut self, start: Start, now: UnixTime) {
        let number = self.number(&start.destination);
        if let Some(line) = self.lines.get_mut(number as usize) {
            line.not_before = now + PAUSE;
            self.sleepers.insert((line.not_before, number), ());
        }
        self.put_back(start, now);
    }
}
