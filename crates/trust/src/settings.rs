//! Where trust comes from, as configured.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use waxseal_types::Service;

/// The files of one protocol; each is the `smtp_tls_` or `lmtp_tls_` parameter of that name (postconf(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreSettings {
    /// `CAfile`: PEM certificates of root authorities, and of intermediates that servers forget to send.
    pub ca_file: Option<PathBuf>,
    /// `CApath`: a directory of such certificates under their hashed names, as `openssl rehash` makes it.
    pub ca_path: Option<PathBuf>,
    /// `trust_anchor_file`: when given, these count at `verify` and `secure` instead of the two above.
    pub anchor_files: Vec<PathBuf>,
    /// `cert_file`: the client's RSA certificate, with its issuers behind it.
    pub cert_file: Option<PathBuf>,
    /// `key_file`; default: the certificate's file.
    pub key_file: Option<PathBuf>,
    /// `eccert_file`.
    pub eccert_file: Option<PathBuf>,
    /// `eckey_file`; default: the certificate's file.
    pub eckey_file: Option<PathBuf>,
    /// `chain_files`: keys, each before its certificates. When given, the four above are ignored.
    pub chain_files: Vec<PathBuf>,
}

impl StoreSettings {
    /// All files and folders but those of trust anchors.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let files = [&self.ca_file, &self.ca_path, &self.cert_file, &self.key_file];
        let files = files.into_iter().chain([&self.eccert_file, &self.eckey_file]);
        files.flatten().chain(&self.chain_files)
    }
}

/// Everything that [`crate::Store`] reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Files for SMTP.
    pub smtp: StoreSettings,
    /// Files for LMTP.
    pub lmtp: StoreSettings,
    /// Files of services that have their own (master(5)).
    pub services: BTreeMap<Service, StoreSettings>,
    /// How long the last good version of a file that no longer loads stays in force (`tables.stale_limit`).
    pub stale_limit: Duration,
    /// How often, at most, a file is asked whether it changed; and how long it must have been quiet before it is read.
    pub quiet: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            smtp: StoreSettings::default(),
            lmtp: StoreSettings::default(),
            services: BTreeMap::new(),
            stale_limit: Duration::from_secs(15 * 60),
            quiet: Duration::from_secs(1),
        }
    }
}
