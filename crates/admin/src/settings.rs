//! What the operator can set.

use std::{net::SocketAddr, path::PathBuf};

/// Where the API is besides the socket in the spool's folder, and who may come in. `Default` is nowhere.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `listen.admin`.
    pub address: Option<SocketAddr>,
    /// Whether the address was asked for; where it was not, one that is taken is told and is no error.
    pub wanted: bool,
    /// `admin.token_file`.
    pub token_file: Option<PathBuf>,
}
