//! Which hosts, in which order (RFC 5321 §5.1, RFC 7505, smtp(8)).

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
};

use waxseal_types::{
    DnsAnswer, DnsFailure, Domain, Lookup, MxHost, NextHop, Proof, Protocol, Target, UnixTime,
};

use super::{Plan, State};
use crate::{
    Ask,
    account::{Fact, Standing},
    disposition::{self, Consequence},
};

/// Hosts of one answer that are looked at, at most: a destination with 5,000 MX records is not followed to the end (threats D14).
const HOST_LIMIT: usize = 50;

/// One site: a next hop with its hosts.
#[derive(Debug, Default)]
pub(super) struct Site {
    pub(super) nexthop: Option<NextHop>,
    /// What DNSSEC says of the way from the next hop to its MX hosts; secure where there is none to go, as a locally configured
    /// next hop is (RFC 7672 §2.2.1).
    pub(super) mx_proof: Option<Proof>,
    /// How long it says so.
    pub(super) mx_ttl: Option<std::time::Duration>,
    /// The next hop behind its aliases (RFC 7672 §3.2.2).
    pub(super) expanded: Option<Domain>,
    /// Whether the hosts come from MX records.
    pub(super) has_mx: bool,
    /// Groups of equal preference not resolved yet.
    groups: VecDeque<Vec<Domain>>,
    /// The group whose addresses are being asked for, and what was found for it.
    group: VecDeque<Domain>,
    /// Hosts with addresses, in order.
    ready: VecDeque<Candidate>,
    /// The host in work.
    pub(super) host: Option<Candidate>,
    /// Hosts at or behind this preference are ourselves or worse.
    pub(super) addresses_tried: usize,
    pub(super) sessions_begun: usize,
}

/// A host with addresses left.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// Its name; `None` for a literal address or a socket.
    pub(super) name: Option<Domain>,
    /// What is left of its addresses.
    pub(super) endpoints: VecDeque<HostEndpoint>,
    /// What DNSSEC says of its address records, and its name behind its aliases; `None` for what was not looked up.
    pub(super) addresses: Option<DnsAnswer<()>>,
}

/// Where to connect to.
#[derive(Debug, Clone)]
pub(super) enum HostEndpoint {
    Inet(SocketAddr),
    Unix(std::sync::Arc<str>),
}

impl Plan {
    /// Begins the next site, or ends.
    pub(super) fn next_site(&mut self) {
        let Some(nexthop) = self.sites.pop_front() else {
            self.state = State::Done;
            return;
        };
        self.site = Site { nexthop: Some(nexthop.clone()), ..Site::default() };
        self.guard = super::security::Guard::default();
        self.link.connection = None;
        match nexthop.target() {
            Target::Mx(domain) if self.order.destination.service.protocol() == Protocol::Smtp => {
                let ask = Ask::Mx(domain.clone());
                self.ask(State::Mx, ask);
            }
            // LMTP knows no MX records (lmtp(8)).
            Target::Mx(host) | Target::Host(host) => {
                self.site.groups.push_back(vec![host.clone()]);
                self.next_group();
            }
            Target::Address(address) => {
                let endpoint = HostEndpoint::Inet(self.at_port(*address));
                self.take_single(endpoint);
            }
            Target::Unix(path) => {
                let endpoint = HostEndpoint::Unix(path.clone());
                self.take_single(endpoint);
            }
        }
    }

    fn take_single(&mut self, endpoint: HostEndpoint) {
        let endpoints = VecDeque::from([endpoint]);
        self.site.ready.push_back(Candidate { name: None, endpoints, addresses: None });
        self.state = State::Host;
    }

    fn at_port(&self, address: IpAddr) -> SocketAddr {
        SocketAddr::new(address, self.port().unwrap_or(self.reach.port))
    }

    pub(super) fn port(&self) -> Option<u16> {
        self.site.nexthop.as_ref().and_then(NextHop::port)
    }

