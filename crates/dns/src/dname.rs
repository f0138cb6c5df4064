//! Names with a DNAME record, and those below them (RFC 6672).

use hickory_proto::{
    dnssec::{
        Nsec3HashAlgorithm, Proof as Judged,
        rdata::{DNSSECRData, NSEC3},
    },
    op::{Message, ResponseCode},
    rr::{Name, RData, Record, RecordType, RecordTypeSet},
};
use waxseal_types::Proof;

use crate::validate::{NSEC3_ITERATIONS, weakest};

/// The proof of the DNAME that turns `name` into `target` (RFC 6672 §2.2).
pub(crate) fn redirects(message: &Message, name: &Name, target: &Name) -> Option<Proof> {
    message.answers.iter().find_map(|record| {
        let RData::Unknown { code: RecordType::DNAME, rdata } = &record.data else { return None };
        if record.name == *name || !record.name.zone_of(name) {
            return None;
        }
        let end = uncompressed(&rdata.anything)?;
        let kept = usize::from(name.num_labels() - record.name.num_labels());
        let made = Name::from_labels(name.iter().take(kept)).ok()?.append_domain(&end).ok()?;
        if &made == target { weakest(std::iter::once(record)) } else { None }
    })
}

/// A name as RFC 3597 §4 wants it in the data of newer types: without compression.
fn uncompressed(octets: &[u8]) -> Option<Name> {
    use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
    Name::read(&mut BinDecoder::new(octets)).ok()
}

/// Whether a secure record proves that `name`, which has a DNAME, has nothing of this type.
///
/// RFC 6840 §4.1 forbids to take such a record for the absence of what lies *below* the DNAME. hickory 0.26.3 refuses
/// it for the name itself as well, and calls every absence beside a DNAME bogus.
pub(crate) fn denies_beside(message: &Message, name: &Name, kind: RecordType) -> bool {
    let is_plain = message.answers.is_empty() && message.metadata.response_code == ResponseCode::NoError;
    is_plain
        && message.authorities.iter().filter(|record| record.proof == Judged::Secure).any(|record| {
            match &record.data {
                RData::DNSSEC(DNSSECRData::NSEC(nsec)) => {
                    &record.name == name && lacks(nsec.type_set(), kind)
                }
                RData::DNSSEC(DNSSECRData::NSEC3(nsec3)) => {
                    lacks(nsec3.type_set(), kind) && is_hash_of(record, nsec3, name)
                }
                _ => false,
            }
        })
}

/// RFC 4035 §5.4, RFC 5155 §8.5: neither the type nor an alias is there, and the record is of the zone itself and not of a
/// delegation from it.
fn lacks(types: &RecordTypeSet, kind: RecordType) -> bool {
    let is_delegation = types.contains(RecordType::NS) && !types.contains(RecordType::SOA);
    types.contains(RecordType::DNAME)
        && !types.contains(kind)
        && !types.contains(RecordType::CNAME)
        && !is_delegation
}

/// RFC 5155 §5: whether the record's own name is the hash of `name`, in the zone that it stands in.
fn is_hash_of(record: &Record, nsec3: &NSEC3, name: &Name) -> bool {
    let zone = record.name.base_name();
    if !zone.zone_of(name) || nsec3.iterations() > NSEC3_ITERATIONS.0 {
        return false;
    }
    let hash = Nsec3HashAlgorithm::SHA1.hash(nsec3.salt(), &name.to_lowercase(), nsec3.iterations());
    let label = hash.map(|hash| base32(hash.as_ref())).unwrap_or_default();
    record.name.iter().next().is_some_and(|first| first.eq_ignore_ascii_case(label.as_bytes()))
}

/// RFC 4648 §7, without padding, in lower case: 20 octets give 32 letters.
fn base32(octets: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let (mut text, mut held, mut bits) = (String::new(), 0_u32, 0_u32);
    for octet in octets {
        held = (held << 8) | u32::from(*octet);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(LETTERS[(held >> bits) as usize & 31]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use hickory_proto::dnssec::rdata::NSEC;

    use super::*;

    /// The example of RFC 5155 appendix A: `H(a.example) = 35mthgpgcu1qg68fab165klnsnk3dpvl`.
    #[test]
    fn rfc_5155_appendix_a_hashes_are_found() {
        let at = |text: &str| Name::from_ascii(text).unwrap();
        let salt = vec![0xaa, 0xbb, 0xcc, 0xdd];
        let nsec3 = NSEC3::new(Nsec3HashAlgorithm::SHA1, false, 12, salt, vec![0; 20], [RecordType::DNAME]);
        let data = RData::DNSSEC(DNSSECRData::NSEC3(nsec3.clone()));
        let record = Record::from_rdata(at("35mthgpgcu1qg68fab165klnsnk3dpvl.example."), 60, data);
        assert!(is_hash_of(&record, &nsec3, &at("A.example.")));
        assert!(!is_hash_of(&record, &nsec3, &at("ai.example.")));
        assert!(!is_hash_of(&record, &nsec3, &at("a.other.")));
    }

    #[test]
    fn rfc_6840_4_1_a_delegation_denies_nothing_beside_it() {
        let nsec = |kinds: &[RecordType]| NSEC::new(Name::root(), kinds.to_vec());
        use RecordType::{A, CNAME, DNAME, MX, NS, SOA};
        for (kinds, expected) in [
            (&[DNAME][..], true),
            (&[DNAME, MX], true),
            (&[DNAME, NS, SOA], true),
            (&[DNAME, NS], false),
            (&[DNAME, A], false),
            (&[DNAME, CNAME], false),
            (&[MX], false),
        ] {
            assert_eq!(lacks(nsec(kinds).type_set(), A), expected, "{kinds:?}");
        }
    }
}
