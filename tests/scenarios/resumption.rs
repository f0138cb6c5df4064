//! No verdict is carried over: not by a resumed TLS session, and not by a connection from the pool (design §5.8).

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use waxseal_queue::{Account, Direct};
use waxseal_testbed::{
    Authority, Certificate, Peer, TlsVersions,
    dns::{DnsServer, Zone},
};
use waxseal_tests::{Lane, Letter, delivered};
use waxseal_types::{TlsLevel, TlsStatus, UnixTime};

const HOST: &str = "mx.b.test";
const HOP: &str = "[mx.b.test]";
/// Another way to the same server.
const OTHER_HOP: &str = "[mx.c.test]";

/// That comes at this moment: the transport looks at the clock itself before it believes what rests on DNS.
fn letter() -> Letter {
    let mut letter = Letter::to(&["b@b.test"]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    letter.envelope.arrived = UnixTime::from_secs(now.as_secs());
    letter
}

/// A policy of `fingerprint` for this certificate.
fn pin(certificate: &Certificate) -> String {
    let digest: Vec<String> =
        Sha256::digest(certificate.der()).iter().map(|octet| format!("{octet:02X}")).collect();
    format!("fingerprint match={}", digest.join(":"))
}

/// Which TLSA record the zone has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zones {
    Matching,
    Mismatching,
}

/// What is demanded of the server, and what must come of it.
struct Demand {
    name: &'static str,
    policy: String,
    zones: Zones,
    passes: bool,
    status: TlsStatus,
}

impl Demand {
    fn is_dane(&self) -> bool {
        self.policy.starts_with("dane")
    }
}

/// How demands are made of the one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sni {
    /// As it comes: DANE sends the base domain (RFC 7672 §8.1), other levels nothing.
    ByLevel,
    /// The same for all, by the attribute `servername`.
    Always,
}

/// One server, and a policy for each way to meet and to miss a demand.
struct Ground {
    peer: Peer,
    matching: DnsServer,
    mismatching: DnsServer,
    demands: Vec<Demand>,
    _anchors: TempDir,
}

impl Ground {
    async fn new(versions: TlsVersions) -> Self {
        let (ours, theirs) = (Authority::new("Ours").expect("one"), Authority::new("Theirs").expect("one"));
        let (leaf, other) = (leaf(&ours), leaf(&theirs));
        let peer = Peer::builder().starttls(leaf.clone()).versions(versions).start().await.expect("starts");
        let port = peer.addr().port();
        let anchors = TempDir::new().expect("a directory");
        Self {
            matching: resolver(port, &leaf).await,
            mismatching: resolver(port, &other).await,
            demands: demands(&leaf, &other, &[&ours, &theirs], &anchors),
            peer,
            _anchors: anchors,
        }
    }

    fn lane(&self, demand: &Demand, sni: Sni) -> Lane {
        let sni = if sni == Sni::Always && !demand.is_dane() { " servername=mx.b.test" } else { "" };
        let dns = match demand.zones {
            Zones::Matching => &self.matching,
            Zones::Mismatching => &self.mismatching,
        };
        let policy = |hop: &str| format!("{hop} {}{sni}", demand.policy);
        let lane = Lane::at(TlsLevel::None).policies(&[&policy(HOP), &policy(OTHER_HOP)]);
        let mut lane = lane.names(dns.addr(), self.peer.addr().port());
        lane.policy.smtp.connection_reuse = false;
        lane.queue.reuse_clear = false;
        lane
    }

    /// Delivers under `second` what `first` may have left a session for; for each handshake, in order, whether it was resumed.
    async fn pair(&self, first: &Demand, second: &Demand, sni: Sni) -> (Account, Vec<bool>) {
        let lane = self.lane(first, sni);
        let before = lane.services();
        let account = lane.deliver_with(&before, &letter(), &[HOP]).await;
        assert_eq!(told(&account), [false], "{}: {:?}", first.name, account.results);

        let (seen, lane) = (self.peer.handshakes().len(), self.lane(second, sni));
        let services = Direct { connector: before.connector, ..lane.services() };
        let account = lane.deliver_with(&services, &letter(), &[HOP]).await;
        (account, self.peer.handshakes()[seen..].iter().map(|handshake| handshake.resumed).collect())
    }
}

