//! What comes out of each zone, by both back ends (RFC 7672 §2.1 to §2.2.3; rfc items 1 to 13).

mod common;

use std::fs;

use common::{ask, domain, settings, trusting, validating, words};
use waxseal_dns::{DnssecMode, Families, Resolver, Settings};
use waxseal_testbed::dns::{Break, DnsServer, Fault, Zone};
use waxseal_types::{DnsFailureKind, Lookup, MxHost, Proof};

const LOCAL: [u8; 4] = [127, 0, 0, 1];

fn zone() -> Zone {
    let mut zone = Zone::new()
        .secure("signed.test")
        .secure("sub.signed.test")
        .insecure("plain.test")
        .secure("island.plain.test")
        .broken("expired.test", Break::Expired)
        .broken("early.test", Break::NotYetValid)
        .broken("badds.test", Break::WrongDs)
        .broken("stripped.test", Break::Unsigned)
        .broken("unknown.test", Break::UnknownAlgorithm)
        .secure("hashed.test")
        .nsec3("hashed.test", 5)
        .insecure("plain.hashed.test")
        .secure("costly.test")
        .nsec3("costly.test", 151)
        .secure("optout.test")
        .opt_out("optout.test")
        .insecure("plain.optout.test")
        .a("mx.plain.hashed.test", LOCAL)
        .a("mx.plain.optout.test", LOCAL);
    for apex in [
        "signed.test",
        "sub.signed.test",
        "plain.test",
        "island.plain.test",
        "expired.test",
        "early.test",
        "badds.test",
        "stripped.test",
        "unknown.test",
        "hashed.test",
        "costly.test",
        "optout.test",
    ] {
        let host = format!("mx.{apex}");
        zone = zone
            .mx(apex, 10, &host)
            .a(&host, LOCAL)
            .tlsa(&host, 25, (3, 1, 1), &[7; 32])
            .txt(&format!("text.{apex}"), "no address here")
            .a(&format!("a.ent.{apex}"), LOCAL)
            .a(&format!("*.wild.{apex}"), LOCAL)
            .tlsa(&format!("exact.wild.{apex}"), 25, (3, 1, 1), &[9; 32]);
        for other in ["signed.test", "plain.test", "expired.test"] {
            zone = zone
                .cname(&format!("to-{other}.{apex}"), &format!("mx.{other}"))
                .cname(&format!("_25._tcp.to-{other}.{apex}"), &format!("_25._tcp.mx.{other}"))
                .cname(&format!("nodata-{other}.{apex}"), &format!("text.{other}"))
                .cname(&format!("none-{other}.{apex}"), &format!("nothing.{other}"));
        }
    }
    zone.tampered("tampered.signed.test", "A")
        .a("tampered.signed.test", LOCAL)
        .cname("to-tampered.signed.test", "tampered.signed.test")
        .dname("old.signed.test", "signed.test")
        .dname("out.signed.test", "plain.test")
        .cname("loop1.signed.test", "loop2.signed.test")
        .cname("loop2.signed.test", "loop1.signed.test")
        .cname("self.signed.test", "self.signed.test")
}

