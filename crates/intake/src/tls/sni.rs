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

use super::{
    identity::{Identity, check_permissions, missing, names},
    kept::{First, Kept},
};
use crate::{Error, Lookup};

/// Identities in memory. A table may have more; those come from their copies, which are what was served, and not from files that may hold
/// something else by now.
const KEPT: usize = if cfg!(test) { 3 } else { 1024 };

/// What tells one version of a file from another.
type Stamp = Vec<Option<(SystemTime, u64)>>;

/// The tables, and the identities that they have led to.
#[derive(Debug)]
pub(super) struct NameMaps {
    tables: Vec<String>,
    known: Mutex<HashMap<String, Known>>,
    kept: Kept,
}

/// What one table entry has led to.
#[derive(Debug)]
struct Known {
    stamp: Stamp,
    identity: Arc<Identity>,
    /// The names that clients have asked for it by.
    names: Vec<String>,
    /// Whether there is a copy of it.
    is_kept: bool,
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
    pub(super) fn new(tables: Vec<String>, kept: Kept) -> Self {
        Self { tables, known: Mutex::default(), kept }
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
        let mut fresh = self.read(value, provider)?;
        fresh.names.push(name.to_owned());
        let identity = Arc::clone(&fresh.identity);
        let mut known = self.known.lock();
        if known.len() >= KEPT {
            // Any one of those that can be had again as they were.
            let any = known.iter().find(|(_, known)| known.is_kept).map(|(value, _)| value.clone());
            let none =
                || Error::Certificate(format!("more than {KEPT} entries, and no folder for copies of them"));
            known.remove(&any.ok_or_else(none)?);
        }
        known.insert(value.to_owned(), fresh);
        Ok(identity)
    }

    /// What an entry leads to when it is asked for first.
    fn read(&self, value: &str, provider: &CryptoProvider) -> Result<Known, Error> {
        let (stamp, files) = (stamps(value), crate::chain_files(value));
        let copy = self.kept.load(value, &files.iter().collect::<Vec<_>>());
        let is_kept = copy.is_some();
        match First::choose(read_value(value, provider), copy, provider)? {
            First::Files(identity) => {
                let keep = || self.keep(value, &identity).inspect_err(|why| tracing::warn!("{why}"));
                let is_kept = is_kept || keep().unwrap_or(false);
                Ok(Known { stamp, identity: Arc::new(identity), names: Vec::new(), is_kept })
            }
            First::Before(identity, why) => {
                tracing::warn!("{value}: the certificate that was served before is served still: {why}");
                // No version of the files has this stamp: it is as if they had changed just now.
                Ok(Known { stamp: Stamp::new(), identity: Arc::new(identity), names: Vec::new(), is_kept })
            }
        }
    }

    /// Writes down what is served for an entry; `false` where there is no place for that.
    fn keep(&self, value: &str, identity: &Identity) -> Result<bool, String> {
        let files = crate::chain_files(value);
        self.kept.store(value, &files.iter().collect::<Vec<_>>(), &identity.chains)?;
        Ok(self.kept.is_there())
    }

    /// All names that have been asked for, and those of the certificates.
    pub(super) fn names(&self) -> Vec<String> {
        let known: Vec<_> = {
            let known = self.known.lock();
            known.values().map(|known| (known.names.clone(), Arc::clone(&known.identity))).collect()
        };
        // Certificates are read with the lock released: handshakes wait for it.
        known
            .into_iter()
            .flat_map(|(asked, identity)| asked.into_iter().chain(names(&identity.chains)))
            .collect()
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

    /// Serves them from now on. The error is why nobody will remember that.
    pub(super) fn replace(&self, changed: &Changed, fresh: Identity) -> Result<(), String> {
        let kept = self.keep(&changed.value, &fresh);
        if let Some(known) = self.known.lock().get_mut(&changed.value) {
            known.stamp.clone_from(&changed.stamp);
            known.identity = Arc::new(fresh);
            known.is_kept = *kept.as_ref().unwrap_or(&false);
        }
        kept.map(drop)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str) -> String {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned(), "*.example".into()]).unwrap();
        key.serialize_pem() + &params.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn an_entry_that_left_memory_is_served_as_it_was_whatever_its_files_hold_by_then() {
        let (folder, provider) = (tempfile::tempdir().unwrap(), super::super::provider());
        let value = |number: usize| folder.path().join(format!("{number}.pem")).display().to_string();
        let maps = NameMaps::new(vec!["names".into()], Kept::new(Some(folder.path())));
        let load = |maps: &NameMaps, number| maps.load((&value(number), "asked.example"), &provider);
        let mut first = Vec::new();
        for number in 0..10 {
            std::fs::write(value(number), pair("mx.example")).unwrap();
            first.push(load(&maps, number).unwrap().chains.clone());
            std::fs::write(value(number), pair("new.example")).unwrap();
        }
        assert_eq!(maps.known.lock().len(), KEPT);
        for (number, first) in first.iter().enumerate() {
            assert_eq!(load(&maps, number).unwrap().chains, *first, "{number}");
        }
        // They count as changed, and the switch is for those to allow who are asked.
        let changed = maps.changed();
        assert_eq!(changed.len(), KEPT);
        let (allowed, fresh) = (&changed[0], changed[0].read(&provider).unwrap());
        let chains = fresh.chains.clone();
        maps.replace(allowed, fresh).unwrap();
        assert_eq!(maps.changed().len(), KEPT - 1);
        // Also behind a restart.
        let anew = NameMaps::new(vec!["names".into()], Kept::new(Some(folder.path())));
        assert_eq!(anew.load((&allowed.value, "asked.example"), &provider).unwrap().chains, chains);
        let mut names = anew.names();
        names.sort();
        assert_eq!(names, ["asked.example", "new.example"]);
    }

    #[test]
    fn without_a_folder_there_are_no_more_entries_than_memory_has_room_for() {
        let (folder, provider) = (tempfile::tempdir().unwrap(), super::super::provider());
        let value = |number: usize| folder.path().join(format!("{number}.pem")).display().to_string();
        let maps = NameMaps::new(vec!["names".into()], Kept::new(None));
        for number in 0..=KEPT {
            std::fs::write(value(number), pair("mx.example")).unwrap();
            assert_eq!(maps.load((&value(number), "asked.example"), &provider).is_ok(), number < KEPT);
        }
        assert!(maps.load((&value(0), "asked.example"), &provider).is_ok(), "what is there stays");
    }
}
