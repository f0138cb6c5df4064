//! Planted faults, each with its healthy twin: of the fault exactly what is wrong is found, of the twin nothing.
//!
//! The name space is signed in process and validated by the resolver that deliveries use; servers are scripted peers on loopback.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use sha2::{Digest as _, Sha256, Sha512};
use waxseal_dns::{DnssecMode, Families, Settings as DnsSettings};
use waxseal_survey::{Fault, Report, Surveyor, metrics};
use waxseal_testbed::{
    Authority, Builder, Certificate, Handshake, KeyKind, Peer, TlsVersions,
    dns::{Break, DnsServer, Fault as Broken, Zone},
    within,
};
use waxseal_types::UnixTime;

const LIMIT: Duration = Duration::from_secs(60);
const HOST: &str = "mx.example.test";

static AUTHORITY: LazyLock<Authority> =
    LazyLock::new(|| Authority::new("Survey CA").expect("the test's own words are good"));

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

fn own() -> Certificate {
    AUTHORITY.leaf(&[HOST]).issue().expect("the test's own words are good")
}

fn sha256(octets: &[u8]) -> Vec<u8> {
    Sha256::digest(octets).to_vec()
}

/// Servers and zone of one case.
struct World {
    peers: Vec<Peer>,
    zone: Zone,
    port: u16,
    days: u32,
}

impl World {
    /// One server at 127.0.0.1, which is `mx.example.test`, the host of `example.test`.
    async fn new(builder: Builder) -> Self {
        let first = builder.start().await.expect("the test's own words are good");
        let port = first.addr().port();
        let zone = Zone::new().mx("example.test", 10, HOST).a(HOST, ip(1)).secure("example.test");
        Self { peers: vec![first], zone, port, days: 0 }
    }

    /// Another server at the same port of another address.
    async fn and(self, last: u8, builder: Builder) -> Self {
        self.and_at(IpAddr::V4(ip(last)), builder).await
    }

    async fn and_at(mut self, address: IpAddr, builder: Builder) -> Self {
        let address = SocketAddr::new(address, self.port);
        self.peers.push(builder.at(address).start().await.expect("the test's own words are good"));
        self
    }

    fn zone(mut self, change: impl FnOnce(Zone, u16) -> Zone) -> Self {
        self.zone = change(self.zone, self.port);
        self
    }

    /// `3 1 1` of a certificate.
    fn pin(self, certificate: &Certificate) -> Self {
        let data = sha256(certificate.public_key());
        self.zone(|zone, port| zone.tlsa(HOST, port, (3, 1, 1), &data))
    }

    /// `2 0 1` of the intermediate.
    fn anchor(self) -> Self {
        let data = sha256(AUTHORITY.intermediate_der());
        self.zone(|zone, port| zone.tlsa(HOST, port, (2, 0, 1), &data))
    }

    fn days(self, days: u32) -> Self {
        Self { days, ..self }
    }

    async fn report(self, target: &str) -> Report {
        let dns = DnsServer::forwarder(self.zone).await.expect("the test's own words are good");
        let folder = tempfile::tempdir().expect("the test's own words are good");
        let anchor = folder.path().join("root.key");
        std::fs::write(&anchor, dns.trust_anchor()).expect("the test's own words are good");
        let settings = DnsSettings {
            servers: vec![dns.addr()],
            dnssec: DnssecMode::Validate,
            trust_anchor: Some(anchor),
            ..DnsSettings::default()
        };
        let transport = waxseal_transport::Settings { helo_name: "survey.test".into(), ..Default::default() };
        let surveyor =
            Surveyor::new(settings, &transport, Families::Both).expect("the test's own words are good");
        let clock = || {
            UnixTime::from_secs(
                SystemTime::now()
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .expect("the test's own words are good")
                    .as_secs(),
            )
        };
        let target = target.parse().expect("the test's own words are good");
        let seen = within(LIMIT, surveyor.look(&target, self.port, clock))
            .await
            .expect("the test's own words are good");
        Report::new(seen, self.days)
    }

    /// What is found.
    async fn faults(self) -> Vec<Fault> {
        let report = self.report("example.test").await;
        assert_eq!(
            report.to_json()["findings"].as_array().expect("the test's own words are good").len(),
            report.findings.len()
        );
        let told = metrics(std::slice::from_ref(&report));
        let ok = u8::from(report.is_healthy());
        assert!(
            told.contains(&format!("\nwaxseal_tlsa_check_ok{{target=\"example.test\"}} {ok}\n")),
            "{told}"
        );
        for finding in &report.findings {
            assert!(!finding.what.is_empty() && !finding.remedy.is_empty());
            assert!(told.contains(&format!("fault=\"{}\"", finding.fault.as_str())), "{told}");
            println!("    {:?} {:?}: {} | {}", finding.host, finding.address, finding.what, finding.remedy);
        }
        report.findings.iter().map(|finding| finding.fault).collect()
    }
}

