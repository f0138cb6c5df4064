//! Addresses that did not answer, remembered for a while.
//!
//! A connection attempt into nothing takes its whole time limit. Whoever comes next need not wait as long for the same: it is told what was found, and
//! goes on to the next address. Only silence is remembered; a refusal costs nothing to hear again.

use std::{
    collections::HashMap,
    io::ErrorKind,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{Cause, Endpoint};

/// Addresses remembered at most; beyond that nothing new is.
const LIMIT: usize = 4096;

#[derive(Debug)]
pub(crate) struct Graves {
    time: Duration,
    silent: Mutex<HashMap<Endpoint, (Instant, Cause)>>,
    /// How many there are, so that all cores need not meet at the lock where there is none.
    count: AtomicUsize,
    /// Addresses that there was no room for.
    crowded: AtomicU64,
}

impl Graves {
    pub(crate) fn new(time: Duration) -> Self {
        Self { time, silent: Mutex::default(), count: AtomicUsize::new(0), crowded: AtomicU64::new(0) }
    }

    /// What was found when the address was last tried, if that was not long ago.
    pub(crate) fn find(&self, endpoint: &Endpoint) -> Option<Cause> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let silent = self.silent.lock();
        silent.get(endpoint).filter(|(until, _)| *until > Instant::now()).map(|(_, cause)| cause.clone())
    }

    /// A connection attempt failed so.
    pub(crate) fn bury(&self, endpoint: &Endpoint, cause: &Cause) {
        let silence = match cause {
            Cause::Timeout => true,
            // What the system, or a router, says when nobody answers below TCP.
            Cause::Io(kind, _) => matches!(
                kind,
                ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::TimedOut
            ),
            Cause::Lost
            | Cause::Crowded(_)
            | Cause::Reply(_)
            | Cause::Handshake(_)
            | Cause::LoopsToSelf
            | Cause::NotOffered
            | Cause::Refused(_)
            | Cause::Protocol(_)
            | Cause::Configuration(_)
            | Cause::Text(_)
            | Cause::NotCleared(_) => false,
        };
        if !silence || self.time.is_zero() {
            return;
        }
        let now = Instant::now();
        let mut silent = self.silent.lock();
        if silent.len() >= LIMIT {
            silent.retain(|_, (until, _)| *until > now);
        }
        if silent.len() < LIMIT {
            silent.insert(endpoint.clone(), (now + self.time, cause.clone()));
        } else {
            self.crowded.fetch_add(1, Ordering::Relaxed);
        }
        self.count.store(silent.len(), Ordering::Release);
    }

    /// How often an address was not remembered because too many were.
    pub(crate) fn crowded(&self) -> u64 {
        self.crowded.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_is_remembered_for_its_time_and_a_refusal_is_not() {
        let graves = Graves::new(Duration::from_secs(60));
        let endpoint = |port| Endpoint::Inet(([192, 0, 2, 1], port).into());
        let io = |kind| Cause::Io(kind, "words".into());
        let table = [
            (Cause::Timeout, true),
            (io(ErrorKind::HostUnreachable), true),
            (io(ErrorKind::NetworkUnreachable), true),
            (io(ErrorKind::ConnectionRefused), false),
            (Cause::Lost, false),
        ];
        for (port, (cause, remembered)) in (1..).zip(table) {
            graves.bury(&endpoint(port), &cause);
            assert_eq!(graves.find(&endpoint(port)), remembered.then_some(cause));
        }
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(graves.find(&endpoint(1)), None);
    }
}
