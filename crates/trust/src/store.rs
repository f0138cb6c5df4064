//! The store: which files, read when, and what of them is in force.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use waxseal_types::{AnchorFiles, ClientCertificate, Protocol, Service, UnixTime};

use crate::{
    Anchor, AnchorRules, Anchors, Error, Notice, Settings, Severity, StoreSettings, client, file, load,
    watched::{Times, Watched},
};

/// All trust of one process: the files that are configured, and those that policies name.
///
/// It is asked, and answers with snapshots. At most once a second it looks whether a file changed, when that file is asked for.
/// Each question has a form that takes the time, which the others read from the system's clock.
#[derive(Debug)]
pub struct Store {
    settings: Settings,
    state: Mutex<State>,
}

/// The anchors of one file as it was read once.
type Version = Arc<[Arc<Anchor>]>;

#[derive(Debug)]
struct State {
    smtp: Side,
    lmtp: Side,
    services: BTreeMap<Service, Side>,
    files: HashMap<PathBuf, Watched<Version>>,
    sets: HashMap<Arc<[String]>, Set>,
    pending: Vec<Notice>,
}

/// What the configuration of one service names.
#[derive(Debug)]
struct Side {
    authorities: Watched<Arc<Anchors>>,
    client: Watched<Arc<[ClientCertificate]>>,
}

/// Several anchor files put together, and from which versions of them.
#[derive(Debug)]
struct Set {
    versions: Vec<Version>,
    anchors: Arc<Anchors>,
}

/// Different anchor files, and sets of them, that are kept. Policies name them, so there is an end.
const MAX_ANCHOR_FILES: usize = 4096;

impl Store {
    /// Reads everything that is configured. A broken file is a notice, not the end: what rests on it fails when it is asked for.
    ///
    /// # Errors
    /// None at present; reserved for settings that contradict each other.
    pub fn open(settings: Settings) -> Result<(Self, Vec<Notice>), Error> {
        Self::open_at(settings, clock())
    }

    /// The same at a time that is given.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_at(settings: Settings, now: UnixTime) -> Result<(Self, Vec<Notice>), Error> {
        let state = State {
            smtp: Side::new(&settings.smtp),
            lmtp: Side::new(&settings.lmtp),
            services: (settings.services.iter())
                .map(|(service, files)| (service.clone(), Side::new(files)))
                .collect(),
            files: HashMap::new(),
            sets: HashMap::new(),
            pending: Vec::new(),
        };
        let store = Self { settings, state: Mutex::new(state) };
        let notices = store.reload_at(now);
        Ok((store, notices))
    }

    /// The anchors of a demand. [`AnchorFiles::Default`] without `CAfile` and `CApath` is a store that trusts nobody.
    ///
    /// # Errors
    /// The file that is needed, and what is wrong with it.
    pub fn anchors(&self, service: &Service, files: &AnchorFiles) -> Result<Arc<Anchors>, Error> {
        self.anchors_at(service, files, clock())
    }

    /// The same at a time that is given.
    ///
    /// # Errors
    /// As [`Store::anchors`].
    pub fn anchors_at(
        &self,
        service: &Service,
        files: &AnchorFiles,
        now: UnixTime,
    ) -> Result<Arc<Anchors>, Error> {
        let times = self.times(now);
        let mut state = self.state.lock();
        match files {
            AnchorFiles::Default => {
                let (settings, side) = state.side(&self.settings, service)?;
                let notices = side.authorities.refresh(times, false, || authorities(settings));
                let answer = side.authorities.get(times);
                state.pending.extend(notices);
                answer
            }
            AnchorFiles::Only(paths) => state.set(paths, times),
        }
    }

    /// What is shown to servers that ask, by kind of key.
    ///
    /// # Errors
    /// The file that is broken. At `may` mail goes on without a certificate, elsewhere it waits.
    pub fn client(&self, service: &Service) -> Result<Arc<[ClientCertificate]>, Error> {
        self.client_at(service, clock())
    }

    /// The same at a time that is given.
    ///
    /// # Errors
    /// As [`Store::client`].
    pub fn client_at(&self, service: &Service, now: UnixTime) -> Result<Arc<[ClientCertificate]>, Error> {
        let times = self.times(now);
        let mut state = self.state.lock();
        let (settings, side) = state.side(&self.settings, service)?;
        let notices = side.client.refresh(times, false, || clients(settings));
        let answer = side.client.get(times);
        state.pending.extend(notices);
        answer
    }

    /// Reads all files again, changed or not (SIGHUP). The notices include what was noticed since the last call.
    pub fn reload(&self) -> Vec<Notice> {
        self.reload_at(clock())
    }

    /// The same at a time that is given.
    pub fn reload_at(&self, now: UnixTime) -> Vec<Notice> {
        let times = self.times(now);
        let mut state = self.state.lock();
        let state = &mut *state;
        let mut notices = std::mem::take(&mut state.pending);
        let main = [(&mut state.smtp, &self.settings.smtp), (&mut state.lmtp, &self.settings.lmtp)];
        // Both maps have the same keys, in the same order.
        let named = state.services.values_mut().zip(self.settings.services.values());
        for (side, settings) in main.into_iter().chain(named) {
            notices.extend(side.authorities.refresh(times, true, || authorities(settings)));
            notices.extend(side.client.refresh(times, true, || clients(settings)));
            for path in &settings.anchor_files {
                state.files.entry(path.clone()).or_insert_with(|| Watched::new(vec![path.clone()]));
            }
        }
        for (path, watched) in &mut state.files {
            notices.extend(watched.refresh(times, true, || anchor_file(path, now)));
        }
        notices.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.path.cmp(&b.path)));
        notices.dedup();
        notices
    }

    /// What was noticed about files that changed since the last call.
    pub fn notices(&self) -> Vec<Notice> {
        std::mem::take(&mut self.state.lock().pending)
    }

    /// Which of the files would no longer be readable for the user that the process is about to become. They are in force as
    /// they were read, and the first change of one of them would be its last.
    #[must_use]
    pub fn unreadable_for(&self, uid: u32, gid: u32) -> Vec<Notice> {
        let state = self.state.lock();
        let main = [&self.settings.smtp, &self.settings.lmtp];
        let configured =
            main.into_iter().chain(self.settings.services.values()).flat_map(StoreSettings::paths);
        unreadable_for(configured.chain(state.files.keys()).cloned(), (uid, gid))
    }

    const fn times(&self, now: UnixTime) -> Times {
        Times { now, quiet: self.settings.quiet, stale: self.settings.stale_limit }
    }
}