fn serving(certificate: &Certificate) -> Builder {
    Peer::builder().starttls(certificate.clone())
}

/// With the fault or without it.
async fn world(case: &str, faulty: bool) -> World {
    let (mine, other) = (own(), own());
    let pick = |bad: &Certificate, good: &Certificate| if faulty { bad.clone() } else { good.clone() };
    match case {
        "wrong hash" => World::new(serving(&mine)).await.pin(&pick(&other, &mine)),
        "one of two MX hosts without records" => {
            let world = World::new(serving(&mine)).await.pin(&mine).and(2, serving(&mine)).await;
            let world = world
                .zone(|zone, _| zone.mx("example.test", 20, "mx2.example.test").a("mx2.example.test", ip(2)));
            let data = sha256(mine.public_key());
            if faulty {
                world
            } else {
                world.zone(|zone, port| zone.tlsa("mx2.example.test", port, (3, 1, 1), &data))
            }
        }
        "RSA chain not covered, ECDSA is" | "ECDSA chain not covered, RSA is" => {
            let rsa =
                AUTHORITY.leaf(&[HOST]).key(KeyKind::Rsa2048).issue().expect("the test's own words are good");
            let world = World::new(serving(&mine).second_certificate(rsa.clone())).await;
            let (covered, left) = if case.starts_with("RSA") { (&mine, &rsa) } else { (&rsa, &mine) };
            let world = world.pin(covered);
            if faulty { world } else { world.pin(left) }
        }
        "one of two addresses with the old certificate" => {
            let world =
                World::new(serving(&mine)).await.pin(&mine).and(2, serving(&pick(&other, &mine))).await;
            world.zone(|zone, _| zone.a(HOST, ip(2)))
        }
        "expired leaf under usage 2" => {
            let leaf = AUTHORITY.leaf(&[HOST]);
            let leaf = if faulty { leaf.expired() } else { leaf };
            World::new(serving(&leaf.issue().expect("the test's own words are good"))).await.anchor()
        }
        "leaf not valid yet under usage 2" => {
            let leaf =
                AUTHORITY.leaf(&[HOST]).not_yet_valid().issue().expect("the test's own words are good");
            let world = World::new(serving(&leaf)).await;
            if faulty { world.anchor() } else { world.pin(&leaf) }
        }
        "issuer of 2 0 1 not in the served chain" => {
            let leaf = AUTHORITY.leaf(&[HOST]);
            let leaf = if faulty { leaf.without_intermediate() } else { leaf };
            World::new(serving(&leaf.issue().expect("the test's own words are good"))).await.anchor()
        }
        "other name under usage 2" => {
            let name = if faulty { "www.example.org" } else { HOST };
            World::new(serving(&AUTHORITY.leaf(&[name]).issue().expect("the test's own words are good")))
                .await
                .anchor()
        }
        "no STARTTLS" => {
            let builder = serving(&mine);
            World::new(if faulty { builder.without_starttls() } else { builder }).await.pin(&mine)
        }
        "STARTTLS refused" => {
            let builder = serving(&mine);
            let refused = "454 4.7.0 TLS not available due to local problem";
            World::new(if faulty { builder.reply_to_starttls(refused) } else { builder }).await.pin(&mine)
        }
        "handshake broken off" => {
            let builder = serving(&mine);
            World::new(if faulty { builder.handshake(Handshake::Eof) } else { builder }).await.pin(&mine)
        }
        "commands in clear behind STARTTLS" => {
            let builder = serving(&mine);
            World::new(if faulty { builder.inject_behind_starttls(*b"250 x\r\n") } else { builder })
                .await
                .pin(&mine)
        }
        "an address where nobody listens" => {
            let world = World::new(serving(&mine)).await.pin(&mine).zone(|zone, _| zone.a(HOST, ip(3)));
            if faulty { world } else { world.and(3, serving(&mine)).await }
        }
        _ => world_of_ways(case, faulty).await,
    }
}

