//! Verdicts and what they allow, by event.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

mod common;

use std::{sync::Arc, time::Duration};

use common::{Ca, NOW, anchors, root};
use sha2::Digest as _;
use waxseal_trust::{AnchorRules, Anchors, Certificate};
use waxseal_types::{
    AnchorFiles, ConnectionId, DaneDemand, DigestAlgorithm, DigestOrder, Domain, Fingerprint,
    FingerprintDemand, NameDemand, NamePattern, Proof, QueueId, Strength, TlsDemand, TlsFacts, TlsStatus,
    Tlsa,
};
use waxseal_verify::{
    ClearReason, ClearanceError, DemandDigest, Question, Refused, RefusedKind, TlsAchieved, Verdict, judge,
};

const ONE: QueueId = QueueId::from_u64(1);
const OTHER: QueueId = QueueId::from_u64(2);

struct Site {
    ca: Ca,
    chain: Vec<Vec<u8>>,
    anchors: Arc<Anchors>,
}

fn site() -> Site {
    let ca = root("Root");
    let intermediate = ca.intermediate(common::authority("Intermediate"));
    let chain = vec![intermediate.leaf(&["mx.example.com"]), intermediate.der];
    let anchors = Arc::new(anchors(AnchorRules::Authorities, std::slice::from_ref(&ca.der)));
    Site { ca, chain, anchors }
}

fn domain(name: &str) -> Domain {
    Domain::new(name).unwrap()
}

fn names_under(anchors: AnchorFiles, pattern: &str) -> TlsDemand {
    TlsDemand::Names(NameDemand {
        patterns: Arc::new([NamePattern::Exact(domain(pattern))]),
        anchors,
        depth: 9,
        wide_wildcards: false,
    })
}

fn names(pattern: &str) -> TlsDemand {
    names_under(AnchorFiles::Default, pattern)
}

fn names_in_file(pattern: &str) -> TlsDemand {
    names_under(AnchorFiles::Only(Arc::new(["test.pem".to_owned()])), pattern)
}

fn pins(digest: DigestAlgorithm, accepted: Vec<Vec<u8>>) -> TlsDemand {
    TlsDemand::Fingerprint(FingerprintDemand {
        digest,
        accepted: accepted.into_iter().map(Fingerprint).collect(),
    })
}

fn dane(records: Vec<Tlsa>, mx: Proof) -> TlsDemand {
    TlsDemand::Dane(DaneDemand {
        records: records.into(),
        names: Arc::new([domain("mx.example.com")]),
        digests: DigestOrder::default(),
        mx,
    })
}

fn sha256(data: &[u8]) -> Vec<u8> {
    sha2::Sha256::digest(data).to_vec()
}

fn spki(der: &[u8]) -> Vec<u8> {
    Certificate::parse(der).unwrap().spki().to_vec()
}

impl Site {
    fn question(&self, demand: TlsDemand) -> Question {
        let facts = TlsFacts {
            protocol: "TLSv1.3",
            cipher: "TLS_AES_256_GCM_SHA384",
            group: None,
            sni: None,
            resumed: false,
            client_certificate: false,
            chain: self.chain.clone().into(),
        };
        Question {
            facts: Some(Arc::new(facts)),
            clear: None,
            anchors: Some(self.anchors.clone()),
            ..clear(demand, None)
        }
    }

    fn judge(&self, demand: TlsDemand) -> Verdict {
        judge(&self.question(demand))
    }
}

fn clear(demand: TlsDemand, reason: Option<ClearReason>) -> Question {
    Question {
        demand: Arc::new(demand),
        facts: None,
        clear: reason,
        anchors: None,
        strength: Strength::default(),
        connection: ConnectionId(1),
        policy_generation: 7,
        expires: None,
        only_message: None,
        now: NOW,
    }
}

fn refused(verdict: Verdict) -> Refused {
    verdict.outcome.expect_err("refused")
}