fn leaf(authority: &Authority) -> Certificate {
    authority.leaf(&[HOST]).issue().expect("a leaf")
}

async fn resolver(port: u16, certificate: &Certificate) -> DnsServer {
    let zone = Zone::new().secure("test").a(HOST, [127, 0, 0, 1]).a("mx.c.test", [127, 0, 0, 1]);
    // DANE-EE(3) Cert(0) Full(0).
    DnsServer::start(zone.tlsa(HOST, port, (3, 0, 0), certificate.der())).await.expect("starts")
}

fn demands(leaf: &Certificate, other: &Certificate, cas: &[&Authority; 2], at: &TempDir) -> Vec<Demand> {
    let anchors = |number: usize| {
        let path = at.path().join(format!("{number}.pem"));
        fs::write(&path, cas[number].root_pem()).expect("written");
        format!("tafile={}", path.display())
    };
    let (good, bad) = (anchors(0), anchors(1));
    let demand = |name, policy: String, passes, status| {
        let zones = if passes { Zones::Matching } else { Zones::Mismatching };
        Demand { name, policy, zones, passes, status }
    };
    let (untrusted, trusted, verified) = (TlsStatus::Untrusted, TlsStatus::Trusted, TlsStatus::Verified);
    vec![
        demand("may", "may".into(), true, untrusted),
        demand("encrypt", "encrypt".into(), true, untrusted),
        demand("fingerprint", pin(leaf), true, verified),
        demand("fingerprint, another pin", pin(other), false, untrusted),
        demand("verify", format!("verify match={HOST} {good}"), true, verified),
        demand("verify, other anchors", format!("verify match={HOST} {bad}"), false, untrusted),
        demand("secure", format!("secure match={HOST} {good}"), true, verified),
        demand("secure, another name", format!("secure match=c.test {good}"), false, trusted),
        demand("dane-only", "dane-only".into(), true, verified),
        demand("dane-only, another certificate", "dane-only".into(), false, untrusted),
    ]
}

/// What the account says of its handshakes.
fn told(account: &Account) -> Vec<bool> {
    account.connections.iter().filter_map(|one| one.tls.as_ref().map(|facts| facts.resumed)).collect()
}

/// What came of it, as far as two deliveries to one server can agree: the words for the verdict and for the failure, if any.
fn verdict(account: &Account) -> (TlsStatus, Option<String>, Vec<String>, Option<String>) {
    let last = account.connections.last().expect("a connection");
    let failure = account.results[0].outcome.failure().map(|failure| format!("{failure:?}"));
    (last.status, last.matched.clone(), last.chain.clone(), failure)
}

/// The pairs of demands where what the first one left can be resumed, or cannot, and the second verdict is its own.
async fn every_pair_is_judged_anew(versions: TlsVersions, sni: Sni) {
    let ground = Ground::new(versions).await;
    for second in &ground.demands {
        let lane = ground.lane(second, sni);
        let fresh = lane.deliver(&letter(), &[HOP]).await;
        assert_eq!(delivered(&fresh), second.passes, "{}: {:?}", second.name, fresh.results);
        assert_eq!(verdict(&fresh).0, second.status, "{}", second.name);
        for first in &ground.demands {
            let pair = format!("{versions:?}, {sni:?}: {} and then {}", first.name, second.name);
            let (account, seen) = ground.pair(first, second, sni).await;
            let resumed = sni == Sni::Always || first.is_dane() == second.is_dane();
            // A session that does not satisfy may be outdated: one full handshake tells, and no more than one.
            let again = resumed && !second.passes;
            let expected = if again { vec![true, false] } else { vec![resumed] };
            assert_eq!(seen, expected, "{pair}: {:?}", account.results);
            assert_eq!(told(&account), seen, "both ends know the same, {pair}");
            assert_eq!(delivered(&account), second.passes, "{pair}: {:?}", account.results);
            assert_eq!(verdict(&account), verdict(&fresh), "{pair}");
        }
    }
}

