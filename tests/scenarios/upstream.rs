//! A resolver that lies, and a delivery that validates: mail waits, and nobody is called (RFC 7672 §2.1.1; threat D2).

use std::{net::SocketAddr, time::SystemTime};

use sha2::{Digest as _, Sha256};
use waxseal_dns::DnssecMode;
use waxseal_queue::Outcome;
use waxseal_testbed::{
    Certificate, Peer,
    dns::{Break, DnsServer, Fault, Zone},
};
use waxseal_tests::{Lane, Letter, deferred, delivered};
use waxseal_types::{TlsLevel, UnixTime};

/// A domain with a server on this port, whose key is this.
fn zone(port: u16, digest: &[u8]) -> Zone {
    Zone::new().secure("b.test").mx("b.test", 10, "mx.b.test").a("mx.b.test", [127, 0, 0, 1]).tlsa(
        "mx.b.test",
        port,
        (3, 1, 1),
        digest,
    )
}

/// A lane that believes what the root's key proves, and nothing else.
fn validating(level: TlsLevel, dns: &DnsServer, folder: &tempfile::TempDir) -> Lane {
    let anchor = folder.path().join("root.key");
    std::fs::write(&anchor, dns.trust_anchor()).expect("the folder is ours");
    let mut lane = Lane::at(level);
    lane.dns.servers = vec![dns.addr()];
    lane.dns.dnssec = DnssecMode::Validate;
    lane.dns.trust_anchor = Some(anchor);
    lane
}

#[tokio::test]
async fn a_stripped_or_forged_zone_defers() {
    let certificate = Certificate::self_signed(&["mx.b.test"]).issue().expect("a certificate");
    let digest = Sha256::digest(certificate.public_key());
    // Whoever lies about DNS has a server that takes everything.
    let thief = Peer::builder().without_starttls().at(SocketAddr::from(([127, 0, 0, 2], 0)));
    let thief = thief.start().await.expect("starts");
    let port = thief.addr().port();
    let server = Peer::builder().starttls(certificate).at(SocketAddr::from(([127, 0, 0, 1], port)));
    let server = server.start().await.expect("the port is free on the other address");
    let tlsa = format!("_{port}._tcp.mx.b.test");
    let forged = |zone: Zone| zone.without("mx.b.test").a("mx.b.test", [127, 0, 0, 2]);
    let good = zone(port, &digest);
    let worlds: Vec<(&str, Zone, bool)> = vec![
        ("signatures stripped", good.clone(), true),
        ("signatures stripped, another address", forged(good.clone()), true),
        ("the zone claims to be unsigned", good.clone().broken("b.test", Break::Unsigned), false),
        ("the signatures have expired", good.clone().broken("b.test", Break::Expired), false),
        ("the zone's key is another", good.clone().broken("b.test", Break::WrongDs), false),
        ("the MX records are changed", good.clone().tampered("b.test", "MX"), false),
        ("the address is changed", forged(good.clone()).tampered("mx.b.test", "A"), false),
        ("the TLSA records are changed", good.clone().tampered(&tlsa, "TLSA"), false),
        ("the TLSA records are denied", good.clone().fault(&tlsa, "TLSA", Fault::NoData), false),
        ("the TLSA records' name is denied", good.clone().fault(&tlsa, "TLSA", Fault::NxDomain), false),
        ("the MX records are denied", good.clone().fault("b.test", "MX", Fault::NoData), false),
    ];
    let mut letter = Letter::to(&["b@b.test"]);
    // A verdict by TLSA records ends with their TTL, by the clock on the wall.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is past 1970");
    letter.envelope.arrived = UnixTime::from_secs(now.as_secs());
    for (what, zone, strips) in worlds {
        for level in [TlsLevel::Dane, TlsLevel::DaneOnly, TlsLevel::May] {
            let dns = DnsServer::forwarder(zone.clone()).await.expect("starts");
            dns.twist(move |reply| {
                reply.metadata.authentic_data = true;
                if strips {
                    let goes = |kind: String| kind == "RRSIG" || kind == "NSEC";
                    reply.answers.retain(|record| !goes(record.record_type().to_string()));
                    reply.authorities.retain(|record| !goes(record.record_type().to_string()));
                }
            });
            let folder = tempfile::tempdir().expect("a folder");
            let mut lane = validating(level, &dns, &folder);
            lane.queue.port = port;
            let account = lane.deliver(&letter, &["b.test"]).await;
            // At `may` no TLSA record is looked for, so that nothing is wrong where only those are.
            if level == TlsLevel::May && what.contains("TLSA") {
                assert!(delivered(&account), "{what}, {level:?}: {:?}", account.results);
                continue;
            }
            let status = deferred(&account);
            let Outcome::Deferred(failure) = &account.results[0].outcome else { panic!("{what}") };
            println!("{what}, {level:?}: {status} {}", failure.reason);
            assert!(account.connections.is_empty(), "{what}, {level:?}: {:?}", account.connections);
        }
    }
    assert_eq!(thief.connections(), 0);
    assert!(server.accepted().iter().all(|message| message.recipients == ["b@b.test"]));

    let dns = DnsServer::forwarder(good).await.expect("starts");
    let folder = tempfile::tempdir().expect("a folder");
    let mut lane = validating(TlsLevel::DaneOnly, &dns, &folder);
    lane.queue.port = port;
    let account = lane.deliver(&letter, &["b.test"]).await;
    assert!(delivered(&account), "the truth: {:?}", account.results);
}