#[test]
fn each_level_gives_its_word_and_names_its_proof() {
    let site = site();
    let leaf = site.chain[0].clone();
    let ee = |mx| dane(vec![Tlsa::new(3, 1, 1, &sha256(&spki(&leaf)))], mx);
    let ta = dane(vec![Tlsa::new(2, 0, 1, &sha256(&site.chain[1]))], Proof::Secure);
    let table = [
        (TlsDemand::Clear, TlsStatus::Trusted, "anchor /O=Waxseal Tests/CN=Root (test.pem:1)".to_owned()),
        (TlsDemand::Opportunistic, TlsStatus::Trusted, "anchor /O=Waxseal Tests/CN=Root (test.pem:1)".into()),
        (TlsDemand::Encrypted, TlsStatus::Trusted, "anchor /O=Waxseal Tests/CN=Root (test.pem:1)".into()),
        (
            names("mx.example.com"),
            TlsStatus::Verified,
            "name mx.example.com under anchor /O=Waxseal Tests/CN=Root (test.pem:1)".into(),
        ),
        (
            pins(DigestAlgorithm::Sha256, vec![vec![0; 32], sha256(&leaf)]),
            TlsStatus::Verified,
            "sha256 certificate fingerprint ".into(),
        ),
        (
            pins(DigestAlgorithm::Sha256, vec![sha256(&spki(&leaf))]),
            TlsStatus::Verified,
            "sha256 public key fingerprint ".into(),
        ),
        (ee(Proof::Secure), TlsStatus::Verified, "TLSA 3 1 1 ".into()),
        (ta, TlsStatus::Verified, "TLSA 2 0 1 ".into()),
        // RFC 7672 §2.2.1: trusted, never verified.
        (ee(Proof::Insecure), TlsStatus::Trusted, "TLSA 3 1 1 ".into()),
    ];
    for (demand, status, matched) in table {
        let verdict = site.judge(demand.clone());
        assert!(verdict.outcome.is_ok(), "{demand:?}: {verdict:?}");
        assert_eq!(verdict.status, status, "{demand:?}");
        assert!(
            verdict.matched.as_ref().is_some_and(|text| text.starts_with(&matched)),
            "{:?}",
            verdict.matched
        );
    }
    assert!(matches!(site.judge(ee(Proof::Insecure)).achieved, TlsAchieved::DaneInsecureMx(_)));
    assert!(matches!(site.judge(ee(Proof::Secure)).achieved, TlsAchieved::Dane(_)));
}

#[test]
fn refusals_say_which_certificate_and_why_and_show_what_was_presented() {
    let site = site();
    let table = [
        (
            names("other.example.com"),
            TlsStatus::Trusted,
            RefusedKind::NameMismatch,
            "hostname mismatch: the certificate is for mx.example.com",
        ),
        (
            pins(DigestAlgorithm::Sha256, vec![vec![0; 32]]),
            TlsStatus::Untrusted,
            RefusedKind::FingerprintMismatch,
            "neither the certificate nor its public key",
        ),
        // Threats C9: an empty list, or nothing of the right length, matches nothing.
        (
            pins(DigestAlgorithm::Sha256, vec![]),
            TlsStatus::Untrusted,
            RefusedKind::NothingToMatch,
            "all fingerprints unusable",
        ),
        (
            pins(DigestAlgorithm::Sha256, vec![vec![0; 20]]),
            TlsStatus::Untrusted,
            RefusedKind::NothingToMatch,
            "all fingerprints unusable",
        ),
        (
            dane(vec![Tlsa::new(3, 1, 1, &[0; 32])], Proof::Secure),
            TlsStatus::Untrusted,
            RefusedKind::TlsaMismatch,
            "no matching DANE TLSA records (1 usable)",
        ),
        (
            dane(vec![Tlsa::new(1, 1, 1, &sha256(&spki(&site.chain[0])))], Proof::Secure),
            TlsStatus::Untrusted,
            RefusedKind::NothingToMatch,
            "none of the 1 TLSA records is usable",
        ),
    ];
    for (demand, status, kind, words) in table {
        let verdict = site.judge(demand);
        assert_eq!(verdict.status, status);
        assert_eq!(verdict.detail.len(), 2);
        assert!(
            verdict.detail[0].contains("subject /O=Waxseal Tests/CN=leaf")
                && verdict.detail[0].contains(", public key sha256 ")
        );
        let why = refused(verdict);
        assert_eq!(why.kind, kind, "{why}");
        assert!(
            why.reason.starts_with("Server certificate not verified: ") && why.reason.contains(words),
            "{why}"
        );
    }
    let stranger =
        Site { anchors: Arc::new(anchors(AnchorRules::Authorities, &[root("Other").der])), ..site };
    let why = refused(stranger.judge(names("mx.example.com")));
    assert!(why.reason.contains("untrusted issuer /O=Waxseal Tests/CN=Root"), "{why}");
    assert_eq!(stranger.judge(TlsDemand::Encrypted).status, TlsStatus::Untrusted);
    drop(stranger.ca);
}