    pub(super) fn got_mx(&mut self, result: Result<DnsAnswer<Vec<MxHost>>, DnsFailure>, now: UnixTime) {
        let Some(domain) = self.site.nexthop.as_ref().and_then(NextHop::domain).cloned() else { return };
        let answer = match result {
            Ok(answer) => answer,
            Err(error) => {
                self.fail_all(&disposition::dns_failed(&error), Consequence::NextHost);
                self.note(Fact::DnsFailed(error), now);
                self.state = State::Site;
                return;
            }
        };
        let standing = Standing::of(&answer);
        self.site.expanded.clone_from(&answer.canonical);
        self.site.mx_proof = Some(answer.proof);
        self.site.mx_ttl = Some(answer.ttl);
        match answer.lookup {
            Lookup::Found(hosts) => self.take_mx(&domain, hosts, standing, now),
            Lookup::NoData => {
                // RFC 5321 §5.1: without MX records the domain itself is the host.
                self.note(Fact::Absent { what: format!("MX {domain}"), standing }, now);
                self.site.groups.push_back(vec![domain]);
                self.next_group();
            }
            Lookup::NxDomain => {
                self.note(Fact::Absent { what: format!("MX {domain}"), standing }, now);
                self.fail_all(
                    &disposition::no_such_host(&domain, "Host not found (NXDOMAIN)"),
                    Consequence::NextHost,
                );
                self.state = State::Site;
            }
        }
    }

    fn take_mx(&mut self, domain: &Domain, mut hosts: Vec<MxHost>, standing: Standing, now: UnixTime) {
        hosts.sort_by_key(|mx| mx.preference);
        let names: Vec<_> =
            hosts.iter().take(HOST_LIMIT).map(|mx| (mx.preference, mx.host.clone())).collect();
        self.note(Fact::Mx { domain: domain.clone(), hosts: names, standing }, now);
        // RFC 7505 §3: a null MX stands alone; beside others "." is a mistake and is passed over.
        if hosts.iter().all(|mx| mx.host.is_none()) {
            self.fail_all(&disposition::null_mx(domain), Consequence::Bounce);
            return;
        }
        self.site.has_mx = true;
        let mut previous = None;
        for mx in hosts.into_iter().take(HOST_LIMIT) {
            let Some(host) = mx.host else { continue };
            if previous == Some(mx.preference)
                && let Some(group) = self.site.groups.back_mut()
            {
                group.push(host);
            } else {
                self.site.groups.push_back(vec![host]);
            }
            previous = Some(mx.preference);
        }
        for group in &mut self.site.groups {
            shuffle(group, self.order.seed);
        }
        self.next_group();
    }

    /// Asks for the addresses of the next group of hosts; all of a group are known before the first is tried, so that we find
    /// ourselves among our equals (RFC 5321 §5.1).
    fn next_group(&mut self) {
        match self.site.groups.pop_front() {
            Some(group) => {
                self.site.group = group.into();
                self.next_addresses();
            }
            None => self.state = State::Site,
        }
    }

    fn next_addresses(&mut self) {
        match self.site.group.front().cloned() {
            Some(host) => self.ask(State::Addresses, Ask::Addresses { host, families: self.reach.families }),
            None => self.state = State::Host,
        }
    }

    pub(super) fn got_addresses(
        &mut self,
        result: Result<DnsAnswer<Vec<IpAddr>>, DnsFailure>,
        now: UnixTime,
    ) {
        let Some(host) = self.site.group.pop_front() else { return };
        let answer = match result {
            Ok(answer) => answer,
            Err(error) => {
                self.fail_all(&disposition::dns_failed(&error), Consequence::NextHost);
                self.note(Fact::DnsFailed(error), now);
                return self.next_addresses();
            }
        };
        let standing = Standing::of(&answer);
        match answer.lookup {
            Lookup::Found(addresses) => {
                let found = Fact::Addresses { host: host.clone(), addresses: addresses.clone(), standing };
                self.note(found, now);
                if self.is_self(&host, &addresses) {
                    self.found_self(&host);
                    return;
                }
                let endpoints = addresses.into_iter().map(|a| HostEndpoint::Inet(self.at_port(a))).collect();
                let answer = DnsAnswer {
                    lookup: Lookup::Found(()),
                    proof: answer.proof,
                    why: answer.why,
                    canonical: answer.canonical,
                    ttl: answer.ttl,
                };
                self.site.ready.push_back(Candidate { name: Some(host), endpoints, addresses: Some(answer) });
            }
            Lookup::NoData => self.no_address(&host, "no address records", standing, now),
            Lookup::NxDomain => self.no_address(&host, "Host not found (NXDOMAIN)", standing, now),
        }
        self.next_addresses();
    }

