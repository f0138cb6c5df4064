//! What is configured, looked at without listening: for `waxseal check`, and for a daemon that is about to give up its privileges.

use std::path::PathBuf;

use crate::{Error, Neighbours, Settings, TlsSettings, tls};

/// Reads the certificates, keys and authorities of the intake as it would at its start. What is odd; and what keeps TLS from being offered, where something
/// does. Without any TLS at any listener nothing is read.
#[must_use]
pub fn examine(settings: &Settings) -> (Vec<String>, Option<Error>) {
    if !settings.wants_tls() {
        return (Vec::new(), None);
    }
    // What cannot be used is an error here, whether or not the daemon would start all the same.
    let tls = TlsSettings { lenient: false, own_folder: None, ..settings.tls.clone() };
    match tls::Front::new(tls, (&settings.protocol.hostname, Vec::new()), Neighbours::default()) {
        Ok((_, notices)) => (notices, None),
        Err(error) => (Vec::new(), Some(error)),
    }
}

/// The same for the value of an entry of `tls_server_sni_maps`.
///
/// # Errors
/// Handshakes for this name fail.
pub fn examine_chain(value: &str) -> Result<(), Error> {
    tls::examine_chain(value)
}

/// The files that such a value names.
#[must_use]
pub fn chain_files(value: &str) -> Vec<PathBuf> {
    value.split([',', ' ', '\t']).filter(|word| !word.is_empty()).map(PathBuf::from).collect()
}
