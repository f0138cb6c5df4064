//! The decision tables of RFC 7672 §2 and of Postfix's `dane_init`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::{sync::Arc, time::Duration};

use waxseal_policy::{
    InsecureMx, PolicyLookup, Settings, Step, TlsPolicy,
    dane::{Bases, Destination, Tlsas, bases, conclude, destination, lookup_error, may_be_usable},
};
use waxseal_types::{DnsAnswer, Domain, Lookup, Proof, Service, TlsDemand, TlsLevel, Tlsa};

fn domain(text: &str) -> Domain {
    Domain::new(text).unwrap()
}

fn policy(level: TlsLevel, insecure_mx: InsecureMx, blind: Option<&str>) -> TlsPolicy {
    let mut settings = Settings::default();
    settings.smtp.level = level;
    settings.smtp.insecure_mx = insecure_mx;
    settings.smtp.dane_blind = blind.map(Into::into);
    let lookup = PolicyLookup::new(&settings, &Service::SMTP, &"example.com".parse().unwrap());
    let Step::Done(policy) = lookup.step() else { panic!() };
    policy.unwrap()
}

fn answer<T>(lookup: Lookup<T>, proof: Proof, canonical: Option<&str>) -> DnsAnswer<T> {
    DnsAnswer { lookup, proof, why: None, canonical: canonical.map(domain), ttl: Duration::from_secs(60) }
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

/// What DNS says under one candidate base domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Nothing,
    InsecureRecords,
    Usable,
    Unusable,
    Failed,
}

/// What DNS says of the host's addresses: the proof, and for an alias what its CNAME record is, if it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// An address, or a socket: no name.
    Literal,
    Plain(Proof),
    Alias(Proof, Option<Proof>),
    AliasFailed,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    level: TlsLevel,
    insecure_mx: InsecureMx,
    blind: bool,
    mx: Proof,
    way: Way,
    /// Under the expanded name and under the original one.
    found: [At; 2],
}

fn every_case() -> Vec<Case> {
    use Proof::{Insecure, Secure};
    let finds = [At::Nothing, At::InsecureRecords, At::Usable, At::Unusable, At::Failed];
    let ways = [
        Way::Literal,
        Way::Plain(Secure),
        Way::Plain(Insecure),
        Way::Alias(Secure, None),
        Way::Alias(Insecure, Some(Secure)),
        Way::Alias(Insecure, Some(Insecure)),
        Way::Alias(Insecure, None),
        Way::AliasFailed,
    ];
    let mut all = Vec::new();
    for level in [TlsLevel::Dane, TlsLevel::DaneOnly] {
        for insecure_mx in [InsecureMx::May, InsecureMx::Encrypt, InsecureMx::Dane] {
            for blind in [false, true] {
                for mx in [Secure, Insecure] {
                    for way in ways {
                        for first in finds {
                            for second in finds {
                                all.push(Case { level, insecure_mx, blind, mx, way, found: [first, second] });
                            }
                        }
                    }
                }
            }
        }
    }
    all
}

const TARGET: &str = "real.example.net";

/// By the functions under test, put together as the plan does.
fn decided(case: &Case) -> String {
    let policy = policy(case.level, case.insecure_mx, case.blind.then_some("blind"));
    match destination(&policy, case.mx) {
        Err(_) => return "defer".into(),
        Ok(Destination::May(_)) => return "may".into(),
        Ok(Destination::Dane) => {}
    }
    let host = domain("mx.example.com");
    let addresses = |proof, canonical| answer(Lookup::Found(()), proof, canonical);
    let places = match case.way {
        Way::Literal => Bases::None,
        Way::Plain(proof) => bases(&host, &addresses(proof, None), None),
        Way::Alias(proof, alias) => match bases(&host, &addresses(proof, Some(TARGET)), None) {
            Bases::AskAlias => {
                let lookup = if alias.is_some() { Lookup::Found(domain(TARGET)) } else { Lookup::NoData };
                let record = answer(lookup, alias.unwrap_or(Proof::Secure), None);
                bases(&host, &addresses(proof, Some(TARGET)), Some(&record))
            }
            other => other,
        },
        Way::AliasFailed => match bases(&host, &addresses(Proof::Insecure, Some(TARGET)), None) {
            Bases::AskAlias => return concluded(&policy, case.mx, lookup_error(&host, 25)),
            other => panic!("{other:?}"),
        },
    };
    let candidates = match places {
        Bases::None => Vec::new(),
        Bases::Ask(names) => names,
        Bases::AskAlias => panic!("asked twice"),
    };
    for base in candidates {
        let record = |usage| Lookup::Found(vec![Tlsa::new(usage, 1, 1, &[7; 32])]);
        let found = case.found[usize::from(base == host)];
        let answered = match found {
            At::Failed => return concluded(&policy, case.mx, lookup_error(&host, 25)),
            At::Nothing => answer(Lookup::NxDomain, Proof::Secure, None),
            At::InsecureRecords => answer(record(3), Proof::Insecure, None),
            At::Usable => answer(record(3), Proof::Secure, None),
            At::Unusable => answer(record(1), Proof::Secure, None),
        };
        if let Some(tlsas) = Tlsas::of(&base, answered) {
            return concluded(&policy, case.mx, tlsas);
        }
    }
    concluded(&policy, case.mx, Tlsas::None)
}

