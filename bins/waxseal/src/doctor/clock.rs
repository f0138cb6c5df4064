//! The clock: signatures and certificates are judged by it, and queue ids are made of it.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use waxseal_dns::{BlindCause, DnssecHealth};
use waxseal_types::UnixTime;

use super::Finding;

const AREA: &str = "clock";
/// 2026-01-01: before this program was written.
const EARLIEST: UnixTime = UnixTime::from_secs(1_767_225_600);
/// 2100-01-01.
const LATEST: UnixTime = UnixTime::from_secs(4_102_444_800);
/// How far ahead of the clock a file's time may be.
const AHEAD: Duration = Duration::from_secs(60);
const REMEDY: &str = "set the clock, and keep it right with chrony, ntpd or systemd-timesyncd";

pub(super) fn now() -> UnixTime {
    of(SystemTime::now())
}

fn of(time: SystemTime) -> UnixTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

pub(super) fn examine(spool: &Path, health: Option<&DnssecHealth>) -> Vec<Finding> {
    let mut found = vec![judge(now(), newest(spool), synchronized())];
    if matches!(health, Some(DnssecHealth::Blind { cause: BlindCause::Clock, .. })) {
        found.push(Finding::bad(AREA, "DNSSEC signatures are all outside of their time", REMEDY));
    }
    found
}

/// The time of the newest file in the spool.
fn newest(spool: &Path) -> Option<UnixTime> {
    let times =
        std::fs::read_dir(spool).ok()?.filter_map(|entry| entry.ok()?.metadata().ok()?.modified().ok());
    times.max().map(of)
}

/// What the kernel says of its clock (adjtimex(2), `STA_UNSYNC`), as timedatectl(1) tells it; `None` where there is no such program.
fn synchronized() -> Option<bool> {
    let mut asked = Command::new("timedatectl");
    asked.args(["show", "--property=NTPSynchronized", "--value"]);
    let said = asked
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|said| said.status.success())?;
    match said.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

fn judge(now: UnixTime, newest: Option<UnixTime>, synchronized: Option<bool>) -> Finding {
    let date = now.rfc3339();
    if now < EARLIEST || now > LATEST {
        return Finding::bad(AREA, format!("it says {date}, which cannot be"), REMEDY);
    }
    if let Some(newest) = newest.filter(|newest| *newest > now + AHEAD) {
        let what =
            format!("it says {date}, but a file in the spool is from {}: it was set back", newest.rfc3339());
        return Finding::bad(AREA, what, REMEDY);
    }
    match synchronized {
        Some(false) => Finding::warning(AREA, format!("it says {date}, and nothing keeps it right"), REMEDY),
        Some(true) => Finding::good(AREA, format!("it says {date}, and is kept right")),
        None => Finding::good(AREA, format!("it says {date}; whether it is kept right cannot be told here")),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn a_clock_that_cannot_be_right_is_told() {
        let at = |seconds| UnixTime::from_secs(seconds);
        let good = at(1_795_249_800);
        let table = [
            (at(0), None, Some(true), State::Bad, "1970"),
            (at(5_000_000_000), None, Some(true), State::Bad, "2128"),
            (good, Some(good + Duration::from_secs(61)), Some(true), State::Bad, "set back"),
            (good, Some(good + Duration::from_secs(1)), Some(true), State::Good, "kept right"),
            (good, None, Some(false), State::Warning, "nothing keeps it right"),
            (good, None, None, State::Good, "cannot be told"),
        ];
        for (now, newest, synchronized, state, word) in table {
            let found = judge(now, newest, synchronized);
            assert_eq!(found.state, state, "{found:?}");
            assert!(found.what.contains(word), "{found:?}");
        }
    }
}
