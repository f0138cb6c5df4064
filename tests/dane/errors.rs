//! An error is never "there is none" (RFC 7672 §2.1).

use std::time::Duration;

use waxseal_testbed::dns::{Break, Fault, Zone};
use waxseal_types::TlsLevel::{Dane, DaneOnly};

use crate::ground::{DEST, Ground, HOST, PKI, Records, server, zone};

/// All ways in which a question can fail.
const FAULTS: [Fault; 8] = [
    Fault::ServFail,
    Fault::Refused,
    Fault::NotImp,
    Fault::FormErr,
    Fault::Silent,
    Fault::TruncatedTcpDead,
    Fault::Garbage,
    Fault::WrongQuestion,
];

/// Each of them, and what DNSSEC can find wrong, for the records of this kind at this name.
fn broken(zone: &Zone, owner: &str, kind: &str) -> Vec<(String, Zone)> {
    let fault = |fault: &Fault| (format!("{fault:?}"), zone.clone().fault(owner, kind, *fault));
    let mut all: Vec<(String, Zone)> = FAULTS.iter().map(fault).collect();
    all.push(("bad signature".into(), zone.clone().tampered(owner, kind)));
    all
}

/// Those that answer nothing are waited for.
const PATIENCE: Duration = Duration::from_millis(250);

#[tokio::test]
async fn rfc7672_2_1_1_no_error_of_the_mx_lookup_is_an_answer() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let good = zone(1).ee(HOST, ground.port(), &PKI.own);
    ground.expect(&good, Dane, DEST, "1 verified").await;
    for (what, zone) in broken(&good, DEST, "MX") {
        for told in ground.deliver(&zone, Dane, DEST, |lane| lane.dns.timeout = PATIENCE).await {
            // RFC 7672 §2.1.2: delayed, and not bounced.
            assert!(told.end().starts_with("deferred 4."), "{what}: {told:#?}");
            assert_eq!(told.connections(), [0], "{what}");
            assert_eq!(
                told.asked("A"),
                Vec::<&str>::new(),
                "{what}: the domain is not taken for its own host"
            );
        }
    }
}

#[tokio::test]
async fn rfc7672_2_1_1_a_zone_that_is_bogus_as_a_whole_delays() {
    let ground = Ground::new([server(&PKI.own)]).await;
    for how in [Break::Expired, Break::NotYetValid, Break::WrongDs, Break::Unsigned] {
        let zone = Zone::new().broken(DEST, how).mx(DEST, 10, HOST).a(HOST, [127, 0, 0, 1]);
        for level in [Dane, DaneOnly] {
            for told in ground.deliver(&zone, level, DEST, |_| {}).await {
                assert!(told.end().starts_with("deferred 4."), "{how:?}: {told:#?}");
                assert_eq!(told.connections(), [0], "{how:?}");
            }
        }
    }
    // RFC 4035 §5.2: an algorithm that nobody knows makes a zone unsigned, which is no error.
    let zone = Zone::new().broken(DEST, Break::UnknownAlgorithm).mx(DEST, 10, HOST).a(HOST, [127, 0, 0, 1]);
    ground.expect(&zone, Dane, DEST, "1 untrusted").await;
}

#[tokio::test]
async fn rfc7672_2_1_1_absence_of_tlsa_records_secure_or_insecure_is_an_answer() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let owner = format!("_{}._tcp.{HOST}", ground.port());
    for (what, zone) in [
        ("NXDOMAIN", zone(1)),
        ("NODATA", zone(1).txt(&owner, "another type")),
        ("NSEC3", zone(1).nsec3(DEST, 0)),
        // RFC 5155 §6: nothing is proven of an opted-out span, so the absence is insecure.
        ("opt-out", zone(1).opt_out(DEST)),
    ] {
        for told in ground.expect(&zone, Dane, DEST, "1 untrusted").await {
            assert_eq!(told.asked("TLSA"), [&owner], "{what}");
        }
        ground.expect(&zone, DaneOnly, DEST, "deferred 4.7.5").await;
    }
}

#[tokio::test]
async fn rfc7672_2_1_2_an_address_lookup_that_fails_leads_to_the_next_host() {
    let ground = Ground::new([server(&PKI.own), server(&PKI.own)]).await;
    let good = zone(2).ee("mx2.d.test", ground.port(), &PKI.own);
    for (what, zone) in
        [("SERVFAIL", good.clone().fault_all(HOST, Fault::ServFail)), ("bogus", good.tampered(HOST, "A"))]
    {
        for told in ground.expect(&zone, Dane, DEST, "2 verified").await {
            assert_eq!(told.connections(), [0, 1], "{what}");
            assert!(told.asked("TLSA").iter().all(|name| name.ends_with("mx2.d.test")), "{what}");
        }
    }
}

