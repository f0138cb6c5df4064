//! One table.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;

use crate::{
    TableError, TempFail,
    entries::Entries,
    file::{self, Stamp},
    inline,
    texthash::{self, fold},
};

/// How tables are opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long the last good version of a file stays in force when it cannot be read any more.
    pub stale_limit: Duration,
    /// How long opening may wait for a file that is just being written.
    pub patience: Duration,
    /// Where the table is configured (`/etc/postfix/main.cf:12`): the place of entries that have no file of their own.
    pub place: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { stale_limit: Duration::from_secs(15 * 60), patience: Duration::from_secs(5), place: None }
    }
}

/// An entry that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its right-hand side.
    pub value: String,
    /// Where it stands: `/etc/waxseal/tls_policy:12`.
    pub place: String,
}

/// Something in a table that was skipped or is odd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// File and line.
    pub place: String,
    /// What it is.
    pub text: String,
}

/// What a look at the file came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Refresh {
    /// Nothing new.
    Unchanged,
    /// Something new, which is still being written; the last good version is in force.
    Waiting,
    /// A new version is in force.
    Reloaded,
    /// The new version is unusable, or the file is gone: the last good version is in force for a while.
    Kept(String),
    /// So it is, and there is no good version, or it is too old: lookups fail.
    Failed(String),
}

/// A lookup table. Lookups take `&self` and never wait for a reload.
#[derive(Debug)]
pub struct Table {
    name: String,
    place: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Texthash(Watched),
    Inline(Entries),
    Static(String),
    Fail,
}

/// A file with its last good version.
#[derive(Debug)]
struct Watched {
    path: PathBuf,
    stale_limit: Duration,
    state: ArcSwap<State>,
    /// Held while the file is read: one reader at a time.
    reading: Mutex<()>,
}

#[derive(Debug, Default, Clone)]
struct State {
    loaded: Option<Arc<Loaded>>,
    trouble: Option<Trouble>,
}

#[derive(Debug)]
struct Loaded {
    entries: Entries,
    warnings: Vec<Warning>,
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

/// The types of Postfix that are not here yet.
const LATER: [&str; 21] = [
    "hash",
    "btree",
    "lmdb",
    "cdb",
    "dbm",
    "sdbm",
    "regexp",
    "pcre",
    "cidr",
    "unionmap",
    "pipemap",
    "randmap",
    "socketmap",
    "tcp",
    "sqlite",
    "pgsql",
    "mysql",
    "ldap",
    "memcache",
    "nis",
    "mongodb",
];

impl Table {
    /// Opens `type:name`. A file that cannot be read is not an error: its lookups fail until it can be.
    ///
    /// Waits up to [`Options::patience`] for a file that is just being written.
    ///
    /// # Errors
    /// The type is unknown or not supported, or the name is malformed: what only a change of the configuration mends.
    pub fn open(name: &str, options: Options) -> Result<Self, TableError> {
        // postconf(5): what proxy: is for (a chroot, few connections) does not arise here.
        let plain = name.strip_prefix("proxy:").unwrap_or(name);
        let (kind, rest) = plain.split_once(':').ok_or_else(|| TableError::NoType(name.to_owned()))?;
        let kind = match kind {
            "texthash" => Kind::Texthash(Watched::open(rest, &options)?),
            "inline" => Kind::Inline(inline::parse(rest)?),
            "static" => Kind::Static(inline::static_value(rest)?.to_owned()),
            "fail" => Kind::Fail,
            other if LATER.contains(&other) => return Err(TableError::Unsupported(other.to_owned())),
            other => return Err(TableError::UnknownType(other.to_owned())),
        };
        let place = options.place.unwrap_or_else(|| name.chars().take(60).collect());
        Ok(Self { name: name.to_owned(), place, kind })
    }

