//! `CApath`: certificates in files named by the hash of their subject.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{Anchor, Name, file, load};

/// A directory as `openssl rehash` makes it: `<8 hex digits>.0`, `.1` and so on. Each hash is read once.
#[derive(Debug)]
pub(crate) struct HashedDirectory {
    path: PathBuf,
    known: Mutex<HashMap<u32, Arc<[Arc<Anchor>]>>>,
}

/// Files with the same hash: OpenSSL's tools make far fewer.
const MAX_SAME_HASH: usize = 16;
/// Hashes that are remembered. Peers choose which are asked for, so there is an end; then all are forgotten.
const MAX_KNOWN: usize = 4096;

impl HashedDirectory {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), known: Mutex::default() }
    }

    /// The certificates with this subject. What cannot be read is not there, as for OpenSSL.
    pub(crate) fn named(&self, subject: &Name) -> Vec<Arc<Anchor>> {
        let hash = subject.hash();
        let known = self.known.lock().get(&hash).cloned();
        let all = known.unwrap_or_else(|| {
            let read: Arc<[_]> = self.read(hash).into();
            let mut known = self.known.lock();
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            known.insert(hash, read.clone());
            read
        });
        let named = |anchor: &&Arc<Anchor>| anchor.certificate().is_some_and(|c| c.subject() == subject);
        all.iter().filter(named).cloned().collect()
    }

    fn read(&self, hash: u32) -> Vec<Arc<Anchor>> {
        let mut found = Vec::new();
        for number in 0..MAX_SAME_HASH {
            let path = self.path.join(format!("{hash:08x}.{number}"));
            let Ok(text) = file::read(&path) else { break };
            if let Ok((anchors, _)) = load::authorities(&path, &text) {
                found.extend(anchors);
            }
        }
        found
    }
}
