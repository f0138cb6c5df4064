//! Where the deliveries take place: servers on 127.0.0.1, 127.0.0.2, ... at one port, and two resolvers for one zone.

use std::{
    fs,
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sha2::{Digest as _, Sha256, Sha512};
use waxseal_dns::DnssecMode;
use waxseal_queue::{Account, Outcome};
use waxseal_testbed::{
    Authority, Builder, Certificate, Message, Peer, TlsSeen,
    dns::{Asked, DnsServer, Zone},
};
use waxseal_tests::{Lane, Letter};
use waxseal_types::{TlsLevel, UnixTime};

/// The destination, whose zone is signed. Its hosts are `mx1.d.test`, `mx2.d.test`, ...
pub(crate) const DEST: &str = "d.test";
/// The first of them.
pub(crate) const HOST: &str = "mx1.d.test";

/// What the servers show.
pub(crate) struct Pki {
    /// Nobody trusts it; TLSA records do.
    pub(crate) authority: Authority,
    /// Below it, for mx1.d.test.
    pub(crate) leaf: Certificate,
    /// Signs itself, for a name that is nobody's.
    pub(crate) own: Certificate,
}

pub(crate) static PKI: LazyLock<Pki> = LazyLock::new(|| {
    let authority = Authority::new("Test CA").expect("an authority");
    let leaf = authority.leaf(&[HOST]).issue().expect("a leaf");
    let own = Certificate::self_signed(&["nobody.invalid"]).issue().expect("a leaf");
    Pki { authority, leaf, own }
});

/// A leaf of the authority.
pub(crate) fn leaf(names: &[&str]) -> Certificate {
    PKI.authority.leaf(names).issue().expect("a leaf")
}

/// A server that offers STARTTLS with this certificate.
pub(crate) fn server(certificate: &Certificate) -> Builder {
    Peer::builder().starttls(certificate.clone())
}

pub(crate) fn sha256(data: &[u8]) -> Vec<u8> {
    Sha256::digest(data).to_vec()
}

pub(crate) fn sha512(data: &[u8]) -> Vec<u8> {
    Sha512::digest(data).to_vec()
}

/// Records of one host, in the words of the tests.
pub(crate) trait Records: Sized {
    /// `3 1 1` for this certificate.
    fn ee(self, base: &str, port: u16, certificate: &Certificate) -> Self;
    /// `3 1 1` that matches nothing.
    fn wrong(self, base: &str, port: u16) -> Self;
    /// `2 0 1` for the intermediate of the authority, which servers present.
    fn ta(self, base: &str, port: u16) -> Self;
    /// `1 1 1`, which SMTP cannot use, for this certificate.
    fn pkix(self, base: &str, port: u16, certificate: &Certificate) -> Self;
}

impl Records for Zone {
    fn ee(self, base: &str, port: u16, certificate: &Certificate) -> Self {
        self.tlsa(base, port, (3, 1, 1), &sha256(certificate.public_key()))
    }

    fn wrong(self, base: &str, port: u16) -> Self {
        self.tlsa(base, port, (3, 1, 1), &[0xAA; 32])
    }

    fn ta(self, base: &str, port: u16) -> Self {
        self.tlsa(base, port, (2, 0, 1), &sha256(PKI.authority.intermediate_der()))
    }

    fn pkix(self, base: &str, port: u16, certificate: &Certificate) -> Self {
        self.tlsa(base, port, (1, 1, 1), &sha256(certificate.public_key()))
    }
}

/// `d.test`, signed, with so many hosts in order of preference, the nth at 127.0.0.n; and `plain.test`, which is not signed.
pub(crate) fn zone(hosts: u8) -> Zone {
    let mut zone = Zone::new().secure(DEST).insecure("plain.test");
    for number in 1..=hosts {
        let host = format!("mx{number}.d.test");
        zone = zone.mx(DEST, u16::from(number) * 10, &host).a(&host, [127, 0, 0, number]);
    }
    zone
}

/// How answers get their proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Validate,
    TrustAd,
}

impl Way {
    pub(crate) const BOTH: [Self; 2] = [Self::Validate, Self::TrustAd];
}

/// A resolver for a zone, and how to believe it.
pub(crate) struct Dns {
    pub(crate) way: Way,
    pub(crate) server: DnsServer,
    folder: tempfile::TempDir,
}

impl Dns {
    pub(crate) async fn start(way: Way, zone: &Zone) -> Self {
        let server = match way {
            Way::Validate => DnsServer::forwarder(zone.clone()).await,
            Way::TrustAd => DnsServer::start(zone.clone()).await,
        };
        Self { way, server: server.expect("starts"), folder: tempfile::tempdir().expect("a folder") }
    }

    /// At this level for all destinations.
    pub(crate) fn lane(&self, level: TlsLevel, port: u16) -> Lane {
        let mut lane = Lane::at(level).names(self.server.addr(), port);
        lane.dns.attempts = 1;
        if self.way == Way::Validate {
            let anchor = self.folder.path().join("root.key");
            fs::write(&anchor, self.server.trust_anchor()).expect("written");
            lane.dns.dnssec = DnssecMode::Validate;
            lane.dns.trust_anchor = Some(anchor);
        }
        lane.queue.mx_session_limit = 0;
        lane
    }
}

/// The servers of one test.
pub(crate) struct Ground {
    pub(crate) peers: Vec<Peer>,
}

