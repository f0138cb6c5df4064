//! The way to the servers: UDP, TCP, failover, and replies that are none (RFC 7672 §2.1.1 and §2.1.2; threats D1, D16).

mod common;

use std::{net::SocketAddr, time::Duration};

use common::{ask, domain, settings, trusting};
use tokio::net::UdpSocket;
use waxseal_dns::{DnssecHealth, DnssecMode, Resolver, Settings};
use waxseal_testbed::dns::{DnsServer, Fault, Zone};
use waxseal_types::Lookup;

fn zone() -> Zone {
    Zone::new().tlsa("mx.signed.test", 25, (3, 1, 1), &[7; 32]).secure("signed.test")
}

#[tokio::test]
async fn a_lookup_error_is_never_read_as_absence() {
    let table = [
        (Fault::ServFail, "serverfailure", "SERVFAIL from "),
        (Fault::Refused, "serverfailure", "REFUSED from "),
        (Fault::NotImp, "serverfailure", "NOTIMP from "),
        (Fault::FormErr, "serverfailure", "FORMERR from "),
        (Fault::Silent, "timeout", "no answer from "),
        (Fault::WrongQuestion, "timeout", "no answer from "),
        (Fault::TruncatedTcpDead, "timeout", "truncates over UDP and fails over TCP"),
        (Fault::Garbage, "malformed", "malformed reply from "),
        (Fault::Truncated, "secure found", ""),
        (Fault::ForgedFirst, "secure found", ""),
        (Fault::NoData, "insecure nodata", ""),
        (Fault::NxDomain, "insecure nxdomain", ""),
    ];
    for (fault, expected, detail) in table {
        let server = DnsServer::start(zone().fault("_25._tcp.mx.signed.test", "TLSA", fault)).await.unwrap();
        let (got, why) = ask(&trusting(&server), "TLSA", "mx.signed.test").await;
        assert_eq!(got, expected, "{fault:?}: {why}");
        assert!(why.contains(detail), "{fault:?}: {why}");
    }
}

#[tokio::test]
async fn a_long_answer_comes_over_tcp() {
    let mut zone = Zone::new().secure("signed.test");
    for number in 0..90_u8 {
        zone = zone.tlsa("mx.signed.test", 25, (3, 1, 1), &[number; 32]);
    }
    let server = DnsServer::start(zone).await.unwrap();
    let resolver = trusting(&server);
    let answer = resolver.tlsa(&domain("mx.signed.test"), 25).await.unwrap();
    assert!(matches!(answer.lookup, Lookup::Found(records) if records.len() == 90));
    assert_eq!(resolver.statistics().tcp, 1);
    assert!(server.questions().iter().all(|asked| asked.dnssec));
}

#[tokio::test]
async fn records_beyond_the_limit_are_left_out() {
    let mut zone = Zone::new().secure("signed.test");
    for number in 0..500_u16 {
        zone = zone.tlsa("mx.signed.test", 25, (3, 1, 1), &number.to_be_bytes());
        zone = zone.mx("signed.test", number, &format!("mx{number}.signed.test"));
    }
    let server = DnsServer::start(zone).await.unwrap();
    let resolver = trusting(&server);
    let tlsa = resolver.tlsa(&domain("mx.signed.test"), 25).await.unwrap();
    assert!(matches!(tlsa.lookup, Lookup::Found(records) if records.len() == 100));
    let mx = resolver.mx(&domain("signed.test")).await.unwrap();
    assert!(matches!(mx.lookup, Lookup::Found(hosts) if hosts.len() == 100));
}

