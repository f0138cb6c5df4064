//! The decision tables of RFC 7672 §2 and of Postfix's `dane_init`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::{sync::Arc, time::Duration};

use waxseal_policy::{
    InsecureMx, PolicyLookup, Settings, Step, TlsPolicy,
    dane::{Bases, Destination, Tlsas, bases, conclude, destination, lookup_error, may_be_usable},
};
use waxseal_types::{DnsAnswer, Domain, Lookup, Proof, Protocol, TlsDemand, TlsLevel, Tlsa};

fn domain(text: &str) -> Domain {
    Domain::new(text).unwrap()
}

fn policy(level: TlsLevel, insecure_mx: InsecureMx, blind: Option<&str>) -> TlsPolicy {
    let mut settings = Settings::default();
    settings.smtp.level = level;
    settings.smtp.insecure_mx = insecure_mx;
    settings.smtp.dane_blind = blind.map(Into::into);
    let lookup = PolicyLookup::new(&settings, Protocol::Smtp, &"example.com".parse().unwrap());
    let Step::Done(policy) = lookup.step() else { panic!() };
    policy.unwrap()
}

fn answer<T>(lookup: Lookup<T>, proof: Proof, canonical: Option<&str>) -> DnsAnswer<T> {
    DnsAnswer { lookup, proof, canonical: canonical.map(domain), ttl: Duration::from_secs(60) }
}

fn found(records: &[Tlsa]) -> Tlsas {
    Tlsas::Found { base: domain("mx.example.com"), records: Arc::from(records) }
}

fn good() -> Tlsa {
    Tlsa::new(3, 1, 1, &[7; 32])
}

#[test]
fn what_the_mx_lookup_means_for_the_destination() {
    use InsecureMx::{Dane, Encrypt, May};
    use Proof::{Insecure, Secure};
    use TlsLevel::{Dane as D, DaneOnly as O};
    let table = [
        (D, Dane, None, Secure, "dane"),
        (O, May, None, Secure, "dane"),
        (D, Dane, None, Insecure, "dane"),
        (D, Encrypt, None, Insecure, "dane"),
        (D, May, None, Insecure, "may: non DNSSEC destination"),
        (O, Dane, None, Insecure, "defer: non DNSSEC destination"),
        (D, Dane, Some("no DNSSEC"), Secure, "may: no DNSSEC"),
        (O, Dane, Some("no DNSSEC"), Secure, "defer: no DNSSEC"),
    ];
    for (level, insecure_mx, blind, mx, expected) in table {
        let got = match destination(&policy(level, insecure_mx, blind), mx) {
            Ok(Destination::Dane) => "dane".to_owned(),
            Ok(Destination::May(reason)) => format!("may: {reason}"),
            Err(error) => format!("defer: {}", error.reason),
        };
        assert_eq!(got, expected, "{level} {insecure_mx:?} {mx:?}");
    }
}

#[test]
fn where_tlsa_records_are_looked_for() {
    use Proof::{Insecure, Secure};
    let (host, target) = (domain("mx.example.com"), "real.example.net");
    let ask = |proof, canonical, alias: Option<&DnsAnswer<Domain>>| {
        bases(&host, &answer(Lookup::Found(()), proof, canonical), alias)
    };
    assert_eq!(ask(Secure, None, None), Bases::Ask(vec![host.clone()]));
    assert_eq!(ask(Secure, Some("mx.example.com"), None), Bases::Ask(vec![host.clone()]));
    assert_eq!(ask(Secure, Some(target), None), Bases::Ask(vec![domain(target), host.clone()]));
    assert_eq!(ask(Insecure, None, None), Bases::None);
    assert_eq!(ask(Insecure, Some(target), None), Bases::AskAlias);
    let alias = |lookup, proof| answer(lookup, proof, None);
    let signed = alias(Lookup::Found(domain(target)), Secure);
    assert_eq!(ask(Insecure, Some(target), Some(&signed)), Bases::Ask(vec![host.clone()]));
    for other in [
        alias(Lookup::Found(domain(target)), Insecure),
        alias(Lookup::NoData, Secure),
        alias(Lookup::NxDomain, Insecure),
    ] {
        assert_eq!(ask(Insecure, Some(target), Some(&other)), Bases::None);
    }
}

