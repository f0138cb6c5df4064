use std::{io, path::PathBuf};

/// Why there is no resolver. Always the operator's to mend: the zone's and the network's failings are
/// [`waxseal_types::DnsFailure`]s of single questions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The trust anchor file cannot be read.
    #[error("trust anchor file {path}: {source}")]
    AnchorUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line of the trust anchor file is no DNSKEY and no DS record.
    #[error("trust anchor file {path}, line {line}: {problem}")]
    AnchorInvalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The trust anchor file holds no key at all.
    #[error("trust anchor file {path} holds no DNSKEY or DS record")]
    AnchorEmpty {
        /// The file.
        path: PathBuf,
    },
    /// A setting that cannot work.
    #[error("{0}")]
    Setting(&'static str),
}
