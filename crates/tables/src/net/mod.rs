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

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::{future::Cache, notification::RemovalCause};

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
pub(crate) struct Recent {
    kept: Cache<String, Option<Arc<str>>>,
    forgotten: Arc<AtomicU64>,
}

impl fmt::Debug for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recent({})", self.kept.entry_count())
    }
}

impl Default for Recent {
    fn default() -> Self {
        let weight = |key: &String, value: &Option<Arc<str>>| {
            let octets = key.len() + value.as_ref().map_or(0, |value| value.len()) + CACHE_ENTRY;
            u32::try_from(octets).unwrap_or(u32::MAX)
        };
        let forgotten = Arc::<AtomicU64>::default();
        let count = Arc::clone(&forgotten);
        let cache = Cache::builder().max_capacity(CACHE_SIZE).weigher(weight).time_to_live(CACHE_AGE);
        let cache = cache.eviction_listener(move |_, _, cause| {
            if cause == RemovalCause::Size {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { kept: cache.build(), forgotten }
    }
}

impl Recent {
    /// How many answers were forgotten before their time.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// The answer of a moment ago, or what `ask` comes to.
    pub(crate) async fn or_ask(&self, key: &str, ask: impl Future<Output = Asked>) -> Asked {
        if key.len() > KEY_LIMIT {
            return Err(format!("a key of {} octets", key.len()).into());
        }
        let kept = match self.kept.get(key).await {
            Some(kept) => return Ok(kept),
            None => self.kept.try_get_with(key.to_owned(), ask).await,
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

    /// Answers forgotten before their time, and questions that waited for others.
    pub(crate) fn crowding(&self) -> (u64, u64) {
        let waited = match &self.asker {
            Asker::Socketmap(pool) => pool.waited(),
            Asker::Tcp(pool) => pool.waited(),
        };
        (self.recent.forgotten(), waited)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_beyond_the_limit_are_forgotten_and_counted() {
        let recent = Recent::default();
        let large: Arc<str> = "x".repeat(1 << 20).into();
        for key in 0..8 {
            let value = Arc::clone(&large);
            assert!(recent.or_ask(&key.to_string(), async { Ok(Some(value)) }).await.is_ok());
        }
        recent.kept.run_pending_tasks().await;
        assert!(recent.kept.entry_count() <= 4 && recent.forgotten() >= 4, "{recent:?}");
    }
}