fn concluded(policy: &TlsPolicy, mx: Proof, tlsas: Tlsas) -> String {
    match conclude(policy, mx, &[], tlsas, may_be_usable) {
        Err(_) => "defer".into(),
        Ok(conclusion) => match conclusion.demand {
            TlsDemand::Opportunistic => "may".into(),
            TlsDemand::Encrypted => "encrypt".into(),
            TlsDemand::Dane(demand) => {
                assert_eq!(conclusion.base.as_ref(), demand.names.first(), "SNI and first name are the base");
                format!("dane at {}, MX {}", demand.names[0], demand.mx.as_str())
            }
            other => panic!("{other:?}"),
        },
    }
}

/// By the words of RFC 7672 §2.2 and of postconf(5), `smtp_tls_dane_insecure_mx_policy`; in another order, and with nothing from the crate.
fn expected(case: &Case) -> String {
    let only = case.level == TlsLevel::DaneOnly;
    let unsigned_mx = case.mx == Proof::Insecure;
    // Where records are looked for: the expanded name only if all of it is secure, the original one if its own zone is signed.
    let [expanded, original] = case.found;
    let looked: &[(&str, At)] = match case.way {
        Way::Plain(Proof::Secure) | Way::Alias(Proof::Insecure, Some(Proof::Secure)) => {
            &[("mx.example.com", original)]
        }
        Way::Alias(Proof::Secure, _) => &[(TARGET, expanded), ("mx.example.com", original)],
        _ => &[],
    };
    let counts = |at: At| matches!(at, At::Usable | At::Unusable | At::Failed);
    let first = looked.iter().find(|(_, at)| counts(*at));
    let failed = case.way == Way::AliasFailed || first.is_some_and(|(_, at)| *at == At::Failed);
    let usable = first.filter(|(_, at)| *at == At::Usable);
    let unusable = first.is_some_and(|(_, at)| *at == At::Unusable);
    // Nothing of the host is asked where the destination is not one of DANE.
    let not_for_dane = case.blind || (unsigned_mx && (only || case.insecure_mx == InsecureMx::May));
    if only && (not_for_dane || failed || usable.is_none()) {
        return "defer".into();
    }
    if not_for_dane {
        return "may".into();
    }
    if failed {
        return "defer".into();
    }
    if unusable || (usable.is_some() && unsigned_mx && case.insecure_mx == InsecureMx::Encrypt) {
        return "encrypt".into();
    }
    match usable {
        None => "may".into(),
        Some((base, _)) => format!("dane at {base}, MX {}", if unsigned_mx { "insecure" } else { "secure" }),
    }
}

/// MX security, address security and aliases, both candidates' TLSA records, level, insecure-MX policy, blindness: all of them.
#[test]
fn every_combination_decides_as_the_rules_say() {
    let all = every_case();
    assert_eq!(all.len(), 2 * 3 * 2 * 2 * 8 * 25);
    for case in &all {
        assert_eq!(decided(case), expected(case), "{case:?}");
    }
    // The product reaches every end there is.
    let ends: std::collections::HashSet<String> = all.iter().map(decided).collect();
    assert_eq!(ends.len(), 7, "{ends:?}");
}
