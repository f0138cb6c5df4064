//! Why a part of the testbed could not be set up.

/// What went wrong; always the test's own doing or the machine's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A certificate could not be made, for instance for a name that is none.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS could not be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A socket could not be had.
    #[error("socket: {0}")]
    Socket(#[from] std::io::Error),
}
