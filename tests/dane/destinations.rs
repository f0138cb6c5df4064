//! From a destination to its hosts: what the security of the MX records means (RFC 7672 §2.2.1).

use waxseal_policy::InsecureMx;
use waxseal_testbed::{Peer, dns::Zone};
use waxseal_types::TlsLevel::{Dane, DaneOnly};

use crate::ground::{DEST, Ground, HOST, PKI, Records, server, zone};

#[tokio::test]
async fn rfc7672_2_2_1_a_worse_host_with_tlsa_records_does_not_come_before_a_better_one_without() {
    let ground = Ground::new([server(&PKI.own), server(&PKI.own)]).await;
    let zone = zone(2).ee("mx2.d.test", ground.port(), &PKI.own);
    for told in ground.expect(&zone, Dane, DEST, "1 untrusted").await {
        assert_eq!(told.connections(), [1, 0]);
    }
    for told in ground.expect(&zone, DaneOnly, DEST, "2 verified").await {
        assert_eq!(told.connections(), [0, 1]);
    }
}

#[tokio::test]
async fn rfc7672_2_2_1_aliases_lead_to_the_mx_records() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let secure = zone(1)
        .cname("www.d.test", "one.d.test")
        .cname("one.d.test", "two.d.test")
        .cname("two.d.test", DEST)
        .ee(HOST, ground.port(), &PKI.own);
    ground.expect(&secure, DaneOnly, "www.d.test", "1 verified").await;
    // RFC 7672 §2.1.3: one insecure alias on the way makes the MX records insecure.
    let zone = secure.cname("www.plain.test", "www.d.test");
    for told in ground.expect(&zone, DaneOnly, "www.plain.test", "deferred 4.7.5").await {
        assert_eq!(told.connections(), [0]);
    }
    ground.expect(&zone, Dane, "www.plain.test", "1 trusted").await;
}

/// `plain.test` has no signatures, its host has.
fn unsigned_mx(port: u16) -> Zone {
    zone(1).mx("plain.test", 10, HOST).ee(HOST, port, &PKI.own)
}

#[tokio::test]
async fn rfc7672_2_2_1_behind_insecure_mx_records_mandatory_dane_delays() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let zone = unsigned_mx(ground.port());
    for setting in [InsecureMx::May, InsecureMx::Encrypt, InsecureMx::Dane] {
        let change = |lane: &mut waxseal_tests::Lane| lane.policy.smtp.insecure_mx = setting;
        for told in ground.deliver(&zone, DaneOnly, "plain.test", change).await {
            assert_eq!(told.end(), "deferred 4.7.5", "{setting:?}");
            assert_eq!(told.connections(), [0], "{setting:?}");
            assert!(told.reason().contains("non DNSSEC destination"), "{}", told.reason());
        }
    }
}

/// The three settings of `dane_insecure_mx_policy`, for a host that matches, one that does not, and one without STARTTLS.
#[tokio::test]
async fn rfc7672_2_2_1_behind_insecure_mx_records_opportunistic_dane_is_what_the_operator_says() {
    use InsecureMx::{Encrypt, May};
    let (tls, clear) = (Ground::new([server(&PKI.own)]).await, Ground::new([Peer::builder()]).await);
    for (setting, matches, mismatches, without) in [
        (May, "1 untrusted", "1 untrusted", "1 clear"),
        (Encrypt, "1 untrusted", "1 untrusted", "deferred 4.7.4"),
        (InsecureMx::Dane, "1 trusted", "deferred 4.7.5", "deferred 4.7.4"),
    ] {
        let change = |lane: &mut waxseal_tests::Lane| lane.policy.smtp.insecure_mx = setting;
        let wrong = zone(1).mx("plain.test", 10, HOST).wrong(HOST, tls.port());
        for (ground, zone, end) in [
            (&tls, unsigned_mx(tls.port()), matches),
            (&tls, wrong, mismatches),
            (&clear, unsigned_mx(clear.port()), without),
        ] {
            for told in ground.deliver(&zone, Dane, "plain.test", change).await {
                assert_eq!(told.end(), end, "{setting:?}: {told:#?}");
            }
        }
    }
}

