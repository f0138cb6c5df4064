//! Wall-clock time as a value: pure crates get it as an argument.

use core::{fmt, ops::Add, time::Duration};

/// Microseconds since 1970-01-01T00:00:00Z. Never read from a clock here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(u64);

impl UnixTime {
    /// From microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// From seconds since the epoch.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// How long after `earlier` this is; zero where the clock went back.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Year, month, day, hour, minute, second, microsecond in UTC (proleptic Gregorian calendar).
    #[must_use]
    pub const fn civil(self) -> (u64, u8, u8, u8, u8, u8, u32) {
        let secs = self.as_secs();
        let (days, day_secs) = (secs / 86_400, secs % 86_400);
        // Days to civil date in 400-year eras that start on 1 March (Howard Hinnant, "chrono-compatible low-level date algorithms").
        let z = days + 719_468;
        let era = z / 146_097;
        let doe = z % 146_097;
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = (doy - (153 * mp + 2) / 5 + 1) as u8;
        let month = (if mp < 10 { mp + 3 } else { mp - 9 }) as u8;
        let year = yoe + era * 400 + (month <= 2) as u64;
        let (hour, minute, second) =
            ((day_secs / 3600) as u8, (day_secs / 60 % 60) as u8, (day_secs % 60) as u8);
        (year, month, day, hour, minute, second, (self.0 % 1_000_000) as u32)
    }

    /// As RFC 3339 in UTC with microseconds: `2026-11-21T08:30:00.000000Z`.
    #[must_use]
    pub const fn rfc3339(self) -> Rfc3339 {
        Rfc3339(self)
    }

    /// As RFC 5322 §3.3 in UTC: `Sat, 21 Nov 2026 08:30:00 +0000`.
    #[must_use]
    pub const fn rfc5322(self) -> Rfc5322 {
        Rfc5322(self)
    }
}

impl Add<Duration> for UnixTime {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// Displays as RFC 3339.
#[derive(Debug, Clone, Copy)]
pub struct Rfc3339(UnixTime);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (y, mo, d, h, mi, s, us) = self.0.civil();
        write!(f, "{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.{us:06}Z")
    }
}

/// Displays as RFC 5322.
#[derive(Debug, Clone, Copy)]
pub struct Rfc5322(UnixTime);

impl fmt::Display for Rfc5322 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (y, mo, d, h, mi, s, _) = self.0.civil();
        let weekday = DAYS[(self.0.as_secs() / 86_400 % 7) as usize];
        let month = MONTHS[usize::from(mo.saturating_sub(1)) % 12];
        write!(f, "{weekday}, {d} {month} {y:04} {h:02}:{mi:02}:{s:02} +0000")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn dates_are_written_in_both_forms() {
        let time = UnixTime::from_micros(1_795_249_800_000_001);
        assert_eq!(time.rfc3339().to_string(), "2026-11-21T08:30:00.000001Z");
        assert_eq!(time.rfc5322().to_string(), "Sat, 21 Nov 2026 08:30:00 +0000");
        assert_eq!(UnixTime::from_secs(951_782_400).rfc5322().to_string(), "Tue, 29 Feb 2000 00:00:00 +0000");
    }
}
