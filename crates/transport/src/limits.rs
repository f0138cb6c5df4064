//! How many connections there may be: to one address, whichever destinations they serve, and in all.
//!
//! Counted where connections are opened and closed, by all siblings together; a message on an open connection comes by no counter. A connection that may
//! not be opened is said to be [`Crowd`]ed out at once: whoever asked has better things to do than to wait in line holding a place.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    Cause, Endpoint, Settings,
    counters::Counters,
    pool::{FAREWELL, Pool},
};

/// Descriptors come and go while there are too few: it is one trouble, told so often at most.
const TOLD_EVERY: Duration = Duration::from_secs(300);

/// Addresses are spread over so many maps.
const SHARDS: usize = 16;

/// Which limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowd {
    /// [`Settings::address_connection_limit`].
    Address,
    /// [`Settings::connection_limit`].
    All,
    /// The files that the system lets this process have (`RLIMIT_NOFILE`), or all processes.
    Descriptors,
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "as many connections to this address as are allowed are open",
            Self::All => "as many connections as are allowed are open",
            Self::Descriptors => "as many files and connections as the system allows are open",
        })
    }
}

#[derive(Debug)]
pub(crate) struct Limits {
    of_address: usize,
    of_all: usize,
    addresses: [Mutex<HashMap<IpAddr, usize>>; SHARDS],
    counters: Arc<Counters>,
    /// When it was last told that there is no descriptor left.
    told: Mutex<Option<Instant>>,
}

/// A connection's place; dropping it gives it up.
#[derive(Debug)]
pub(crate) struct Berth {
    limits: Arc<Limits>,
    address: Option<IpAddr>,
}

impl Limits {
    pub(crate) fn new(settings: &Settings, counters: Arc<Counters>) -> Self {
        Self {
            of_address: settings.address_connection_limit,
            of_all: settings.connection_limit,
            addresses: Default::default(),
            counters,
            told: Mutex::default(),
        }
    }

    /// A place for one more connection.
    pub(crate) fn take(self: &Arc<Self>, endpoint: &Endpoint) -> Result<Berth, Crowd> {
        let open = &self.counters.open;
        let before = open.fetch_add(1, Ordering::Relaxed);
        // From here on dropping it puts the numbers right.
        let mut berth = Berth { limits: Arc::clone(self), address: None };
        if is_reached(self.of_all, before) {
            return Err(Crowd::All);
        }
        if let Endpoint::Inet(address) = endpoint {
            let address = address.ip();
            let mut shard = self.shard(address).lock();
            let count = shard.entry(address).or_default();
            if is_reached(self.of_address, *count) {
                drop(shard);
                return Err(Crowd::Address);
            }
            *count += 1;
            berth.address = Some(address);
        }
        Ok(berth)
    }

    /// A place for a connection, if need be that of an idle one which is of no use here.
    pub(crate) async fn berth(self: &Arc<Self>, endpoint: &Endpoint, pool: &Pool) -> Result<Berth, Crowd> {
        let crowd = match self.take(endpoint) {
            Ok(berth) => return Ok(berth),
            Err(crowd) => crowd,
        };
        let address = match (crowd, endpoint) {
            (Crowd::Address, Endpoint::Inet(address)) => Some(address.ip()),
            (Crowd::Address, Endpoint::Unix(_)) | (Crowd::All | Crowd::Descriptors, _) => None,
        };
        if let Some(idle) = pool.evict(address) {
            let _ = tokio::time::timeout(FAREWELL, idle.quit()).await;
            if let Ok(berth) = self.take(endpoint) {
                return Ok(berth);
            }
        }
        self.note(crowd);
        Err(crowd)
    }

    /// A connection could not be opened: where the system has no descriptor left, an idle connection gives its own to whoever comes next, and the
    /// operator hears of it now and then.
    pub(crate) async fn heed(&self, failed: &Cause, pool: &Pool) {
        if *failed != Cause::Crowded(Crowd::Descriptors) {
            return;
        }
        self.note(Crowd::Descriptors);
        if self.is_time_to_tell() {
            tracing::warn!(
                "no connection can be opened: {}; mail waits until some are closed: raise the limit (LimitNOFILE, ulimit -n), or lower \
                 transport.connection_limit and listen.connection_limit",
                Crowd::Descriptors
            );
        }
        if let Some(idle) = pool.evict(None) {
            let _ = tokio::time::timeout(FAREWELL, idle.quit()).await;
        }
    }

    fn is_time_to_tell(&self) -> bool {
        let (mut told, now) = (self.told.lock(), Instant::now());
        let is_time = told.is_none_or(|told| now.duration_since(told) >= TOLD_EVERY);
        if is_time {
            *told = Some(now);
        }
        is_time
    }

    /// Somebody has to do without.
    fn note(&self, crowd: Crowd) {
        let counter = match crowd {
            Crowd::Address => &self.counters.crowded_address,
            Crowd::All => &self.counters.crowded_all,
            Crowd::Descriptors => &self.counters.crowded_descriptors,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn shard(&self, address: IpAddr) -> &Mutex<HashMap<IpAddr, usize>> {
        let last = match address {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[15],
        };
        &self.addresses[usize::from(last) % SHARDS]
    }
}

/// Zero is no limit.
const fn is_reached(limit: usize, count: usize) -> bool {
    limit > 0 && count >= limit
}

impl Berth {
    pub(crate) const fn address(&self) -> Option<IpAddr> {
        self.address
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        self.limits.counters.open.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.address else { return };
        let mut shard = self.limits.shard(address).lock();
        if let Some(count) = shard.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(of_address: usize, of_all: usize) -> Arc<Limits> {
        let settings = Settings {
            address_connection_limit: of_address,
            connection_limit: of_all,
            ..Settings::default()
        };
        Arc::new(Limits::new(&settings, Arc::default()))
    }

    fn at(last: u8, port: u16) -> Endpoint {
        Endpoint::Inet(([192, 0, 2, last], port).into())
    }

    #[test]
    fn an_address_has_its_limit_over_all_ports_and_a_closed_connection_makes_room() {
        let limits = limits(2, 0);
        let first = limits.take(&at(1, 25)).unwrap();
        let _second = limits.take(&at(1, 587)).unwrap();
        assert_eq!(limits.take(&at(1, 25)).unwrap_err(), Crowd::Address);
        let _other = limits.take(&at(2, 25)).unwrap();
        assert_eq!(limits.counters.open.load(Ordering::Relaxed), 3, "the refused one left nothing behind");
        drop(first);
        assert!(limits.take(&at(1, 25)).is_ok());
    }

    #[test]
    fn all_together_have_theirs_and_nothing_is_remembered_of_closed_ones() {
        let limits = limits(0, 3);
        let berths: Vec<_> = (0..3).map(|last| limits.take(&at(last, 25)).unwrap()).collect();
        assert_eq!(limits.take(&Endpoint::Unix("/nowhere".into())).unwrap_err(), Crowd::All);
        drop(berths);
        assert_eq!(limits.counters.open.load(Ordering::Relaxed), 0);
        assert!(limits.addresses.iter().all(|shard| shard.lock().is_empty()));
    }
}
