//! From a domain to its servers: order, several addresses, and names that lead nowhere.

use std::net::SocketAddr;

use waxseal_testbed::{
    Peer,
    dns::{DnsServer, Zone},
};
use waxseal_tests::{Lane, Letter, bounced, deferred, delivered};
use waxseal_types::TlsLevel;

/// Peers on 127.0.0.1, 127.0.0.2, ... and one port: as far as names go, only addresses differ.
async fn peers(greetings: &[&str]) -> Vec<Peer> {
    let mut peers: Vec<Peer> = Vec::new();
    for (number, greeting) in (1..).zip(greetings) {
        let port = peers.first().map_or(0, |first| first.addr().port());
        let builder = Peer::builder().at(SocketAddr::from(([127, 0, 0, number], port)));
        peers.push(builder.greeting(*greeting).start().await.expect("starts"));
    }
    peers
}

fn connections(peers: &[Peer]) -> Vec<usize> {
    peers.iter().map(Peer::connections).collect()
}

#[tokio::test]
async fn hosts_are_tried_by_preference_and_all_their_addresses() {
    let busy = "421 4.3.2 busy";
    let peers = peers(&[busy, busy, "220 ready", "220 not needed"]).await;
    let zone = Zone::new()
        .mx("b.test", 30, "last.b.test")
        .mx("b.test", 10, "first.b.test")
        .mx("b.test", 20, "second.b.test")
        .a("first.b.test", [127, 0, 0, 1])
        .a("second.b.test", [127, 0, 0, 2])
        .a("second.b.test", [127, 0, 0, 3])
        .a("last.b.test", [127, 0, 0, 4]);
    let dns = DnsServer::start(zone).await.expect("starts");
    let mut lane = Lane::at(TlsLevel::May).names(dns.addr(), peers[0].addr().port());
    lane.queue.mx_session_limit = 0;
    let account = lane.deliver(&Letter::to(&["b@b.test"]), &["b.test"]).await;
    assert!(delivered(&account), "{:?}", account.results);
    let seen = connections(&peers);
    assert_eq!((seen[0], seen[2], seen[3]), (1, 1, 0), "in order of preference, and no further than needed");
    assert!(seen[1] <= 1, "addresses of one host come in any order");
    let host =
        account.connections.last().and_then(|connection| connection.host.as_ref()).map(ToString::to_string);
    assert_eq!(host.as_deref(), Some("second.b.test"));
}

#[tokio::test]
async fn a_domain_without_mx_is_its_own_server() {
    let peers = peers(&["220 ready"]).await;
    let dns = DnsServer::start(Zone::new().a("b.test", [127, 0, 0, 1])).await.expect("starts");
    let lane = Lane::at(TlsLevel::May).names(dns.addr(), peers[0].addr().port());
    let account = lane.deliver(&Letter::to(&["b@b.test"]), &["b.test"]).await;
    assert!(delivered(&account), "RFC 5321 §5.1: {:?}", account.results);
}

#[tokio::test]
async fn a_bracketed_host_is_asked_for_no_mx() {
    let peers = peers(&["220 ready"]).await;
    let zone = Zone::new().mx("b.test", 10, "elsewhere.test").a("b.test", [127, 0, 0, 1]);
    let dns = DnsServer::start(zone).await.expect("starts");
    let lane = Lane::at(TlsLevel::May).names(dns.addr(), peers[0].addr().port());
    assert!(delivered(&lane.deliver(&Letter::to(&["b@b.test"]), &["[b.test]"]).await));
    assert_eq!(dns.count("b.test", "MX"), 0);
}

#[tokio::test]
async fn an_alias_leads_to_the_servers_of_its_target() {
    let peers = peers(&["220 ready"]).await;
    let zone =
        Zone::new().cname("b.test", "c.test").mx("c.test", 10, "mx.c.test").a("mx.c.test", [127, 0, 0, 1]);
    let dns = DnsServer::start(zone).await.expect("starts");
    let lane = Lane::at(TlsLevel::May).names(dns.addr(), peers[0].addr().port());
    assert!(delivered(&lane.deliver(&Letter::to(&["b@b.test"]), &["b.test"]).await));
}

#[tokio::test]
async fn names_that_lead_nowhere_bounce_and_names_that_fail_wait() {
    let zone = Zone::new()
        .mx("null.test", 0, ".")
        .mx("dangling.test", 10, "gone.test")
        .txt("bare.test", "no address");
    let dns = DnsServer::start(zone).await.expect("starts");
    let lane = Lane::at(TlsLevel::May).names(dns.addr(), 9);
    let letter = Letter::to(&["b@b.test"]);
    // RFC 7505 §4.1: a null MX is 5.1.10, at once.
    assert_eq!(bounced(&lane.deliver(&letter, &["null.test"]).await), "5.1.10");
    for nowhere in ["gone.test", "bare.test"] {
        assert!(bounced(&lane.deliver(&letter, &[nowhere]).await).starts_with("5.4."), "{nowhere}");
    }
    let silent = Lane::at(TlsLevel::May).names(SocketAddr::from(([127, 0, 0, 1], 9)), 9);
    assert!(deferred(&silent.deliver(&letter, &["b.test"]).await).starts_with("4.4."));
}