impl Ground {
    pub(crate) async fn new(servers: impl IntoIterator<Item = Builder>) -> Self {
        let mut peers: Vec<Peer> = Vec::new();
        for (number, server) in (1..).zip(servers) {
            let port = peers.first().map_or(0, |first| first.addr().port());
            let address = std::net::SocketAddr::from(([127, 0, 0, number], port));
            peers.push(server.at(address).start().await.expect("starts"));
        }
        Self { peers }
    }

    pub(crate) fn port(&self) -> u16 {
        self.peers[0].addr().port()
    }

    /// One delivery each way, under settings that `change` makes.
    pub(crate) async fn deliver(
        &self,
        zone: &Zone,
        level: TlsLevel,
        hop: &str,
        change: impl Fn(&mut Lane),
    ) -> Vec<Told> {
        let mut all = Vec::new();
        for way in Way::BOTH {
            let dns = Dns::start(way, zone).await;
            let mut lane = dns.lane(level, self.port());
            change(&mut lane);
            let before = self.counts();
            let account = lane.deliver(&letter(Duration::ZERO), &[hop]).await;
            all.push(self.told(way, account, dns.server.questions(), &before));
        }
        all
    }

    /// One delivery each way, which must end so; see [`Told::end`].
    pub(crate) async fn expect(&self, zone: &Zone, level: TlsLevel, hop: &str, end: &str) -> Vec<Told> {
        let all = self.deliver(zone, level, hop, |_| {}).await;
        for told in &all {
            assert_eq!(told.end(), end, "{level} to {hop}, {told:#?}");
        }
        all
    }

    pub(crate) fn counts(&self) -> Vec<Counts> {
        let count = |peer: &Peer| Counts {
            connections: peer.connections(),
            commands: peer.commands().len(),
            accepted: peer.accepted().len(),
            handshakes: peer.handshakes().len(),
        };
        self.peers.iter().map(count).collect()
    }

    pub(crate) fn told(&self, way: Way, account: Account, asked: Vec<Asked>, before: &[Counts]) -> Told {
        let servers = self.peers.iter().zip(before).map(|(peer, before)| Server {
            connections: peer.connections() - before.connections,
            commands: peer.commands().split_off(before.commands),
            accepted: peer.accepted().split_off(before.accepted),
            handshakes: peer.handshakes().split_off(before.handshakes),
        });
        Told { way, account, asked, servers: servers.collect() }
    }
}

/// What a server had seen before.
pub(crate) struct Counts {
    connections: usize,
    commands: usize,
    accepted: usize,
    handshakes: usize,
}

/// What a server saw of one delivery.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) connections: usize,
    pub(crate) commands: Vec<String>,
    pub(crate) accepted: Vec<Message>,
    pub(crate) handshakes: Vec<TlsSeen>,
}

/// One delivery.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) way: Way,
    pub(crate) account: Account,
    pub(crate) asked: Vec<Asked>,
    pub(crate) servers: Vec<Server>,
}

impl Told {
    /// `1 verified`: the first server took it, over a connection of this status; `1 clear`, `deferred 4.7.5`, `bounced 5.4.4`.
    pub(crate) fn end(&self) -> String {
        let result = &self.account.results[0];
        match &result.outcome {
            Outcome::Delivered { .. } => {
                let takers: Vec<usize> = (1..)
                    .zip(&self.servers)
                    .filter(|(_, s)| !s.accepted.is_empty())
                    .map(|(n, _)| n)
                    .collect();
                let [taker] = takers[..] else { return format!("taken by {takers:?}") };
                let sealed = self.servers[taker - 1].accepted[0].tls.is_some();
                let status = self.account.connections.last().map_or("none", |last| last.status.as_str());
                format!("{taker} {}", if sealed { status } else { "clear" })
            }
            Outcome::Deferred(failure) => format!("deferred {}", failure.status),
            Outcome::Bounced(failure) => format!("bounced {}", failure.status),
        }
    }

    /// What the operator is told of the failure; empty where there was none.
    pub(crate) fn reason(&self) -> &str {
        self.account.results[0].outcome.failure().map_or("", |failure| &failure.reason)
    }

    /// How many connections each server saw.
    pub(crate) fn connections(&self) -> Vec<usize> {
        self.servers.iter().map(|server| server.connections).collect()
    }

    /// No server was told of the message: neither sender nor recipient left this host.
    pub(crate) fn nothing_was_told(&self) -> bool {
        let told =
            |command: &String| !["EHLO", "HELO", "STARTTLS", "QUIT"].iter().any(|w| command.starts_with(w));
        self.servers.iter().all(|server| server.accepted.is_empty() && !server.commands.iter().any(told))
    }

    /// The names under which records of this kind were asked for, in order, each once.
    pub(crate) fn asked(&self, kind: &str) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for asked in self.asked.iter().filter(|asked| asked.kind == kind) {
            if !names.contains(&asked.name.as_str()) {
                names.push(&asked.name);
            }
        }
        names
    }

    /// The server names of all handshakes with the first server.
    pub(crate) fn sni(&self) -> Vec<Option<&str>> {
        self.servers[0].handshakes.iter().map(|seen| seen.sni.as_deref()).collect()
    }
}

/// A message of this moment, which has waited so long: the transport looks at the clock itself before it believes what rests on DNS.
pub(crate) fn letter(age: Duration) -> Letter {
    let mut letter = Letter::to(&["b@d.test"]).aged(age);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    letter.envelope.arrived = UnixTime::from_secs(now.as_secs().saturating_sub(age.as_secs()));
    letter
}
