//! Certificates by the name that a client asks for (postconf(5), `tls_server_sni_maps`).

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use parking_lot::Mutex;
use rustls::crypto::CryptoProvider;
use waxseal_trust::{Settings, Store, StoreSettings};
use waxseal_types::{Domain, Service};

use super::identity::{Identity, check_permissions, missing};
use crate::{Error, Lookup};

/// Identities that are kept. A table may have more; those are read from their files for each handshake.
const KEPT: usize = 1024;

/// What tells one version of a file from another.
type Stamp = Vec<Option<(SystemTime, u64)>>;

/// The tables, and the identities that they have led to.
#[derive(Debug)]
pub(super) struct NameMaps {
    tables: Vec<String>,
    known: Mutex<HashMap<String, Known>>,
}

/// What one table entry has led to.
#[derive(Debug)]
struct Known {
    stamp: Stamp,
    identity: Arc<Identity>,
    /// The names that clients have asked for it by.
    names: Vec<String>,
}

/// Files that have changed since they were read.
#[derive(Debug)]
pub(super) struct Changed {
    value: String,
    stamp: Stamp,
    pub(super) identity: Arc<Identity>,
    pub(super) names: Vec<String>,
}

/// Names of one entry that are remembered: a pattern may stand for any number of them, and each costs a lookup.
const MAX_NAMES: usize = 100;

impl NameMaps {
    pub(super) fn new(tables: Vec<String>) -> Self {
        Self { tables, known: Mutex::default() }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// The identity for a name; `None` where the default one is to be shown.
    pub(super) async fn find(
        &self,
        name: &str,
        tables: &dyn Lookup,
        provider: &CryptoProvider,
    ) -> Result<Option<Arc<Identity>>, Error> {
        // As in Postfix: what is no hostname is as if no name were given.
        let Ok(name) = Domain::new(name) else { return Ok(None) };
        let asked = name.as_str();
        let mut key = asked;
        loop {
            for table in &self.tables {
                let found = tables.find(table, key).await;
                let wrong = |reason| Error::Certificate(format!("{table}: {reason}"));
                if let Some(value) = found.map_err(wrong)? {
                    return self.load((&value, asked), provider).map(Some);
                }
            }
            // tls_server_sni_maps: "example.com", then ".com" and the like, each with its dot.
            match key.get(1..).and_then(|rest| Some(rest.find('.')? + 1)) {
                Some(dot) => key = &key[dot..],
                None => return Ok(None),
            }
        }
    }

    /// The chain files that a table's value names, from memory where they were read before: what has changed since comes into force only
    /// where TLSA records allow it, by [`NameMaps::replace`].
    fn load(&self, (value, name): (&str, &str), provider: &CryptoProvider) -> Result<Arc<Identity>, Error> {
        if let Some(known) = self.known.lock().get_mut(value) {
            if known.names.len() < MAX_NAMES && !known.names.iter().any(|known| known == name) {
                known.names.push(name.to_owned());
            }
            return Ok(Arc::clone(&known.identity));
        }
        let stamp = stamps(value);
        let identity = Arc::new(read_value(value, provider)?);
        let mut known = self.known.lock();
        if known.len() >= KEPT {
            known.clear();
        }
        let fresh = Known { stamp, identity: Arc::clone(&identity), names: vec![name.to_owned()] };
        known.insert(value.to_owned(), fresh);
        Ok(identity)
    }

    /// All names that have been asked for.
    pub(super) fn names(&self) -> Vec<String> {
        self.known.lock().values().flat_map(|known| known.names.clone()).collect()
    }

    /// Entries whose files are not what they were.
    pub(super) fn changed(&self) -> Vec<Changed> {
        let known: Vec<Changed> = {
            let known = self.known.lock();
            let changed = known.iter().map(|(value, known)| Changed {
                value: value.clone(),
                stamp: known.stamp.clone(),
                identity: Arc::clone(&known.identity),
                names: known.names.clone(),
            });
            changed.collect()
        };
        let differs = |mut known: Changed| {
            let before = std::mem::replace(&mut known.stamp, stamps(&known.value));
            (before != known.stamp).then_some(known)
        };
        known.into_iter().filter_map(differs).collect()
    }

    /// Serves them from now on.
    pub(super) fn replace(&self, changed: &Changed, fresh: Identity) {
        if let Some(known) = self.known.lock().get_mut(&changed.value) {
            known.stamp.clone_from(&changed.stamp);
            known.identity = Arc::new(fresh);
        }
    }
}

impl Changed {
    /// Reads the files as they are now.
    pub(super) fn read(&self, provider: &CryptoProvider) -> Result<Identity, Error> {
        read_value(&self.value, provider)
    }
}

fn stamps(value: &str) -> Stamp {
    crate::chain_files(value).iter().map(|file| stamp(file)).collect()
}

fn read_value(value: &str, provider: &CryptoProvider) -> Result<Identity, Error> {
    chain(crate::chain_files(value), provider)
}

/// Reads the chain files of a name.
pub(super) fn chain(files: Vec<PathBuf>, provider: &CryptoProvider) -> Result<Identity, Error> {
    for file in &files {
        check_permissions(file)?;
    }
    read(StoreSettings { chain_files: files, ..StoreSettings::default() }, provider)
}

/// Reads chain files once, by the rules of all chain files.
pub(super) fn read(files: StoreSettings, provider: &CryptoProvider) -> Result<Identity, Error> {
    if let Some(path) = missing(&files) {
        return Err(Error::Certificate(format!("{}: there is no such file", path.display())));
    }
    let wrong = |error: waxseal_trust::Error| Error::Certificate(error.to_string());
    let (store, _) = Store::open(Settings { smtp: files, ..Settings::default() }).map_err(wrong)?;
    let chains = store.client(&Service::SMTP).map_err(wrong)?;
    if chains.is_empty() {
        return Err(Error::Certificate("no certificate is configured".into()));
    }
    Identity::new(chains.to_vec(), provider)
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = path.metadata().ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
