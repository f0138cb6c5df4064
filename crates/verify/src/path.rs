//! From the server's certificate to something that is trusted.
//!
//! Depth first, what is trusted before what was presented, each signature checked before it is gone past, and a budget for
//! those checks: a hostile mesh of certificates costs a hundred of them and no more. Other than OpenSSL the search comes back
//! and tries the next issuer when one led nowhere.

use std::sync::Arc;

use waxseal_trust::{Anchor, AnchorRules, Anchors, Certificate, Name, PublicKey};
use waxseal_types::{Matching, Selector, Strength, Tlsa, UnixTime};

use crate::{
    checks,
    dane::matches,
    failure::{PathFailure, Problem},
    signature::{self, BadSignature},
};

/// Signature checks for one verdict; the longest chains that are accepted need 20.
pub(crate) const MAX_SIGNATURES: usize = 100;
/// Presented certificates that are looked at.
pub(crate) const MAX_CERTIFICATES: usize = 20;
/// Issuers in a path where nothing else is configured (postconf(5), `smtp_tls_scert_verifydepth`).
pub(crate) const DEFAULT_DEPTH: usize = 9;

/// What a path may lead to.
#[derive(Clone, Copy)]
pub(crate) enum Trust<'a> {
    /// A store.
    Anchors(&'a Anchors),
    /// DANE-TA records, usable ones, and what their full data say.
    Records(&'a TaRecords),
}

/// DANE-TA records (RFC 7671 §5.2).
#[derive(Default)]
pub(crate) struct TaRecords {
    pub(crate) records: Vec<Tlsa>,
    /// `2 0 0`: the record is the certificate, which need not be presented.
    pub(crate) certificates: Vec<Certificate>,
    /// `2 1 0`: the record is the key.
    pub(crate) keys: Vec<(Tlsa, PublicKey)>,
}

/// Whose certificate is at the bottom of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A server's, which mail is brought to.
    Server,
    /// A client's, which mail comes from.
    Client,
}

/// How strict to be.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// What keys and signatures must be.
    pub(crate) demanded: Demanded,
    /// Issuers in a path.
    pub(crate) depth: usize,
    /// Whom the certificates must be for.
    pub(crate) purpose: Purpose,
    pub(crate) now: UnixTime,
}

/// What is demanded of keys and signatures in a path.
#[derive(Clone, Copy)]
pub(crate) struct Demanded {
    /// The shortest RSA key; 0 asks for none.
    pub(crate) rsa_bits: usize,
    /// Whether SHA-1 signatures count.
    pub(crate) sha1: bool,
}

impl Demanded {
    /// Of a peer that must be authenticated.
    pub(crate) fn matched(strength: Strength) -> Self {
        // A setting may tighten what Postfix demands, and never loosen it.
        let rsa_bits = strength.rsa_bits.max(Strength::LEAST_RSA_BITS);
        Self { rsa_bits: usize::from(rsa_bits), sha1: false }
    }

    /// Of a chain that only decides between two words: nothing, unless that was tightened.
    pub(crate) fn unmatched(strength: Strength) -> Self {
        let tightened = strength.rsa_bits > Strength::LEAST_RSA_BITS;
        Self {
            rsa_bits: if tightened { usize::from(strength.rsa_bits) } else { 0 },
            sha1: !strength.refuse_sha1,
        }
    }
}

/// Where a path ended.
#[derive(Clone)]
pub(crate) enum End {
    /// At the certificate at the top, which is this anchor.
    Anchor(Arc<Anchor>),
    /// With a bare key that signed the certificate at the top.
    Key(Arc<Anchor>),
    /// At the certificate at the top, which this record is about.
    Record(Tlsa),
    /// With the key in this record, which signed the certificate at the top.
    RecordKey(Tlsa),
}

impl End {
    /// Whether the path ended with a key instead of a certificate.
    pub(crate) const fn is_key(&self) -> bool {
        match self {
            Self::Key(_) | Self::RecordKey(_) => true,
            Self::Anchor(_) | Self::Record(_) => false,
        }
    }
}

/// A trusted path.
pub(crate) struct Path {
    /// The server's certificate first; the anchor last, if it is a certificate.
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) end: End,
}

