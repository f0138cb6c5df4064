//! Where TLSA records are looked for (RFC 7672 §2.2.2 and §2.2.3).

use waxseal_testbed::dns::{Fault, Zone};
use waxseal_types::TlsLevel::{Dane, DaneOnly};

use crate::ground::{DEST, Ground, HOST, PKI, Records, leaf, server, zone};

fn owner(base: &str, port: u16) -> String {
    format!("_{port}._tcp.{base}")
}

#[tokio::test]
async fn rfc7672_2_2_2_addresses_are_asked_for_before_tlsa_records() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let zone = zone(1).ee(HOST, ground.port(), &PKI.own);
    for told in ground.expect(&zone, Dane, DEST, "1 verified").await {
        let place = |kind: &str| told.asked.iter().position(|asked| asked.kind == kind);
        assert!(place("A").is_some() && place("A") < place("TLSA"), "{:?}: {:?}", told.way, told.asked);
    }
}

#[tokio::test]
async fn rfc7672_2_2_2_a_host_without_addresses_is_asked_for_no_tlsa_records() {
    let ground = Ground::new([server(&PKI.own), server(&PKI.own)]).await;
    let port = ground.port();
    for none in [zone(2).without(HOST), zone(2).without(HOST).txt(HOST, "no address")] {
        let zone = none.ee(HOST, port, &PKI.own).ee("mx2.d.test", port, &PKI.own);
        for told in ground.expect(&zone, Dane, DEST, "2 verified").await {
            assert_eq!(told.asked("TLSA"), [owner("mx2.d.test", port)]);
        }
    }
}

#[tokio::test]
async fn rfc7672_2_2_2_behind_insecure_addresses_no_tlsa_records_are_asked_for() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let host = "mx.plain.test";
    // The zone's server cannot answer for TLSA records, which is nobody's concern.
    let zone = zone(0).mx(DEST, 10, host).a(host, [127, 0, 0, 1]).ee(host, ground.port(), &PKI.own).fault(
        &owner(host, ground.port()),
        "TLSA",
        Fault::Silent,
    );
    for told in ground.expect(&zone, Dane, DEST, "1 untrusted").await {
        assert_eq!(told.asked("TLSA"), Vec::<&str>::new());
        assert_eq!(told.asked("CNAME"), Vec::<&str>::new(), "what is no alias needs no such question");
    }
    ground.expect(&zone, DaneOnly, DEST, "deferred 4.7.5").await;
}

/// RFC 7672 §2.1.3 and §2.2.2: nist.gov's case.
#[tokio::test]
async fn rfc7672_2_1_3_an_insecure_alias_target_takes_one_question_for_the_alias_itself() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let port = ground.port();
    let aliased =
        zone(0).mx(DEST, 10, HOST).cname(HOST, "host.plain.test").a("host.plain.test", [127, 0, 0, 1]);
    let signed = aliased.clone().ee(HOST, port, &PKI.own).wrong("host.plain.test", port);
    for told in ground.expect(&signed, Dane, DEST, "1 verified").await {
        assert_eq!(told.asked("TLSA"), [owner(HOST, port)], "the target is no candidate");
        assert_eq!(told.sni(), [Some(HOST)]);
        let asked: Vec<_> = told.asked.iter().filter(|asked| asked.kind == "CNAME").collect();
        assert!(asked.len() == 1 && asked[0].name == HOST, "{asked:?}");
    }
    // That the alias is signed shows that there is something to break: an error is no absence here either.
    for zone in
        [signed.clone().fault(HOST, "CNAME", Fault::ServFail), signed.fault(HOST, "CNAME", Fault::Refused)]
    {
        for told in ground.expect(&zone, Dane, DEST, "deferred 4.7.5").await {
            assert_eq!(told.connections(), [0]);
        }
    }
    let none = aliased.ee("host.plain.test", port, &PKI.own);
    ground.expect(&none, Dane, DEST, "1 untrusted").await;
    // An alias that is not signed itself.
    let zone = zone(0)
        .mx(DEST, 10, "mx.plain.test")
        .cname("mx.plain.test", HOST)
        .a(HOST, [127, 0, 0, 1])
        .wrong(HOST, port)
        .wrong("mx.plain.test", port);
    for told in ground.expect(&zone, Dane, DEST, "1 untrusted").await {
        assert_eq!(told.asked("TLSA"), Vec::<&str>::new());
    }
}