/// Threat D12: behind an insecure MX the host is proven and the destination is not, so nothing says `verified`; and the host is named
/// as the MX record has it, not as its aliases end.
#[tokio::test]
async fn rfc7672_2_2_1_a_host_behind_insecure_mx_records_is_never_told_as_verified() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let zone = zone(0)
        .mx("plain.test", 10, "alias.d.test")
        .cname("alias.d.test", HOST)
        .a(HOST, [127, 0, 0, 1])
        .ee(HOST, ground.port(), &PKI.own);
    for told in ground.expect(&zone, Dane, "plain.test", "1 trusted").await {
        let connection = &told.account.connections[0];
        assert_eq!(connection.host.as_ref().map(|host| host.as_str()), Some("alias.d.test"));
        assert_eq!(connection.status, waxseal_types::TlsStatus::Trusted);
        assert!(connection.matched.as_ref().is_some_and(|matched| matched.starts_with("TLSA 3 1 1")));
    }
}

/// Absence of MX records that is proven leads to the domain itself, which is then a destination of DANE like any other.
#[tokio::test]
async fn rfc7672_2_2_1_a_domain_without_mx_records_is_its_own_host() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let zone = zone(0).a(DEST, [127, 0, 0, 1]).ee(DEST, ground.port(), &PKI.own);
    for told in ground.expect(&zone, DaneOnly, DEST, "1 verified").await {
        assert_eq!(told.sni(), [Some(DEST)]);
    }
    let zone = zone.a("plain.test", [127, 0, 0, 1]).ee("plain.test", ground.port(), &PKI.own);
    ground.expect(&zone, DaneOnly, "plain.test", "deferred 4.7.5").await;
}

#[tokio::test]
async fn rfc7672_2_2_dane_does_not_apply_to_addresses() {
    let (tls, clear) = (Ground::new([server(&PKI.own)]).await, Ground::new([Peer::builder()]).await);
    let nothing = zone(0);
    for (ground, end) in [(&tls, "1 untrusted"), (&clear, "1 clear")] {
        let literal = format!("[127.0.0.1]:{}", ground.port());
        for told in ground.expect(&nothing, Dane, &literal, end).await {
            assert_eq!(told.asked.len(), 0, "{:?}", told.asked);
            assert!(told.sni().iter().all(Option::is_none), "RFC 6066 §3: an address is no server name");
        }
        for told in ground.expect(&nothing, DaneOnly, &literal, "deferred 4.7.5").await {
            assert_eq!(told.connections(), [0]);
        }
    }
    // RFC 5321 §5.1: an MX record names a host; one that has an address in it is a mistake, and no way to the address.
    let zone = zone(0).mx(DEST, 10, "127.0.0.1");
    for level in [Dane, DaneOnly] {
        for told in tls.deliver(&zone, level, DEST, |_| {}).await {
            assert!(told.end().starts_with("deferred 4."), "{told:#?}");
            assert_eq!(told.connections(), [0]);
        }
    }
}

/// Threat D14.
#[tokio::test]
async fn rfc5321_5_1_hundreds_of_mx_records_cost_a_bounded_number_of_questions_and_connections() {
    let refusing = || Peer::builder().greeting("421 4.3.2 busy");
    let ground = Ground::new([refusing(), refusing()]).await;
    let mut many = zone(0);
    for number in 0..300_u16 {
        many = many.mx("plain.test", number, &format!("mx{number}.plain.test"));
    }
    for told in ground.deliver(&many, Dane, "plain.test", |_| {}).await {
        assert!(told.asked("A").len() <= 50, "{}", told.asked("A").len());
    }
    for number in 0..40_u16 {
        let last = if number % 2 == 0 { 1 } else { 2 };
        many = many.a(&format!("mx{number}.plain.test"), [127, 0, 0, last]);
    }
    for told in ground.deliver(&many, Dane, "plain.test", |lane| lane.queue.mx_session_limit = 2).await {
        assert!(told.end().starts_with("deferred 4."), "{told:#?}");
        // postconf(5) smtp_mx_address_limit.
        assert_eq!(told.connections().iter().sum::<usize>(), 5);
    }
}