/// Threat D1.
#[tokio::test]
async fn rfc7672_2_1_2_a_tlsa_lookup_that_fails_makes_the_host_unreachable() {
    let ground = Ground::new([server(&PKI.own), server(&PKI.own)]).await;
    let owner = format!("_{}._tcp.{HOST}", ground.port());
    let alone = zone(1).ee(HOST, ground.port(), &PKI.own);
    for (what, zone) in broken(&alone, &owner, "TLSA") {
        // The silent ones are waited for, and once is enough.
        let levels = if what == "ServFail" { &[Dane, DaneOnly][..] } else { &[Dane] };
        for level in levels {
            for told in ground.deliver(&zone, *level, DEST, |lane| lane.dns.timeout = PATIENCE).await {
                assert_eq!(told.end(), "deferred 4.7.5", "{what}: {told:#?}");
                // RFC 7672 §10: not even a connection.
                assert_eq!(told.connections(), [0, 0], "{what}");
                assert!(
                    told.reason().contains(&format!("TLSA lookup error for {HOST}")),
                    "{}",
                    told.reason()
                );
            }
        }
    }
    let two = zone(2).ee(HOST, ground.port(), &PKI.own).ee("mx2.d.test", ground.port(), &PKI.own);
    for (what, zone) in [
        ("SERVFAIL", two.clone().fault(&owner, "TLSA", Fault::ServFail)),
        ("bogus", two.tampered(&owner, "TLSA")),
    ] {
        for told in ground.expect(&zone, Dane, DEST, "2 verified").await {
            assert_eq!(told.connections(), [0, 1], "{what}");
        }
    }
}

#[tokio::test]
async fn rfc7672_2_1_2_without_a_host_that_can_be_used_the_message_waits() {
    let ground = Ground::new([server(&PKI.own), server(&PKI.own)]).await;
    let port = ground.port();
    let zone = zone(2).fault(&format!("_{port}._tcp.{HOST}"), "TLSA", Fault::ServFail).fault(
        &format!("_{port}._tcp.mx2.d.test"),
        "TLSA",
        Fault::ServFail,
    );
    for told in ground.expect(&zone, Dane, DEST, "deferred 4.7.5").await {
        assert_eq!(told.connections(), [0, 0]);
    }
}

#[tokio::test]
async fn rfc7672_2_1_3_an_error_behind_an_alias_fails_the_whole_lookup() {
    let ground = Ground::new([server(&PKI.own), server(&PKI.own)]).await;
    let port = ground.port();
    let two = || {
        zone(2)
            .ee("mx2.d.test", port, &PKI.own)
            .broken("bad.test", Break::Expired)
            .a("host.bad.test", [127, 0, 0, 1])
            .tlsa("host.bad.test", port, (3, 1, 1), &[1; 32])
    };
    let owner = format!("_{port}._tcp.{HOST}");
    for (what, zone) in [
        ("address", two().without(HOST).cname(HOST, "alias.d.test").cname("alias.d.test", "host.bad.test")),
        (
            "TLSA",
            two().cname(&owner, "tlsa.d.test").cname("tlsa.d.test", &format!("_{port}._tcp.host.bad.test")),
        ),
    ] {
        for told in ground.expect(&zone, Dane, DEST, "2 verified").await {
            assert_eq!(told.connections(), [0, 1], "{what}: {told:#?}");
        }
    }
    let zone =
        two().cname("www.d.test", "alias.d.test").cname("alias.d.test", "bad.test").mx("bad.test", 10, HOST);
    for told in ground.deliver(&zone, Dane, "www.d.test", |_| {}).await {
        assert!(told.end().starts_with("deferred 4."), "{told:#?}");
        assert_eq!(told.connections(), [0, 0]);
    }
}

/// Threat D13.
#[tokio::test]
async fn rfc7672_2_1_3_aliases_are_followed_ten_times_and_no_further() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let port = ground.port();
    let chain = |steps: usize| {
        let mut chain = zone(0).mx(DEST, 10, "c0.d.test");
        for step in 0..steps {
            chain = chain.cname(&format!("c{step}.d.test"), &format!("c{}.d.test", step + 1));
        }
        let end = format!("c{steps}.d.test");
        chain.a(&end, [127, 0, 0, 1]).ee(&end, port, &PKI.own)
    };
    for (steps, end) in [(1, "1 verified"), (8, "1 verified"), (10, "1 verified"), (11, "deferred 4.4.3")] {
        for told in ground.expect(&chain(steps), Dane, DEST, end).await {
            assert_eq!(told.connections(), [usize::from(end == "1 verified")], "{steps} aliases");
        }
    }
    let looped =
        zone(0).mx(DEST, 10, "c0.d.test").cname("c0.d.test", "c1.d.test").cname("c1.d.test", "c0.d.test");
    let own = zone(0).mx(DEST, 10, "c0.d.test").cname("c0.d.test", "c0.d.test");
    for zone in [looped, own] {
        for told in ground.deliver(&zone, Dane, DEST, |_| {}).await {
            assert!(told.end().starts_with("deferred 4."), "{told:#?}");
            assert!(told.asked.len() < 40, "bounded: {}", told.asked.len());
        }
    }
}

#[tokio::test]
async fn rfc7672_2_1_3_an_alias_made_of_a_dname_is_an_alias() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let zone = zone(0)
        .mx(DEST, 10, "mx.old.d.test")
        .dname("old.d.test", "new.d.test")
        .a("mx.new.d.test", [127, 0, 0, 1])
        .ee("mx.new.d.test", ground.port(), &PKI.own);
    for told in ground.expect(&zone, Dane, DEST, "1 verified").await {
        assert_eq!(told.sni(), [Some("mx.new.d.test")]);
    }
}