/// RFC 7671 §7, too: the expanded name is the better base.
#[tokio::test]
async fn rfc7672_2_2_3_the_expanded_name_comes_before_the_original_one() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let port = ground.port();
    let target = "real.d.test";
    let aliased = || zone(0).mx(DEST, 10, HOST).cname(HOST, target).a(target, [127, 0, 0, 1]);
    let (first, second) = (owner(target, port), owner(HOST, port));
    for (what, zone, end, asked, sni) in [
        (
            "at both",
            aliased().ee(target, port, &PKI.own).wrong(HOST, port),
            "1 verified",
            vec![&first],
            target,
        ),
        ("at the target", aliased().ee(target, port, &PKI.own), "1 verified", vec![&first], target),
        ("at the alias", aliased().ee(HOST, port, &PKI.own), "1 verified", vec![&first, &second], HOST),
        (
            "both, target wrong",
            aliased().wrong(target, port).ee(HOST, port, &PKI.own),
            "deferred 4.7.5",
            vec![&first],
            target,
        ),
    ] {
        for told in ground.expect(&zone, Dane, DEST, end).await {
            assert_eq!(told.asked("TLSA"), asked, "{what}");
            assert!(told.sni().iter().all(|name| *name == Some(sni)), "{what}: {:?}", told.sni());
        }
    }
    // An error at the first candidate does not lead to the second.
    let zone = aliased().ee(HOST, port, &PKI.own).fault(&first, "TLSA", Fault::ServFail);
    for told in ground.expect(&zone, Dane, DEST, "deferred 4.7.5").await {
        assert_eq!((told.asked("TLSA"), told.connections()), (vec![first.as_str()], vec![0]));
    }
}

#[tokio::test]
async fn rfc7672_2_2_3_names_between_alias_and_target_are_no_candidates() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let port = ground.port();
    let zone = zone(0)
        .mx(DEST, 10, HOST)
        .cname(HOST, "middle.d.test")
        .cname("middle.d.test", "end.d.test")
        .a("end.d.test", [127, 0, 0, 1])
        .wrong("middle.d.test", port);
    for told in ground.expect(&zone, Dane, DEST, "1 untrusted").await {
        assert_eq!(told.asked("TLSA"), [owner("end.d.test", port), owner(HOST, port)]);
    }
}

#[tokio::test]
async fn rfc7672_2_2_3_the_question_has_the_real_port() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let port = ground.port();
    let zone = zone(1).ee(HOST, port, &PKI.own).wrong(HOST, 25);
    for hop in [format!("[{HOST}]:{port}"), format!("{DEST}:{port}")] {
        for told in ground.deliver(&zone, Dane, &hop, |lane| lane.queue.port = 25).await {
            assert_eq!(told.end(), "1 verified", "{hop}: {told:#?}");
            assert_eq!(told.asked("TLSA"), [owner(HOST, port)], "{hop}");
        }
    }
}

#[tokio::test]
async fn rfc7672_2_2_3_a_tlsa_alias_is_followed_and_the_base_stays() {
    let (right, stranger) = (leaf(&[HOST]), leaf(&["tlsa._dane.d.test"]));
    for (certificate, end) in [(&right, "1 verified"), (&stranger, "deferred 4.7.5")] {
        let ground = Ground::new([server(certificate)]).await;
        let port = ground.port();
        // RFC 7671 §6: one record for many hosts.
        let zone = zone(1)
            .cname(&owner(HOST, port), &owner("tlsa._dane.d.test", port))
            .ta("tlsa._dane.d.test", port);
        for told in ground.expect(&zone, Dane, DEST, end).await {
            assert!(told.sni().iter().all(|name| *name == Some(HOST)), "{:?}", told.sni());
        }
    }
}

#[tokio::test]
async fn rfc7672_2_2_3_an_insecure_tlsa_answer_leads_to_the_next_candidate() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let port = ground.port();
    let target = "real.d.test";
    let aliased = |zone: Zone| zone.mx(DEST, 10, HOST).cname(HOST, target).a(target, [127, 0, 0, 1]);
    // The record itself would not match: it must not count, at this base.
    let out = |zone: Zone| {
        zone.cname(&owner(target, port), &owner("t.plain.test", port)).wrong("t.plain.test", port)
    };
    // RFC 7672 §2.1.3: from secure to insecure and back to secure is insecure.
    let back = |zone: Zone| {
        zone.cname(&owner(target, port), "t.plain.test")
            .cname("t.plain.test", &owner("t.d.test", port))
            .wrong("t.d.test", port)
    };
    for (what, zone) in [("to insecure", out(aliased(zone(0)))), ("and back", back(aliased(zone(0))))] {
        let then = zone.clone().ee(HOST, port, &PKI.own);
        for told in ground.expect(&then, Dane, DEST, "1 verified").await {
            assert_eq!(told.sni(), [Some(HOST)], "{what}");
        }
        ground.expect(&zone, Dane, DEST, "1 untrusted").await;
        ground.expect(&zone, DaneOnly, DEST, "deferred 4.7.5").await;
    }
}
