//! How often a client does what (anvil(8)).

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::RateLimits;

/// Clients that are kept count of. Each costs about 64 octets.
const CAPACITY: usize = 1 << 16;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Connection,
    Message,
    Recipient,
    TlsSession,
    Auth,
    AuthFailure,
}

const EVENTS: usize = 6;

/// An IPv4 address or an IPv6 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(IpAddr);

impl Network {
    pub(crate) fn of(address: IpAddr, ipv6_prefix: u8) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(ipv6_prefix.min(128))).unwrap_or(0);
                IpAddr::V6((u128::from(v6) & mask).into())
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Instant,
    counts: [u32; EVENTS],
}

/// The counts of all clients.
#[derive(Debug)]
pub(crate) struct Rates {
    limits: RateLimits,
    windows: Mutex<HashMap<Network, Window>>,
    /// How often somebody did too much.
    reached: AtomicU64,
    /// Counts that were given up although they were not over.
    forgotten: AtomicU64,
}

impl Rates {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self { limits, windows: Mutex::default(), reached: AtomicU64::new(0), forgotten: AtomicU64::new(0) }
    }

    const fn limit(&self, event: Event) -> u32 {
        match event {
            Event::Connection => self.limits.connections,
            Event::Message => self.limits.messages,
            Event::Recipient => self.limits.recipients,
            Event::TlsSession => self.limits.tls_sessions,
            Event::Auth => self.limits.auths,
            Event::AuthFailure => self.limits.auth_failures,
        }
    }

    /// Counts one; `false` when that was one too many. What has no limit is not counted and takes no lock.
    pub(crate) fn count(&self, client: Network, event: Event) -> bool {
        let limit = self.limit(event);
        limit == 0 || self.add(client, event, Instant::now()) <= limit || self.too_much()
    }

    /// Never true.
    fn too_much(&self) -> bool {
        self.reached.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// How often somebody was refused for doing too much.
    pub(crate) fn reached(&self) -> u64 {
        self.reached.load(Ordering::Relaxed)
    }

    /// How many clients' counts were given up for those of others.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// Whether one more would be too many.
    pub(crate) fn is_full(&self, client: Network, event: Event) -> bool {
        let limit = self.limit(event);
        if limit == 0 {
            return false;
        }
        let now = Instant::now();
        let full = self
            .windows
            .lock()
            .get(&client)
            .filter(|window| !is_over(window, now, self.limits.unit))
            .is_some_and(|window| window.counts[event as usize] >= limit);
        full && !self.too_much()
    }

    fn add(&self, client: Network, event: Event, now: Instant) -> u32 {
        let unit = self.limits.unit;
        let mut windows = self.windows.lock();
        if windows.len() >= CAPACITY && !windows.contains_key(&client) {
            self.forgotten.fetch_add(make_room(&mut windows, now, unit), Ordering::Relaxed);
        }
        let fresh = Window { since: now, counts: [0; EVENTS] };
        let window = windows.entry(client).or_insert(fresh);
        if is_over(window, now, unit) {
            *window = fresh;
        }
        let count = &mut window.counts[event as usize];
        *count = count.saturating_add(1);
        *count
    }
}

fn is_over(window: &Window, now: Instant, unit: Duration) -> bool {
    now.duration_since(window.since) >= unit
}

/// First what is over, then who did least: a crowd of addresses that come once each must not make us forget the busy ones. How many were not over.
fn make_room(windows: &mut HashMap<Network, Window>, now: Instant, unit: Duration) -> u64 {
    let mut least = 1;
    windows.retain(|_, window| !is_over(window, now, unit));
    let before = windows.len();
    while windows.len() >= CAPACITY {
        windows.retain(|_, window| window.counts.iter().any(|count| *count > least));
        least *= 4;
    }
    (before - windows.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u8) -> Network {
        Network::of([192, 0, 2, last].into(), 64)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_has_its_number_in_each_unit_of_time() {
        let rates = Rates::new(RateLimits { messages: 2, ..RateLimits::default() });
        assert!(rates.count(v4(1), Event::Message) && rates.count(v4(1), Event::Message));
        assert!(rates.is_full(v4(1), Event::Message) && !rates.count(v4(1), Event::Message));
        assert!(rates.count(v4(2), Event::Message), "another client");
        assert!(rates.count(v4(1), Event::Recipient), "no limit");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!rates.is_full(v4(1), Event::Message) && rates.count(v4(1), Event::Message));
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let of = |text: &str, prefix| Network::of(text.parse().unwrap(), prefix);
        assert_eq!(of("2001:db8::1", 64), of("2001:db8::ffff:0:0:2", 64));
        assert_ne!(of("2001:db8::1", 64), of("2001:db8:0:1::1", 64));
        assert_ne!(of("2001:db8::1", 128), of("2001:db8::2", 128));
        assert_eq!(of("::ffff:192.0.2.1", 64), of("192.0.2.1", 64));
        assert_eq!(of("2001:db8::1", 0), of("::", 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_neither_fills_the_memory_nor_hides_the_busy() {
        let rates = Rates::new(RateLimits { connections: 5, ..RateLimits::default() });
        for _ in 0..5 {
            rates.count(v4(1), Event::Connection);
        }
        for n in 0..3 * CAPACITY as u128 {
            rates.count(Network::of(IpAddr::V6((n << 64).into()), 64), Event::Connection);
        }
        assert!(rates.windows.lock().len() <= CAPACITY);
        assert!(rates.forgotten() > 0, "those that came once");
        assert!(!rates.count(v4(1), Event::Connection), "the sixth");
    }
}
