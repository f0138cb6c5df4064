//! The rule for files that change (design: "a table that fails defers").

use std::{path::PathBuf, time::Duration};

use waxseal_types::UnixTime;

use crate::{Error, Notice, Severity, file::Stamp};

/// What was read from some files, which may change.
///
/// A changed file is read once it has been quiet for a while. When that fails, the last good version stays in force for the
/// stale limit, with an alert; then the failure is the answer. A file that never loaded fails at once.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    paths: Vec<PathBuf>,
    stamps: Vec<Option<Stamp>>,
    looked: Option<UnixTime>,
    read: Option<UnixTime>,
    good: Option<T>,
    failed: Option<(UnixTime, Error)>,
}

/// A file that failed and did not change is tried again after so many times the quiet time.
const RETRY: u32 = 10;

/// The times of the rule, and the time it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) now: UnixTime,
    pub(crate) quiet: Duration,
    pub(crate) stale: Duration,
}

impl<T: Clone> Watched<T> {
    pub(crate) const fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, stamps: Vec::new(), looked: None, read: None, good: None, failed: None }
    }

    /// Reads again if something changed, or if it is `forced`.
    pub(crate) fn refresh(
        &mut self,
        times: Times,
        forced: bool,
        read: impl FnOnce() -> Result<(T, Vec<Notice>), Error>,
    ) -> Vec<Notice> {
        let soon =
            self.looked.is_some_and(|looked| looked <= times.now && times.now.since(looked) < times.quiet);
        if soon && !forced {
            return Vec::new();
        }
        self.looked = Some(times.now);
        let stamps: Vec<_> = self.paths.iter().map(|path| Stamp::of(path)).collect();
        let never = self.good.is_none() && self.failed.is_none();
        // What failed may have failed for a reason that the file does not show: no descriptors, a folder that was closed.
        let pause = times.quiet * RETRY;
        let again = self.failed.is_some() && self.read.is_none_or(|read| times.now.since(read) >= pause);
        if stamps == self.stamps && !forced && !never && !again {
            return Vec::new();
        }
        // A half-written file is waited for; the first time there is nothing better to go on.
        let fresh = stamps.iter().flatten().any(|stamp| stamp.is_fresh(times.now, times.quiet));
        if fresh && !forced && !never {
            return Vec::new();
        }
        self.stamps = stamps;
        self.read = Some(times.now);
        match read() {
            Ok((value, notices)) => {
                self.good = Some(value);
                self.failed = None;
                notices
            }
            Err(error) => {
                let told = self.failed.as_ref().is_some_and(|(_, old)| *old == error) && !forced;
                let notice = (!told).then(|| self.alert(&error, times));
                let since = self.failed.take().map_or(times.now, |(since, _)| since);
                self.failed = Some((since, error));
                notice.into_iter().collect()
            }
        }
    }

    fn alert(&self, error: &Error, times: Times) -> Notice {
        let path = self.paths.first().cloned().unwrap_or_default();
        let then = if self.good.is_some() {
            format!("the last good version stays in force for {} s", times.stale.as_secs())
        } else {
            "what rests on it is not delivered".to_owned()
        };
        Notice { severity: Severity::Alert, path, text: format!("{error}; {then}") }
    }

    /// What is in force.
    pub(crate) fn get(&self, times: Times) -> Result<T, Error> {
        match (&self.failed, &self.good) {
            (Some((since, error)), Some(good)) => {
                if times.now.since(*since) <= times.stale {
                    Ok(good.clone())
                } else {
                    Err(error.clone())
                }
            }
            (Some((_, error)), None) => Err(error.clone()),
            (None, Some(good)) => Ok(good.clone()),
            (None, None) => Err(Error::Unavailable),
        }
    }
}
