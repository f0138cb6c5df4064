//! What the TLSA records of a host demand, and what follows when it is missed (RFC 7672 §2.2, §9.1).

use std::time::Duration;

use waxseal_testbed::{Handshake, Peer, dns::Zone};
use waxseal_types::TlsLevel::{self, Dane, DaneOnly};

use crate::ground::{DEST, Dns, Ground, HOST, PKI, Records, Way, letter, server, sha256, sha512, zone};

/// The table of RFC 7672 §2.2: what DNS says of the first host, and the end with a server that has STARTTLS and with one that has not.
#[tokio::test]
async fn rfc7672_2_2_four_answers_four_demands() {
    let (tls, clear) = (Ground::new([server(&PKI.own)]).await, Ground::new([Peer::builder()]).await);
    type Make = fn(Zone, u16) -> Zone;
    let table: [(&str, Make, TlsLevel, &str, &str); 12] = [
        ("usable, matches", |z, port| z.ee(HOST, port, &PKI.own), Dane, "1 verified", "deferred 4.7.4"),
        ("usable, matches", |z, port| z.ee(HOST, port, &PKI.own), DaneOnly, "1 verified", "deferred 4.7.4"),
        ("usable, does not match", |z, port| z.wrong(HOST, port), Dane, "deferred 4.7.5", "deferred 4.7.4"),
        (
            "usable, does not match",
            |z, port| z.wrong(HOST, port),
            DaneOnly,
            "deferred 4.7.5",
            "deferred 4.7.4",
        ),
        ("unusable", |z, port| z.pkix(HOST, port, &PKI.own), Dane, "1 untrusted", "deferred 4.7.4"),
        ("unusable", |z, port| z.pkix(HOST, port, &PKI.own), DaneOnly, "deferred 4.7.5", "deferred 4.7.5"),
        ("none", |z, _| z, Dane, "1 untrusted", "1 clear"),
        ("none", |z, _| z, DaneOnly, "deferred 4.7.5", "deferred 4.7.5"),
        ("insecure", insecure, Dane, "1 untrusted", "1 clear"),
        ("insecure", insecure, DaneOnly, "deferred 4.7.5", "deferred 4.7.5"),
        ("bogus", bogus, Dane, "deferred 4.7.5", "deferred 4.7.5"),
        ("bogus", bogus, DaneOnly, "deferred 4.7.5", "deferred 4.7.5"),
    ];
    for (what, make, level, sealed, in_clear) in table {
        for (ground, end) in [(&tls, sealed), (&clear, in_clear)] {
            for told in ground.deliver(&make(zone(1), ground.port()), level, DEST, |_| {}).await {
                assert_eq!(told.end(), end, "{what} at {level}: {told:#?}");
                assert!(end.starts_with('1') || told.nothing_was_told(), "{what} at {level}: {told:#?}");
            }
        }
    }
}

/// Secure addresses, and TLSA records behind an alias into a zone without signatures; they would not match.
fn insecure(zone: Zone, port: u16) -> Zone {
    let away = format!("_{port}._tcp.t.plain.test");
    zone.cname(&format!("_{port}._tcp.{HOST}"), &away).wrong("t.plain.test", port)
}

fn bogus(zone: Zone, port: u16) -> Zone {
    zone.ee(HOST, port, &PKI.own).tampered(&format!("_{port}._tcp.{HOST}"), "TLSA")
}

#[tokio::test]
async fn rfc7672_2_2_a_host_that_does_not_match_is_left_for_the_next_and_never_bounces() {
    let ground = Ground::new([server(&PKI.leaf), server(&PKI.own)]).await;
    let port = ground.port();
    let zone = zone(2).wrong(HOST, port);
    let ee = zone.clone().ee("mx2.d.test", port, &PKI.own);
    for told in ground.expect(&ee, Dane, DEST, "2 verified").await {
        assert_eq!(told.connections(), [1, 1]);
        // RFC 6698 §4.1: nothing but the end is said where the certificate does not match.
        let said = &told.servers[0].commands;
        assert!(
            said.iter().all(|line| ["EHLO", "STARTTLS", "QUIT"].iter().any(|w| line.starts_with(w))),
            "{said:?}"
        );
    }
    for told in ground.expect(&zone.wrong("mx2.d.test", port), Dane, DEST, "deferred 4.7.5").await {
        assert!(told.nothing_was_told());
        assert!(told.reason().contains("no matching DANE TLSA records"), "{}", told.reason());
    }
}