/// `kind name: what comes out`, the same for both back ends but for the word of a bogus answer.
const EXPECTED: &[(&str, &str, &str)] = &[
    ("MX", "signed.test", "secure found"),
    ("A", "mx.signed.test", "secure found"),
    ("TLSA", "mx.signed.test", "secure found"),
    ("TLSA", "mx.sub.signed.test", "secure found"),
    ("A", "text.signed.test", "secure nodata"),
    ("A", "nothing.signed.test", "secure nxdomain"),
    ("A", "ent.signed.test", "secure nodata"),
    ("TLSA", "a.ent.signed.test", "secure nxdomain"),
    ("A", "any.wild.signed.test", "secure found"),
    ("MX", "any.wild.signed.test", "secure nodata"),
    ("A", "exact.wild.signed.test", "secure nodata"),
    ("A", "deep.any.wild.signed.test", "secure found"),
    ("A", "nothing", "secure nxdomain"),
    ("MX", "plain.test", "insecure found"),
    ("TLSA", "mx.plain.test", "insecure found"),
    ("A", "text.plain.test", "insecure nodata"),
    ("A", "nothing.plain.test", "insecure nxdomain"),
    ("A", "any.wild.plain.test", "insecure found"),
    ("TLSA", "mx.island.plain.test", "insecure found"),
    ("A", "nothing.island.plain.test", "insecure nxdomain"),
    ("TLSA", "mx.unknown.test", "insecure found"),
    ("A", "text.unknown.test", "insecure nodata"),
    ("TLSA", "mx.expired.test", "bogus"),
    ("A", "nothing.expired.test", "bogus"),
    ("A", "text.expired.test", "bogus"),
    ("MX", "early.test", "bogus"),
    ("MX", "badds.test", "bogus"),
    ("A", "nothing.badds.test", "bogus"),
    ("MX", "stripped.test", "bogus"),
    ("A", "nothing.stripped.test", "bogus"),
    ("A", "tampered.signed.test", "bogus"),
    // NSEC3 (RFC 5155): the same, but nothing is proven over an opted-out span or with too many iterations (RFC 9276).
    ("TLSA", "mx.hashed.test", "secure found"),
    ("A", "text.hashed.test", "secure nodata"),
    ("A", "nothing.hashed.test", "secure nxdomain"),
    ("A", "deep.nothing.hashed.test", "secure nxdomain"),
    ("A", "ent.hashed.test", "secure nodata"),
    ("A", "any.wild.hashed.test", "secure found"),
    ("A", "deep.any.wild.hashed.test", "secure found"),
    ("MX", "any.wild.hashed.test", "secure nodata"),
    ("A", "mx.plain.hashed.test", "insecure found"),
    ("A", "nothing.plain.hashed.test", "insecure nxdomain"),
    ("A", "none-signed.test.hashed.test", "secure nxdomain"),
    ("A", "nodata-signed.test.hashed.test", "secure nodata"),
    ("TLSA", "mx.costly.test", "secure found"),
    ("A", "text.costly.test", "insecure nodata"),
    ("A", "nothing.costly.test", "insecure nxdomain"),
    ("TLSA", "mx.optout.test", "secure found"),
    ("A", "text.optout.test", "secure nodata"),
    ("A", "nothing.optout.test", "insecure nxdomain"),
    ("A", "any.wild.optout.test", "insecure found"),
    ("A", "mx.plain.optout.test", "insecure found"),
    ("A", "nothing.plain.optout.test", "insecure nxdomain"),
    // Aliases: the weakest step counts, and an error anywhere fails the whole (RFC 7672 §2.1.3).
    ("A", "to-signed.test.signed.test", "secure found"),
    ("TLSA", "to-signed.test.signed.test", "secure found"),
    ("A", "to-plain.test.signed.test", "insecure found"),
    ("TLSA", "to-plain.test.signed.test", "insecure found"),
    ("A", "to-signed.test.plain.test", "insecure found"),
    ("TLSA", "to-signed.test.plain.test", "insecure found"),
    ("A", "to-expired.test.signed.test", "bogus"),
    ("A", "to-expired.test.plain.test", "bogus"),
    ("A", "to-tampered.signed.test", "bogus"),
    ("A", "to-signed.test.expired.test", "bogus"),
    ("A", "nodata-signed.test.signed.test", "secure nodata"),
    ("A", "none-signed.test.signed.test", "secure nxdomain"),
    ("A", "nodata-plain.test.signed.test", "insecure nodata"),
    ("A", "none-plain.test.signed.test", "insecure nxdomain"),
    ("A", "nodata-signed.test.plain.test", "insecure nodata"),
    ("A", "none-signed.test.plain.test", "insecure nxdomain"),
    ("A", "none-expired.test.signed.test", "bogus"),
    ("A", "nodata-expired.test.signed.test", "bogus"),
    ("A", "nodata-signed.test.expired.test", "bogus"),
    // The question of RFC 7672 §2.1.3: is the zone of the alias itself signed?
    ("CNAME", "to-plain.test.signed.test", "secure found"),
    ("CNAME", "to-signed.test.plain.test", "insecure found"),
    ("CNAME", "to-signed.test.expired.test", "bogus"),
    ("CNAME", "mx.signed.test", "secure nodata"),
    ("CNAME", "nothing.signed.test", "secure nxdomain"),
    ("A", "mx.old.signed.test", "secure found"),
    ("A", "nothing.old.signed.test", "secure nxdomain"),
    ("A", "text.old.signed.test", "secure nodata"),
    ("A", "mx.out.signed.test", "insecure found"),
];

