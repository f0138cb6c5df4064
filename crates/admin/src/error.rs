//! What can go wrong before anything is served.

use std::{io, path::PathBuf};

/// The door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operator's: an address that cannot be bound.
    #[error("listen.admin: cannot listen on {address}: {cause}")]
    Listen {
        /// As configured.
        address: String,
        /// Why.
        cause: io::Error,
    },
    /// The operator's: any address but loopback needs a token.
    #[error("listen.admin: {0} is open to the network: set admin.token_file, or listen on 127.0.0.1")]
    OpenToTheNetwork(String),
    /// The operator's: the file of the token.
    #[error("admin.token_file: {path}: {cause}")]
    TokenFile {
        /// As configured.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The operator's: others may read the file.
    #[error("admin.token_file: {0} can be read by everybody: chmod 640 or stricter")]
    TokenOpen(PathBuf),
    /// The operator's: what stands in it.
    #[error("admin.token_file: a token has 16 to 1024 printable characters and no blanks at its ends")]
    TokenWords,
    /// Ours: the socket in the spool's folder, or the server's threads.
    #[error("the control socket: {0}")]
    Socket(#[source] io::Error),
}
