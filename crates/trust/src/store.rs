//! The store.

use std::sync::Arc;

use waxseal_types::{AnchorFiles, ClientCertificate, Protocol};

use crate::{Anchors, Error, Notice, Settings};

/// All trust of one process. Shared by `Arc`; asking takes a short lock, never while a file is read for somebody else.
#[derive(Debug)]
pub struct Store {
    _settings: Settings,
}

impl Store {
    /// Reads everything that is configured. A broken file is a notice, not the end: what rests on it fails when asked for.
    ///
    /// # Errors
    /// None at present; reserved for settings that contradict each other.
    pub fn open(settings: Settings) -> Result<(Self, Vec<Notice>), Error> {
        Ok((Self { _settings: settings }, Vec::new()))
    }

    /// The anchors of a demand.
    ///
    /// # Errors
    /// The file that is needed, and what is wrong with it.
    pub fn anchors(&self, _protocol: Protocol, files: &AnchorFiles) -> Result<Arc<Anchors>, Error> {
        match files {
            AnchorFiles::Default => Ok(Arc::new(Anchors::default())),
            AnchorFiles::Only(_) => Err(Error::Unavailable),
        }
    }

    /// What is shown to servers that ask.
    ///
    /// # Errors
    /// The file that is broken. At `may` mail goes on without a certificate, elsewhere it waits.
    pub fn client(&self, _protocol: Protocol) -> Result<Arc<[ClientCertificate]>, Error> {
        Ok(Arc::new([]))
    }

    /// Reads changed files again.
    pub fn reload(&self) -> Vec<Notice> {
        Vec::new()
    }
}
