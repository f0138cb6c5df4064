//! What operators change about the schedule while it runs.

use std::time::Duration;

use waxseal_types::{NextHop, UnixTime};

use super::{Destination, Job, Schedule, line::Class};

impl Schedule {
    /// Begins nothing any more, or goes on.
    pub const fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Begins nothing to a next hop any more, or goes on. What is under way comes to its end.
    pub fn suspend(&mut self, nexthop: &NextHop, suspended: bool) {
        if suspended {
            self.suspended.insert(nexthop.clone());
        } else {
            self.suspended.remove(nexthop);
        }
        let concerned = self.names.iter().filter(|(destination, _)| destination.nexthop == *nexthop);
        for number in concerned.map(|(_, number)| *number).collect::<Vec<_>>() {
            if let Some(line) = self.lines.get_mut(number as usize) {
                line.suspended = suspended;
            }
            self.turn(number);
        }
    }

    /// Whether nothing is begun to a destination.
    #[must_use]
    pub fn is_suspended(&self, destination: &Destination) -> bool {
        self.suspended.contains(&destination.nexthop)
    }

    /// A destination is no longer taken for dead: what waits for it is tried.
    pub fn revive(&mut self, destination: &Destination) {
        let Some(number) = self.names.get(destination).copied() else { return };
        if let Some(line) = self.lines.get_mut(number as usize) {
            line.dead_until = None;
            line.probing = false;
        }
        self.turn(number);
    }

    /// Takes back a job that waits for its time, `due`. One that is due already is taken out by [`Schedule::sweep`].
    pub fn take_back(&mut self, job: &Job, due: UnixTime) {
        let Some(number) = self.due.take(job, due) else { return };
        if let Some(line) = self.lines.get_mut(number as usize) {
            line.waiting = line.waiting.saturating_sub(1);
        }
    }

    /// Takes what is due for a destination and no longer to be done out of its line.
    pub fn sweep(&mut self, destination: &Destination, is_current: impl Fn(&Job) -> bool, now: UnixTime) {
        let Some(number) = self.names.get(destination).copied() else { return };
        if let Some(line) = self.lines.get_mut(number as usize) {
            line.jobs(Class::Fresh).retain(&is_current);
            line.jobs(Class::Retry).retain(&is_current);
        }
        self.retire(number, now);
    }

    /// The clock was set back: what waits for its time waits as long as it would have, and not until the old clock's time comes again.
    pub(super) fn clock_went_back(&mut self, by: Duration) {
        let earlier = |time: UnixTime| UnixTime::from_micros(time.as_micros().saturating_sub(micros(by)));
        self.due.shift(micros(by));
        for line in &mut self.lines {
            line.dead_until = line.dead_until.map(earlier);
            line.not_before = earlier(line.not_before);
        }
        let sleepers = std::mem::take(&mut self.sleepers);
        self.sleepers = sleepers.into_keys().map(|(time, number)| ((earlier(time), number), ())).collect();
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
