//! Tables that somebody else answers for, over a socket or in a database.

mod endpoint;
mod pool;
mod socketmap;
mod tcp;

pub(crate) use endpoint::Endpoint;
#[cfg(any(feature = "pgsql", feature = "mysql"))]
pub(crate) use pool::Dial;
pub(crate) use pool::{Limits, Pool, Trouble};
pub(crate) use socketmap::Socketmap;
pub(crate) use tcp::Tcp;

use std::{fmt, sync::Arc, time::Duration};

use moka::future::Cache;

/// An answer may be so old: as long as a change of a file needs to be noticed and read.
const CACHE_AGE: Duration = Duration::from_secs(2);
/// Octets of all keys and values that are kept, with what it takes to keep them.
const CACHE_SIZE: u64 = 4 << 20;
const CACHE_ENTRY: usize = 128;
/// The longest key that is asked for: an address has 320 octets at most (RFC 5321 §4.5.3.1), and a next hop is shorter.
const KEY_LIMIT: usize = 4096;

/// A value, or none; or why nobody knows.
pub(crate) type Asked = Result<Option<Arc<str>>, Arc<str>>;

/// Answers that were given a moment ago. Keys that are asked for at the same time are asked for once; failures are not kept.
pub(crate) struct Recent(Cache<String, Option<Arc<str>>>);

impl fmt::Debug for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recent({})", self.0.entry_count())
    }
}

impl Default for Recent {
    fn default() -> Self {
        let weight = |key: &String, value: &Option<Arc<str>>| {
            let octets = key.len() + value.as_ref().map_or(0, |value| value.len()) + CACHE_ENTRY;
            u32::try_from(octets).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(CACHE_SIZE).weigher(weight).time_to_live(CACHE_AGE).build())
    }
}

impl Recent {
    /// The answer of a moment ago, or what `ask` comes to.
    pub(crate) async fn or_ask(&self, key: &str, ask: impl Future<Output = Asked>) -> Asked {
        if key.len() > KEY_LIMIT {
            return Err(format!("a key of {} octets", key.len()).into());
        }
        let kept = match self.0.get(key).await {
            Some(kept) => return Ok(kept),
            None => self.0.try_get_with(key.to_owned(), ask).await,
        };
        kept.map_err(Arc::unwrap_or_clone)
    }
}

/// A table behind a socket.
#[derive(Debug)]
pub(crate) struct Remote {
    asker: Asker,
    recent: Recent,
}

#[derive(Debug)]
enum Asker {
    Socketmap(Pool<Socketmap>),
    Tcp(Pool<Tcp>),
}

impl Remote {
    pub(crate) fn socketmap(name: &str) -> Option<Self> {
        let (endpoint, map) = Socketmap::parse(name)?;
        let pool = Pool::new(Socketmap::new(map), vec![endpoint], Limits::default());
        Some(Self { asker: Asker::Socketmap(pool), recent: Recent::default() })
    }

    pub(crate) fn tcp(name: &str) -> Option<Self> {
        let pool = Pool::new(Tcp, vec![Endpoint::host_and_port(name)?], Limits::default());
        Some(Self { asker: Asker::Tcp(pool), recent: Recent::default() })
    }

    pub(crate) async fn ask(&self, key: &str) -> Asked {
        let ask = async {
            match &self.asker {
                Asker::Socketmap(pool) => pool.ask(key).await,
                Asker::Tcp(pool) => pool.ask(key).await,
            }
        };
        self.recent.or_ask(key, ask).await
    }
}
