//! DANE for SMTP (RFC 7672 §3.1, RFC 7671): TLSA records and a chain, nothing else.

use std::fmt;

use sha2::{Digest as _, Sha256, Sha512};
use waxseal_trust::{Certificate, PublicKey, spki_of};
use waxseal_types::{
    DaneDemand, DigestOrder, Domain, Matching, NamePattern, Selector, Strength, Tlsa, UnixTime, Usage,
};

use crate::{
    chain::Chain,
    checks,
    failure::PathFailure,
    names,
    path::{self, DEFAULT_DEPTH, Demanded, End, Purpose, Rules, TaRecords, Trust},
};

/// Why a TLSA record cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unusable {
    /// PKIX-TA(0) or PKIX-EE(1).
    #[error("usage {0} is not for SMTP (RFC 7672 §3.1.3)")]
    PkixUsage(u8),
    /// No such usage is known.
    #[error("unknown certificate usage {0}")]
    UnknownUsage(u8),
    /// No such selector is known.
    #[error("unknown selector {0}")]
    UnknownSelector(u8),
    /// No such matching type is known.
    #[error("unknown matching type {0}")]
    UnknownMatching(u8),
    /// The operator has taken its digest out of the list.
    #[error("its digest, matching type {0}, is not enabled")]
    Disabled(u8),
    /// The digest is shorter or longer than digests of its kind are.
    #[error("the digest has {0} octets instead of {1}")]
    Length(usize, usize),
    /// The full certificate in it is none.
    #[error("it holds no certificate that can be used")]
    Certificate,
    /// The full key in it is none.
    #[error("it holds no public key that can be used")]
    Key,
}

/// Whether a record can be used at all; a set without a usable one means TLS without authentication (RFC 7672 §2.2).
///
/// # Errors
/// [`Unusable`] says why not.
pub fn usability(record: &Tlsa, digests: &DigestOrder) -> Result<(), Unusable> {
    match record.usage {
        Usage::DaneTa | Usage::DaneEe => {}
        // RFC 7672 §3.1.3: undefined for SMTP; dropped before anything is matched.
        Usage::PkixTa => return Err(Unusable::PkixUsage(0)),
        Usage::PkixEe => return Err(Unusable::PkixUsage(1)),
        Usage::Unassigned(usage) => return Err(Unusable::UnknownUsage(usage)),
    }
    if let Selector::Unassigned(selector) = record.selector {
        return Err(Unusable::UnknownSelector(selector));
    }
    let length = match record.matching {
        Matching::Sha256 => 32,
        Matching::Sha512 => 64,
        Matching::Full => return full_data(record),
        Matching::Unassigned(matching) => return Err(Unusable::UnknownMatching(matching)),
    };
    // RFC 6698 §4.1: an algorithm that is too weak by policy makes the record unusable.
    if digests.rank(record.matching).is_none() {
        return Err(Unusable::Disabled(record.matching.into()));
    }
    if record.data.len() == length { Ok(()) } else { Err(Unusable::Length(record.data.len(), length)) }
}

/// RFC 6698 §2.1.4: what the full data must be depends on the selector.
fn full_data(record: &Tlsa) -> Result<(), Unusable> {
    match record.selector {
        Selector::Cert => {
            let certificate = Certificate::parse(&record.data).map_err(|_| Unusable::Certificate)?;
            certificate.public_key().map(|_| ()).ok_or(Unusable::Certificate)
        }
        Selector::Spki => PublicKey::parse(&record.data).map(|_| ()).ok_or(Unusable::Key),
        Selector::Unassigned(selector) => Err(Unusable::UnknownSelector(selector)),
    }
}

/// A record that matches, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaneMatch {
    /// The record.
    pub record: Tlsa,
    /// The place in the path of what it matched: 0 is the server's own certificate.
    pub depth: usize,
    /// The name that matched, where names count.
    pub name: Option<String>,
}

/// `TLSA 3 1 1 0123abcd... at depth 0`.
impl fmt::Display for DaneMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLSA {} at depth {}", self.record, self.depth)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, ", name {name}"))
    }
}

/// Why no record authenticates the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DaneFailure {
    /// None of the records can be used.
    #[error("none of the {0} TLSA records is usable")]
    NothingUsable(usize),
    /// No record matches anything.
    #[error("no matching DANE TLSA records ({0} usable)")]
    NoMatch(usize),
    /// A chain that a DANE-TA record might vouch for is not in order.
    #[error("{0}")]
    Path(PathFailure),
    /// A DANE-TA record matches; the certificate names somebody else.
    #[error("hostname mismatch: the certificate is for {listed}")]
    Name {
        /// The names in it.
        listed: String,
    },
}

/// Matches records with a chain (DER, leaf first); SHA2-512 counts before SHA2-256.
///
/// `names` are the reference identifiers for usage DANE-TA (RFC 7672 §3.2.2): the TLSA base domain, the next hop.
///
/// # Errors
/// [`DaneFailure`] says why the server is not authenticated.
///
/// ```
/// use waxseal_types::{Tlsa, UnixTime};
/// use waxseal_verify::{DaneFailure, check_dane};
///
/// let records = [Tlsa::new(1, 1, 1, &[0; 32])];
/// let outcome = check_dane(&records, &[], &[vec![0x30, 0]], UnixTime::from_secs(0));
/// assert_eq!(outcome, Err(DaneFailure::NothingUsable(1)));
/// ```
pub fn check_dane(
    records: &[Tlsa],
    names: &[Domain],
    chain: &[Vec<u8>],
    now: UnixTime,
) -> Result<DaneMatch, DaneFailure> {
    let terms = Terms { digests: &DigestOrder::default(), strength: Strength::default(), now };
    check(records, names, chain, terms)
}

