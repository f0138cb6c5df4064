//! How much time has passed, whatever becomes of the wall clock.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use waxseal_types::UnixTime;

/// One moment, by the wall clock and by the kernel's count since the start of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock, which somebody may set.
    pub wall: UnixTime,
    /// Which start of the machine `uptime` counts from.
    pub boot: String,
    /// Time since then, suspension included; nobody can set it.
    pub uptime: Duration,
}

impl Moment {
    /// This one.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let (secs, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
        // proc(5): a random number, made when the machine starts.
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            wall: UnixTime::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX)),
            boot: boot.trim().to_owned(),
            uptime: Duration::new(secs.unwrap_or(0), nanos.unwrap_or(0)),
        }
    }
}

/// A clock that only goes forward, and never faster than time did as far as anybody can know. Waits are counted on it.
///
/// While the machine runs, the kernel's count is time, and the wall clock may be set as it likes. Across a restart there is nothing but the
/// wall clock: where it went back, no time has passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Microseconds.
    elapsed: u64,
    wall: u64,
    boot: String,
    uptime: u64,
}

impl Clock {
    /// Begins to count.
    #[must_use]
    pub fn start(now: &Moment) -> Self {
        Self { elapsed: 0, wall: now.wall.as_micros(), boot: now.boot.clone(), uptime: micros(now.uptime) }
    }

    /// The time since the start, at `now`.
    pub fn advance(&mut self, now: &Moment) -> Duration {
        let uptime = micros(now.uptime);
        let passed = if self.boot == now.boot && !now.boot.is_empty() && uptime >= self.uptime {
            uptime - self.uptime
        } else {
            now.wall.as_micros().saturating_sub(self.wall)
        };
        self.elapsed = self.elapsed.saturating_add(passed);
        (self.wall, self.uptime) = (now.wall.as_micros(), uptime);
        self.boot.clone_from(&now.boot);
        Duration::from_micros(self.elapsed)
    }

    /// As [`Clock::advance`] would tell it.
    #[must_use]
    pub fn read(&self, now: &Moment) -> Duration {
        self.clone().advance(now)
    }
}

pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall: u64, boot: &str, uptime: u64) -> Moment {
        Moment { wall: UnixTime::from_secs(wall), boot: boot.into(), uptime: Duration::from_secs(uptime) }
    }

    #[test]
    fn time_passes_as_the_kernel_counts_it_whatever_the_wall_clock_does() {
        let mut clock = Clock::start(&at(1_000_000, "a", 50));
        for (now, elapsed) in [
            (at(1_000_010, "a", 60), 10),
            // Set back an hour, and later forward again: neither shortens nor lengthens.
            (at(996_420, "a", 70), 20),
            (at(1_000_030, "a", 80), 30),
            // Set forward by a year.
            (at(32_000_000, "a", 81), 31),
            // The machine started anew, with the right time, which is behind: nothing is known to have passed.
            (at(1_000_040, "b", 5), 31),
            (at(1_000_050, "b", 15), 41),
            // And again, a hundred seconds later.
            (at(1_000_150, "c", 1), 141),
            // No count to be had.
            (at(1_000_160, "", 0), 151),
            (at(1_000_150, "", 0), 151),
        ] {
            assert_eq!(clock.read(&now), Duration::from_secs(elapsed));
            assert_eq!(clock.advance(&now), Duration::from_secs(elapsed));
        }
    }

    #[test]
    fn this_machine_has_a_clock() {
        let (first, second) = (Moment::now(), Moment::now());
        assert!(!first.boot.is_empty() && first.boot == second.boot && first.uptime <= second.uptime);
    }
}
