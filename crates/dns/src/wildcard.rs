//! Answers made from a wildcard: valid only with the proof that nothing nearer exists (RFC 4035 §5.3.4).
//!
//! hickory 0.26.3 checks that as well, with two mistakes. It skips the check where all of the authority section is
//! insecure, so that a forger could replay a wildcard's signature over a name that exists, with an unsigned zone's SOA
//! beside it. And it wants the wildcard one label above the name to be denied too, which no zone can do when it is
//! just that wildcard which gave the answer.

use hickory_proto::{
    dnssec::{
        Proof,
        rdata::{DNSSECRData, NSEC, RRSIG},
    },
    op::Message,
    rr::{Name, RData, Record, RecordType},
};

use crate::anchors::signature;

/// The signature over the `kind` records of `name` that shows them to come from a wildcard (RFC 4034 §3.1.3).
fn expansion<'a>(message: &'a Message, name: &Name, kind: RecordType) -> Option<&'a RRSIG> {
    let own = message.answers.iter().filter(|record| &record.name == name).filter_map(signature);
    own.filter(|signature| signature.input().type_covered == kind)
        .find(|signature| signature.input().num_labels < name.num_labels())
}

/// Whether the records come from a wildcard of a zone that leaves out unsigned delegations when it denies the name itself
/// (RFC 5155 §9.2: such an answer is not authentic).
pub(crate) fn is_opted_out(message: &Message, name: &Name, kind: RecordType) -> bool {
    let Some(signature) = expansion(message, name, kind) else { return false };
    // Behind an alias the reply may have denials of other zones; an NSEC3 record stands right below its zone's name.
    message
        .authorities
        .iter()
        .any(|record| opts_out(record) && record.name.base_name() == signature.input().signer_name)
}

/// Whether a denial has the Opt-Out flag (RFC 5155 §3.1.2.1).
pub(crate) fn has_opt_out(message: &Message) -> bool {
    message.authorities.iter().any(opts_out)
}

fn opts_out(record: &Record) -> bool {
    match &record.data {
        RData::DNSSEC(DNSSECRData::NSEC3(nsec3)) => nsec3.opt_out(),
        _ => false,
    }
}

/// Whether the records come from a wildcard and nothing secure denies the name.
pub(crate) fn is_unproven(message: &Message, name: &Name, kind: RecordType) -> bool {
    expansion(message, name, kind).is_some()
        && !message.authorities.iter().any(|record| is_denial(record) && record.proof == Proof::Secure)
}

pub(crate) fn is_denial(record: &Record) -> bool {
    matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3)
}

/// Whether the records come from a wildcard and an NSEC record of its zone proves that nothing nearer exists.
///
/// The records themselves are judged elsewhere.
pub(crate) fn is_proven(message: &Message, name: &Name, kind: RecordType) -> bool {
    let Some(input) = expansion(message, name, kind).map(|signature| signature.input()) else { return false };
    message.authorities.iter().any(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::NSEC(nsec)) => {
            record.proof == Proof::Secure
                && is_signed_by(message, &record.name, &input.signer_name)
                && leaves_room(&record.name, nsec, name, &input.signer_name)
                && shared(name, &record.name) <= input.num_labels
                && shared(name, nsec.next_domain_name()) <= input.num_labels
        }
        _ => false,
    })
}

/// Whether the NSEC record at `owner` is the word of this zone.
fn is_signed_by(message: &Message, owner: &Name, zone: &Name) -> bool {
    message.authorities.iter().filter(|record| &record.name == owner).any(|record| {
        record.proof == Proof::Secure
            && signature(record).is_some_and(|signature| {
                signature.input().type_covered == RecordType::NSEC && &signature.input().signer_name == zone
            })
    })
}

/// RFC 4034 §4.1.1: no name lies between owner and next; the last name's next is the apex. RFC 6840 §4.1: what a
/// delegation says holds for nothing below it.
fn leaves_room(owner: &Name, nsec: &NSEC, name: &Name, apex: &Name) -> bool {
    let next = nsec.next_domain_name();
    let hides_below = nsec.is_ancestor_delegation() || nsec.type_set().contains(RecordType::DNAME);
    !(hides_below && owner.zone_of(name)) && owner < name && (name < next || next == apex)
}

/// How many labels two names share, from the right.
fn shared(one: &Name, other: &Name) -> u8 {
    let pairs = one.iter().rev().zip(other.iter().rev());
    let same = pairs.take_while(|(one, other)| one.eq_ignore_ascii_case(other)).count();
    u8::try_from(same).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    #[test]
    fn rfc_4035_5_3_4_a_nearer_name_must_be_denied() {
        let nsec = |next: &str, kinds: &[RecordType]| NSEC::new(name(next), kinds.to_vec());
        let asked = name("a.wild.test.");
        for (owner, next, kinds, expected) in [
            ("*.wild.test.", "b.wild.test.", &[RecordType::A][..], true),
            ("wild.test.", "z.test.", &[RecordType::A], true),
            ("wild.test.", "z.test.", &[RecordType::NS], false),
            ("wild.test.", "z.test.", &[RecordType::DNAME], false),
            ("b.wild.test.", "z.test.", &[RecordType::A], false),
            ("*.wild.test.", "a.wild.test.", &[RecordType::A], false),
            ("*.wild.test.", "test.", &[RecordType::A], true),
            ("z.test.", "test.", &[RecordType::A], false),
        ] {
            let got = leaves_room(&name(owner), &nsec(next, kinds), &asked, &name("test."));
            assert_eq!(got, expected, "{owner} {next}");
        }
        assert_eq!(shared(&asked, &name("x.A.wild.test.")), 3);
        assert_eq!(shared(&asked, &name("other.")), 0);
    }
}