/// The same for a demand, with the digests that it allows. Of the demand's view of the MX records nothing is said.
///
/// # Errors
/// [`DaneFailure`] says why the server is not authenticated.
pub fn check_dane_demand(
    demand: &DaneDemand,
    chain: &[Vec<u8>],
    now: UnixTime,
) -> Result<DaneMatch, DaneFailure> {
    let terms = Terms { digests: &demand.digests, strength: Strength::default(), now };
    check(&demand.records, &demand.names, chain, terms)
}

/// What the operator allows, and when.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) digests: &'a DigestOrder,
    /// Of keys and signatures.
    pub(crate) strength: Strength,
    pub(crate) now: UnixTime,
}

/// [`check_dane`] on these terms.
pub(crate) fn check(
    records: &[Tlsa],
    names: &[Domain],
    chain: &[Vec<u8>],
    terms: Terms<'_>,
) -> Result<DaneMatch, DaneFailure> {
    let usable = |record: &&Tlsa| usability(record, terms.digests).is_ok();
    let all: Vec<_> = records.iter().take(MAX_RECORDS).filter(usable).collect();
    let usable = strongest(&all, terms.digests);
    if usable.is_empty() {
        return Err(DaneFailure::NothingUsable(records.len()));
    }
    let leaf = chain.first().map(Vec::as_slice).unwrap_or_default();
    let ee = usable.iter().find(|record| record.usage == Usage::DaneEe && matches_der(record, leaf));
    if let Some(record) = ee {
        // RFC 7672 §3.1.1: neither names nor dates nor the rest of the chain count.
        checks::pinned(leaf, terms.strength).map_err(DaneFailure::Path)?;
        return Ok(DaneMatch { record: (*record).clone(), depth: 0, name: None });
    }
    let anchors: Vec<Tlsa> = usable
        .iter()
        .filter(|record| record.usage == Usage::DaneTa)
        .map(|record| (*record).clone())
        .collect();
    if anchors.is_empty() {
        return Err(DaneFailure::NoMatch(usable.len()));
    }
    let rules = Rules {
        demanded: Demanded::matched(terms.strength),
        depth: DEFAULT_DEPTH,
        purpose: Purpose::Server,
        now: terms.now,
    };
    trust_anchor(anchors, names, chain, rules).map_err(|failure| match failure {
        DaneFailure::NoMatch(_) => DaneFailure::NoMatch(usable.len()),
        other => other,
    })
}

/// Records of one set that are looked at; a DNS message cannot hold many more, and honest sets have fewer than ten.
const MAX_RECORDS: usize = 500;

/// RFC 7672 §3.1.2: a path to a trust anchor, and one of the names.
fn trust_anchor(
    records: Vec<Tlsa>,
    names: &[Domain],
    chain: &[Vec<u8>],
    rules: Rules,
) -> Result<DaneMatch, DaneFailure> {
    let count = records.len();
    let ta = TaRecords::new(records);
    let presented = Chain::read(chain).map_err(DaneFailure::Path)?;
    let path = path::find(&presented.certificates, Trust::Records(&ta), rules).map_err(|failure| {
        // Without a match the most that can be said is that there is none.
        if failure.problem.rank() <= 1 { DaneFailure::NoMatch(count) } else { DaneFailure::Path(failure) }
    })?;
    let depth = path.certificates.len() - 1;
    let record = match path.end {
        End::Record(record) | End::RecordKey(record) => record,
        // Records lead to records.
        End::Anchor(_) | End::Key(_) => return Err(DaneFailure::NoMatch(count)),
    };
    let patterns: Vec<_> = names.iter().cloned().map(NamePattern::Exact).collect();
    let leaf = &presented.certificates[0];
    match names::matching(leaf, &patterns, false) {
        Some(name) => Ok(DaneMatch { record, depth, name: Some(name) }),
        None => Err(DaneFailure::Name { listed: names::listed(leaf) }),
    }
}

/// Digest agility (RFC 7671 §9): of each usage and selector the strongest digest alone counts, and full data always.
fn strongest<'a>(usable: &[&'a Tlsa], digests: &DigestOrder) -> Vec<&'a Tlsa> {
    let beaten = |record: &Tlsa| {
        let Some(rank) = digests.rank(record.matching) else { return false };
        usable.iter().any(|other| {
            other.usage == record.usage
                && other.selector == record.selector
                && digests.rank(other.matching).is_some_and(|stronger| stronger < rank)
        })
    };
    usable.iter().copied().filter(|record| !beaten(record)).collect()
}

/// Whether a usable record is about this certificate.
pub(crate) fn matches(record: &Tlsa, certificate: &Certificate) -> bool {
    selected(record, certificate.as_der(), Some(certificate.spki()))
}

/// The same for a certificate that need not be readable: RFC 7671 §5.1 wants nothing of it but to be the one.
fn matches_der(record: &Tlsa, certificate: &[u8]) -> bool {
    selected(record, certificate, spki_of(certificate))
}

fn selected(record: &Tlsa, certificate: &[u8], spki: Option<&[u8]>) -> bool {
    let part = match record.selector {
        Selector::Cert => certificate,
        Selector::Spki => match spki {
            Some(spki) => spki,
            None => return false,
        },
        Selector::Unassigned(_) => return false,
    };
    // RFC 6698 §2.1.3.
    match record.matching {
        Matching::Full => *record.data == *part,
        Matching::Sha256 => *record.data == *Sha256::digest(part),
        Matching::Sha512 => *record.data == *Sha512::digest(part),
        Matching::Unassigned(_) => false,
    }
}
