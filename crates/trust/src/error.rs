//! What is wrong with a file, and what an operator reads about it.

use std::{fmt, path::PathBuf};

/// Why there is nothing to trust, or nothing to show. All of them are the operator's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read at all.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: String,
    },
    /// Too large to be what it should be.
    #[error("{} is larger than {limit} octets", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// It holds nothing that could be used.
    #[error("{}: no usable {wanted}: {cause}", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
        /// What was found instead.
        cause: String,
    },
    /// One block of a `CAfile` is broken: the whole file is, as for OpenSSL.
    #[error("{}: block {index} ({label}): {cause}", path.display())]
    Block {
        /// The file.
        path: PathBuf,
        /// Its place in the file, from 1.
        index: usize,
        /// What its `BEGIN` line says.
        label: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A private key lies in a file of public trust anchors.
    #[error("{}: block {index} is a private key; a trust anchor file must not hold one", path.display())]
    PrivateKey {
        /// The file.
        path: PathBuf,
        /// Its place in the file, from 1.
        index: usize,
    },
    /// A client key is not that of its certificate.
    #[error("{}: the private key is not that of the certificate ({})", key.display(), certificate.display())]
    KeyMismatch {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
    },
    /// In `chain_files` a key comes before its certificates (postconf(5), `smtp_tls_chain_files`).
    #[error("{}: block {index}: {cause}", path.display())]
    Order {
        /// The file.
        path: PathBuf,
        /// Its place in the file, from 1.
        index: usize,
        /// What comes where.
        cause: &'static str,
    },
    /// More anchor files are in use than are kept.
    #[error("more than {limit} different trust anchor files are in use")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// A service of this name was not configured when the store was opened.
    #[error("there is no service {name}")]
    NoService {
        /// Its name.
        name: String,
    },
    /// The trust store is not there to be asked.
    #[error("the trust store is not available")]
    Unavailable,
}

/// How loud a [`Notice`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Mail flows as configured; somebody should look.
    Warning,
    /// Mail waits, or goes out with less than was configured.
    Alert,
}

/// Something that an operator should know about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How loud.
    pub severity: Severity,
    /// The file.
    pub path: PathBuf,
    /// One sentence.
    pub text: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.text)
    }
}