/// Other versions, other families.
async fn world_of_ways(case: &str, faulty: bool) -> World {
    let (mine, other) = (own(), own());
    let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    match case {
        "RSA chain not covered, TLS 1.2 alone" | "ECDSA chain not covered, TLS 1.2 alone" => {
            let rsa =
                AUTHORITY.leaf(&[HOST]).key(KeyKind::Rsa2048).issue().expect("the test's own words are good");
            let both = serving(&mine).second_certificate(rsa.clone()).versions(TlsVersions::Tls12);
            let (covered, left) = if case.starts_with("RSA") { (&mine, &rsa) } else { (&rsa, &mine) };
            let world = World::new(both).await.pin(covered);
            if faulty { world } else { world.pin(left) }
        }
        "the old certificate at the IPv6 address" => {
            let world = World::new(serving(&mine)).await.pin(&mine);
            let world = world.and_at(v6, serving(if faulty { &other } else { &mine })).await;
            world.zone(|zone, _| zone.aaaa(HOST, Ipv6Addr::LOCALHOST))
        }
        "nobody listens at the IPv6 address" => {
            let world = World::new(serving(&mine)).await.pin(&mine);
            let world = world.zone(|zone, _| zone.aaaa(HOST, Ipv6Addr::LOCALHOST));
            if faulty { world } else { world.and_at(v6, serving(&mine)).await }
        }
        _ => world_of_dns(case, faulty).await,
    }
}

async fn world_of_dns(case: &str, faulty: bool) -> World {
    let (mine, other) = (own(), own());
    let key = sha256(mine.public_key());
    let world = World::new(serving(&mine)).await;
    let port = world.port;
    let owner = format!("_{port}._tcp.{HOST}");
    match case {
        "bogus TLSA" => {
            world.pin(&mine).zone(|zone, _| if faulty { zone.tampered(&owner, "TLSA") } else { zone })
        }
        "SERVFAIL for TLSA" => world
            .pin(&mine)
            .zone(|zone, _| if faulty { zone.fault(&owner, "TLSA", Broken::ServFail) } else { zone }),
        "SERVFAIL for MX" => world
            .pin(&mine)
            .zone(|zone, _| if faulty { zone.fault("example.test", "MX", Broken::ServFail) } else { zone }),
        "SERVFAIL for AAAA" => world
            .pin(&mine)
            .zone(|zone, _| if faulty { zone.fault(HOST, "AAAA", Broken::ServFail) } else { zone }),
        "signatures end within the days" => world
            .pin(&mine)
            .zone(|zone, _| zone.signed_for("example.test", if faulty { 5 } else { 15 }))
            .days(10),
        "the parent's signatures end within the days" => {
            world.pin(&mine).zone(|zone, _| zone.signed_for(".", if faulty { 1 } else { 5 })).days(10)
        }
        "the parent's signatures have ended" => {
            world.pin(&mine).zone(|zone, _| if faulty { zone.broken("test", Break::Expired) } else { zone })
        }
        "certificate under usage 2 ends within the days" => {
            let leaf = AUTHORITY.leaf(&[HOST]).expires_in(5).issue().expect("the test's own words are good");
            let world = World::new(serving(&leaf)).await.days(10);
            // The same certificate as 3 1 1 may end when it likes.
            if faulty { world.anchor() } else { world.pin(&leaf) }
        }
        "insecure MX, secure host" => {
            let zone = Zone::new()
                .mx("example.test", 10, "mx.host.test")
                .a("mx.host.test", ip(1))
                .secure("host.test");
            let zone = if faulty { zone.insecure("example.test") } else { zone.secure("example.test") };
            World { zone: zone.tlsa("mx.host.test", port, (3, 1, 1), &key), ..world }
        }
        "insecure addresses" => {
            let zone = Zone::new()
                .mx("example.test", 10, "mx.host.test")
                .a("mx.host.test", ip(1))
                .secure("example.test");
            let zone = if faulty { zone.insecure("host.test") } else { zone.secure("host.test") };
            World { zone: zone.tlsa("mx.host.test", port, (3, 1, 1), &key), ..world }
        }
        "TLSA behind an alias into an unsigned zone" => {
            let zone = world.zone.clone().cname(&owner, "records.plain.test");
            let zone = zone
                .tlsa("x.plain.test", port, (3, 1, 1), &key)
                .cname("records.plain.test", &format!("_{port}._tcp.x.plain.test"));
            World {
                zone: if faulty { zone.insecure("plain.test") } else { zone.secure("plain.test") },
                ..world
            }
        }
        _ => world_of_records(world, (mine, other), case, faulty).await,
    }
}

