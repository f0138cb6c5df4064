//! What keeps a record from being made. All of it is the operator's to mend.

/// Why there is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file holds nothing that a record could be made from.
    #[error("{file}: no certificate, key or certificate request in it")]
    Nothing {
        /// The file.
        file: String,
    },
    /// One block of a file cannot be read.
    #[error("{file}: block {index} ({label}): {cause}")]
    Block {
        /// The file.
        file: String,
        /// Its place in the file, from 1.
        index: usize,
        /// What its `BEGIN` line says.
        label: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The private key in a file is not that of the certificate in front of or behind it.
    #[error("{file}: the private key is not that of the certificate")]
    Mismatch {
        /// The file.
        file: String,
    },
    /// The numbers are none, or none that can be made.
    #[error("{text:?} is no usage, selector and matching type such as \"3 1 1\"")]
    Form {
        /// What was given.
        text: String,
    },
    /// A record in presentation form that cannot be read.
    #[error("{text:?} is no TLSA record such as \"3 1 1 0123abcd...\"")]
    Record {
        /// What was given.
        text: String,
    },
    /// Selector 0 is about certificates, and there is a key alone.
    #[error(
        "selector 0 is about a whole certificate, and there is only a {0}: use selector 1, or wait for the certificate"
    )]
    NeedsCertificate(&'static str),
}