/// Finds a path that passes all checks, or says why the best one does not.
pub(crate) fn find(presented: &[Certificate], trust: Trust<'_>, rules: Rules) -> Result<Path, PathFailure> {
    let Some(leaf) = presented.first() else {
        return Err(failure(None, 0, Problem::NoCertificate));
    };
    let mut search =
        Search { presented, trust, rules, signatures: MAX_SIGNATURES, path: vec![leaf.clone()], worst: None };
    match search.extend() {
        Some(end) => Ok(Path { certificates: search.path, end }),
        None => Err(search
            .worst
            .unwrap_or_else(|| failure(Some(leaf), 0, Problem::UntrustedIssuer(leaf.issuer().to_string())))),
    }
}

pub(crate) fn failure(certificate: Option<&Certificate>, depth: usize, problem: Problem) -> PathFailure {
    let subject =
        certificate.map_or_else(|| "(none)".into(), |certificate| certificate.subject().to_string());
    PathFailure { depth, subject, problem }
}

struct Search<'a> {
    presented: &'a [Certificate],
    trust: Trust<'a>,
    rules: Rules,
    signatures: usize,
    path: Vec<Certificate>,
    worst: Option<PathFailure>,
}

/// One thing that may have issued the certificate at the top.
enum Candidate {
    Certificate(Certificate),
    Key(PublicKey, End),
}

impl Search<'_> {
    /// Goes on from the top of the path. Where it succeeds the path is left as it was found.
    fn extend(&mut self) -> Option<End> {
        let top = self.path.last()?.clone();
        if let Some(end) = self.trust.end_at(&top, self.path.len() - 1)
            && self.complete(&end)
        {
            return Some(end);
        }
        // The certificate at the top may yet be signed by a bare key, which is no further issuer.
        let full = self.path.len() > self.rules.depth;
        let (mut signed, mut wrong) = (false, None);
        for candidate in self.candidates(&top, full) {
            let spki = match &candidate {
                Candidate::Certificate(certificate) => certificate.spki(),
                Candidate::Key(key, _) => key.as_der(),
            };
            match self.signed_by(&top, spki)? {
                Ok(()) => signed = true,
                // That some key is not the one says nothing: keys have no names.
                Err(bad) => {
                    if matches!(candidate, Candidate::Certificate(_)) {
                        wrong = Some(bad);
                    }
                    continue;
                }
            }
            if let Some(end) = self.through(candidate) {
                return Some(end);
            }
        }
        if !signed {
            self.stuck(&top, full, wrong);
        }
        None
    }

    /// Goes on from an issuer whose signature was right.
    fn through(&mut self, issuer: Candidate) -> Option<End> {
        match issuer {
            Candidate::Certificate(certificate) => {
                self.path.push(certificate);
                let end = self.extend();
                if end.is_none() {
                    self.path.pop();
                }
                end
            }
            Candidate::Key(_, end) => self.complete(&end).then_some(end),
        }
    }

    /// Issuers by name, trusted ones first, then those whose key identifier fits; where there are none, the bare keys.
    fn candidates(&self, top: &Certificate, full: bool) -> Vec<Candidate> {
        let mut found = Vec::new();
        if !full {
            let issuer = top.issuer();
            let wanted = &top.extensions().authority_key;
            let mut presented: Vec<_> =
                self.presented.iter().filter(|other| other.subject() == issuer).cloned().collect();
            // RFC 5280 §4.2.1.1: the identifier is a hint; issuers that do not fit come last.
            presented.sort_by_key(|other| wanted.is_some() && other.extensions().subject_key != *wanted);
            for certificate in self.trust.named(issuer).into_iter().chain(presented) {
                let known =
                    |other: &Candidate| matches!(other, Candidate::Certificate(c) if *c == certificate);
                if !self.path.contains(&certificate) && !found.iter().any(known) {
                    found.push(Candidate::Certificate(certificate));
                }
            }
        }
        // A key stands in for an issuer that is not there. Where there is one by name, it is that one's limits that count.
        if found.is_empty() {
            found.extend(self.trust.keys());
        }
        found
    }

    /// Checks a signature, at the expense of the budget; `None` when that is used up.
    fn signed_by(&mut self, top: &Certificate, spki: &[u8]) -> Option<Result<(), BadSignature>> {
        let Some(left) = self.signatures.checked_sub(1) else {
            self.note(failure(Some(top), self.path.len() - 1, Problem::Budget(MAX_SIGNATURES)));
            return None;
        };
        self.signatures = left;
        Some(signature::check(&top.signed(), spki))
    }

    fn complete(&mut self, end: &End) -> bool {
        match checks::check(&self.path, end, self.trust, self.rules) {
            Ok(()) => true,
            Err(failure) => {
                self.note(failure);
                false
            }
        }
    }

    /// No issuer of `top` was found.
    fn stuck(&mut self, top: &Certificate, full: bool, wrong: Option<BadSignature>) {
        let depth = self.path.len() - 1;
        let problem = match wrong {
            _ if full && !top.is_root() => Problem::TooLong(self.rules.depth),
            Some(BadSignature::Wrong) => Problem::BadSignature,
            Some(BadSignature::Unsupported) => Problem::UnsupportedSignature,
            None if top.is_root() => Problem::SelfSigned,
            None => Problem::UntrustedIssuer(top.issuer().to_string()),
        };
        self.note(failure(Some(top), depth, problem));
    }

    /// Keeps the failure to tell: of two that are equally telling the one further up, of two broken paths the first.
    fn note(&mut self, failure: PathFailure) {
        let better = self.worst.as_ref().is_none_or(|worst| {
            let (old, new) = (worst.problem.rank(), failure.problem.rank());
            new > old || (new == old && new < 4 && failure.depth >= worst.depth)
        });
        if better {
            self.worst = Some(failure);
        }
    }
}

