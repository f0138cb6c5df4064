//! How lookups ask for keys.

use alloc::{boxed::Box, string::String, sync::Arc};
use core::{fmt, future::Future, pin::Pin};

use crate::PolicyError;

/// A table as configured: `texthash:/etc/waxseal/tls_policy`. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName(Arc<str>);

impl TableName {
    /// The name as it stands in the configuration.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name as it stands in the configuration.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The entry that an answer came from. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The table.
    pub table: TableName,
    /// Where the entry stands: `/etc/waxseal/tls_policy:12`.
    pub place: Arc<str>,
    /// The key that was found.
    pub key: Arc<str>,
}

impl Origin {
    /// An entry of `table` at `place`.
    #[must_use]
    pub fn new(table: TableName, place: &str, key: &str) -> Self {
        Self { table, place: place.into(), key: key.into() }
    }
}

impl fmt::Display for Origin {
    /// The place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

/// Where a policy came from; displayed as in the events' `tls.policy_source`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicySource {
    /// No table has an entry: `security_level` of the configuration.
    Default,
    /// This entry.
    Entry(Origin),
}

impl PolicySource {
    /// The entry, where there is one.
    #[must_use]
    pub const fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Default => None,
            Self::Entry(origin) => Some(origin),
        }
    }
}

impl fmt::Display for PolicySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Entry(origin) => write!(f, "{origin}"),
        }
    }
}

/// What a table says of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableAnswer {
    /// There is an entry.
    Found {
        /// Its right-hand side.
        value: String,
        /// Where it stands.
        origin: Origin,
    },
    /// There is none; the table is sound and sure of it.
    Absent,
    /// The table cannot be read just now; with the reason.
    TempFail(String),
}

/// What a lookup needs next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a, T> {
    /// The answer of this table to this key, to be given to `answer`.
    NeedKey {
        /// One of the configured tables.
        table: &'a TableName,
        /// The key.
        key: &'a str,
    },
    /// The lookup has ended.
    Done(Result<T, PolicyError>),
}

/// How often tables that somebody else answers for, a server or a database, came to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Crowding {
    /// Answers that were forgotten before their time.
    pub forgotten: u64,
    /// Questions that waited for others to be answered.
    pub waited: u64,
}

/// The tables of a running configuration. Implemented in the crate `waxseal-config` over `waxseal-tables`, and by tests.
pub trait Tables: Send + Sync {
    /// What `table` has for `key`. A table that is not configured is a [`TableAnswer::TempFail`].
    fn find<'a>(
        &'a self,
        table: &'a TableName,
        key: &'a str,
    ) -> Pin<Box<dyn Future<Output = TableAnswer> + Send + 'a>>;

    /// Changes whenever the content of any table did; what was decided under an older one is decided again.
    fn generation(&self) -> u64;

    /// Whether what `table` says of a key stays the same for as long as the generation does, so that it need not be asked again. Who cannot promise
    /// that does not.
    fn is_steady(&self, table: &TableName) -> bool {
        let _ = table;
        false
    }

    /// How often those that somebody else answers for came to a bound.
    fn crowding(&self) -> Crowding {
        Crowding::default()
    }
}