#[tokio::test]
async fn a_resumed_session_is_judged_by_the_demand_of_its_own_connection() {
    for versions in [TlsVersions::Tls12, TlsVersions::Tls13] {
        every_pair_is_judged_anew(versions, Sni::Always).await;
    }
}

#[tokio::test]
async fn a_session_under_another_server_name_is_not_resumed() {
    every_pair_is_judged_anew(TlsVersions::Tls13, Sni::ByLevel).await;
}

#[tokio::test]
async fn a_key_that_rolled_costs_one_full_handshake_and_then_passes() {
    let authority = Authority::new("Test CA").expect("an authority");
    for versions in [TlsVersions::Tls12, TlsVersions::Tls13] {
        for remembers in [true, false] {
            let (old, new) = (leaf(&authority), leaf(&authority));
            let builder = Peer::builder().starttls(old.clone()).versions(versions).then();
            let builder = if remembers {
                builder.rolled_to(new.clone())
            } else {
                builder.starttls(new.clone()).versions(versions)
            };
            let peer = builder.start().await.expect("starts");
            let lane = |certificate| {
                let mut lane = Lane::at(TlsLevel::None);
                lane = lane.policies(&[&format!("{} {}", peer.nexthop(), pin(certificate))]);
                lane.policy.smtp.connection_reuse = false;
                lane
            };
            let before = lane(&old).services();
            assert!(delivered(&lane(&old).deliver_with(&before, &letter(), &[&peer.nexthop()]).await));

            let services = Direct { connector: before.connector, ..lane(&new).services() };
            let account = lane(&new).deliver_with(&services, &letter(), &[&peer.nexthop()]).await;
            let what = format!("{versions:?}, the server remembers: {remembers}");
            assert!(delivered(&account), "{what}: {:?}", account.results);
            let seen: Vec<bool> = peer.handshakes().iter().map(|seen| seen.resumed).collect();
            let expected = if remembers { vec![false, true, false] } else { vec![false, false] };
            assert_eq!(seen, expected, "{what}");
            assert_eq!(told(&account), seen[1..], "{what}");
            assert_eq!(verdict(&account).0, TlsStatus::Verified, "{what}");
            assert_eq!(peer.accepted().len(), 2, "nothing over the session that shows the old key, {what}");
        }
    }
}

#[tokio::test]
async fn a_pooled_connection_serves_another_destination_only_if_its_own_demand_passes_on_the_chain() {
    let ground = Ground::new(TlsVersions::Both).await;
    for first in ground.demands.iter().filter(|demand| demand.passes) {
        for second in &ground.demands {
            let pair = format!("{} and then {}", first.name, second.name);
            let reusing = |demand| {
                let mut lane = ground.lane(demand, Sni::Always);
                (lane.policy.smtp.connection_reuse, lane.queue.reuse_clear) = (true, true);
                lane
            };
            let (before, lane) = (reusing(first).services(), reusing(second));
            assert!(delivered(&reusing(first).deliver_with(&before, &letter(), &[HOP]).await), "{pair}");
            let (connections, accepted) = (ground.peer.connections(), ground.peer.accepted().len());

            let services = Direct { connector: before.connector, ..lane.services() };
            // Under DANE, another host is another server name and never the same connection.
            let hop = if second.is_dane() { HOP } else { OTHER_HOP };
            let account = lane.deliver_with(&services, &letter(), &[hop]).await;
            assert!(account.connections[0].pooled, "{pair}");
            assert_eq!(delivered(&account), second.passes, "{pair}: {:?}", account.results);
            assert_eq!(verdict(&account).0, second.status, "{pair}");
            // Where it does not pass, the connection may show an old chain: one new one tells, with a full handshake.
            let more = ground.peer.connections() - connections;
            assert_eq!(more, usize::from(!second.passes), "{pair}");
            assert_eq!(ground.peer.accepted().len() - accepted, usize::from(second.passes), "{pair}");
            if !second.passes {
                assert!(!ground.peer.handshakes().last().expect("one").resumed, "{pair}");
            }
        }
    }
}
