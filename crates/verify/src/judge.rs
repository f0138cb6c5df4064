//! The verdict.

use std::fmt;

use waxseal_trust::{AnchorRules, Anchors, Certificate};
use waxseal_types::{AnchorFiles, DaneDemand, FingerprintDemand, NameDemand, Proof, TlsDemand, TlsFacts};

use crate::{
    DemandDigest, Question, Refused, RefusedKind, TlsAchieved, Verdict, Verified,
    chain::{Chain, describe},
    checks,
    clearance::compare,
    dane::{self, DaneFailure, Terms},
    failure::{PathFailure, Problem},
    fingerprint, names,
    path::{self, DEFAULT_DEPTH, Demanded, End, Purpose, Rules, Trust},
};

/// Judges one connection under one demand.
///
/// It is asked after every handshake, full or resumed, and again before a kept connection serves another destination; a
/// verdict is never carried over.
#[must_use]
pub fn judge(question: &Question) -> Verdict {
    let (achieved, matched, why) = match &question.facts {
        None => (TlsAchieved::Clear, None, None),
        Some(facts) => achieve(question, facts).parts(),
    };
    let outcome = compare(question, &achieved, why);
    let detail = match (&outcome, &question.facts) {
        (Err(_), Some(facts)) => describe(&facts.chain),
        (Ok(_), _) | (Err(_), None) => Vec::new(),
    };
    Verdict {
        status: achieved.status(),
        matched: achieved.verified().map(|verified| verified.proof().to_owned()).or(matched),
        detail,
        outcome,
        achieved,
    }
}

/// What the checks of one demand came to.
enum Found {
    Proven(TlsAchieved),
    /// A trusted chain, and the anchor it leads to; what was demanded besides is missing, if anything was.
    Trusted(String, Option<Refused>),
    Nothing(Option<Refused>),
}

impl Found {
    fn parts(self) -> (TlsAchieved, Option<String>, Option<Refused>) {
        match self {
            Self::Proven(achieved) => (achieved, None, None),
            Self::Trusted(anchor, why) => (TlsAchieved::Trusted, Some(anchor), why),
            Self::Nothing(why) => (TlsAchieved::Encrypted, None, why),
        }
    }
}

fn achieve(question: &Question, facts: &TlsFacts) -> Found {
    match &*question.demand {
        TlsDemand::Clear | TlsDemand::Opportunistic | TlsDemand::Encrypted => status_only(question, facts),
        TlsDemand::Fingerprint(demand) => by_fingerprint(question, demand, facts),
        TlsDemand::Names(demand) => by_name(question, demand, facts),
        TlsDemand::Dane(demand) => by_dane(question, demand, facts),
    }
}

fn refused(kind: RefusedKind, cause: impl fmt::Display) -> Option<Refused> {
    // Postfix's words, then ours.
    Some(Refused::new(kind, format!("Server certificate not verified: {cause}")))
}

fn verified(question: &Question, proof: String) -> Verified {
    Verified::new(DemandDigest::of(&question.demand), proof)
}

/// Nothing of the peer is demanded: the chain decides between two words in the log.
fn status_only(question: &Question, facts: &TlsFacts) -> Found {
    let Some(anchors) = question.anchors.as_deref().filter(|anchors| !anchors.is_empty()) else {
        return Found::Nothing(None);
    };
    let rules = Rules {
        demanded: Demanded::unmatched(question.strength),
        depth: DEFAULT_DEPTH,
        purpose: Purpose::Server,
        now: question.now,
    };
    let path = Chain::read(&facts.chain)
        .and_then(|chain| path::find(&chain.certificates, Trust::Anchors(anchors), rules));
    path.map_or(Found::Nothing(None), |path| Found::Trusted(format!("anchor {}", Under(&path.end)), None))
}

fn by_fingerprint(question: &Question, demand: &FingerprintDemand, facts: &TlsFacts) -> Found {
    let leaf = facts.chain.first().map(Vec::as_slice).unwrap_or_default();
    if leaf.is_empty() {
        return Found::Nothing(refused(RefusedKind::BadCertificate, "no certificate was presented"));
    }
    if let Some(proof) = fingerprint::matching(demand, leaf) {
        if let Err(failure) = checks::pinned(leaf, question.strength) {
            return Found::Nothing(path_refused(&failure));
        }
        return Found::Proven(TlsAchieved::Fingerprint(verified(question, proof)));
    }
    if !fingerprint::any_possible(demand) {
        let cause = "all fingerprints unusable: none has the length of the digest";
        return Found::Nothing(refused(RefusedKind::NothingToMatch, cause));
    }
    let cause = "neither the certificate nor its public key has a listed fingerprint";
    Found::Nothing(refused(RefusedKind::FingerprintMismatch, cause))
}

