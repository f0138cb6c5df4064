//! Idle connections: who may have one, and which are retired.

use std::time::Duration;

use tokio::join;
use waxseal_transport::{Cause, Connector, Crowd, Endpoint, OpenRequest, Settings, TlsUse};
use waxseal_types::{Protocol, Service, TlsShape};

use crate::peer::{Peer, connector, plain_server, settings, shape};

/// Opens and parks one connection per request, and then says for `wanted` whether it would get one of them.
async fn serves(parked: &OpenRequest, keywords: &[&str], wanted: &OpenRequest) -> bool {
    let peer = Peer::bind().await;
    let at_peer =
        |request: &OpenRequest| OpenRequest { endpoint: Endpoint::Inet(peer.address), ..request.clone() };
    let (parked, wanted) = (at_peer(parked), at_peer(wanted));
    let (connector, server) = (connector(), plain_server(rustls::ALL_VERSIONS));
    let client = async {
        let opened = connector.open(&parked).await.unwrap();
        assert!(!opened.report.pooled);
        let first = opened.report.connection;
        connector.park(opened.session).await;
        assert_eq!(connector.idle(), 1);
        // Whether an idle one is found is known before anything is sent; a new one does not come about here.
        let again = tokio::time::timeout(Duration::from_millis(50), connector.open(&wanted)).await;
        again.is_ok_and(|opened| {
            let opened = opened.unwrap();
            assert_eq!((opened.report.pooled, opened.report.connection), (true, first));
            true
        })
    };
    let serve = async {
        let mut wire = peer.accept().await;
        match &parked.tls {
            TlsUse::Never => wire.greet(keywords).await,
            TlsUse::IfOffered(_) | TlsUse::Required(_) if !keywords.contains(&"STARTTLS") => {
                wire.greet(keywords).await;
            }
            TlsUse::IfOffered(_) | TlsUse::Required(_) | TlsUse::Implicit(_) => {
                wire.greet(keywords).await;
                let (mut tls, _) = wire.starttls(&server).await.unwrap();
                tls.ehlo(keywords).await;
                wire = tls;
            }
        }
        wire
    };
    let (got, _wire) = join!(client, serve);
    got
}

#[tokio::test]
async fn a_connection_serves_those_whose_shape_it_has() {
    let peer = Peer::bind().await;
    let never = peer.request(TlsUse::Never);
    let wish = peer.request(TlsUse::IfOffered(shape(None)));
    let need = peer.request(TlsUse::Required(shape(None)));
    let named = peer.request(TlsUse::Required(shape(Some("mx.example"))));
    let only13 = peer.request(TlsUse::Required(TlsShape { tls12: false, ..shape(None) }));
    let lmtp = OpenRequest { service: Service::LMTP, ..never.clone() };
    let relay = OpenRequest { service: Service::named(Protocol::Smtp, "relay"), ..never.clone() };
    let fresh = OpenRequest { reuse: false, ..never.clone() };
    let offered: &[&str] = &["STARTTLS"];
    let table: [(&str, &OpenRequest, &[&str], &OpenRequest, bool); 13] = [
        ("the same", &never, &[], &never, true),
        ("not wanted", &never, &[], &fresh, false),
        ("another protocol", &never, &[], &lmtp, false),
        ("another service", &never, &[], &relay, false),
        ("the same service", &relay, &[], &relay, true),
        ("TLS for a need", &wish, offered, &need, true),
        ("TLS for a wish", &need, offered, &wish, true),
        ("TLS for who wants none", &need, offered, &never, false),
        ("clear since it was not offered, for a wish", &wish, &[], &wish, true),
        ("clear since it was not offered, for a need", &wish, &[], &need, false),
        ("clear since it was not wanted, for a wish", &never, offered, &wish, false),
        ("another name", &need, offered, &named, false),
        ("other versions", &need, offered, &only13, false),
    ];
    for (name, parked, keywords, wanted, expected) in table {
        assert_eq!(serves(parked, keywords, wanted).await, expected, "{name}");
    }
}

