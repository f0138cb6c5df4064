//! Connections and TLS sessions that serve more than one message.

use waxseal_testbed::{Peer, TlsVersions};
use waxseal_tests::{Lane, Letter, deferred, delivered};
use waxseal_types::TlsLevel;

use crate::certificate;

fn letter() -> Letter {
    Letter::to(&["b@b.test"])
}

#[tokio::test]
async fn a_connection_carries_the_next_message() {
    for level in [TlsLevel::None, TlsLevel::May, TlsLevel::Encrypt] {
        let peer = Peer::builder().starttls(certificate()).start().await.expect("starts");
        let lane = Lane::at(level);
        let services = lane.services();
        for _ in 0..3 {
            assert!(delivered(&lane.deliver_with(&services, &letter(), &[&peer.nexthop()]).await));
        }
        assert_eq!((peer.connections(), peer.accepted().len()), (1, 3), "{level:?}");
    }
}

#[tokio::test]
async fn without_reuse_each_message_has_its_connection_and_sessions_are_resumed() {
    for versions in [TlsVersions::Tls12, TlsVersions::Tls13] {
        let peer = Peer::builder().starttls(certificate()).versions(versions).start().await.expect("starts");
        let mut lane = Lane::at(TlsLevel::Encrypt);
        lane.policy.smtp.connection_reuse = false;
        lane.queue.reuse_clear = false;
        let services = lane.services();
        let mut told = Vec::new();
        for _ in 0..3 {
            let account = lane.deliver_with(&services, &letter(), &[&peer.nexthop()]).await;
            assert!(delivered(&account), "{:?}", account.results);
            told.extend(account.connections[0].tls.as_ref().map(|facts| facts.resumed));
        }
        let seen: Vec<bool> = peer.handshakes().iter().map(|seen| seen.resumed).collect();
        assert_eq!(seen, [false, true, true], "{versions:?}");
        assert_eq!(told, seen, "both ends know the same");
        assert_eq!(peer.connections(), 3);
    }
}

#[tokio::test]
async fn a_connection_in_clear_never_serves_a_demand_for_tls() {
    let peer = Peer::builder().start().await.expect("starts");
    let hop = peer.nexthop();
    let lane = Lane::at(TlsLevel::May);
    let services = lane.services();
    assert!(delivered(&lane.deliver_with(&services, &letter(), &[&hop]).await));
    let strict = Lane::at(TlsLevel::Encrypt);
    let services = waxseal_queue::Direct { policy: strict.services().policy, ..services };
    let account = strict.deliver_with(&services, &letter(), &[&hop]).await;
    assert!(deferred(&account).starts_with("4.7."), "{:?}", account.results);
    assert_eq!(peer.accepted().len(), 1);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_nothing() {
    let builder =
        Peer::builder().reply_to_dot(waxseal_testbed::Act::SayAndClose("250 2.0.0 taken, bye".into()));
    let peer = builder.start().await.expect("starts");
    let lane = Lane::at(TlsLevel::May);
    let services = lane.services();
    for _ in 0..3 {
        let account = lane.deliver_with(&services, &letter(), &[&peer.nexthop()]).await;
        assert!(delivered(&account), "{:?}", account.results);
    }
    assert_eq!(peer.accepted().len(), 3);
}