    /// The name it was opened by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Looks up a key, without regard to case.
    ///
    /// # Errors
    /// The table has no answer just now; never to be read as "not found".
    pub fn find(&self, key: &str) -> Result<Option<Found>, TempFail> {
        match &self.kind {
            Kind::Texthash(watched) => {
                let state = watched.state.load();
                let loaded = state.usable().map_err(|reason| self.fail(reason))?;
                let found = loaded.entries.get(&fold(key));
                Ok(found.map(|(value, line)| Found {
                    value: value.to_owned(),
                    place: format!("{}:{line}", watched.path.display()),
                }))
            }
            Kind::Inline(entries) => Ok(entries.get(&fold(key)).map(|(value, _)| self.here(value))),
            Kind::Static(value) => Ok(Some(self.here(value))),
            Kind::Fail => Err(self.fail(&TableError::AlwaysFails.to_string())),
        }
    }

    /// Looks whether its file has changed, and reads it again if so. `now` is the wall clock, which the file's times are compared with.
    pub fn refresh(&self, now: SystemTime) -> Refresh {
        match &self.kind {
            Kind::Texthash(watched) => watched.refresh(now),
            Kind::Inline(_) | Kind::Static(_) | Kind::Fail => Refresh::Unchanged,
        }
    }

    /// What was skipped or is odd in the version in force.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        match &self.kind {
            Kind::Texthash(watched) => {
                watched.state.load().loaded.as_ref().map(|loaded| loaded.warnings.clone()).unwrap_or_default()
            }
            Kind::Inline(_) | Kind::Static(_) | Kind::Fail => Vec::new(),
        }
    }

    /// Why its last look at the file failed, where it did.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match &self.kind {
            Kind::Texthash(watched) => {
                watched.state.load().trouble.as_ref().map(|trouble| trouble.reason.clone())
            }
            Kind::Inline(_) | Kind::Static(_) | Kind::Fail => None,
        }
    }

    /// All entries in force, as `(key, found)`: for checks. A static table has one, under `*`.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, Found)> {
        match &self.kind {
            Kind::Texthash(watched) => {
                let state = watched.state.load();
                let Ok(loaded) = state.usable() else { return Vec::new() };
                let place = |line| format!("{}:{line}", watched.path.display());
                let entries = loaded.entries.iter();
                entries
                    .map(|(k, v, line)| (k.to_owned(), Found { value: v.to_owned(), place: place(line) }))
                    .collect()
            }
            Kind::Inline(entries) => {
                entries.iter().map(|(key, value, _)| (key.to_owned(), self.here(value))).collect()
            }
            Kind::Static(value) => vec![("*".to_owned(), self.here(value))],
            Kind::Fail => Vec::new(),
        }
    }

    fn here(&self, value: &str) -> Found {
        Found { value: value.to_owned(), place: self.place.clone() }
    }

    fn fail(&self, reason: &str) -> TempFail {
        TempFail { table: self.name.clone(), reason: reason.to_owned() }
    }
}

impl State {
    fn usable(&self) -> Result<&Loaded, &str> {
        match (&self.loaded, &self.trouble) {
            (_, Some(trouble)) if trouble.expired => Err(&trouble.reason),
            (Some(loaded), _) => Ok(loaded),
            (None, _) => Err("was never read"),
        }
    }
}

impl Watched {
    fn open(path: &str, options: &Options) -> Result<Self, TableError> {
        let path = Path::new(path);
        if !path.is_absolute() {
            return Err(TableError::RelativePath(path.display().to_string()));
        }
        let watched = Self {
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

    fn refresh(&self, now: SystemTime) -> Refresh {
        let _one = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state.load_full();
        let stamp = match Stamp::take(&self.path) {
            Ok(stamp) => stamp,
            Err(error) => {
                let error = TableError::Io { path: self.path.display().to_string(), error };
                return self.trouble(&state, now, error.to_string(), None);
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
            let (entries, warnings) = texthash::parse(&self.path.display().to_string(), &content)?;
            Ok(Loaded { entries, warnings, stamp })
        });
        match read {
            Ok(loaded) => {
                let same = state.usable().is_ok_and(|old| old.entries.same_as(&loaded.entries));
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
