//! Whether a chain stands before a set of records: asked of the same code that judges servers when mail goes out.

use waxseal_tlsa::{Form, Standing, Subject, coverage};
use waxseal_trust::spki_of;
use waxseal_types::{Domain, Matching, Tlsa, UnixTime};
use waxseal_verify::DaneFailure;

use crate::{Place, RecordSet};

/// Whether a client that holds `set` takes this chain (DER, leaf first) for that of `place`. Where there are no records, any will do
/// (RFC 7672 §2.2), and where none is usable, too.
///
/// # Errors
/// Why not.
pub fn covers(set: &RecordSet, place: &Place, chain: &[Vec<u8>], now: UnixTime) -> Result<(), String> {
    if set.is_empty() {
        return Ok(());
    }
    // RFC 7672 §3.2.2 has clients take the next hop's name, too; who knows which domains are sent here? The stricter of both counts.
    match coverage(set.as_slice(), std::slice::from_ref(&place.name), chain, now).verdict {
        // RFC 7672 §2.2: without a usable record TLS is asked for, and no more.
        Ok(_) | Err(DaneFailure::NothingUsable(_)) => Ok(()),
        Err(failure) => Err(failure.to_string()),
    }
}

/// The records of `set` that this chain rests on, each by itself.
#[must_use]
pub fn matching(set: &RecordSet, name: &Domain, chain: &[Vec<u8>], now: UnixTime) -> RecordSet {
    let covered = coverage(set.as_slice(), std::slice::from_ref(name), chain, now);
    let matches =
        covered.records.into_iter().filter(|(_, standing)| matches!(standing, Standing::Matches(_)));
    RecordSet::new(matches.map(|(record, _)| record))
}

/// `3 1 1` of a leaf (RFC 7672 §3.1.1), or `3 1 2` where `beside` has records of that kind.
#[must_use]
pub fn leaf_record(leaf: &[u8], beside: &RecordSet) -> Option<Tlsa> {
    record(Form::RECOMMENDED, leaf, beside)
}

/// `2 1 1` of an issuer, which has to be served along with the leaf (RFC 7672 §3.1.2), or `2 1 2`.
#[must_use]
pub fn issuer_record(chain: &[Vec<u8>], beside: &RecordSet) -> Option<Tlsa> {
    record(Form::ISSUER, chain.get(1)?, beside)
}

/// RFC 7671 §9: of one usage and selector a client looks at the strongest digest alone, so that a weaker one would not be seen.
fn record(form: Form, certificate: &[u8], beside: &RecordSet) -> Option<Tlsa> {
    let strong = Form { matching: Matching::Sha512, ..form };
    let is_strong = beside.as_slice().iter().any(|record| Form::from(record) == strong);
    let subject = Subject::key_from(spki_of(certificate)?)?;
    if is_strong { strong } else { form }.record(&subject).ok()
}
