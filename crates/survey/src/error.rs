//! What keeps a survey from beginning.

/// The operator's fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No resolver can be made of these settings.
    #[error("{0}")]
    Dns(#[from] waxseal_dns::Error),
    /// No connector can be made of these settings.
    #[error("{0}")]
    Transport(#[from] waxseal_transport::Error),
    /// No policy can be made of these settings.
    #[error("{0}")]
    Policy(#[from] waxseal_policy::PolicyError),
    /// There are no TLSA records for sockets in the file system.
    #[error("{0} is a socket in the file system, which has no TLSA records")]
    Socket(String),
}
