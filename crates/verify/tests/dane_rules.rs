//! TLSA records and chains, rule by rule (RFC 7671 §5, RFC 7672 §3, RFC 6698 §2.1); no zone and no server needed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

mod common;

use common::{Ca, NOW, anchors, authority, hex, name, root};
use rcgen::{BasicConstraints, CertificateParams, GeneralSubtree, IsCa, KeyPair, NameConstraints, SanType};
use sha2::Digest as _;
use waxseal_trust::{AnchorRules, Certificate};
use waxseal_types::{DaneDemand, DigestOrder, Domain, Proof, TlsDemand, Tlsa};
use waxseal_verify::{
    DaneFailure, DaneMatch, Problem, Unusable, check_dane, check_dane_demand, judge, usability,
};

const HOST: &str = "mx.example.com";

fn spki(der: &[u8]) -> Vec<u8> {
    Certificate::parse(der).unwrap().spki().to_vec()
}

fn sha256(data: &[u8]) -> Vec<u8> {
    sha2::Sha256::digest(data).to_vec()
}

fn sha512(data: &[u8]) -> Vec<u8> {
    sha2::Sha512::digest(data).to_vec()
}

fn record(usage: u8, selector: u8, matching: u8, der: &[u8]) -> Tlsa {
    let part = if selector == 0 { der.to_vec() } else { spki(der) };
    let data = match matching {
        0 => part,
        1 => sha256(&part),
        _ => sha512(&part),
    };
    Tlsa::new(usage, selector, matching, &data)
}

fn check(records: &[Tlsa], chain: &[Vec<u8>]) -> Result<DaneMatch, DaneFailure> {
    check_dane(records, &[Domain::new(HOST).unwrap()], chain, NOW)
}

fn depth(records: &[Tlsa], chain: &[Vec<u8>]) -> Option<usize> {
    check(records, chain).ok().map(|found| found.depth)
}

fn problem(records: &[Tlsa], chain: &[Vec<u8>]) -> Problem {
    match check(records, chain) {
        Err(DaneFailure::Path(failure)) => failure.problem,
        other => panic!("no failure of a path: {other:?}"),
    }
}

/// A leaf of this authority that `change` has made something of.
fn odd(ca: &Ca, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params =
        CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
    name(&mut params, "leaf");
    change(&mut params);
    params.signed_by(&KeyPair::generate().unwrap(), &ca.issuer()).unwrap().der().to_vec()
}

fn expired(params: &mut CertificateParams) {
    params.not_after = rcgen::date_time_ymd(2026, 1, 1);
}

/// A root, an intermediate below it, and a leaf for HOST.
struct Site {
    root: Ca,
    intermediate: Ca,
    leaf: Vec<u8>,
}

fn site() -> Site {
    let root = root("Root");
    let intermediate = root.intermediate(authority("Intermediate"));
    let leaf = intermediate.leaf(&[HOST]);
    Site { root, intermediate, leaf }
}

impl Site {
    fn chain(&self) -> Vec<Vec<u8>> {
        vec![self.leaf.clone(), self.intermediate.der.clone()]
    }
}

/// RFC 7671 §5.1, RFC 7672 §3.1.1: neither names nor dates nor issuers count.
#[test]
fn rfc7671_5_1_dane_ee_is_about_the_leaf_and_nothing_else_of_it() {
    let site = site();
    let stranger = odd(&site.intermediate, &["stranger.invalid"], |_| {});
    let nameless = odd(&site.intermediate, &[], |_| {});
    let old = odd(&site.intermediate, &[HOST], expired);
    let early =
        odd(&site.intermediate, &[HOST], |params| params.not_before = rcgen::date_time_ymd(2027, 1, 1));
    let client = odd(&site.intermediate, &[HOST], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    for leaf in [&site.leaf, &stranger, &nameless, &old, &early, &client, &site.root.der] {
        for selector in 0..2 {
            for matching in 0..3 {
                let records = [record(3, selector, matching, leaf)];
                assert_eq!(depth(&records, std::slice::from_ref(leaf)), Some(0), "3 {selector} {matching}");
                // RFC 7671 §5.1: the rest of the chain may be anything at all.
                assert_eq!(depth(&records, &[leaf.clone(), vec![1, 2, 3]]), Some(0));
            }
        }
    }
}

#[test]
fn rfc6698_2_1_1_ee_is_no_issuer_and_ta_is_no_leaf() {
    let site = site();
    for selector in 0..2 {
        let above = record(3, selector, 1, &site.intermediate.der);
        assert_eq!(
            check(&[above], &site.chain()),
            Err(DaneFailure::NoMatch(1)),
            "3 {selector} 1 of the issuer"
        );
        let below = record(2, selector, 1, &site.leaf);
        assert!(check(&[below], &site.chain()).is_err(), "2 {selector} 1 of the leaf");
        let full = record(2, selector, 0, &site.leaf);
        assert!(check(&[full], &site.chain()).is_err(), "2 {selector} 0 of the leaf");
    }
    // A leaf that signs itself is no issuer of itself, even if it says that it is an authority.
    for ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let mut params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
        params.is_ca = ca;
        let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        assert!(check(&[record(2, 0, 1, &own)], std::slice::from_ref(&own)).is_err());
    }
}

