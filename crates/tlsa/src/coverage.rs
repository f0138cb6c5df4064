//! Does this chain satisfy these records?

use waxseal_types::{DigestOrder, Domain, Tlsa, UnixTime, Usage};
use waxseal_verify::{DaneFailure, DaneMatch, Unusable, check_dane, usability};

/// What one record is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It alone would authenticate the server.
    Matches(DaneMatch),
    /// Clients pass it over.
    Unusable(Unusable),
    /// It matches nothing of this chain: it is of another key, an old one or the next.
    Other,
    /// It is about a certificate of this chain, and the server fails all the same: what it vouches for is not in order.
    Fails(DaneFailure),
}

/// What a client of DANE makes of a set of records and a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// The verdict on the set as a whole, by which deliveries go.
    pub verdict: Result<DaneMatch, DaneFailure>,
    /// Each record by itself, in the order of the set.
    pub records: Vec<(Tlsa, Standing)>,
}

impl Coverage {
    /// Whether delivery goes on with the server authenticated.
    #[must_use]
    pub const fn is_covered(&self) -> bool {
        self.verdict.is_ok()
    }
}

/// Holds `records` against `chain` (DER, leaf first) at `now`. `names` are the reference identifiers of usage 2: the TLSA base domain,
/// and what clients may take besides it (RFC 7672 §3.2.2).
///
/// ```
/// use waxseal_tlsa::{Standing, coverage};
/// use waxseal_types::{Tlsa, UnixTime};
///
/// let covered = coverage(&[Tlsa::new(1, 1, 1, &[0; 32])], &[], &[vec![0x30, 0]], UnixTime::from_secs(0));
/// assert!(matches!(covered.records[0].1, Standing::Unusable(_)) && !covered.is_covered());
/// ```
#[must_use]
pub fn coverage(records: &[Tlsa], names: &[Domain], chain: &[Vec<u8>], now: UnixTime) -> Coverage {
    let digests = DigestOrder::default();
    let standing = |record: &Tlsa| {
        if let Err(why) = usability(record, &digests) {
            return Standing::Unusable(why);
        }
        match check_dane(std::slice::from_ref(record), names, chain, now) {
            Ok(found) => Standing::Matches(found),
            Err(DaneFailure::NoMatch(_)) => Standing::Other,
            // RFC 7671 §5.2: a path may break before it comes to the certificate that the record is about.
            Err(failure) if is_about(record, chain) => Standing::Fails(failure),
            Err(_) => Standing::Other,
        }
    };
    Coverage {
        verdict: check_dane(records, names, chain, now),
        records: records.iter().map(|record| (record.clone(), standing(record))).collect(),
    }
}

/// Whether a record is about one of these certificates, in order or not: as if each were the only one, and the record pinned it.
fn is_about(record: &Tlsa, chain: &[Vec<u8>]) -> bool {
    let pinned = Tlsa { usage: Usage::DaneEe, ..record.clone() };
    let alone = |der: &Vec<u8>| {
        let outcome =
            check_dane(std::slice::from_ref(&pinned), &[], std::slice::from_ref(der), UnixTime::default());
        !matches!(outcome, Err(DaneFailure::NoMatch(_)))
    };
    chain.iter().any(alone)
}