#[tokio::test]
async fn both_back_ends_give_each_zone_its_state() {
    let judge = DnsServer::start(zone()).await.unwrap();
    let forwarder = DnsServer::forwarder(zone()).await.unwrap();
    let (trusting, validating) = (trusting(&judge), validating(&forwarder));
    let mut wrong = Vec::new();
    for (kind, name, expected) in EXPECTED {
        let (by_ad, _) = ask(&trusting, kind, name).await;
        let (by_signatures, why) = ask(&validating, kind, name).await;
        let told = if *expected == "bogus" { "serverfailure" } else { expected };
        if by_ad != told || by_signatures != *expected {
            wrong.push(format!(
                "{kind} {name}: trust-ad {by_ad}, validate {by_signatures} ({why}), not {expected}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), EXPECTED.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_forwarder_that_follows_no_alias_changes_nothing() {
    let judge = DnsServer::start(zone()).await.unwrap();
    let forwarder = DnsServer::forwarder(zone()).await.unwrap();
    for server in [&judge, &forwarder] {
        server.twist(|reply| {
            let asked = reply.queries[0].name().clone();
            let is_alias = reply.answers.iter().any(|record| {
                record.record_type() == hickory_proto::rr::RecordType::CNAME && record.name == asked
            });
            if is_alias {
                reply.answers.retain(|record| record.name.zone_of(&asked));
                reply.authorities.clear();
                reply.metadata.response_code = hickory_proto::op::ResponseCode::NoError;
            }
        });
    }
    let (trusting, validating) = (trusting(&judge), validating(&forwarder));
    // With AD of the alias alone, its own step; the target's is asked for.
    for (kind, name, expected) in EXPECTED.iter().filter(|(_, name, expected)| {
        (name.starts_with("to-") || name.starts_with("no")) && *expected != "bogus"
    }) {
        assert_eq!(ask(&validating, kind, name).await.0, *expected, "validate {kind} {name}");
        let by_ad = ask(&trusting, kind, name).await.0;
        assert_eq!(by_ad.split(' ').nth(1), expected.split(' ').nth(1), "trust-ad {kind} {name}");
    }
}

#[tokio::test]
async fn loops_and_long_chains_of_aliases_end_in_failure() {
    let mut chain = zone();
    for step in 0..14 {
        chain = chain.cname(&format!("c{step}.signed.test"), &format!("c{}.signed.test", step + 1));
    }
    let chain = chain.a("c10.signed.test", LOCAL).without("c14.signed.test");
    let judge =
        DnsServer::start(chain.clone().without("c10.signed.test").a("c10.signed.test", LOCAL)).await.unwrap();
    let forwarder =
        DnsServer::forwarder(chain.without("c10.signed.test").a("c10.signed.test", LOCAL)).await.unwrap();
    for (resolver, back_end) in [(trusting(&judge), "trust-ad"), (validating(&forwarder), "validate")] {
        for (name, expected) in [
            ("c0.signed.test", "secure found"),
            ("loop1.signed.test", "aliasloop"),
            ("self.signed.test", "aliasloop"),
        ] {
            let (got, why) = ask(&resolver, "A", name).await;
            // The testbed's resolver gives up on loops by itself.
            let by_server = got == "serverfailure" && expected == "aliasloop";
            assert!(got == expected || by_server, "{back_end} {name}: {got} {why}");
        }
    }
    let endless = DnsServer::start(zone()).await.unwrap();
    endless.twist(|reply| {
        let asked = reply.queries[0].name().clone();
        let target = asked.prepend_label("x").unwrap();
        let data = hickory_proto::rr::RData::CNAME(hickory_proto::rr::rdata::CNAME(target));
        reply.answers = vec![hickory_proto::rr::Record::from_rdata(asked, 60, data)];
        reply.authorities.clear();
        reply.metadata.response_code = hickory_proto::op::ResponseCode::NoError;
    });
    assert_eq!(ask(&trusting(&endless), "A", "y.plain.test").await.0, "aliasloop");
    assert_eq!(endless.questions().len(), 11);
}

#[tokio::test]
async fn the_operator_reads_what_is_bogus() {
    let forwarder = DnsServer::forwarder(
        zone()
            .fault("silent.test", "DNSKEY", Fault::ServFail)
            .secure("silent.test")
            .a("mx.silent.test", LOCAL),
    )
    .await
    .unwrap();
    let resolver = validating(&forwarder);
    for (kind, name, phrase) in [
        (
            "A",
            "mx.expired.test",
            "the signature of expired.test over A of mx.expired.test expired 48 hours ago",
        ),
        ("A", "mx.early.test", "is not valid yet"),
        ("A", "tampered.signed.test", "over A of tampered.signed.test is wrong"),
        ("A", "mx.stripped.test", "A of mx.stripped.test is not signed"),
        ("A", "mx.badds.test", "not linked to the trust anchor"),
        ("A", "mx.silent.test", "the chain of trust is not complete: SERVFAIL from 127.0.0.1"),
    ] {
        let (_, why) = ask(&resolver, kind, name).await;
        assert!(why.contains(phrase), "{kind} {name}: {why}");
    }
}

#[tokio::test]
async fn ad_is_believed_only_from_loopback_and_from_whom_the_operator_trusts() {
    let server = DnsServer::start(zone()).await.unwrap();
    let notices = trusting(&server).notices();
    assert!(
        notices[0].contains(&server.addr().to_string()) && notices[0].contains("is believed"),
        "{notices:?}"
    );

    // An address of this host that is not loopback, where there is one, is as good as a stranger's.
    let stranger = Settings {
        servers: vec!["192.0.2.53:53".parse().unwrap()],
        ..settings(&server, DnssecMode::TrustAd)
    };
    let notices = Resolver::new(stranger.clone()).unwrap().notices();
    assert!(notices[0].contains("192.0.2.53:53 is not believed"), "{notices:?}");
    let trusted = Settings { trusted: vec!["192.0.2.53".parse().unwrap()], ..stranger };
    assert!(Resolver::new(trusted).unwrap().notices().is_empty());

    let off = Resolver::new(settings(&server, DnssecMode::Off)).unwrap();
    assert_eq!(ask(&off, "A", "mx.signed.test").await.0, "insecure found");
    assert!(server.questions().iter().all(|asked| !asked.dnssec));
}

#[tokio::test]
async fn a_digest_serves_as_trust_anchor_as_well_as_a_key() {
    use hickory_proto::{
        dnssec::DigestType,
        rr::Name,
        serialize::txt::trust_anchor::{Entry, Parser},
    };

    let server = DnsServer::forwarder(zone()).await.unwrap();
    let entries = Parser::new(server.trust_anchor()).parse().unwrap();
    let [Entry::DNSKEY(key)] = entries.as_slice() else { panic!("no key") };
    let key = key.data();
    let digest = key.to_digest(&Name::root(), DigestType::SHA256).unwrap();
    let hex: String = digest.as_ref().iter().map(|octet| format!("{octet:02X}")).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("anchor");
    for (text, expected) in [
        (format!(". IN DS {} 13 2 {hex}\n", key.calculate_key_tag().unwrap()), "secure found"),
        (format!(". IN DS {} 13 2 {}\n", key.calculate_key_tag().unwrap(), "00".repeat(32)), "bogus"),
        ("example. IN DS 1 13 2 00\n".to_owned(), "insecure found"),
    ] {
        fs::write(&path, text).unwrap();
        let settings = settings(&server, DnssecMode::Validate);
        let resolver = Resolver::new(Settings { trust_anchor: Some(path.clone()), ..settings }).unwrap();
        let (got, why) = ask(&resolver, "A", "mx.signed.test").await;
        assert_eq!(got, expected, "{why}");
        // That the root's own keys do not fit is nobody's fault but ours.
        let failed = resolver.addresses(&domain("mx.signed.test"), Families::V4).await.err();
        let anchor = failed.map(|failure| failure.failure == DnsFailureKind::Anchor);
        assert_eq!(anchor, (expected == "bogus").then_some(true), "{why}");
    }
    let missing =
        Settings { trust_anchor: Some("/nonexistent/key".into()), ..settings(&server, DnssecMode::Validate) };
    assert!(Resolver::new(missing).unwrap_err().to_string().contains("/nonexistent/key"));
}

/// RFC 4035 §4.3: without an anchor above it nothing can be proven, and nothing is bogus.
#[tokio::test]
async fn an_anchor_below_the_root_covers_its_own_zone() {
    let server = DnsServer::forwarder(zone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("anchor");
    fs::write(&path, server.trust_anchor_of("signed.test")).unwrap();
    let settings = settings(&server, DnssecMode::Validate);
    let resolver = Resolver::new(Settings { trust_anchor: Some(path), ..settings }).unwrap();
    for (kind, name, expected) in [
        ("A", "mx.signed.test", "secure found"),
        ("A", "nothing.signed.test", "secure nxdomain"),
        ("A", "mx.sub.signed.test", "secure found"),
        ("A", "tampered.signed.test", "bogus"),
        ("A", "mx.plain.test", "insecure found"),
        ("A", "mx.expired.test", "insecure found"),
        ("A", "to-expired.test.signed.test", "insecure found"),
    ] {
        let (got, why) = ask(&resolver, kind, name).await;
        assert_eq!(got, expected, "{kind} {name}: {why}");
    }
    assert!(matches!(resolver.probe().await, waxseal_dns::DnssecHealth::Capable));
}

#[tokio::test]
async fn mx_hosts_come_as_they_are_written() {
    let zone = zone()
        .mx("null.test", 0, ".")
        .mx("mixed.test", 10, ".")
        .mx("mixed.test", 20, "MX.Signed.Test")
        .mx("odd.test", 10, "*.odd.test")
        .mx("odd.test", 20, "mx.signed.test")
        .mx("useless.test", 10, "1.2.3.4")
        .cname("alias.test", "signed.test");
    let server = DnsServer::start(zone).await.unwrap();
    let resolver = trusting(&server);
    let host = |preference, host: &str| MxHost { preference, host: Some(domain(host)) };
    let null = |preference| MxHost { preference, host: None };
    for (name, expected) in [
        ("null.test", vec![null(0)]),
        ("mixed.test", vec![null(10), host(20, "mx.signed.test")]),
        ("odd.test", vec![host(20, "mx.signed.test")]),
        ("alias.test", vec![host(10, "mx.signed.test")]),
    ] {
        let answer = resolver.mx(&domain(name)).await.unwrap();
        assert_eq!(answer.lookup, Lookup::Found(expected), "{name}");
    }
    let answer = resolver.mx(&domain("alias.test")).await.unwrap();
    assert_eq!(answer.canonical, Some(domain("signed.test")));
    let failure = resolver.mx(&domain("useless.test")).await.unwrap_err();
    assert_eq!(failure.failure, DnsFailureKind::Malformed);
}

#[tokio::test]
async fn one_address_family_may_fail_while_the_other_is_found() {
    let zone = zone()
        .a("v4.signed.test", LOCAL)
        .fault("v4.signed.test", "AAAA", Fault::ServFail)
        .a("both.signed.test", LOCAL)
        .aaaa("both.signed.test", std::net::Ipv6Addr::LOCALHOST)
        .txt("none.signed.test", "x")
        .fault("none.signed.test", "A", Fault::ServFail)
        .cname("alias.signed.test", "both.signed.test");
    let server = DnsServer::start(zone).await.unwrap();
    let resolver = trusting(&server);
    let both = |name: &str| {
        let (resolver, name) = (resolver.clone(), domain(name));
        async move { resolver.addresses(&name, Families::Both).await }
    };
    assert_eq!(both("v4.signed.test").await.unwrap().lookup, Lookup::Found(vec![LOCAL.into()]));
    let two = vec![std::net::Ipv6Addr::LOCALHOST.into(), LOCAL.into()];
    let answer = both("alias.signed.test").await.unwrap();
    assert_eq!((answer.lookup, answer.proof), (Lookup::Found(two), Proof::Secure));
    assert_eq!(answer.canonical, Some(domain("both.signed.test")));
    assert_eq!(words(&both("none.signed.test").await), "serverfailure");
    assert_eq!(words(&both("text.signed.test").await), "secure nodata");
    assert_eq!(words(&both("nothing.signed.test").await), "secure nxdomain");
    let v6 = resolver.addresses(&domain("v4.signed.test"), Families::V6).await;
    assert_eq!(words(&v6), "serverfailure");
}