/// The table of design §5.6, whole: demand, why the connection is in clear, for one message or for any.
#[test]
fn in_clear_only_by_the_table() {
    use ClearReason::{EhloRefused, HandshakeFailed, LevelNone, NotOffered, SessionDied, StarttlsRefused};
    let reasons = [
        None,
        Some(LevelNone),
        Some(NotOffered),
        Some(EhloRefused),
        Some(StarttlsRefused),
        Some(HandshakeFailed),
        Some(SessionDied),
    ];
    let demands = [
        TlsDemand::Clear,
        TlsDemand::Opportunistic,
        TlsDemand::Encrypted,
        names("mx.example.com"),
        pins(DigestAlgorithm::Sha256, vec![vec![0; 32]]),
        dane(vec![Tlsa::new(3, 1, 1, &[0; 32])], Proof::Secure),
        dane(vec![Tlsa::new(3, 1, 1, &[0; 32])], Proof::Insecure),
    ];
    for demand in demands {
        for reason in reasons {
            for only_message in [None, Some(ONE)] {
                let allowed = match (&demand, reason) {
                    (TlsDemand::Clear, _) => true,
                    (TlsDemand::Opportunistic, Some(NotOffered | EhloRefused | StarttlsRefused)) => true,
                    (TlsDemand::Opportunistic, Some(HandshakeFailed | SessionDied)) => only_message.is_some(),
                    _ => false,
                };
                let verdict = judge(&Question { only_message, ..clear(demand.clone(), reason) });
                assert_eq!(verdict.status, TlsStatus::None);
                assert_eq!(verdict.outcome.is_ok(), allowed, "{demand:?} {reason:?} {only_message:?}");
                if let Err(why) = verdict.outcome {
                    assert_eq!(why.kind, RefusedKind::TlsRequired);
                }
            }
        }
    }
    let why = refused(judge(&clear(TlsDemand::Encrypted, Some(NotOffered))));
    assert_eq!(why.reason, "TLS is required, but the server does not offer STARTTLS");
}

#[test]
fn a_clearance_is_bound_to_connection_demand_policy_time_and_message() {
    let end = NOW + Duration::from_secs(60);
    let question = Question {
        expires: Some(end),
        only_message: Some(ONE),
        ..clear(TlsDemand::Opportunistic, Some(ClearReason::HandshakeFailed))
    };
    let clearance = judge(&question).outcome.unwrap();
    let here = ConnectionId(1);
    assert_eq!(clearance.permits(here, NOW, ONE), Ok(()));
    assert_eq!(clearance.permits(ConnectionId(2), NOW, ONE), Err(ClearanceError::Connection));
    assert_eq!(clearance.permits(here, end, ONE), Err(ClearanceError::Expired));
    assert_eq!(clearance.permits(here, NOW, OTHER), Err(ClearanceError::Message));
    let digest = DemandDigest::of(&TlsDemand::Opportunistic);
    assert_eq!(clearance.covers(digest, 7), Ok(()));
    assert_eq!(clearance.covers(digest, 8), Err(ClearanceError::Policy));
    assert_eq!(clearance.covers(DemandDigest::of(&TlsDemand::Encrypted), 7), Err(ClearanceError::Demand));
}

#[test]
fn demands_that_differ_in_anything_have_different_digests() {
    let base = names("mx.example.com");
    let mut all = vec![
        TlsDemand::Clear,
        TlsDemand::Opportunistic,
        TlsDemand::Encrypted,
        base.clone(),
        names("mx.example.co"),
    ];
    if let TlsDemand::Names(demand) = base {
        all.push(TlsDemand::Names(NameDemand { depth: 8, ..demand.clone() }));
        all.push(TlsDemand::Names(NameDemand { wide_wildcards: true, ..demand.clone() }));
        all.push(TlsDemand::Names(NameDemand { anchors: AnchorFiles::Only(Arc::new([])), ..demand.clone() }));
        all.push(TlsDemand::Names(NameDemand {
            anchors: AnchorFiles::Only(Arc::new(["ab".into()])),
            ..demand.clone()
        }));
        all.push(TlsDemand::Names(NameDemand {
            anchors: AnchorFiles::Only(Arc::new(["a".into(), "b".into()])),
            ..demand.clone()
        }));
        all.push(TlsDemand::Names(NameDemand {
            patterns: Arc::new([NamePattern::Below(domain("mx.example.com"))]),
            ..demand.clone()
        }));
        all.push(TlsDemand::Names(NameDemand {
            patterns: Arc::new([NamePattern::Wildcard(domain("mx.example.com"))]),
            ..demand
        }));
    }
    for digest in [DigestAlgorithm::Md5, DigestAlgorithm::Sha1, DigestAlgorithm::Sha512] {
        all.push(pins(digest, vec![vec![1, 2]]));
    }
    all.push(pins(DigestAlgorithm::Md5, vec![vec![1], vec![2]]));
    for record in [Tlsa::new(3, 1, 1, &[1]), Tlsa::new(2, 1, 1, &[1]), Tlsa::new(3, 1, 1, &[1, 0])] {
        all.push(dane(vec![record.clone()], Proof::Secure));
        all.push(dane(vec![record], Proof::Insecure));
    }
    for digests in ["sha512", "sha256 sha512", ""] {
        let TlsDemand::Dane(demand) = dane(vec![Tlsa::new(3, 1, 1, &[1])], Proof::Secure) else { panic!() };
        all.push(TlsDemand::Dane(DaneDemand { digests: digests.parse().unwrap(), ..demand }));
    }
    let digests: std::collections::HashSet<_> = all.iter().map(DemandDigest::of).collect();
    assert_eq!(digests.len(), all.len());
}

