//! What can be chosen, and what can be wrong with it.

use std::{io, path::PathBuf};

/// Where and how much is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The folder of the files (`ledger.path`; by default `ledger` in the spool's folder).
    pub path: PathBuf,
    /// Octets on disk, in all (`ledger.size`).
    pub size: u64,
    /// Whether local parts of addresses are replaced by keyed digests (`ledger.redact`).
    pub redact: bool,
    /// Octets that may wait for the disk; what comes on top is counted and lost.
    pub queue_limit: usize,
}

impl Settings {
    /// 1 GB in `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, size: 1_000_000_000, redact: false, queue_limit: 8 << 20 }
    }
}

/// Why a ledger cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder or a file of it cannot be used.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// `read`, `write`, ...
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process writes there.
    #[error("another process writes the ledger in {}", .0.display())]
    Busy(PathBuf),
}

impl Error {
    pub(crate) fn file(doing: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        Self::File { doing, path: path.to_owned(), source }
    }
}
