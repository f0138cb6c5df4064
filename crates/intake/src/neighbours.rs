//! What the intake asks of others: tables, and what DNS says of its own names.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use waxseal_types::ClientCertificate;

/// An answer that may take time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Lookup tables by their names (`texthash:/etc/waxseal/users`).
pub trait Lookup: Send + Sync + fmt::Debug {
    /// The value of a key.
    ///
    /// The error is why nobody knows: it is never "there is none".
    fn find<'a>(&'a self, table: &'a str, key: &'a str) -> Answer<'a, Result<Option<String>, String>>;
}

/// Whether TLSA records stand for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publication {
    /// There are none, and DNS said so.
    None,
    /// There are some: clients will hold the certificate against them.
    Some,
    /// Nobody knows, and why. Treated as [`Publication::Some`].
    Unknown(String),
}

/// A certificate that is about to be replaced by another.
#[derive(Debug, Clone, Copy)]
pub struct Switch<'a> {
    /// The names under which it is served, each with a port: the intake's own, those that the configuration names besides, or those of a
    /// server name map that clients have asked for.
    pub places: &'a [(String, u16)],
    /// The other names in the certificates themselves, without wildcards. Another server may answer to them, with another key.
    pub named: &'a [(String, u16)],
    /// The chains that are served, by kind of key; empty where TLS was not offered.
    pub old: &'a [ClientCertificate],
    /// Those that shall be.
    pub new: &'a [ClientCertificate],
}

/// What DNS says of the intake's own names, and who decides when a certificate may change (RFC 7671 §8.1, RFC 7672 §8.4).
pub trait Records: Send + Sync + fmt::Debug {
    /// Whether TLSA records stand for `name` at `port`.
    fn published<'a>(&'a self, name: &'a str, port: u16) -> Answer<'a, Publication>;

    /// All that is in the files is served.
    fn settled(&self) {}

    /// Whether the certificates may be switched now. The error is the reason why not, for the operator: the old ones stay.
    fn may_switch<'a>(&'a self, switch: Switch<'a>) -> Answer<'a, Result<(), String>>;
}

/// Those who are asked.
#[derive(Debug, Clone)]
pub struct Neighbours {
    /// Who has the tables.
    pub tables: Arc<dyn Lookup>,
    /// Who knows DNS.
    pub records: Arc<dyn Records>,
}

impl Default for Neighbours {
    /// Nobody: no table can be read, and nothing is known of TLSA records.
    fn default() -> Self {
        Self { tables: Arc::new(Nobody), records: Arc::new(Nobody) }
    }
}

#[derive(Debug)]
struct Nobody;

impl Lookup for Nobody {
    fn find<'a>(&'a self, table: &'a str, _: &'a str) -> Answer<'a, Result<Option<String>, String>> {
        Box::pin(async move { Err(format!("{table} is not open")) })
    }
}

impl Records for Nobody {
    fn published<'a>(&'a self, _: &'a str, _: u16) -> Answer<'a, Publication> {
        Box::pin(async { Publication::Unknown("there is no resolver".into()) })
    }

    fn may_switch<'a>(&'a self, _: Switch<'a>) -> Answer<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}