/// Threat D3; RFC 7672 §2.2.3: one secure record, of whatever kind, and TLS is a must.
#[tokio::test]
async fn rfc7672_2_2_records_that_cannot_be_used_demand_tls_all_the_same() {
    let (tls, clear) = (Ground::new([server(&PKI.own)]).await, Ground::new([Peer::builder()]).await);
    let good = sha256(PKI.own.public_key());
    for (numbers, data) in [
        ((0, 0, 1), &good[..]),
        ((1, 1, 1), &good),
        ((4, 1, 1), &good),
        ((255, 1, 1), &good),
        ((3, 2, 1), &good),
        ((3, 1, 3), &good),
        ((3, 1, 255), &good),
        ((3, 1, 1), &good[..31]),
        ((3, 1, 2), &good),
        ((3, 1, 1), &[]),
        ((3, 0, 0), &[0x30, 0]),
        ((2, 1, 0), b"no key"),
    ] {
        let with = |ground: &Ground| zone(1).tlsa(HOST, ground.port(), numbers, data);
        tls.expect(&with(&tls), Dane, DEST, "1 untrusted").await;
        for told in clear.expect(&with(&clear), Dane, DEST, "deferred 4.7.4").await {
            assert!(told.nothing_was_told(), "{numbers:?}");
        }
        // Told apart by the policy alone, or by the records against a chain: both are no way down for dane-only.
        if numbers.2 != 1 {
            for told in tls.expect(&with(&tls), DaneOnly, DEST, "deferred 4.7.5").await {
                assert!(told.nothing_was_told(), "{numbers:?}");
            }
        }
    }
}

/// RFC 7672 §3.1.3: what a usage 0 or 1 record says is not listened to, for or against the server.
#[tokio::test]
async fn rfc7672_3_1_3_usages_for_pkix_count_for_nothing() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let port = ground.port();
    let wrong_pkix =
        |zone: Zone| zone.tlsa(HOST, port, (1, 1, 1), &[0; 32]).tlsa(HOST, port, (0, 0, 1), &[0; 32]);
    for (zone, end) in [
        (zone(1).pkix(HOST, port, &PKI.own).wrong(HOST, port), "deferred 4.7.5"),
        (wrong_pkix(zone(1).ee(HOST, port, &PKI.own)), "1 verified"),
        (zone(1).tlsa(HOST, port, (9, 1, 1), &[0; 32]).ee(HOST, port, &PKI.own), "1 verified"),
    ] {
        ground.expect(&zone, Dane, DEST, end).await;
    }
}

#[tokio::test]
async fn rfc7672_2_2_clear_after_a_failed_handshake_only_where_nothing_is_demanded() {
    let broken = || server(&PKI.own).handshake(Handshake::Eof);
    let ground = Ground::new([broken()]).await;
    let port = ground.port();
    for (zone, level, end) in [
        (zone(1), Dane, "1 clear"),
        (zone(1).ee(HOST, port, &PKI.own), Dane, "deferred 4.7.5"),
        (zone(1).pkix(HOST, port, &PKI.own), Dane, "deferred 4.7.5"),
        (zone(1).ee(HOST, port, &PKI.own), DaneOnly, "deferred 4.7.5"),
    ] {
        for way in Way::BOTH {
            let dns = Dns::start(way, &zone).await;
            let before = ground.counts();
            // It has waited for longer than any back-off.
            let account = dns.lane(level, port).deliver(&letter(Duration::from_secs(86_400)), &[DEST]).await;
            let told = ground.told(way, account, dns.server.questions(), &before);
            assert_eq!(told.end(), end, "{level}: {told:#?}");
        }
    }
}

