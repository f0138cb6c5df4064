//! What keeps an intake from serving.

use std::{io, path::PathBuf, sync::Arc};

use crate::ListenAddr;

/// Whose fault it is, and where. Clients' faults are not here: those end in replies.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operator's: the address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", remedy(source))]
    Bind {
        /// Which one.
        address: ListenAddr,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The operator's: something that is no socket stands where one is to be made.
    #[error("cannot listen on unix:{}: the path exists and is not a socket; remove it or choose another", .0.display())]
    NotASocket(PathBuf),
    /// The operator's: another process listens there.
    #[error("cannot listen on unix:{}: another process listens there", .0.display())]
    Taken(PathBuf),
    /// The operator's: there is nothing to listen on.
    #[error("listen.smtp is empty: no mail could come in")]
    NoListeners,
    /// The operator's: a certificate, or its key, cannot be used; the text names the file.
    #[error("{0}")]
    Certificate(String),
    /// The system's: a bound socket cannot be used.
    #[error("cannot use the listener on {address}: {source}")]
    Listener {
        /// Which one.
        address: ListenAddr,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Ours: a listener's task died.
    #[error("a listener died")]
    Died,
}

impl Error {
    /// Whether the operator has to change something before the program can start (exit status 78).
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Bind { .. }
                | Self::NotASocket(_)
                | Self::Taken(_)
                | Self::NoListeners
                | Self::Certificate(_)
        )
    }
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => "; another program has the port: stop it or change listen.smtp",
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need a privilege: change listen.smtp or start with it"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        _ => "",
    }
}
