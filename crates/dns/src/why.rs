//! Why an answer is bogus, in the operator's words, as far as the reply itself shows it.

use hickory_proto::{
    dnssec::{Proof, rdata::RRSIG},
    op::Message,
    rr::{Name, Record, RecordType},
};

use crate::{
    anchors::{is_expired, signature, starts_by},
    records::printable,
};

/// One phrase for the first RRset of the reply that is bogus.
pub(crate) fn why(message: &Message, name: &Name, kind: RecordType, now: u32) -> String {
    let bogus = |record: &&Record| {
        record.record_type() != RecordType::RRSIG
            && matches!(record.proof, Proof::Bogus | Proof::Indeterminate)
    };
    let section = [&message.answers, &message.authorities];
    match section.iter().flat_map(|records| records.iter()).find(bogus) {
        Some(record) => signature_trouble(message, record, now),
        None if message.answers.is_empty() => {
            format!("nothing proves that {} has no {kind} record", printable(name))
        }
        None => format!("nothing proves that the wildcard holds for {}", printable(name)),
    }
}

fn signature_trouble(message: &Message, record: &Record, now: u32) -> String {
    let (owner, kind) = (printable(&record.name), record.record_type());
    let over: Vec<&RRSIG> = message
        .answers
        .iter()
        .chain(&message.authorities)
        .filter(|other| other.name == record.name)
        .filter_map(signature)
        .filter(|signature| signature.input().type_covered == kind)
        .collect();
    let Some(first) = over.first() else {
        return format!("{kind} of {owner} is not signed, and nothing proves that its zone is unsigned");
    };
    let signer = printable(&first.input().signer_name);
    if over.iter().all(|signature| is_expired(signature, now)) {
        let ago = now.wrapping_sub(first.input().sig_expiration.get()) / 3600;
        return format!("the signature of {signer} over {kind} of {owner} expired {ago} hours ago");
    }
    if !over.iter().any(|signature| starts_by(signature, now)) {
        return format!("the signature of {signer} over {kind} of {owner} is not valid yet");
    }
    let tag = first.input().key_tag;
    format!(
        "the signature of {signer} (key {tag}) over {kind} of {owner} is wrong, or that key is not linked to the trust anchor"
    )
}