#[tokio::test]
async fn an_idle_connection_that_speaks_or_closes_is_retired() {
    for farewell in [Some("421 4.4.2 idle too long\r\n"), Some("x"), None] {
        let (peer, connector) = (Peer::bind().await, connector());
        let request = peer.request(TlsUse::Never);
        let (parked, wait) = tokio::sync::oneshot::channel();
        let (spoken, heard) = tokio::sync::oneshot::channel();
        let client = async {
            let opened = connector.open(&request).await.unwrap();
            connector.park(opened.session).await;
            parked.send(()).unwrap();
            heard.await.unwrap();
            let again = connector.open(&request).await.unwrap();
            assert!(!again.report.pooled);
            assert_eq!(connector.idle(), 0);
        };
        let serve = async {
            let mut wire = peer.accept().await;
            wire.greet(&[]).await;
            wait.await.unwrap();
            match farewell {
                Some(words) => wire.say(words).await,
                None => drop(wire),
            }
            spoken.send(()).unwrap();
            peer.accept().await.greet(&[]).await;
        };
        join!(client, serve);
    }
}

#[tokio::test]
async fn idle_connections_are_told_goodbye_in_time() {
    let limits = Settings { cache_time_limit: Duration::from_millis(30), ..settings() };
    let (peer, connector) = (Peer::bind().await, Connector::new(limits).unwrap());
    let request = peer.request(TlsUse::Never);
    let client = async {
        let opened = connector.open(&request).await.unwrap();
        connector.park(opened.session).await;
        assert_eq!(connector.idle(), 1);
    };
    let serve = async {
        let mut wire = peer.accept().await;
        wire.greet(&[]).await;
        assert_eq!(wire.line().await, "QUIT");
    };
    join!(client, serve);
    assert_eq!(connector.idle(), 0);
}

#[tokio::test]
async fn connections_are_kept_within_their_limits() {
    let table = [
        (Settings { cache_time_limit: Duration::ZERO, ..settings() }, 0),
        (Settings { reuse_time_limit: Duration::ZERO, ..settings() }, 0),
        (Settings { max_idle: 2, ..settings() }, 2),
        (Settings { max_idle_per_key: 1, ..settings() }, 1),
        (settings(), 3),
    ];
    for (limits, kept) in table {
        let (peer, connector) = (Peer::bind().await, Connector::new(limits).unwrap());
        let request = peer.request(TlsUse::Never);
        let client = async {
            let mut sessions = Vec::new();
            for _ in 0..3 {
                sessions.push(connector.open(&request).await.unwrap().session);
            }
            for session in sessions {
                connector.park(session).await;
            }
            assert_eq!(connector.idle(), kept);
            connector.close_idle().await;
            assert_eq!(connector.idle(), 0);
        };
        let serve = async {
            let mut wires = Vec::new();
            for _ in 0..3 {
                let mut wire = peer.accept().await;
                wire.greet(&[]).await;
                wires.push(wire);
            }
            for mut wire in wires {
                assert_eq!(wire.line().await, "QUIT");
            }
        };
        join!(client, serve);
    }
}

#[tokio::test]
async fn siblings_share_the_limit_of_an_address_and_an_idle_connection_makes_room() {
    let limits = Settings { address_connection_limit: 2, ..settings() };
    let (peer, connector) = (Peer::bind().await, Connector::new(limits).unwrap());
    let sibling = connector.sibling();
    let request = peer.request(TlsUse::Never);
    // What a connection of another shape is good for is only its place.
    let other = OpenRequest { reuse: false, ..request.clone() };
    let client = async {
        let first = connector.open(&request).await.unwrap().session;
        let second = sibling.open(&request).await.unwrap().session;
        for connector in [&connector, &sibling] {
            let refused = connector.open(&other).await.unwrap_err();
            assert_eq!(refused.cause, Cause::Crowded(Crowd::Address));
        }
        let seen = connector.statistics();
        assert_eq!((seen.open, seen.crowded_address, seen.crowded_all), (2, 2, 0));
        connector.park(first).await;
        let third = connector.open(&other).await.unwrap().session;
        assert_eq!((connector.idle(), connector.statistics().open), (0, 2));
        drop((second, third));
        assert_eq!(connector.statistics().open, 0);
    };
    let serve = async {
        let (mut first, mut second) = (peer.accept().await, None);
        first.greet(&[]).await;
        for _ in 0..2 {
            let mut wire = peer.accept().await;
            wire.greet(&[]).await;
            second.get_or_insert(wire);
        }
        assert_eq!(first.line().await, "QUIT");
    };
    join!(client, serve);
}
