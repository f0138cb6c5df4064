//! When a disk will be full.

use std::{collections::VecDeque, time::Duration};

use waxseal_types::UnixTime;

/// How far back the outlook looks.
const WINDOW: Duration = Duration::from_secs(600);
/// How long the disk must have been watched before anything is said.
const LEAST: Duration = Duration::from_secs(10);
/// Observations kept.
const KEPT: usize = 256;

/// The free space of the last minutes.
#[derive(Debug, Default)]
pub struct Outlook(VecDeque<(UnixTime, u64)>);

impl Outlook {
    /// Takes what is free now, and says when nothing will be if it goes on as in the last minutes; `None` where space does not shrink.
    pub fn observe(&mut self, now: UnixTime, free: u64) -> Option<Duration> {
        // A clock that was set back makes the past useless.
        if self.0.back().is_some_and(|(last, _)| *last > now) {
            self.0.clear();
        }
        while self.0.front().is_some_and(|(at, _)| now.since(*at) > WINDOW) || self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back((now, free));
        let (then, before) = *self.0.front()?;
        let (time, shrunk) = (now.since(then), before.checked_sub(free)?);
        if time < LEAST || shrunk == 0 {
            return None;
        }
        let seconds = free as f64 / (shrunk as f64 / time.as_secs_f64());
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_shrinks_will_be_full() {
        let mut outlook = Outlook::default();
        let at = |seconds: u64| UnixTime::from_secs(1_000_000 + seconds);
        assert_eq!(outlook.observe(at(0), 1000), None, "one look says nothing");
        assert_eq!(outlook.observe(at(5), 900), None, "too soon");
        assert_eq!(outlook.observe(at(10), 800), Some(Duration::from_secs(40)));
        assert_eq!(outlook.observe(at(20), 1100), None, "it grows");
        assert_eq!(outlook.observe(at(10_000), 500), None, "the past is forgotten");
        assert_eq!(outlook.observe(at(10_010), 0), Some(Duration::ZERO));
        assert_eq!(outlook.observe(at(3), 500), None, "the clock was set back");
    }
}
