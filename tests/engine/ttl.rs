//! TLSA records that change while connections are kept open.

use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use waxseal_dns::DnssecMode;
use waxseal_queue::{Account, Outcome};
use waxseal_testbed::{
    Certificate, Peer,
    dns::{DnsServer, Zone},
    within,
};
use waxseal_tests::{LIMIT, World};
use waxseal_types::TlsLevel;

const TEXT: &str = "Subject: x\n\nx\n";
/// Of the TLSA records, the shortest that a cache knows.
const TTL: Duration = Duration::from_secs(1);

/// RFC 6698 §4.1, RFC 7672 §2.2: a verdict holds no longer than the records it rests on, on a pooled connection too.
#[actix_rt::test]
async fn the_next_message_after_the_ttl_is_judged_by_the_new_records() {
    let certificate = Certificate::self_signed(&["mx.b.test"]).issue().expect("a certificate");
    let digest = Sha256::digest(certificate.public_key());
    let peer = Peer::builder().starttls(certificate).start().await.expect("starts");
    let port = peer.addr().port();
    let records = |zone: Zone, data: &[u8]| {
        zone.without(&format!("_{port}._tcp.mx.b.test")).ttl(1).tlsa("mx.b.test", port, (3, 1, 1), data)
    };
    let zone = Zone::new().secure("b.test").mx("b.test", 10, "mx.b.test").a("mx.b.test", [127, 0, 0, 1]);
    let dns = DnsServer::start(records(zone, &digest)).await.expect("starts");

    let mut world = World::new("b.test", TlsLevel::Dane);
    world.settings.dns.servers = vec![dns.addr()];
    world.settings.dns.dnssec = DnssecMode::TrustAd;
    world.settings.queue.port = port;
    let engine = world.start().await;
    let send = async |number: u32| -> Account {
        let to = format!("n{number}@b.test");
        world.submit(&engine, "a@a.test", &[&to], TEXT).await;
        within(
            LIMIT,
            world.recorder.attempt(|account| account.envelope.recipients[0].mailbox.to_string() == to),
        )
        .await
    };
    for number in 0..3 {
        let account = send(number).await;
        assert!(matches!(account.results[0].outcome, Outcome::Delivered { .. }), "{:?}", account.results);
    }
    assert_eq!(peer.connections(), 1, "one connection serves them all");

    // The key is another one from now on; so the zone says.
    dns.edit(|zone| records(zone, &[0; 32])).expect("it is a zone");
    let changed = Instant::now();
    let mut number = 3;
    let refused = loop {
        let begun = changed.elapsed();
        let account = send(number).await;
        match &account.results[0].outcome {
            Outcome::Delivered { .. } => assert!(begun <= TTL, "{begun:?} after the change"),
            _ => break account,
        }
        number += 1;
    };
    let failure = refused.results[0].outcome.failure().expect("it failed");
    println!("{number} messages by the old records, then {} {}", failure.status, failure.reason);
    assert!(failure.status.to_string().starts_with("4.7."), "{failure:?}");
    assert_eq!(peer.accepted().len() as u32, number, "nothing was sent under the new records");

    // And back: what was deferred goes by itself.
    dns.edit(|zone| records(zone, &digest)).expect("it is a zone");
    within(LIMIT, peer.wait_for(number as usize + 1)).await;
    assert!(engine.shut_down().await);
}
