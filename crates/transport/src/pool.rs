//! Idle connections.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::{Session, Settings, StarttlsOutcome, TlsUse, counters::Counters, shape::Key};

/// How long an idle connection is given to take our QUIT.
pub(crate) const FAREWELL: Duration = Duration::from_secs(5);

/// The idle connections of one connector. Taken newest first, so that those that are not needed grow old.
#[derive(Debug)]
pub(crate) struct Pool {
    settings: Arc<Settings>,
    counters: Arc<Counters>,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    idle: HashMap<Key, Vec<Idle>>,
    count: usize,
    /// Whether a task is waiting for the next one to grow too old.
    watched: bool,
}

#[derive(Debug)]
struct Idle {
    session: Session,
    until: Instant,
}

impl Pool {
    pub(crate) fn new(settings: Arc<Settings>, counters: Arc<Counters>) -> Self {
        Self { settings, counters, shelf: Mutex::default() }
    }

    /// An idle connection of this shape that is fit for this use. Those that are found to be unfit are closed.
    pub(crate) fn take(&self, key: &Key, tls: &TlsUse) -> Option<Session> {
        let mut shelf = self.shelf.lock();
        let now = Instant::now();
        let mut found = None;
        let list = shelf.idle.get_mut(key)?;
        let mut removed = 0;
        while let Some(mut idle) = list.pop() {
            removed += 1;
            // An octet on an idle connection answers nothing we asked: a farewell at best.
            if idle.until > now
                && idle.session.usable()
                && suits(&idle.session.report.starttls, tls)
                && idle.session.is_quiet()
            {
                found = Some(idle.session);
                break;
            }
        }
        if list.is_empty() {
            shelf.idle.remove(key);
        }
        shelf.count -= removed;
        self.counters.idle.fetch_sub(removed, Ordering::Relaxed);
        found
    }

    /// Keeps a session for the next message, or gives it back where it is not to be kept.
    pub(crate) fn put(self: &Arc<Self>, mut session: Session) -> Option<Session> {
        if !session.usable() || !session.is_quiet() || session.settings.cache_time_limit.is_zero() {
            return Some(session);
        }
        let until = Instant::now() + session.settings.cache_time_limit;
        let mut shelf = self.shelf.lock();
        if shelf.count >= self.settings.max_idle {
            self.counters.crowded.fetch_add(1, Ordering::Relaxed);
            return Some(session);
        }
        let list = shelf.idle.entry(session.key).or_default();
        if list.len() >= self.settings.max_idle_per_key {
            self.counters.crowded.fetch_add(1, Ordering::Relaxed);
            return Some(session);
        }
        list.push(Idle { session, until });
        shelf.count += 1;
        self.counters.idle.fetch_add(1, Ordering::Relaxed);
        if !std::mem::replace(&mut shelf.watched, true) {
            tokio::spawn(watch(Arc::downgrade(self), until));
        }
        None
    }

    /// Takes one out that is of no use to somebody who needs its place: one to that address, or any.
    pub(crate) fn evict(&self, address: Option<IpAddr>) -> Option<Session> {
        let mut shelf = self.shelf.lock();
        let there = |idle: &Idle| idle.session.berth.as_ref().is_some_and(|berth| berth.address() == address);
        let key = shelf
            .idle
            .iter()
            .find(|(_, list)| list.iter().any(|idle| address.is_none() || there(idle)))
            .map(|(key, _)| *key)?;
        let list = shelf.idle.get_mut(&key)?;
        // What shares a key shares its address.
        let idle = list.pop()?;
        if list.is_empty() {
            shelf.idle.remove(&key);
        }
        shelf.count -= 1;
        self.counters.idle.fetch_sub(1, Ordering::Relaxed);
        Some(idle.session)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.shelf.lock().count
    }

    /// Takes all out.
    pub(crate) fn clear(&self) -> Vec<Session> {
        let mut shelf = self.shelf.lock();
        self.counters.idle.fetch_sub(shelf.count, Ordering::Relaxed);
        shelf.count = 0;
        shelf.idle.drain().flat_map(|(_, list)| list).map(|idle| idle.session).collect()
    }

    /// Takes out what is too old, and says when to look again; `None` where nothing is left, and then nobody is watching any more.
    fn expire(&self) -> (Vec<Session>, Option<Instant>) {
        let now = Instant::now();
        let mut shelf = self.shelf.lock();
        let mut old = Vec::new();
        let mut next: Option<Instant> = None;
        shelf.idle.retain(|_, list| {
            // Oldest first in each list.
            let expired = list.iter().take_while(|idle| idle.until <= now).count();
            old.extend(list.drain(..expired).map(|idle| idle.session));
            next = list.first().map(|idle| idle.until).into_iter().chain(next).min();
            !list.is_empty()
        });
        shelf.count -= old.len();
        self.counters.idle.fetch_sub(old.len(), Ordering::Relaxed);
        shelf.watched = next.is_some();
        (old, next)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.counters.idle.fetch_sub(self.shelf.get_mut().count, Ordering::Relaxed);
    }
}

/// A connection that stayed in clear because STARTTLS was not to be had serves those who only wished for it.
pub(crate) fn suits(outcome: &StarttlsOutcome, tls: &TlsUse) -> bool {
    match (tls, outcome) {
        (TlsUse::Required(_) | TlsUse::Implicit(_), StarttlsOutcome::Established(_)) => true,
        (
            TlsUse::Required(_) | TlsUse::Implicit(_),
            StarttlsOutcome::NotWanted
            | StarttlsOutcome::NotOffered
            | StarttlsOutcome::EhloRefused
            | StarttlsOutcome::Refused(_),
        ) => false,
        // The key already tells connections that asked for STARTTLS from those that did not.
        (
            TlsUse::Never | TlsUse::IfOffered(_),
            StarttlsOutcome::NotWanted
            | StarttlsOutcome::NotOffered
            | StarttlsOutcome::EhloRefused
            | StarttlsOutcome::Refused(_)
            | StarttlsOutcome::Established(_),
        ) => true,
    }
}

/// Says goodbye on connections that were idle for too long. One task for a pool, and none while the pool is empty.
async fn watch(pool: Weak<Pool>, mut until: Instant) {
    loop {
        sleep_until(until).await;
        let Some(pool) = pool.upgrade() else { return };
        let (old, next) = pool.expire();
        drop(pool);
        for session in old {
            let _ = tokio::time::timeout(FAREWELL, session.quit()).await;
        }
        match next {
            Some(next) => until = next,
            None => return,
        }
    }
}
