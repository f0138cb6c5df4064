//! When signatures end: for those who publish, and want to know before others do.

use hickory_proto::{
    dnssec::rdata::DNSSECRData,
    op::Message,
    rr::{Name, RData, RecordType},
};
use waxseal_types::UnixTime;

use crate::records::printable;

/// Signatures of one answer that are looked at: a chain of ten aliases has no more.
const MAX_SIGNATURES: usize = 64;

/// A record set of an answer, and until when it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The name that the set belongs to, as people write it.
    pub owner: String,
    /// The type of its records, as in zone files.
    pub kind: String,
    /// The zone that signed it.
    pub signer: String,
    /// The end of the signature that lasts longest.
    pub expires: UnixTime,
    /// Whether it is on the way to the zone of what was asked for, and not in it: a DS record, or the keys of a zone above.
    pub above: bool,
}

/// The signatures in an answer. Whether they are good is not said here: the lookups say so.
pub(crate) fn of(message: &Message, now: UnixTime, above: bool) -> Vec<Signature> {
    let mut found: Vec<Signature> = Vec::new();
    for record in message.answers.iter().take(MAX_SIGNATURES) {
        let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &record.data else { continue };
        let input = signature.input();
        let one = Signature {
            owner: printable(&record.name),
            kind: kind(input.type_covered),
            signer: printable(&input.signer_name),
            expires: time(input.sig_expiration.get(), now),
            above,
        };
        // Zones between two keys or algorithms sign twice; the set is good while one of them is.
        let same = |known: &&mut Signature| (&known.owner, &known.kind) == (&one.owner, &one.kind);
        match found.iter_mut().find(same) {
            Some(known) => known.expires = known.expires.max(one.expires),
            None => found.push(one),
        }
    }
    found
}

fn kind(kind: RecordType) -> String {
    kind.to_string()
}

/// RFC 4034 §3.1.5: seconds modulo 2^32, to be read as within 68 years of now (RFC 1982).
fn time(stamp: u32, now: UnixTime) -> UnixTime {
    let ahead = stamp.wrapping_sub(now.as_secs() as u32) as i32;
    UnixTime::from_secs(now.as_secs().saturating_add_signed(i64::from(ahead)))
}

/// The zones that signed, each once.
pub(crate) fn signers(message: &Message) -> Vec<Name> {
    let mut zones: Vec<Name> = Vec::new();
    for record in message.answers.iter().take(MAX_SIGNATURES) {
        let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &record.data else { continue };
        let zone = &signature.input().signer_name;
        if !zones.contains(zone) {
            zones.push(zone.clone());
        }
    }
    zones
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc1982_times_are_read_around_now() {
        let now = UnixTime::from_secs(4_294_967_296 + 100);
        assert_eq!(time(50, now).as_secs(), 4_294_967_296 + 50);
        assert_eq!(time(4_294_967_290, now).as_secs(), 4_294_967_290);
        assert_eq!(time(1_000, UnixTime::from_secs(900)).as_secs(), 1_000);
    }
}