/// Threat D11: who has said that DANE is not to be used is not delayed by it.
#[tokio::test]
async fn rfc7672_9_1_a_policy_line_overrides_dane_for_its_destination_and_is_named() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let zone = zone(1).wrong(HOST, ground.port());
    ground.expect(&zone, Dane, DEST, "deferred 4.7.5").await;
    for (line, end) in [("may", "1 untrusted"), ("encrypt", "1 untrusted"), ("none", "1 clear")] {
        let entry = format!("{DEST} {line}");
        let change =
            |lane: &mut waxseal_tests::Lane| *lane = lane.clone().policies(&["other.test dane", &entry]);
        for told in ground.deliver(&zone, Dane, DEST, change).await {
            assert_eq!(told.end(), end, "{line}: {told:#?}");
            assert_eq!(told.asked("TLSA"), Vec::<&str>::new(), "{line}");
            assert!(
                told.account.policies[0].source.to_string().contains("test:2"),
                "{:?}",
                told.account.policies
            );
        }
    }
}

/// Threat D2: an answer that nobody signed proves nothing, whatever is in it.
#[tokio::test]
async fn rfc7672_2_2_what_is_not_secure_never_verifies() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let port = ground.port();
    let alias = zone(0).mx(DEST, 10, "mx.plain.test").cname("mx.plain.test", HOST).a(HOST, [127, 0, 0, 1]);
    for (what, zone, hop, at_dane) in [
        (
            "TLSA",
            zone(1).cname(&format!("_{port}._tcp.{HOST}"), &format!("_{port}._tcp.t.plain.test")).ee(
                "t.plain.test",
                port,
                &PKI.own,
            ),
            DEST,
            "1 untrusted",
        ),
        (
            "an alias on the way",
            alias.ee(HOST, port, &PKI.own).ee("mx.plain.test", port, &PKI.own),
            DEST,
            "1 untrusted",
        ),
        ("MX", zone(1).mx("plain.test", 10, HOST).ee(HOST, port, &PKI.own), "plain.test", "1 trusted"),
        (
            "everything",
            zone(0).mx("plain.test", 10, "mx.plain.test").a("mx.plain.test", [127, 0, 0, 1]).ee(
                "mx.plain.test",
                port,
                &PKI.own,
            ),
            "plain.test",
            "1 untrusted",
        ),
    ] {
        for told in ground.expect(&zone, Dane, hop, at_dane).await {
            assert!(told.account.connections.iter().all(|c| c.status.as_str() != "verified"), "{what}");
        }
        ground.expect(&zone, DaneOnly, hop, "deferred 4.7.5").await;
    }
}

/// Threat D2: the AD bit of a reply that passed on somebody's claim.
#[tokio::test]
async fn rfc7672_2_1_1_a_resolver_that_claims_security_convinces_nobody_who_validates() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let zone =
        Zone::new().mx("plain.test", 10, "mx.plain.test").a("mx.plain.test", [127, 0, 0, 1]).secure(DEST);
    let zone = zone.ee("mx.plain.test", ground.port(), &PKI.own);
    let dns = Dns::start(Way::Validate, &zone).await;
    dns.server.twist(|reply| reply.metadata.authentic_data = true);
    for (level, end) in [(Dane, "1 untrusted"), (DaneOnly, "deferred 4.7.5")] {
        let before = ground.counts();
        let account = dns.lane(level, ground.port()).deliver(&letter(Duration::ZERO), &["plain.test"]).await;
        assert_eq!(ground.told(Way::Validate, account, Vec::new(), &before).end(), end);
    }
}

/// postconf(5) tls_dane_digests; RFC 6698 §4.1.
#[tokio::test]
async fn rfc7671_9_digests_that_the_operator_took_out_make_records_unusable() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let port = ground.port();
    let strong = sha512(PKI.own.public_key());
    for (zone, digests, level, end) in [
        (zone(1).wrong(HOST, port), "sha512", Dane, "1 untrusted"),
        (zone(1).ee(HOST, port, &PKI.own), "sha512", DaneOnly, "deferred 4.7.5"),
        (zone(1).wrong(HOST, port).tlsa(HOST, port, (3, 1, 2), &strong), "sha512", DaneOnly, "1 verified"),
        (
            zone(1).wrong(HOST, port).tlsa(HOST, port, (3, 1, 2), &strong),
            "sha256 sha512",
            Dane,
            "deferred 4.7.5",
        ),
    ] {
        let order: waxseal_types::DigestOrder = digests.parse().expect("good names");
        let change = |lane: &mut waxseal_tests::Lane| lane.policy.smtp.dane_digests = order.clone();
        for told in ground.deliver(&zone, level, DEST, change).await {
            assert_eq!(told.end(), end, "{digests} at {level}: {told:#?}");
        }
    }
}
