//! Space and speed of the spool's disk.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::{statfs, statvfs};

use super::Finding;

const AREA: &str = "spool";
/// magic.h: what Linux calls file systems that live in memory.
const TMPFS: i64 = 0x0102_1994;
const RAMFS: i64 = 0x8584_58f6;
/// How long the disk is tried, and how often at most.
const TRIAL: (Duration, usize) = (Duration::from_secs(1), 200);
/// What one trial writes: a small message's group.
const WRITE: [u8; 4096] = [0x57; 4096];
/// Syncs a second below which commits are what limits a busy server.
const SLOW: f64 = 50.0;
/// Nothing that survives a loss of power syncs so often: somebody says yes and does not.
const TOO_FAST: f64 = 100_000.0;

/// What was seen of a disk.
#[derive(Debug, Clone, Copy)]
struct Disk {
    kind: i64,
    free: u64,
    size: u64,
    /// Free inodes; `None` where the file system does not count them.
    inodes: Option<u64>,
}

pub(super) fn examine(spool: &waxseal_spool::Settings, message: usize) -> Vec<Finding> {
    let Some(folder) = existing(&spool.path) else {
        let what = format!("{} is nowhere: no folder above it exists either", spool.path.display());
        return vec![Finding::bad(AREA, what, "make the folder, or set spool.path")];
    };
    let mut found = Vec::new();
    if folder != spool.path {
        let what = format!("{} does not exist yet; {} was looked at", spool.path.display(), folder.display());
        found.push(Finding::good(AREA, what));
    }
    match look(&folder) {
        Ok(disk) => found.push(space(disk, spool.reserve, u64::try_from(message).unwrap_or(u64::MAX))),
        Err(error) => {
            let what = format!("the file system of {} does not tell its size: {error}", folder.display());
            found.push(Finding::warning(AREA, what, "see whether it is mounted"));
        }
    }
    found.push(match measure(&folder) {
        Ok(rate) => speed(rate),
        Err(error) => Finding::bad(
            AREA,
            format!("a file in {} cannot be written and synced: {error}", folder.display()),
            "run this as the user that queue-manager runs as, and see to the folder's owner and to the disk",
        ),
    });
    found
}

/// The spool's folder, or the first one above it that exists.
fn existing(path: &Path) -> Option<PathBuf> {
    let whole = std::path::absolute(path).ok()?;
    let found = whole.ancestors().find(|folder| folder.is_dir()).map(Path::to_owned)?;
    Some(if found == whole { path.to_owned() } else { found })
}

fn look(folder: &Path) -> io::Result<Disk> {
    let (kind, disk) = (statfs(folder)?, statvfs(folder)?);
    Ok(Disk {
        kind: kind.f_type,
        free: disk.f_bavail.saturating_mul(disk.f_frsize),
        size: disk.f_blocks.saturating_mul(disk.f_frsize),
        inodes: (disk.f_files > 0).then_some(disk.f_favail),
    })
}

fn space(disk: Disk, reserve: u64, message: u64) -> Finding {
    let mib = |octets: u64| format!("{} MiB", octets >> 20);
    let make_room = "make room on that file system, or move spool.path";
    if disk.kind == TMPFS || disk.kind == RAMFS {
        let what = "it lives in memory: mail that was accepted is lost when the machine stops";
        return Finding::bad(AREA, what, "put spool.path on a disk");
    }
    if disk.free <= reserve.saturating_mul(2) {
        let what =
            format!("{} are left, and mail is refused below about {}", mib(disk.free), mib(2 * reserve));
        return Finding::bad(AREA, what, make_room);
    }
    if disk.inodes.is_some_and(|left| left < 100) {
        return Finding::bad(AREA, "the file system has no room for more files (inodes)", make_room);
    }
    if disk.free < disk.size / 20 || disk.free < message.saturating_mul(10) {
        let what = format!("only {} of {} are left", mib(disk.free), mib(disk.size));
        return Finding::warning(AREA, what, make_room);
    }
    Finding::good(AREA, format!("{} of {} are left", mib(disk.free), mib(disk.size)))
}

/// Syncs a second, of a small file in the folder that is gone afterwards.
fn measure(folder: &Path) -> io::Result<f64> {
    let path = folder.join(format!(".doctor-{}", std::process::id()));
    let outcome = try_disk(&path);
    let removed = fs::remove_file(&path);
    let rate = outcome?;
    removed.map(|()| rate)
}

fn try_disk(path: &Path) -> io::Result<f64> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let begun = Instant::now();
    let mut syncs = 0;
    while syncs < TRIAL.1 && begun.elapsed() < TRIAL.0 {
        file.write_all(&WRITE)?;
        file.sync_data()?;
        syncs += 1;
    }
    Ok(syncs as f64 / begun.elapsed().as_secs_f64())
}

fn speed(rate: f64) -> Finding {
    let seen = format!("it syncs {rate:.0} times a second");
    if rate > TOO_FAST {
        let remedy = "see whether the disk, the controller or the virtual machine ignores flushes";
        return Finding::warning(
            AREA,
            format!("{seen}, which no disk does that keeps what it is given"),
            remedy,
        );
    }
    if rate < SLOW {
        let what = format!("{seen}; each batch of messages waits for one");
        return Finding::warning(
            AREA,
            what,
            "put spool.path on a faster disk, or see what else uses this one",
        );
    }
    Finding::good(AREA, seen)
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn space_is_judged_by_what_is_needed() {
        let fine = Disk { kind: 0xef53, free: 10 << 30, size: 20 << 30, inodes: Some(1000) };
        let table = [
            (fine, State::Good, "10240 MiB"),
            (Disk { kind: TMPFS, ..fine }, State::Bad, "memory"),
            (Disk { free: 8 << 20, ..fine }, State::Bad, "refused"),
            (Disk { inodes: Some(3), ..fine }, State::Bad, "inodes"),
            (Disk { inodes: None, ..fine }, State::Good, "left"),
            (Disk { free: 900 << 20, ..fine }, State::Warning, "only 900 MiB"),
            (Disk { free: 400 << 20, size: 1 << 30, ..fine }, State::Warning, "only 400 MiB"),
        ];
        for (disk, state, word) in table {
            let found = space(disk, 4 << 20, 50 << 20);
            assert_eq!(found.state, state, "{disk:?}");
            assert!(found.what.contains(word), "{found:?}");
        }
    }

    #[test]
    fn speed_is_judged_from_both_ends() {
        for (rate, state) in [(5.0, State::Warning), (800.0, State::Good), (1e6, State::Warning)] {
            assert_eq!(speed(rate).state, state, "{rate}");
        }
    }

    #[test]
    fn a_folder_that_is_still_to_come_is_judged_by_the_one_above() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("to/come");
        assert_eq!(existing(&path).as_deref(), Some(folder.path()));
        assert!(measure(folder.path()).unwrap() > 0.0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
        assert!(measure(&path).is_err());
    }
}