#[test]
fn only_a_secure_answer_with_records_counts() {
    let base = domain("mx.example.com");
    let of = |lookup, proof| Tlsas::of(&base, answer(lookup, proof, None));
    assert_eq!(of(Lookup::Found(vec![good()]), Proof::Secure), Some(found(&[good()])));
    assert_eq!(of(Lookup::Found(vec![good()]), Proof::Insecure), None);
    assert_eq!(of(Lookup::Found(vec![]), Proof::Secure), None);
    assert_eq!(of(Lookup::NoData, Proof::Secure), None);
    assert_eq!(of(Lookup::NxDomain, Proof::Secure), None);
}

#[test]
fn what_the_tlsa_records_mean_for_the_host() {
    use InsecureMx::{Dane, Encrypt, May};
    use Proof::{Insecure, Secure};
    use TlsLevel::{Dane as D, DaneOnly as O};
    let (unusable, failed) =
        (found(&[Tlsa::new(1, 1, 1, &[7; 32])]), lookup_error(&domain("mx.example.com"), 25));
    let table = [
        (D, Dane, Secure, Tlsas::None, "may no TLSA records found"),
        (O, Dane, Secure, Tlsas::None, "defer no TLSA records found"),
        (D, Dane, Secure, unusable.clone(), "encrypt TLSA records unusable"),
        (O, Dane, Secure, unusable.clone(), "defer TLSA records unusable"),
        (D, Dane, Secure, failed.clone(), "defer TLSA lookup error for mx.example.com:25"),
        (O, Dane, Secure, failed, "defer TLSA lookup error for mx.example.com:25"),
        (D, Dane, Secure, found(&[good()]), "dane secure"),
        (O, May, Secure, found(&[good()]), "dane secure"),
        (D, Dane, Insecure, found(&[good()]), "dane insecure"),
        (D, Encrypt, Insecure, found(&[good()]), "encrypt the MX records are not signed"),
        (D, Encrypt, Insecure, Tlsas::None, "may no TLSA records found"),
        (D, Dane, Insecure, unusable, "encrypt TLSA records unusable"),
        (D, May, Insecure, found(&[good()]), "may non DNSSEC destination"),
        (O, Dane, Insecure, found(&[good()]), "defer non DNSSEC destination"),
    ];
    for (level, insecure_mx, mx, tlsas, expected) in table {
        let policy = policy(level, insecure_mx, None);
        let names = [domain("example.com"), domain("mx.example.com"), domain("alias.example.net")];
        let got = match conclude(&policy, mx, &names, tlsas, may_be_usable) {
            Err(error) => format!("defer {}", error.reason),
            Ok(conclusion) => match &conclusion.demand {
                TlsDemand::Opportunistic => format!("may {}", conclusion.reason.unwrap()),
                TlsDemand::Encrypted => format!("encrypt {}", conclusion.reason.unwrap()),
                TlsDemand::Dane(demand) => {
                    let names: Vec<&str> = demand.names.iter().map(Domain::as_str).collect();
                    assert_eq!(names, ["mx.example.com", "example.com", "alias.example.net"]);
                    assert_eq!(conclusion.base, Some(domain("mx.example.com")));
                    format!("dane {}", demand.mx.as_str())
                }
                other => panic!("{other:?}"),
            },
        };
        assert_eq!(got, expected, "{level} {insecure_mx:?} {mx:?}");
    }
}

#[test]
fn rfc7672_3_1_3_usages_of_pkix_and_unknown_ones_are_of_no_use() {
    let usable = |usage| may_be_usable(&Tlsa::new(usage, 1, 1, &[0; 32]));
    assert!(usable(2) && usable(3));
    assert!(![0, 1, 4, 255].into_iter().any(usable));
    // What is wrong with the rest of a record shows against a chain.
    assert!(may_be_usable(&Tlsa::new(3, 2, 9, &[])));
    assert!(!may_be_usable(&Tlsa::new(3, 1, 255, &[0; 32])), "RFC 7218 §2.3: private use");
}

#[test]
fn demand_without_tlsa_records_is_refused_at_dane_levels() {
    for level in [TlsLevel::Dane, TlsLevel::DaneOnly] {
        assert!(
            policy(level, InsecureMx::Dane, None).demand_for(&"example.com".parse().unwrap(), None).is_err()
        );
    }
}
