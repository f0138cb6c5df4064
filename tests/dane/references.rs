//! Whom the certificate must name, and which name is asked for (RFC 7672 §3.2.2, §8.1).

use waxseal_testbed::dns::Zone;
use waxseal_types::TlsLevel::{Dane, DaneOnly};

use crate::ground::{DEST, Ground, HOST, PKI, Records, leaf, server, zone};

/// The certificate names this host alone; the end under DANE-TA.
async fn named(name: &str, make: impl Fn(u16) -> Zone, hop: &str, end: &str) {
    let ground = Ground::new([server(&leaf(&[name]))]).await;
    ground.expect(&make(ground.port()), Dane, hop, end).await;
}

#[tokio::test]
async fn rfc7672_3_2_2_the_base_domain_and_the_next_hop_are_who_may_be_named() {
    let plain = |port| zone(1).ta(HOST, port);
    for (name, end) in [
        (HOST, "1 verified"),
        (DEST, "1 verified"),
        ("*.d.test", "1 verified"),
        ("mx2.d.test", "deferred 4.7.5"),
        ("test", "deferred 4.7.5"),
        ("nobody.invalid", "deferred 4.7.5"),
    ] {
        named(name, plain, DEST, end).await;
    }
    // RFC 7672 §3.1.1: a name that fits nobody is nothing to DANE-EE.
    let stranger = leaf(&["nobody.invalid"]);
    let ground = Ground::new([server(&stranger)]).await;
    ground.expect(&zone(1).ee(HOST, ground.port(), &stranger), DaneOnly, DEST, "1 verified").await;
}

#[tokio::test]
async fn rfc7672_3_2_2_the_expanded_next_hop_is_the_third_name() {
    let aliased =
        |port| zone(1).cname("www.d.test", "inner.d.test").cname("inner.d.test", DEST).ta(HOST, port);
    for (name, end) in [
        (HOST, "1 verified"),
        ("www.d.test", "1 verified"),
        (DEST, "1 verified"),
        ("inner.d.test", "deferred 4.7.5"),
    ] {
        named(name, aliased, "www.d.test", end).await;
    }
}

/// RFC 7672 §3.2.2 would have the host's name alone behind insecure MX records; Postfix takes the next hop's, too, and so do we: see the
/// table. It is `trusted` and no more, so that nothing is claimed of the next hop.
#[tokio::test]
async fn rfc7672_3_2_2_behind_insecure_mx_records_names_are_postfix_s() {
    let unsigned = |port| zone(1).mx("plain.test", 10, HOST).ta(HOST, port);
    for (name, end) in [
        (HOST, "1 trusted"),
        ("plain.test", "1 trusted"),
        (DEST, "deferred 4.7.5"),
        ("mx2.d.test", "deferred 4.7.5"),
    ] {
        named(name, unsigned, "plain.test", end).await;
    }
}

#[tokio::test]
async fn rfc7672_3_2_2_without_mx_records_the_next_hop_is_the_second_name() {
    // The next hop is an alias of the host: the expanded name is the base domain.
    let aliased = |port| {
        zone(0).cname("www.d.test", "host.d.test").a("host.d.test", [127, 0, 0, 1]).ta("host.d.test", port)
    };
    for (name, end) in [("host.d.test", "1 verified"), ("www.d.test", "1 verified"), (DEST, "deferred 4.7.5")]
    {
        named(name, aliased, "www.d.test", end).await;
    }
    // A host in brackets is looked up as such: it is the only name.
    let bracketed = |port| zone(1).ta(HOST, port);
    for (name, end) in [(HOST, "1 verified"), (DEST, "deferred 4.7.5")] {
        named(name, bracketed, &format!("[{HOST}]"), end).await;
    }
}

/// Threat D5.
#[tokio::test]
async fn rfc7672_8_1_the_server_name_is_the_tlsa_base_domain() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let port = ground.port();
    let to = |target: &str| zone(0).mx(DEST, 10, HOST).cname(HOST, target).a(target, [127, 0, 0, 1]);
    for (what, zone, hop, sni) in [
        ("MX", zone(1).ee(HOST, port, &PKI.own), DEST, Some(HOST)),
        (
            "MX and alias, both secure",
            to("real.d.test").ee("real.d.test", port, &PKI.own),
            DEST,
            Some("real.d.test"),
        ),
        ("MX and insecure alias", to("host.plain.test").ee(HOST, port, &PKI.own), DEST, Some(HOST)),
        ("host", zone(1).ee(HOST, port, &PKI.own), "[mx1.d.test]", Some(HOST)),
        ("no TLSA records", zone(1), DEST, None),
    ] {
        for told in ground.deliver(&zone, Dane, hop, |_| {}).await {
            assert!(told.end().starts_with('1'), "{what}: {told:#?}");
            assert_eq!(told.sni(), [sni], "{what}");
        }
    }
    // postconf(5) smtp_tls_servername: not while DANE is in effect.
    let zone = zone(1).ee(HOST, port, &PKI.own);
    let change = |lane: &mut waxseal_tests::Lane| {
        *lane = lane.clone().policies(&["d.test dane servername=other.test"])
    };
    for told in ground.deliver(&zone, Dane, DEST, change).await {
        assert_eq!(told.sni(), [Some(HOST)]);
    }
}

/// RFC 7672 §8.1: a server with several names shows the certificate that the records are about only to who asks for the base domain.
#[tokio::test]
async fn rfc7672_8_1_a_server_of_many_names_shows_the_right_certificate() {
    let builder = server(&leaf(&["other.example.test"])).certificate_for(HOST, PKI.leaf.clone());
    let ground = Ground::new([builder]).await;
    ground.expect(&zone(1).ee(HOST, ground.port(), &PKI.leaf), DaneOnly, DEST, "1 verified").await;
}
