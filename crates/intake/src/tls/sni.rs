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
    known: Mutex<HashMap<String, (Stamp, Arc<Identity>)>>,
}

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
        let mut key = name.as_str();
        loop {
            for table in &self.tables {
                let found = tables.find(table, key).await;
                let wrong = |reason| Error::Certificate(format!("{table}: {reason}"));
                if let Some(value) = found.map_err(wrong)? {
                    return self.load(&value, provider).map(Some);
                }
            }
            // tls_server_sni_maps: "example.com", then ".com" and the like, each with its dot.
            match key.get(1..).and_then(|rest| Some(rest.find('.')? + 1)) {
                Some(dot) => key = &key[dot..],
                None => return Ok(None),
            }
        }
    }

    /// The chain files that a table's value names, from memory where they have not changed.
    fn load(&self, value: &str, provider: &CryptoProvider) -> Result<Arc<Identity>, Error> {
        let files = crate::chain_files(value);
        let stamp: Stamp = files.iter().map(|file| stamp(file)).collect();
        if let Some((seen, identity)) = self.known.lock().get(value)
            && *seen == stamp
        {
            return Ok(Arc::clone(identity));
        }
        let identity = Arc::new(chain(files, provider)?);
        let mut known = self.known.lock();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(value.to_owned(), (stamp, Arc::clone(&identity)));
        Ok(identity)
    }
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