#[test]
fn rfc6698_2_1_1_below_the_anchor_the_path_must_be_in_order() {
    let site = site();
    let by_root = |selector| [record(2, selector, 1, &site.root.der)];
    let chain =
        |leaf: Vec<u8>, intermediate: &Ca| vec![leaf, intermediate.der.clone(), site.root.der.clone()];
    assert_eq!(depth(&by_root(0), &chain(site.leaf.clone(), &site.intermediate)), Some(2));

    let old_leaf = odd(&site.intermediate, &[HOST], expired);
    assert_eq!(problem(&by_root(0), &chain(old_leaf.clone(), &site.intermediate)), Problem::Expired);
    let mut params = authority("Old");
    expired(&mut params);
    let old = site.root.intermediate(params);
    assert_eq!(problem(&by_root(0), &chain(old.leaf(&[HOST]), &old)), Problem::Expired);
    let mut params = authority("Leaf");
    params.is_ca = IsCa::ExplicitNoCa;
    let no_ca = site.root.intermediate(params);
    assert_eq!(problem(&by_root(1), &chain(no_ca.leaf(&[HOST]), &no_ca)), Problem::NotAnAuthority);
    let mut forged = site.leaf.clone();
    let last = forged.len() - 3;
    forged[last] ^= 1;
    assert!(check(&by_root(0), &chain(forged, &site.intermediate)).is_err());
    let client = odd(&site.intermediate, &[HOST], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    assert_eq!(problem(&by_root(0), &chain(client, &site.intermediate)), Problem::NotForServers);
    // The anchor's own dates do not count where it is no root: nobody but DNS vouches for it.
    assert_eq!(depth(&[record(2, 0, 1, &old.der)], &[old.leaf(&[HOST]), old.der.clone()]), Some(1));
    assert_eq!(
        problem(&[record(2, 0, 1, &site.intermediate.der)], &[old_leaf, site.intermediate.der]),
        Problem::Expired
    );
}

#[test]
fn rfc7671_5_2_any_issuer_in_the_chain_may_be_the_anchor() {
    let site = site();
    let whole = vec![site.leaf.clone(), site.intermediate.der.clone(), site.root.der.clone()];
    for selector in 0..2 {
        for matching in 0..3 {
            let by = |ca: &Ca| [record(2, selector, matching, &ca.der)];
            assert_eq!(depth(&by(&site.intermediate), &whole), Some(1), "not self-signed");
            assert_eq!(depth(&by(&site.intermediate), &site.chain()), Some(1), "and the root is not there");
            assert_eq!(depth(&by(&site.root), &whole), Some(2));
        }
    }
    // RFC 7671 §5.2.2: a digest says nothing of a certificate that is not presented.
    assert_eq!(check(&[record(2, 0, 1, &site.root.der)], &site.chain()), Err(DaneFailure::NoMatch(1)));
}

#[test]
fn rfc7671_5_2_2_an_anchor_that_is_in_dns_alone_is_used() {
    let site = site();
    assert_eq!(depth(&[record(2, 0, 0, &site.root.der)], &site.chain()), Some(2));
    assert_eq!(depth(&[record(2, 0, 0, &site.intermediate.der)], std::slice::from_ref(&site.leaf)), Some(1));
    let other = root("Root");
    assert!(check(&[record(2, 0, 0, &other.der)], &site.chain()).is_err(), "the same name, another key");
}

#[test]
fn rfc7671_5_2_3_a_bare_key_must_have_signed_the_top_of_the_chain() {
    let site = site();
    let by = |ca: &Ca| [record(2, 1, 0, &ca.der)];
    assert_eq!(depth(&by(&site.root), &site.chain()), Some(1));
    assert_eq!(depth(&by(&site.intermediate), std::slice::from_ref(&site.leaf)), Some(0));
    assert!(check(&by(&root("Root")), &site.chain()).is_err());
    let old = odd(&site.intermediate, &[HOST], expired);
    assert_eq!(problem(&by(&site.intermediate), &[old]), Problem::Expired);
    let mut params = authority("Old");
    expired(&mut params);
    let old = site.root.intermediate(params);
    assert_eq!(
        problem(&by(&site.root), &[old.leaf(&[HOST]), old.der.clone()]),
        Problem::Expired,
        "the topmost one"
    );
}

/// Threat D7.
#[test]
fn rfc7671_5_2_1_the_anchor_s_own_limits_count() {
    let constrained = |change: fn(&mut CertificateParams)| {
        let mut params = authority("Anchor");
        change(&mut params);
        root("Above").intermediate(params)
    };
    let short = constrained(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let below = short.intermediate(authority("Below"));
    let anchor = |ca: &Ca| [record(2, 0, 1, &ca.der)];
    let chain = [below.leaf(&[HOST]), below.der.clone(), short.der.clone()];
    assert_eq!(problem(&anchor(&short), &chain), Problem::PathLength);
    assert_eq!(depth(&anchor(&short), &[short.leaf(&[HOST]), short.der.clone()]), Some(1));

    let elsewhere = constrained(|params| {
        let permitted_subtrees = vec![GeneralSubtree::DnsName("example.org".into())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
    });
    assert_eq!(
        problem(&anchor(&elsewhere), &[elsewhere.leaf(&[HOST]), elsewhere.der.clone()]),
        Problem::NotPermitted
    );
    let no_ca = constrained(|params| params.is_ca = IsCa::ExplicitNoCa);
    assert_eq!(problem(&anchor(&no_ca), &[no_ca.leaf(&[HOST]), no_ca.der.clone()]), Problem::NotAnAuthority);
    // A chain of somebody else with the anchor thrown in proves nothing.
    let (stranger, real) = (root("Stranger"), site());
    let mixed = [stranger.leaf(&[HOST]), real.intermediate.der.clone(), real.root.der.clone()];
    assert_eq!(check(&anchor(&real.root), &mixed), Err(DaneFailure::NoMatch(1)));
    // Nor does one whose issuer only bears the anchor's name.
    let namesake = root("Root").intermediate(authority("Intermediate"));
    let forged = [namesake.leaf(&[HOST]), real.intermediate.der.clone(), real.root.der.clone()];
    for ca in [&real.intermediate, &real.root] {
        assert_eq!(problem(&anchor(ca), &forged), Problem::BadSignature);
    }
}

/// RFC 7672 §3.2.3; threats D6.
#[test]
fn rfc7672_3_2_3_names_count_under_dane_ta_and_how() {
    let site = site();
    let ca = &site.intermediate;
    let by_name = |common: Option<&str>, alternative: &[&str]| {
        odd(ca, alternative, |params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            if let Some(common) = common {
                params.distinguished_name.push(rcgen::DnType::CommonName, common);
            }
        })
    };
    for (common, alternative, good) in [
        (None, &[HOST][..], true),
        (None, &["MX.Example.COM"], true),
        (None, &["other.example.com", HOST], true),
        (None, &["*.example.com"], true),
        (Some(HOST), &[], true),
        (Some("*.example.com"), &[], true),
        // A DNS name among the alternatives, and the common name does not count.
        (Some(HOST), &["other.example.com"], false),
        (Some("other.example.com"), &[], false),
        (None, &["m*.example.com"], false),
        (None, &["*x.example.com"], false),
        (None, &["*.com"], false),
        (None, &["*"], false),
        (None, &["example.com"], false),
        (None, &["a.mx.example.com"], false),
        (None, &["*.*.com"], false),
        (None, &[], false),
    ] {
        let chain = [by_name(common, alternative), ca.der.clone()];
        let outcome = check(&[record(2, 0, 1, &ca.der)], &chain);
        assert_eq!(outcome.is_ok(), good, "CN {common:?}, {alternative:?}: {outcome:?}");
        if !good {
            assert!(matches!(outcome, Err(DaneFailure::Name { .. })), "{outcome:?}");
        }
        assert_eq!(depth(&[record(3, 1, 1, &chain[0])], &chain), Some(0), "DANE-EE looks at no name");
    }
    // Alternatives of another kind are no DNS names.
    let mail = odd(ca, &[], |params| {
        name(params, HOST);
        params.subject_alt_names = vec![SanType::Rfc822Name("a@example.com".try_into().unwrap())];
    });
    assert_eq!(depth(&[record(2, 0, 1, &ca.der)], &[mail, ca.der.clone()]), Some(1));
}

/// Threats D3 and D4; RFC 6698 §4.1.
#[test]
fn rfc6698_4_1_records_that_cannot_be_used_are_set_aside() {
    let site = site();
    let good = sha256(&spki(&site.leaf));
    let table = [
        (Tlsa::new(0, 1, 1, &good), Unusable::PkixUsage(0)),
        (Tlsa::new(1, 1, 1, &good), Unusable::PkixUsage(1)),
        (Tlsa::new(4, 1, 1, &good), Unusable::UnknownUsage(4)),
        (Tlsa::new(255, 1, 1, &good), Unusable::UnknownUsage(255)),
        (Tlsa::new(3, 2, 1, &good), Unusable::UnknownSelector(2)),
        (Tlsa::new(3, 255, 0, &good), Unusable::UnknownSelector(255)),
        (Tlsa::new(3, 1, 3, &good), Unusable::UnknownMatching(3)),
        (Tlsa::new(3, 1, 255, &good), Unusable::UnknownMatching(255)),
        (Tlsa::new(3, 1, 1, &good[..31]), Unusable::Length(31, 32)),
        (Tlsa::new(3, 1, 1, &[&good[..], &[0]].concat()), Unusable::Length(33, 32)),
        (Tlsa::new(3, 1, 2, &good), Unusable::Length(32, 64)),
        (Tlsa::new(3, 1, 1, &[]), Unusable::Length(0, 32)),
        (Tlsa::new(2, 0, 0, &site.root.der[1..]), Unusable::Certificate),
        (Tlsa::new(3, 0, 0, &[]), Unusable::Certificate),
        (Tlsa::new(2, 1, 0, &site.root.der), Unusable::Key),
        (Tlsa::new(3, 1, 0, &vec![0x30; 65_000]), Unusable::Key),
    ];
    let (right, wrong) = (record(3, 1, 1, &site.leaf), Tlsa::new(3, 1, 1, &[7; 32]));
    for (useless, why) in &table {
        assert_eq!(usability(useless, &DigestOrder::default()), Err(*why), "{useless}");
        assert_eq!(check(std::slice::from_ref(useless), &site.chain()), Err(DaneFailure::NothingUsable(1)));
        // The others are used all the same: for the server, and against it.
        assert_eq!(depth(&[useless.clone(), right.clone()], &site.chain()), Some(0), "{useless}");
        assert_eq!(
            check(&[useless.clone(), wrong.clone()], &site.chain()),
            Err(DaneFailure::NoMatch(1)),
            "{useless}"
        );
    }
    let all: Vec<Tlsa> = table.into_iter().map(|(useless, _)| useless).collect();
    assert_eq!(check(&all, &site.chain()), Err(DaneFailure::NothingUsable(all.len())));
    assert_eq!(check(&[], &site.chain()), Err(DaneFailure::NothingUsable(0)));
}

/// Threat D9.
#[test]
fn rfc7671_9_of_each_usage_and_selector_the_strongest_digest_counts() {
    let site = site();
    let right = |usage, selector, matching| {
        let der = if usage == 2 { &site.intermediate.der } else { &site.leaf };
        record(usage, selector, matching, der)
    };
    let wrong = |usage, selector, matching| {
        Tlsa::new(usage, selector, matching, &vec![7; if matching == 1 { 32 } else { 64 }])
    };
    for (records, passes) in [
        (vec![right(3, 1, 1), wrong(3, 1, 2)], false),
        (vec![wrong(3, 1, 1), right(3, 1, 2)], true),
        (vec![right(3, 1, 1), wrong(3, 0, 2)], true),
        (vec![right(3, 1, 1), wrong(2, 1, 2)], true),
        (vec![right(2, 0, 1), wrong(2, 0, 2)], false),
        (vec![right(2, 0, 2), wrong(2, 0, 1)], true),
        // Full data stand beside any digest.
        (vec![right(3, 1, 0), wrong(3, 1, 2)], true),
        (vec![right(3, 1, 1), wrong(3, 1, 0)], true),
        // What cannot be used is set aside first and beats nothing.
        (vec![right(3, 1, 1), Tlsa::new(3, 1, 2, &[7; 63])], true),
        (vec![right(3, 1, 1), Tlsa::new(3, 1, 3, &[7; 96])], true),
        (vec![right(3, 1, 1), Tlsa::new(1, 1, 2, &[7; 64])], true),
        // Two of one strength: either will do, as in a roll-over (RFC 7671 §8.1).
        (vec![right(3, 1, 2), wrong(3, 1, 2)], true),
    ] {
        let mut records = records;
        for _ in 0..2 {
            assert_eq!(check(&records, &site.chain()).is_ok(), passes, "{records:?}");
            records.reverse();
        }
    }
}

/// postconf(5) tls_dane_digests; RFC 6698 §4.1 for what is taken out.
#[test]
fn rfc7671_9_the_order_of_the_digests_is_the_operator_s() {
    let site = site();
    let [weak, strong] = [1, 2].map(|matching| record(3, 1, matching, &site.leaf));
    let [weak_wrong, strong_wrong] = [Tlsa::new(3, 1, 1, &[7; 32]), Tlsa::new(3, 1, 2, &[7; 64])];
    let demand = |digests: &str, records: &[&Tlsa]| DaneDemand {
        records: records.iter().map(|record| (*record).clone()).collect(),
        names: [].into(),
        digests: digests.parse().unwrap(),
        mx: Proof::Secure,
    };
    let full = record(3, 1, 0, &site.leaf);
    for (digests, records, outcome) in [
        ("sha512 sha256", vec![&weak, &strong_wrong], Err(DaneFailure::NoMatch(1))),
        ("sha256, sha512", vec![&weak, &strong_wrong], Ok(0)),
        ("sha256=1 sha512=2", vec![&weak_wrong, &strong], Err(DaneFailure::NoMatch(1))),
        ("SHA512", vec![&weak], Err(DaneFailure::NothingUsable(1))),
        ("sha512", vec![&weak, &strong_wrong], Err(DaneFailure::NoMatch(1))),
        ("sha256", vec![&weak, &strong_wrong], Ok(0)),
        ("", vec![&weak, &strong], Err(DaneFailure::NothingUsable(2))),
        ("", vec![&weak, &full], Ok(0)),
    ] {
        let found =
            check_dane_demand(&demand(digests, &records), &site.chain(), NOW).map(|found| found.depth);
        assert_eq!(found, outcome, "{digests:?} {records:?}");
    }
    for bad in ["sha1", "sha512 md5", "sha512=1", "sha256 sha256"] {
        assert!(bad.parse::<DigestOrder>().is_err(), "{bad}");
    }
    assert_eq!(usability(&weak, &"sha512".parse().unwrap()), Err(Unusable::Disabled(1)));
}

/// Threat D10, CVE-2026-28387.
#[test]
fn the_order_of_records_of_all_usages_means_nothing() {
    let site = site();
    let useless = [Tlsa::new(0, 1, 1, &[1; 32]), record(1, 1, 1, &site.leaf)];
    for (good, outcome) in [
        ([record(3, 1, 1, &site.leaf), Tlsa::new(2, 0, 1, &[9; 32])], Some(0)),
        ([Tlsa::new(3, 1, 1, &[9; 32]), record(2, 0, 1, &site.intermediate.der)], Some(1)),
        ([Tlsa::new(3, 1, 1, &[9; 32]), Tlsa::new(2, 0, 1, &[9; 32])], None),
    ] {
        let all: Vec<&Tlsa> = useless.iter().chain(&good).collect();
        for order in 0..64 {
            let mut left = all.clone();
            let mut number = order;
            let mut shuffled = Vec::new();
            while !left.is_empty() {
                shuffled.push(left.remove(number % left.len()).clone());
                number = number / 2 + 7;
            }
            assert_eq!(depth(&shuffled, &site.chain()), outcome, "{shuffled:?}");
        }
    }
}

/// Threat D8: a chain that every browser would trust is nothing to records that do not match it.
#[test]
fn the_operator_s_own_anchors_add_nothing_to_dane() {
    let site = site();
    let demand = |records: Vec<Tlsa>| {
        TlsDemand::Dane(DaneDemand {
            records: records.into(),
            names: [Domain::new(HOST).unwrap()].into(),
            digests: DigestOrder::default(),
            mx: Proof::Secure,
        })
    };
    let trusted =
        std::sync::Arc::new(anchors(AnchorRules::Authorities, std::slice::from_ref(&site.root.der)));
    let question = |demand| common::question(demand, site.chain(), &trusted);
    assert!(judge(&question(demand(vec![record(2, 0, 1, &site.intermediate.der)]))).outcome.is_ok());
    for records in [vec![Tlsa::new(2, 0, 1, &[7; 32])], vec![Tlsa::new(2, 1, 0, &hex("00"))], vec![]] {
        assert!(judge(&question(demand(records))).outcome.is_err());
    }
}