fn by_name(question: &Question, demand: &NameDemand, facts: &TlsFacts) -> Found {
    let Some(anchors) = question.anchors.as_deref() else {
        return Found::Nothing(refused(RefusedKind::NothingToMatch, "no trust anchors are available"));
    };
    if anchors.rules() != rules_of(&demand.anchors) {
        let cause = "the trust anchors at hand are not those that the policy names";
        return Found::Nothing(refused(RefusedKind::NothingToMatch, cause));
    }
    let chain = match Chain::read(&facts.chain) {
        Ok(chain) => chain,
        Err(failure) => return Found::Nothing(path_refused(&failure)),
    };
    let leaf = &chain.certificates[0];
    let anchor = match listed_leaf(anchors, leaf) {
        Some(anchor) => match checks::pinned(leaf.as_der(), question.strength) {
            Ok(()) => anchor,
            Err(failure) => return Found::Nothing(path_refused(&failure)),
        },
        None => {
            let rules = Rules {
                demanded: Demanded::matched(question.strength),
                depth: usize::from(demand.depth),
                purpose: Purpose::Server,
                now: question.now,
            };
            match path::find(&chain.certificates, Trust::Anchors(anchors), rules) {
                Ok(path) => Under(&path.end).to_string(),
                Err(failure) => return Found::Nothing(path_refused(&failure)),
            }
        }
    };
    match names::matching(leaf, &demand.patterns, demand.wide_wildcards) {
        Some(name) => {
            let proof = format!("name {name} under anchor {anchor}");
            Found::Proven(TlsAchieved::Names(verified(question, proof)))
        }
        None => {
            let cause = format!("hostname mismatch: the certificate is for {}", names::listed(leaf));
            Found::Trusted(format!("anchor {anchor}"), refused(RefusedKind::NameMismatch, cause))
        }
    }
}

/// The kind of store that a demand names: a mix-up must not turn a CA file into a list of anchors, or the other way round.
const fn rules_of(files: &AnchorFiles) -> AnchorRules {
    match files {
        AnchorFiles::Default => AnchorRules::Authorities,
        AnchorFiles::Only(_) => AnchorRules::Explicit,
    }
}

/// A server's own certificate or key in a trust anchor file is matched as such: no dates, no chain; the name counts all the same.
fn listed_leaf(anchors: &Anchors, leaf: &Certificate) -> Option<String> {
    match anchors.rules() {
        AnchorRules::Explicit => anchors.find(leaf).map(|anchor| anchor.to_string()),
        AnchorRules::Authorities => None,
    }
}

fn by_dane(question: &Question, demand: &DaneDemand, facts: &TlsFacts) -> Found {
    let terms = Terms { digests: &demand.digests, strength: question.strength, now: question.now };
    match dane::check(&demand.records, &demand.names, &facts.chain, terms) {
        Ok(found) => {
            let verified = verified(question, found.to_string());
            Found::Proven(match demand.mx {
                Proof::Secure => TlsAchieved::Dane(verified),
                // RFC 7672 §2.2.1: the host is the right one; that it is the destination's, nobody has signed.
                Proof::Insecure => TlsAchieved::DaneInsecureMx(verified),
            })
        }
        Err(failure) => {
            let kind = match &failure {
                DaneFailure::NothingUsable(_) => RefusedKind::NothingToMatch,
                DaneFailure::NoMatch(_) => RefusedKind::TlsaMismatch,
                DaneFailure::Name { .. } => RefusedKind::NameMismatch,
                DaneFailure::Path(failure) => kind_of(failure),
            };
            Found::Nothing(refused(kind, failure))
        }
    }
}

fn path_refused(failure: &PathFailure) -> Option<Refused> {
    refused(kind_of(failure), failure)
}

fn kind_of(failure: &PathFailure) -> RefusedKind {
    match &failure.problem {
        problem if problem.is_time() => RefusedKind::Expired,
        Problem::NoCertificate | Problem::Unreadable | Problem::TooMany(_) => RefusedKind::BadCertificate,
        _ => RefusedKind::NotTrusted,
    }
}

/// Shows where a path ended.
struct Under<'a>(&'a End);

impl fmt::Display for Under<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            End::Anchor(anchor) | End::Key(anchor) => anchor.fmt(f),
            End::Record(record) | End::RecordKey(record) => write!(f, "TLSA {record}"),
        }
    }
}