impl Side {
    fn new(settings: &StoreSettings) -> Self {
        let ca = [&settings.ca_file, &settings.ca_path];
        let pair = [&settings.cert_file, &settings.key_file, &settings.eccert_file, &settings.eckey_file];
        let client = pair.into_iter().flatten().chain(&settings.chain_files).cloned().collect();
        Self {
            authorities: Watched::new(ca.into_iter().flatten().cloned().collect()),
            client: Watched::new(client),
        }
    }
}

impl State {
    /// The files of a service, and what was read of them; nobody else's take their place.
    fn side<'a>(
        &mut self,
        settings: &'a Settings,
        service: &Service,
    ) -> Result<(&'a StoreSettings, &mut Side), Error> {
        let unknown = || Error::NoService { name: service.to_string() };
        match (service.name(), service.protocol()) {
            (None, Protocol::Smtp) => Ok((&settings.smtp, &mut self.smtp)),
            (None, Protocol::Lmtp) => Ok((&settings.lmtp, &mut self.lmtp)),
            (Some(_), _) => {
                let files = settings.services.get(service).ok_or_else(unknown)?;
                Ok((files, self.services.get_mut(service).ok_or_else(unknown)?))
            }
        }
    }

    /// The anchors of these files; each of them must be usable.
    fn set(&mut self, paths: &Arc<[String]>, times: Times) -> Result<Arc<Anchors>, Error> {
        let mut versions = Vec::new();
        for path in paths.iter() {
            let path = Path::new(path);
            if !self.files.contains_key(path) && self.files.len() >= MAX_ANCHOR_FILES {
                return Err(Error::TooMany { limit: MAX_ANCHOR_FILES });
            }
            let watched =
                self.files.entry(path.to_owned()).or_insert_with(|| Watched::new(vec![path.to_owned()]));
            self.pending.extend(watched.refresh(times, false, || anchor_file(path, times.now)));
            versions.push(watched.get(times)?);
        }
        if let Some(set) = self.sets.get(paths).filter(|set| same(&set.versions, &versions)) {
            return Ok(set.anchors.clone());
        }
        let list = versions.iter().flat_map(|version| version.iter().cloned()).collect();
        let anchors = Arc::new(Anchors::new(AnchorRules::Explicit, list));
        if self.sets.len() >= MAX_ANCHOR_FILES {
            self.sets.clear();
        }
        self.sets.insert(paths.clone(), Set { versions, anchors: anchors.clone() });
        Ok(anchors)
    }
}

/// Which of some files a user could not read. They are in force as they were read, and the first change of one of them would be its last.
#[must_use]
pub fn unreadable_for(paths: impl IntoIterator<Item = PathBuf>, (uid, gid): (u32, u32)) -> Vec<Notice> {
    let mut paths: Vec<PathBuf> = paths.into_iter().collect();
    paths.sort();
    paths.dedup();
    let text = format!("user {uid} cannot read it: changes to it will not be noticed but as a failure");
    let unreadable = paths.into_iter().filter(|path| path.exists() && !file::readable_by(path, uid, gid));
    unreadable.map(|path| Notice { severity: Severity::Warning, path, text: text.clone() }).collect()
}

fn same(old: &[Version], new: &[Version]) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| Arc::ptr_eq(old, new))
}

fn authorities(settings: &StoreSettings) -> Result<(Arc<Anchors>, Vec<Notice>), Error> {
    let (list, mut notices) = match &settings.ca_file {
        Some(path) => load::authorities(path, &file::read(path)?)?,
        None => (Vec::new(), Vec::new()),
    };
    let mut anchors = Anchors::new(AnchorRules::Authorities, list);
    if let Some(path) = &settings.ca_path {
        // OpenSSL reads the directory when it needs it, and takes one that is missing for an empty one.
        if !path.is_dir() {
            let text = "is no directory; nothing is trusted for it".to_owned();
            notices.push(Notice { severity: Severity::Alert, path: path.clone(), text });
        }
        anchors = anchors.with_directory(path);
    }
    Ok((Arc::new(anchors), notices))
}

fn clients(settings: &StoreSettings) -> Result<(Arc<[ClientCertificate]>, Vec<Notice>), Error> {
    client::configured(settings).map(|(found, notices)| (found.into(), notices))
}

fn anchor_file(path: &Path, now: UnixTime) -> Result<(Version, Vec<Notice>), Error> {
    load::anchor_file(path, &file::read(path)?, now).map(|(found, notices)| (found.into(), notices))
}

fn clock() -> UnixTime {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_micros(u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
}
