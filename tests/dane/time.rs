//! How long records count (RFC 6698 §4.1; RFC 7671 §8.1, §13).

use std::time::Duration;

use waxseal_queue::Direct;
use waxseal_testbed::Certificate;
use waxseal_types::TlsLevel::DaneOnly;

use crate::ground::{DEST, Dns, Ground, HOST, PKI, Records, Way, letter, server, zone};

/// A roll-over as RFC 7671 §8.1 has it: the old key, old and new together, and the new one alone; here the server was forgotten.
/// Connections are kept all the while. A resolver that remembers nothing stands for one whose records have come to the end of their TTL,
/// which `crates/dns/tests/cache.rs` has to the second.
#[tokio::test]
async fn rfc6698_4_1_records_that_have_changed_count_from_the_end_of_their_ttl_on() {
    let next = Certificate::self_signed(&["nobody.invalid"]).issue().expect("a leaf");
    for way in Way::BOTH {
        let ground = Ground::new([server(&PKI.own)]).await;
        let port = ground.port();
        let dns = Dns::start(way, &zone(1).ee(HOST, port, &PKI.own)).await;
        let lane = dns.lane(DaneOnly, port);
        let services = lane.services();
        let send = async |services: &Direct, what: &str, end: &str, connections: usize| {
            let before = ground.counts();
            let account = lane.deliver_with(services, &letter(Duration::ZERO), &[DEST]).await;
            let told = ground.told(way, account, Vec::new(), &before);
            assert_eq!(told.end(), end, "{way:?}, {what}: {told:#?}");
            assert_eq!(told.connections(), [connections], "{way:?}, {what}");
            assert!(end.starts_with('1') || told.nothing_was_told(), "{way:?}, {what}");
        };
        let later = |services: &Direct| Direct { resolver: lane.services().resolver, ..services.clone() };

        send(&services, "the old key", "1 verified", 1).await;
        dns.server.edit(|zone| zone.ee(HOST, port, &next)).expect("a good zone");
        let services = later(&services);
        send(&services, "old and new", "1 verified", 0).await;
        let gone = |zone: waxseal_testbed::dns::Zone| zone.without(&format!("_{port}._tcp.{HOST}"));
        dns.server.edit(|zone| gone(zone).ee(HOST, port, &next)).expect("a good zone");
        send(&services, "before the end of the TTL", "1 verified", 0).await;
        // What is kept showed the old certificate; one new connection tells that the server still does.
        send(&later(&services), "the new key alone", "deferred 4.7.5", 1).await;
    }
}