async fn world_of_records(
    world: World,
    (mine, other): (Certificate, Certificate),
    case: &str,
    faulty: bool,
) -> World {
    let key = sha256(mine.public_key());
    let port = world.port;
    match case {
        "MX record names an alias" => {
            let zone =
                Zone::new().a("real.example.test", ip(1)).tlsa("real.example.test", port, (3, 1, 1), &key);
            let zone = if faulty {
                zone.mx("example.test", 10, HOST).cname(HOST, "real.example.test")
            } else {
                zone.mx("example.test", 10, "real.example.test")
            };
            World { zone: zone.secure("example.test"), ..world }
        }
        "records unusable" => {
            let numbers = if faulty { (3, 1, 7) } else { (3, 1, 1) };
            world.zone(|zone, port| zone.tlsa(HOST, port, numbers, &key))
        }
        "digest cut short" => {
            let data = if faulty { &key[..20] } else { &key[..] };
            world.zone(|zone, port| zone.tlsa(HOST, port, (3, 1, 1), data))
        }
        "usage 1 only" => {
            let usage = if faulty { 1 } else { 3 };
            world.zone(|zone, port| zone.tlsa(HOST, port, (usage, 1, 1), &key))
        }
        "usage 1 beside 3" => {
            let world = world.pin(&mine);
            if faulty { world.zone(|zone, port| zone.tlsa(HOST, port, (1, 1, 1), &key)) } else { world }
        }
        "selector mistaken" => {
            let selector = if faulty { 0 } else { 1 };
            world.zone(|zone, port| zone.tlsa(HOST, port, (3, selector, 1), &key))
        }
        "matching type mistaken" => {
            let digest = Sha512::digest(mine.public_key());
            world.zone(|zone, port| zone.tlsa(HOST, port, (3, 1, if faulty { 1 } else { 2 }), &digest))
        }
        "usage 2 of the leaf" => {
            let usage = if faulty { 2 } else { 3 };
            world.zone(|zone, port| zone.tlsa(HOST, port, (usage, 1, 1), &key))
        }
        "TLSA under another port" => {
            let at = if faulty { 465 } else { port };
            world.zone(|zone, _| zone.tlsa(HOST, at, (3, 1, 1), &key))
        }
        "TLSA at the domain" => {
            let at = if faulty { "example.test" } else { HOST };
            world.zone(|zone, port| zone.tlsa(at, port, (3, 1, 1), &key))
        }
        "old record beside the good one" => {
            let world = world.pin(&mine);
            if faulty { world.pin(&other) } else { world }
        }
        "MX host without address" => {
            let world = world.pin(&mine).zone(|zone, _| zone.mx("example.test", 20, "mx2.example.test"));
            if faulty {
                return world;
            }
            let data = sha256(other.public_key());
            let world = world.and(2, serving(&other)).await;
            world.zone(|zone, port| {
                zone.a("mx2.example.test", ip(2)).tlsa("mx2.example.test", port, (3, 1, 1), &data)
            })
        }
        other => unreachable!("no such case: {other}"),
    }
}