/// Threats C6, C7 and issue 3 item 7: one chain, judged again under every other demand; nothing is carried over.
#[test]
fn what_passed_under_one_demand_is_judged_again_under_the_next() {
    let site = site();
    let good = names("mx.example.com");
    let demands = [
        TlsDemand::Opportunistic,
        TlsDemand::Encrypted,
        good.clone(),
        names("other.example.com"),
        dane(vec![Tlsa::new(3, 1, 1, &[0; 32])], Proof::Secure),
    ];
    for first in &demands {
        for second in &demands {
            let (before, after) = (site.judge(first.clone()), site.judge(second.clone()));
            if let Ok(clearance) = before.outcome {
                assert_eq!(clearance.covers(DemandDigest::of(second), 7).is_ok(), first == second);
            }
            let passes = matches!(second, TlsDemand::Opportunistic | TlsDemand::Encrypted) || *second == good;
            assert_eq!(after.outcome.is_ok(), passes, "{second:?}");
        }
    }
}

#[test]
fn a_trust_anchor_file_is_used_instead_of_the_ca_file_and_its_anchors_do_not_expire() {
    let ca = root("Root");
    let mut params = common::authority("Old Intermediate");
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let old = ca.intermediate(params);
    let chain = vec![old.leaf(&["mx.example.com"]), old.der.clone()];
    let explicit = Arc::new(anchors(AnchorRules::Explicit, std::slice::from_ref(&old.der)));
    let site = Site { anchors: explicit, chain, ca };
    assert!(site.judge(names_in_file("mx.example.com")).outcome.is_ok(), "an intermediate that has expired");
    let key = Arc::new(anchors(AnchorRules::Explicit, &[spki(&old.der)]));
    let bare = Site { anchors: key, chain: vec![site.chain[0].clone()], ..site };
    let verdict = bare.judge(names_in_file("mx.example.com"));
    assert!(verdict.matched.is_some_and(|text| text.contains("under anchor public key sha256 ")));
    let leaf = bare.chain[0].clone();
    let pinned = Site { anchors: Arc::new(anchors(AnchorRules::Explicit, &[leaf])), ..bare };
    assert!(pinned.judge(names_in_file("mx.example.com")).outcome.is_ok(), "the server's own certificate");
    assert_eq!(
        refused(pinned.judge(names_in_file("a.example.com"))).kind,
        RefusedKind::NameMismatch,
        "its name counts"
    );
    let default = Arc::new(anchors(AnchorRules::Authorities, &[old.der]));
    let strict = Site { anchors: default, ..pinned };
    assert_eq!(
        refused(strict.judge(names("mx.example.com"))).kind,
        RefusedKind::NotTrusted,
        "no partial chains from a CAfile"
    );
    let mixed = strict.judge(names_in_file("mx.example.com"));
    assert_eq!(refused(mixed).kind, RefusedKind::NothingToMatch, "the anchors are not those of the demand");
}

/// Threats D8: a store never helps a DANE-TA record that does not match.
#[test]
fn dane_does_not_look_at_the_ca_file() {
    let site = site();
    let why = refused(site.judge(dane(vec![Tlsa::new(2, 1, 1, &[0; 32])], Proof::Secure)));
    assert_eq!(why.kind, RefusedKind::TlsaMismatch);
}