impl Trust<'_> {
    /// Whether a path may end at this certificate of it.
    fn end_at(&self, certificate: &Certificate, depth: usize) -> Option<End> {
        match self {
            Self::Anchors(anchors) => match anchors.rules() {
                // No partial chains: it must be a root. A self-signed server certificate may be one.
                AnchorRules::Authorities if certificate.is_root() => {
                    anchors.find(certificate).map(End::Anchor)
                }
                AnchorRules::Authorities => None,
                // The server's own certificate is matched as such before paths are built.
                AnchorRules::Explicit if depth > 0 => anchors.find(certificate).map(End::Anchor),
                AnchorRules::Explicit => None,
            },
            // RFC 7671 §5.2: a trust anchor is an issuer; the server's own certificate never is.
            Self::Records(_) if depth == 0 => None,
            Self::Records(ta) => {
                ta.records.iter().find(|record| matches(record, certificate)).cloned().map(End::Record)
            }
        }
    }

    /// Issuers with this name that need not be presented.
    fn named(&self, name: &Name) -> Vec<Certificate> {
        match self {
            Self::Anchors(anchors) => {
                anchors.named(name).iter().filter_map(|anchor| anchor.certificate().cloned()).collect()
            }
            Self::Records(ta) => ta.certificates.iter().filter(|c| c.subject() == name).cloned().collect(),
        }
    }

    fn keys(&self) -> Vec<Candidate> {
        match self {
            Self::Anchors(anchors) => anchors
                .keys()
                .map(|(anchor, key)| Candidate::Key(key.clone(), End::Key(anchor.clone())))
                .collect(),
            Self::Records(ta) => {
                let keys = ta.keys.iter();
                keys.map(|(record, key)| Candidate::Key(key.clone(), End::RecordKey(record.clone())))
                    .collect()
            }
        }
    }
}

impl TaRecords {
    /// From usable DANE-TA records.
    pub(crate) fn new(records: Vec<Tlsa>) -> Self {
        let full = |selector| {
            let records = records.iter();
            records.filter(move |record| record.matching == Matching::Full && record.selector == selector)
        };
        let certificates =
            full(Selector::Cert).filter_map(|record| Certificate::parse(&record.data).ok()).collect();
        let keys = full(Selector::Spki)
            .filter_map(|record| Some((record.clone(), PublicKey::parse(&record.data)?)))
            .collect();
        Self { certificates, keys, records }
    }
}
