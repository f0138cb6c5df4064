//! A file, its last good version, and when to read it again.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

use arc_swap::{ArcSwap, Guard};

use crate::{
    Options, Refresh, TableError, Warning,
    content::{Content, Format},
    file::{self, Stamp},
};

/// A file with its last good version.
#[derive(Debug)]
pub(crate) struct Watched {
    format: Format,
    path: PathBuf,
    stale_limit: Duration,
    state: ArcSwap<State>,
    /// Held while the file is read: one reader at a time.
    reading: Mutex<()>,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct State {
    loaded: Option<Arc<Loaded>>,
    trouble: Option<Trouble>,
}

#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) content: Content,
    pub(crate) warnings: Vec<Warning>,
    stamp: Stamp,
}

#[derive(Debug, Clone)]
struct Trouble {
    since: SystemTime,
    reason: String,
    /// The state of the file that was found unusable; looked at again only when it changed.
    stamp: Option<Stamp>,
    /// The last good version is too old, or there never was one.
    expired: bool,
}

impl State {
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        self.loaded.as_ref().map(|loaded| loaded.warnings.clone()).unwrap_or_default()
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.as_ref().map(|trouble| trouble.reason.clone())
    }

    pub(crate) fn usable(&self) -> Result<&Loaded, &str> {
        match (&self.loaded, &self.trouble) {
            (_, Some(trouble)) if trouble.expired => Err(&trouble.reason),
            (Some(loaded), _) => Ok(loaded),
            (None, _) => Err("was never read"),
        }
    }
}

impl Watched {
    /// The version that is known, and what is wrong with the file.
    pub(crate) fn state(&self) -> Guard<Arc<State>> {
        self.state.load()
    }

    /// The same, to be held while somebody is asked.
    pub(crate) fn state_in_full(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// See [`Format::folds`].
    pub(crate) const fn folds(&self) -> bool {
        self.format.folds()
    }

    /// Whether it only says whom to ask.
    pub(crate) const fn is_remote(&self) -> bool {
        matches!(self.format, Format::Query(_))
    }

    /// Where a line of it is. A database has no lines.
    pub(crate) fn place(&self, line: u32) -> String {
        if line == 0 { self.path.display().to_string() } else { format!("{}:{line}", self.path.display()) }
    }

    /// Why it cannot be looked at.
    fn unreadable(&self, error: io::Error) -> TableError {
        let path = self.path.display().to_string();
        match self.format {
            Format::Source(_) if error.kind() == io::ErrorKind::NotFound => TableError::NoSource { path },
            Format::Texthash
            | Format::Rules(_)
            | Format::Source(_)
            | Format::Cdb
            | Format::Lmdb
            | Format::Query(_) => TableError::Io { path, error },
        }
    }

    /// Opens a file, waiting for one that is just being written.
    pub(crate) fn open(format: Format, path: &str, options: &Options) -> Result<Self, TableError> {
        let path = Path::new(path);
        if !path.is_absolute() {
            return Err(TableError::RelativePath(path.display().to_string()));
        }
        let watched = Self {
            format,
            path: path.to_owned(),
            stale_limit: options.stale_limit,
            state: ArcSwap::default(),
            reading: Mutex::new(()),
        };
        // Twice the time that a quiet file takes is enough for one that is written once.
        let mut left = options.patience;
        loop {
            let now = SystemTime::now();
            let wait = Stamp::take(path).ok().and_then(|stamp| stamp.unquiet(now));
            match wait {
                Some(wait) if wait <= left => {
                    left -= wait;
                    thread::sleep(wait);
                }
                Some(_) | None => {
                    let _ = watched.refresh(now);
                    return Ok(watched);
                }
            }
        }
    }

    pub(crate) fn refresh(&self, now: SystemTime) -> Refresh {
        let _one = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state.load_full();
        let stamp = match Stamp::take(&self.path) {
            Ok(stamp) => stamp,
            Err(error) => {
                return self.trouble(&state, now, self.unreadable(error).to_string(), None);
            }
        };
        let current = state.loaded.as_ref().is_some_and(|loaded| loaded.stamp == stamp);
        match &state.trouble {
            None if current => return Refresh::Unchanged,
            Some(trouble) if trouble.stamp == Some(stamp) => {
                return self.trouble(&state, now, trouble.reason.clone(), Some(stamp));
            }
            None | Some(_) => {}
        }
        if stamp.unquiet(now).is_some() {
            let reason = TableError::Busy(self.path.display().to_string()).to_string();
            return match self.trouble(&state, now, reason, None) {
                Refresh::Kept(_) => Refresh::Waiting,
                other => other,
            };
        }
        let read = file::read(&self.path).and_then(|(content, stamp)| {
            let (content, warnings) = self.format.parse(&self.path.display().to_string(), &content)?;
            Ok(Loaded { content, warnings, stamp })
        });
        match read {
            Ok(loaded) => {
                let same = state.usable().is_ok_and(|old| old.content.same_as(&loaded.content));
                self.state.store(Arc::new(State { loaded: Some(Arc::new(loaded)), trouble: None }));
                if same { Refresh::Unchanged } else { Refresh::Reloaded }
            }
            Err(error @ TableError::Busy(_)) => self.trouble(&state, now, error.to_string(), None),
            Err(error) => self.trouble(&state, now, error.to_string(), Some(stamp)),
        }
    }

    /// Notes that the file is unusable. The time counts from the first failure on.
    fn trouble(&self, state: &State, now: SystemTime, reason: String, stamp: Option<Stamp>) -> Refresh {
        let since = state.trouble.as_ref().map_or(now, |trouble| trouble.since);
        // A clock that went back must not make an old version young.
        let age = now.duration_since(since).unwrap_or(self.stale_limit);
        let expired = state.loaded.is_none()
            || age >= self.stale_limit
            || state.trouble.as_ref().is_some_and(|trouble| trouble.expired);
        let trouble = Trouble { since, reason: reason.clone(), stamp, expired };
        self.state.store(Arc::new(State { loaded: state.loaded.clone(), trouble: Some(trouble) }));
        if expired { Refresh::Failed(reason) } else { Refresh::Kept(reason) }
    }
}
