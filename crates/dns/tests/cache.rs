//! What is remembered, and for how long.

mod common;

use std::time::Duration;

use common::{ask, domain, settings, trusting, validating};
use waxseal_dns::{CacheSettings, DnssecMode, Resolver, Settings};
use waxseal_testbed::dns::{DnsServer, Fault, Zone};

const LOCAL: [u8; 4] = [127, 0, 0, 1];

fn zone() -> Zone {
    Zone::new()
        .secure("signed.test")
        .ttl(60)
        .a("minute.signed.test", LOCAL)
        .ttl(86_400)
        .a("day.signed.test", LOCAL)
        .ttl(0)
        .a("zero.signed.test", LOCAL)
        .negative_ttl(900)
        .fault_all("broken.signed.test", Fault::ServFail)
}

/// Lets time pass without waiting for it.
async fn later(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn answers_are_asked_for_again_when_their_time_is_over() {
    let server = DnsServer::start(zone()).await.unwrap();
    let resolver = trusting(&server);
    // Asked at once, shortly before and shortly after the expected end.
    for (name, life) in [
        ("minute.signed.test", 60),
        ("day.signed.test", 3600),
        ("zero.signed.test", 1),
        ("nothing.signed.test", 300),
        ("broken.signed.test", 5),
    ] {
        let count = || server.count(name, "A");
        ask(&resolver, "A", name).await;
        ask(&resolver, "A", name).await;
        assert_eq!(count(), 1, "{name}");
        if life > 1 {
            later(life - 1).await;
            ask(&resolver, "A", name).await;
            assert_eq!(count(), 1, "{name} was forgotten early");
        }
        later(2).await;
        ask(&resolver, "A", name).await;
        assert_eq!(count(), 2, "{name} was believed too long");
    }
}

/// RFC 6698 §4.1: a decision holds no longer than the records it rests on.
#[tokio::test]
async fn the_time_left_shrinks_and_new_records_are_seen_after_it() {
    let server =
        DnsServer::start(zone().ttl(60).tlsa("mx.signed.test", 25, (3, 1, 1), &[1; 32])).await.unwrap();
    let resolver = trusting(&server);
    let old = resolver.tlsa(&domain("mx.signed.test"), 25).await.unwrap();
    assert!(old.ttl > Duration::from_secs(58) && old.ttl <= Duration::from_secs(60));
    server
        .edit(|zone| {
            zone.without("_25._tcp.mx.signed.test").ttl(60).tlsa("mx.signed.test", 25, (3, 1, 1), &[2; 32])
        })
        .unwrap();
    later(30).await;
    let same = resolver.tlsa(&domain("mx.signed.test"), 25).await.unwrap();
    assert_eq!(same.lookup, old.lookup);
    assert!(same.ttl <= Duration::from_secs(30));
    later(31).await;
    assert_ne!(resolver.tlsa(&domain("mx.signed.test"), 25).await.unwrap().lookup, old.lookup);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_question_for_many_who_ask_the_same() {
    let server = DnsServer::start(zone()).await.unwrap();
    let resolver = trusting(&server);
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let resolver = resolver.clone();
            tokio::spawn(async move { ask(&resolver, "A", "minute.signed.test").await.0 })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "secure found");
    }
    assert_eq!(server.count("minute.signed.test", "A"), 1);
    let statistics = resolver.statistics();
    assert_eq!(statistics.misses, 1);
    assert_eq!(statistics.hits + statistics.joined, 99);
}

#[tokio::test]
async fn the_cache_is_bounded() {
    let server = DnsServer::start(zone()).await.unwrap();
    let cache = CacheSettings { entries: 10, ..CacheSettings::default() };
    let resolver = Resolver::new(Settings { cache, ..settings(&server, DnssecMode::TrustAd) }).unwrap();
    for number in 0..300 {
        ask(&resolver, "A", &format!("n{number}.signed.test")).await;
    }
    assert!(resolver.statistics().entries <= 20, "{:?}", resolver.statistics());
}

#[tokio::test]
async fn the_chain_of_trust_is_fetched_once_for_many_names() {
    let mut zone = zone();
    for number in 0..20 {
        zone = zone.a(&format!("h{number}.signed.test"), LOCAL);
    }
    let server = DnsServer::forwarder(zone).await.unwrap();
    let resolver = validating(&server);
    for number in 0..20 {
        let (got, why) = ask(&resolver, "A", &format!("h{number}.signed.test")).await;
        assert_eq!(got, "secure found", "{why}");
    }
    assert_eq!(server.count("signed.test", "DNSKEY"), 1);
    assert_eq!(server.count("signed.test", "DS"), 1);
    assert_eq!(server.count(".", "DNSKEY"), 1);
}

#[tokio::test]
async fn a_zone_that_was_mended_is_believed_again_soon() {
    let server = DnsServer::forwarder(zone().tampered("signed.test", "DNSKEY")).await.unwrap();
    let resolver = validating(&server);
    assert_eq!(ask(&resolver, "A", "minute.signed.test").await.0, "bogus");
    let mended = zone();
    server.edit(|_| mended).unwrap();
    later(6).await;
    let (got, why) = ask(&resolver, "A", "minute.signed.test").await;
    assert_eq!(got, "secure found", "{why}");
}
