//! The cache of TLS sessions.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rustls::{
    NamedGroup,
    client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue},
    pki_types::ServerName,
};
use tokio::time::Instant;

use crate::shape::Key;

/// Parts with a lock each, so that cores seldom wait for one another.
const SHARDS: usize = 16;

/// TLS 1.3 tickets kept for one key. Servers send one or two in a handshake, and each is used once (RFC 8446 §C.4).
const TICKETS: usize = 4;

/// Sessions by what shaped their connection. A session shows the chain of its first handshake, and that chain is judged anew each time, so
/// what a session was opened for does not matter; what it would be resumed *with* does, and is the key.
#[derive(Debug)]
pub(crate) struct Sessions {
    shards: [Mutex<HashMap<Key, Entry>>; SHARDS],
    timeout: Duration,
    capacity: usize,
    /// Keys that were forgotten to make room.
    crowded: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    hint: Option<NamedGroup>,
    tls12: Option<(Instant, Tls12ClientSessionValue)>,
    tickets: VecDeque<(Instant, Tls13ClientSessionValue)>,
    touched: Instant,
}

impl Sessions {
    pub(super) fn new(timeout: Duration, size: usize) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, timeout, capacity: size.div_ceil(SHARDS).max(1), crowded: AtomicU64::new(0) }
    }

    /// The sessions of one key, as rustls wants to see them.
    pub(super) fn scope(self: &Arc<Self>, key: Key) -> Scope {
        Scope { key, sessions: Arc::clone(self) }
    }

    /// Keys with sessions.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Keys that were forgotten to make room for others.
    pub(super) fn crowded(&self) -> u64 {
        self.crowded.load(Ordering::Relaxed)
    }

    /// Drops all sessions of a key.
    pub(super) fn forget(&self, key: &Key) {
        self.shard(key).lock().remove(key);
    }

    const fn shard(&self, key: &Key) -> &Mutex<HashMap<Key, Entry>> {
        &self.shards[key.spread() % SHARDS]
    }

    fn is_fresh(&self, since: Instant) -> bool {
        since.elapsed() < self.timeout
    }

    fn update(&self, key: &Key, change: impl FnOnce(&mut Entry)) {
        let mut shard = self.shard(key).lock();
        if shard.len() >= self.capacity && !shard.contains_key(key) {
            // One in some thousands of connections to ever new servers comes here, and looks through one small part.
            let oldest = shard.iter().min_by_key(|(_, entry)| entry.touched).map(|(key, _)| *key);
            if let Some(oldest) = oldest {
                shard.remove(&oldest);
                self.crowded.fetch_add(1, Ordering::Relaxed);
            }
        }
        let now = Instant::now();
        let entry = shard.entry(*key).or_insert_with(|| Entry {
            hint: None,
            tls12: None,
            tickets: VecDeque::new(),
            touched: now,
        });
        entry.touched = now;
        change(entry);
    }
}

/// One key's part of the cache. rustls asks by server name; the name is part of the key already.
pub(super) struct Scope {
    key: Key,
    sessions: Arc<Sessions>,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scope").field(&self.key).finish()
    }
}

impl ClientSessionStore for Scope {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.sessions.update(&self.key, |entry| entry.hint = Some(group));
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.sessions.shard(&self.key).lock().get(&self.key)?.hint
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.sessions.update(&self.key, |entry| entry.tls12 = Some((Instant::now(), value)));
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        let shard = self.sessions.shard(&self.key).lock();
        let (since, value) = shard.get(&self.key)?.tls12.as_ref()?;
        self.sessions.is_fresh(*since).then(|| value.clone())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        if let Some(entry) = self.sessions.shard(&self.key).lock().get_mut(&self.key) {
            entry.tls12 = None;
        }
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.sessions.update(&self.key, |entry| {
            if entry.tickets.len() == TICKETS {
                entry.tickets.pop_front();
            }
            entry.tickets.push_back((Instant::now(), value));
        });
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut shard = self.sessions.shard(&self.key).lock();
        let (since, value) = shard.get_mut(&self.key)?.tickets.pop_back()?;
        // The newest is tried first; where it is too old, all are.
        self.sessions.is_fresh(since).then_some(value)
    }
}