async fn each(cases: &[(&str, &[Fault])]) {
    for (case, expected) in cases {
        println!("{case}");
        let found = world(case, true).await.faults().await;
        assert_eq!(found, *expected, "{case}");
        let found = world(case, false).await.faults().await;
        assert_eq!(found, [], "the healthy twin of: {case}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_chains_is_found() {
    each(&[
        ("wrong hash", &[Fault::Mismatch]),
        ("RSA chain not covered, ECDSA is", &[Fault::Mismatch]),
        ("ECDSA chain not covered, RSA is", &[Fault::Mismatch]),
        ("RSA chain not covered, TLS 1.2 alone", &[Fault::Mismatch]),
        ("ECDSA chain not covered, TLS 1.2 alone", &[Fault::Mismatch]),
        ("one of two addresses with the old certificate", &[Fault::Mismatch]),
        ("expired leaf under usage 2", &[Fault::Expired]),
        ("leaf not valid yet under usage 2", &[Fault::NotYetValid]),
        ("issuer of 2 0 1 not in the served chain", &[Fault::IssuerNotServed]),
        ("other name under usage 2", &[Fault::NameMismatch]),
        ("certificate under usage 2 ends within the days", &[Fault::CertificateEnding]),
    ])
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_servers_is_found() {
    each(&[
        ("no STARTTLS", &[Fault::NoStarttls]),
        ("STARTTLS refused", &[Fault::StarttlsRefused]),
        ("handshake broken off", &[Fault::HandshakeFailed]),
        ("commands in clear behind STARTTLS", &[Fault::Injected]),
        ("an address where nobody listens", &[Fault::Unreachable]),
    ])
    .await;
}

/// The same at the other family's addresses, where this machine has any.
#[tokio::test]
async fn what_is_wrong_at_ipv6_addresses_is_found() {
    if let Err(error) = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        println!("skipped: there is no ::1 here: {error}");
        return;
    }
    each(&[
        ("the old certificate at the IPv6 address", &[Fault::Mismatch]),
        ("nobody listens at the IPv6 address", &[Fault::Unreachable]),
    ])
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_records_is_found() {
    each(&[
        ("one of two MX hosts without records", &[Fault::TlsaMissing]),
        ("records unusable", &[Fault::NothingUsable, Fault::RecordMistaken]),
        ("digest cut short", &[Fault::NothingUsable]),
        ("usage 1 only", &[Fault::NothingUsable]),
        ("usage 1 beside 3", &[Fault::RecordUnusable]),
        ("selector mistaken", &[Fault::RecordMistaken, Fault::Mismatch]),
        ("matching type mistaken", &[Fault::NothingUsable, Fault::RecordMistaken]),
        ("usage 2 of the leaf", &[Fault::RecordMistaken, Fault::IssuerNotServed]),
        ("TLSA under another port", &[Fault::TlsaMissing]),
        ("TLSA at the domain", &[Fault::TlsaMissing]),
        ("old record beside the good one", &[Fault::RecordUnmatched]),
    ])
    .await;
}

#[tokio::test]
async fn what_is_wrong_in_dns_is_found() {
    each(&[
        ("bogus TLSA", &[Fault::TlsaFailed]),
        ("SERVFAIL for TLSA", &[Fault::TlsaFailed]),
        ("SERVFAIL for MX", &[Fault::MxFailed]),
        ("SERVFAIL for AAAA", &[Fault::FamilyFailed]),
        ("signatures end within the days", &[Fault::SignatureEnding]),
        ("the parent's signatures end within the days", &[Fault::ParentSignatureEnding]),
        ("the parent's signatures have ended", &[Fault::MxFailed]),
        ("insecure MX, secure host", &[Fault::MxInsecure]),
        ("insecure addresses", &[Fault::AddressesInsecure]),
        ("TLSA behind an alias into an unsigned zone", &[Fault::TlsaInsecure]),
        ("MX record names an alias", &[Fault::MxAlias]),
        ("MX host without address", &[Fault::NoAddress]),
    ])
    .await;
}

#[tokio::test]
async fn a_host_by_itself_and_a_domain_without_mx_records_are_looked_at() {
    for (target, domain) in [(format!("[{HOST}]"), None), (HOST.to_owned(), Some(HOST))] {
        let mine = own();
        let report = World::new(serving(&mine)).await.pin(&mine).report(&target).await;
        assert_eq!(report.findings, [], "{target}");
        assert_eq!(report.seen.domain().map(|domain| domain.as_str()), domain);
        let value = report.to_json();
        assert_eq!(value["ok"], true);
        assert_eq!(value["hosts"][0]["servers"][0]["chains"][0]["records"][0]["standing"], "matches");
        assert_eq!(value["hosts"][0]["tlsa"][0]["dnssec"], "secure");
    }
}

#[tokio::test]
async fn a_resolver_that_cannot_validate_is_told_and_nothing_else() {
    let mine = own();
    let world = World::new(serving(&mine)).await.pin(&mine);
    let dns = DnsServer::forwarder(world.zone.insecure(".")).await.expect("the test's own words are good");
    let settings = DnsSettings { servers: vec![dns.addr()], ..DnsSettings::default() };
    let surveyor = Surveyor::new(settings, &waxseal_transport::Settings::default(), Families::Both)
        .expect("the test's own words are good");
    let seen = within(
        LIMIT,
        surveyor.look(&"example.test".parse().expect("the test's own words are good"), world.port, || {
            UnixTime::from_secs(1)
        }),
    )
    .await
    .expect("the test's own words are good");
    let faults: Vec<Fault> = Report::new(seen, 0).findings.iter().map(|finding| finding.fault).collect();
    assert_eq!(faults, [Fault::ResolverBlind]);
}

#[test]
fn words_for_programs_are_each_their_own() {
    let mut words: Vec<&str> = Fault::ALL.iter().map(|fault| fault.as_str()).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Fault::ALL.len());
}