    fn no_address(&mut self, host: &Domain, why: &str, standing: Standing, now: UnixTime) {
        self.note(Fact::Absent { what: format!("A/AAAA {host}"), standing }, now);
        // A permanent failure of one host must not turn a temporary one of another into a bounce.
        let soft = |last: &Option<(crate::account::Failure, Option<usize>)>| {
            last.as_ref()
                .is_some_and(|(failure, _)| failure.status.class() == waxseal_types::StatusClass::Transient)
        };
        let failure = disposition::no_such_host(host, why);
        for pending in self.pending.iter_mut().filter(|pending| !soft(&pending.last)) {
            pending.last = Some((failure.clone(), None));
        }
    }

    fn is_self(&self, host: &Domain, addresses: &[IpAddr]) -> bool {
        let by_name = self.site.has_mx && host.as_str().eq_ignore_ascii_case(&self.settings.hostname);
        by_name
            || addresses.iter().any(|address| self.settings.own_endpoints.contains(&self.at_port(*address)))
    }

    /// We are one of the hosts: we and all that are not better than we are out (RFC 5321 §5.1).
    fn found_self(&mut self, host: &Domain) {
        self.site.groups.clear();
        self.site.group.clear();
        // What stands in `ready` came from this same group: better groups were used up before this one was asked for.
        self.site.ready.clear();
        if self.site.addresses_tried == 0 {
            // Fallback relays would only send it round once more (smtp_connect.c).
            self.sites.clear();
            self.fail_all(&disposition::loops_to_self(host.as_str()), Consequence::Bounce);
        } else {
            self.state = State::Site;
        }
    }

    /// Begins the next host that has addresses.
    pub(super) fn next_host(&mut self) {
        if self.limits_reached() {
            self.state = State::Site;
            return;
        }
        match self.site.ready.pop_front() {
            Some(candidate) => {
                self.site.host = Some(candidate);
                self.begin_host();
            }
            None => self.next_group(),
        }
    }

    /// postconf(5) smtp_mx_address_limit and smtp_mx_session_limit; 0 is no limit.
    pub(super) fn limits_reached(&self) -> bool {
        let (addresses, sessions) = (self.reach.mx_address_limit, self.reach.mx_session_limit);
        (addresses > 0 && self.site.addresses_tried >= addresses)
            || (sessions > 0 && self.site.sessions_begun >= sessions)
    }
}

/// Fisher-Yates with a small generator (splitmix64): the order among equals must differ from message to message, no more.
fn shuffle(hosts: &mut [Domain], seed: u64) {
    let mut state = seed;
    for last in (1..hosts.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let chosen = usize::try_from(mixed % (last as u64 + 1)).unwrap_or(0);
        hosts.swap(last, chosen);
    }
}

#[cfg(test)]
mod order {
    use super::*;

    /// RFC 5321 §5.1: hosts of equal preference share the load. Each of 24 orders of four hosts is expected 10,000/24 times.
    #[test]
    fn equal_preferences_come_in_every_order_equally_often() {
        let names: Vec<Domain> = ["a", "b", "c", "d"].iter().map(|n| Domain::new(n).unwrap()).collect();
        let mut counts = std::collections::HashMap::new();
        for seed in 0..10_000u64 {
            let mut hosts = names.clone();
            shuffle(&mut hosts, seed.wrapping_mul(0xd134_2543_de82_ef95));
            *counts.entry(hosts).or_insert(0u32) += 1;
        }
        let expected = 10_000.0 / 24.0;
        let chi2: f64 = counts.values().map(|n| (f64::from(*n) - expected).powi(2) / expected).sum();
        assert_eq!(counts.len(), 24);
        // 23 degrees of freedom: p = 0.001 at 49.7.
        assert!(chi2 < 49.7, "chi² = {chi2}");
    }
}