/// Threat D4.
#[tokio::test]
async fn a_tlsa_record_too_short_to_be_one_fails_the_lookup() {
    for octets in [&[][..], &[3], &[3, 1]] {
        let zone = zone().raw("_25._tcp.short.signed.test", 52, octets);
        let server = DnsServer::start(zone).await.unwrap();
        let (got, why) = ask(&trusting(&server), "TLSA", "short.signed.test").await;
        assert_eq!(got, "malformed", "{octets:?}: {why}");
    }
    let zone = zone().raw("_25._tcp.empty.signed.test", 52, &[3, 1, 1]);
    let server = DnsServer::start(zone).await.unwrap();
    let answer = trusting(&server).tlsa(&domain("empty.signed.test"), 25).await.unwrap();
    assert!(matches!(answer.lookup, Lookup::Found(records) if records[0].data.is_empty()));
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_fails() {
    let good = DnsServer::start(zone()).await.unwrap();
    let refusing =
        DnsServer::start(zone().fault("_25._tcp.mx.signed.test", "TLSA", Fault::Refused)).await.unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let closed: SocketAddr = {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.local_addr().unwrap()
    };
    for first in [refusing.addr(), silent.local_addr().unwrap(), closed] {
        let servers = vec![first, good.addr()];
        let resolver = Resolver::new(Settings { servers, ..settings(&good, DnssecMode::TrustAd) }).unwrap();
        assert_eq!(ask(&resolver, "TLSA", "mx.signed.test").await.0, "secure found", "{first}");
    }
}

#[tokio::test]
async fn a_silent_server_is_asked_last_from_then_on() {
    let good = DnsServer::start(zone().a("other.signed.test", [127, 0, 0, 1])).await.unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let servers = vec![silent.local_addr().unwrap(), good.addr()];
    let resolver = Resolver::new(Settings { servers, ..settings(&good, DnssecMode::TrustAd) }).unwrap();
    ask(&resolver, "TLSA", "mx.signed.test").await;
    ask(&resolver, "A", "other.signed.test").await;
    assert_eq!(resolver.statistics().timeouts, 1);
}

#[tokio::test]
async fn the_operator_reads_who_was_asked_and_how_long() {
    let sockets =
        [UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap()];
    let servers = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
    let resolver = Resolver::new(Settings {
        servers,
        timeout: Duration::from_millis(50),
        attempts: 2,
        dnssec: DnssecMode::Off,
        ..Settings::default()
    })
    .unwrap();
    let (got, why) = ask(&resolver, "A", "example.test").await;
    assert_eq!(got, "timeout");
    assert!(why.starts_with("timed out after 0.") && why.ends_with("s (2 servers)"), "{why}");
}

#[tokio::test]
async fn a_question_ends_at_its_deadline() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let resolver = Resolver::new(Settings {
        servers: vec![silent.local_addr().unwrap()],
        timeout: Duration::from_secs(60),
        deadline: Duration::from_millis(100),
        ..Settings::default()
    })
    .unwrap();
    let (got, why) = ask(&resolver, "A", "example.test").await;
    assert_eq!((got.as_str(), why.as_str()), ("timeout", "no answer within 0.1 s"));
}

#[tokio::test]
async fn a_probe_tells_what_the_resolver_can_do() {
    let server = DnsServer::start(zone()).await.unwrap();
    assert_eq!(trusting(&server).probe().await, DnssecHealth::Capable);
    assert_eq!(common::validating(&server).probe().await, DnssecHealth::Capable);
    let off = Resolver::new(settings(&server, DnssecMode::Off)).unwrap();
    assert_eq!(off.probe().await, DnssecHealth::Off);

    let forwarder = DnsServer::forwarder(zone()).await.unwrap();
    assert!(matches!(trusting(&forwarder).probe().await, DnssecHealth::Blind { .. }));
    let stripping = DnsServer::forwarder(zone()).await.unwrap();
    stripping.twist(|reply| reply.answers.retain(|record| !record.record_type().is_rrsig()));
    assert!(matches!(common::validating(&stripping).probe().await, DnssecHealth::Blind { .. }));

    let gone = trusting(&DnsServer::start(zone()).await.unwrap());
    assert!(matches!(gone.probe().await, DnssecHealth::Unreachable { .. }));
}
