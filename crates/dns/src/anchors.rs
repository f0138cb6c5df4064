//! Trust anchors: from a file to the keys that a zone has today.
//!
//! An anchor is a key, or a digest of one, that the operator trusts for a zone. The zone's DNSKEY RRset, signed by
//! that key, gives the other keys of the zone (RFC 4035 §5.2). The library below wants every key of an anchored zone
//! in its store, so the RRset is fetched and checked here.

use std::{fs, path::Path, time::Duration};

use hickory_proto::{
    dnssec::{
        PublicKey, PublicKeyBuf, TrustAnchors, Verifier,
        rdata::{DNSKEY, DNSSECRData, DS, RRSIG},
    },
    op::Message,
    rr::{DNSClass, LowerName, Name, RData, Record, RecordType},
    serialize::txt::trust_anchor::{Entry, Parser},
};

use crate::{Error, answer::records_at, records::printable};

/// Signatures over one DNSKEY RRset that are tried with each key (threat D15; the validator's own limit).
const MAX_SIGNATURES: usize = 8;
/// Keys of one RRset that are looked at: more are an attack, no zone has more than a few.
const MAX_KEYS: usize = 32;
/// How often the keys of an anchored zone are fetched anew at least, and at most.
const REFRESH: std::ops::RangeInclusive<u64> = 60..=3600;

/// What the operator trusts for one zone.
#[derive(Debug, Clone)]
pub(crate) struct Anchor {
    pub(crate) zone: Name,
    keys: Vec<PublicKeyBuf>,
    digests: Vec<DS>,
}

impl Anchor {
    fn trusts(&self, key: &DNSKEY) -> bool {
        let public = key.public_key();
        self.keys.iter().any(|known| {
            known.algorithm() == public.algorithm() && known.public_bytes() == public.public_bytes()
        }) || self.digests.iter().any(|digest| {
            digest.algorithm() == public.algorithm() && digest.covers(&self.zone, key).unwrap_or(false)
        })
    }

    /// The keys of the zone, where `message` has its DNSKEY RRset signed by a trusted key; and for how long.
    pub(crate) fn keys_in(&self, message: &Message, now: u32) -> Result<(Vec<DNSKEY>, Duration), Flaw> {
        let set: Vec<Record> =
            records_at(&message.answers, &self.zone, RecordType::DNSKEY).take(MAX_KEYS).cloned().collect();
        let keys: Vec<DNSKEY> = set.iter().filter_map(dnskey).filter(usable).collect();
        if set.is_empty() {
            return Err(Flaw::NoKeys);
        }
        let signatures: Vec<&RRSIG> = message
            .answers
            .iter()
            .filter(|record| record.name == self.zone)
            .filter_map(signature)
            .filter(|signature| signature.input().type_covered == RecordType::DNSKEY)
            .take(MAX_SIGNATURES)
            .collect();
        if signatures.is_empty() {
            return Err(Flaw::Unsigned);
        }
        if !keys.iter().any(|key| self.trusts(key)) {
            return Err(Flaw::NotAnchored);
        }
        let mut trusted = keys.iter().filter(|key| self.trusts(key));
        if !trusted.any(|key| signatures.iter().any(|signature| self.is_signed(&set, key, signature, now))) {
            return Err(Flaw::of(&signatures, now));
        }
        let ttl = set.iter().map(|record| u64::from(record.ttl)).min().unwrap_or(0);
        Ok((keys, Duration::from_secs(ttl.clamp(*REFRESH.start(), *REFRESH.end()))))
    }

    /// RFC 4035 §5.3.1: what must hold of a signature before it is computed.
    fn is_signed(&self, set: &[Record], key: &DNSKEY, signature: &RRSIG, now: u32) -> bool {
        let input = signature.input();
        input.signer_name == self.zone
            && input.algorithm == key.public_key().algorithm()
            && key.calculate_key_tag().is_ok_and(|tag| tag == input.key_tag)
            && input.num_labels == self.zone.num_labels()
            && is_current(signature, now)
            && key.verify_rrsig(&self.zone, DNSClass::IN, signature, set.iter()).is_ok()
    }
}

/// Why a reply does not give the keys of an anchored zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// There are none in it: the resolver does not know what they are, or leaves them out.
    NoKeys,
    /// Keys without signatures: somebody strips them.
    Unsigned,
    /// Other keys than the trusted one.
    NotAnchored,
    /// All signatures ended, the last one this many seconds ago.
    Expired(u32),
    /// All signatures are still to begin, the first one in this many seconds.
    NotYet(u32),
    /// A signature is wrong.
    Wrong,
}

impl Flaw {
    /// What is wrong with signatures of which none is good.
    fn of(signatures: &[&RRSIG], now: u32) -> Self {
        let ended = |signature: &&RRSIG| now.wrapping_sub(signature.input().sig_expiration.get());
        let to_begin = |signature: &&RRSIG| signature.input().sig_inception.get().wrapping_sub(now);
        if signatures.iter().all(|signature| is_expired(signature, now)) {
            return Self::Expired(signatures.iter().map(ended).min().unwrap_or(0));
        }
        if !signatures.iter().any(|signature| starts_by(signature, now)) {
            return Self::NotYet(signatures.iter().map(to_begin).min().unwrap_or(0));
        }
        Self::Wrong
    }

    /// In the operator's words.
    pub(crate) fn words(self, zone: &Name) -> String {
        let zone = printable(zone);
        let days = |seconds: u32| f64::from(seconds / 8640) / 10.0;
        match self {
            Self::NoKeys => format!("the resolver gives no keys of {zone}"),
            Self::Unsigned => format!("the resolver gives the keys of {zone} without signatures"),
            Self::NotAnchored => format!("no key of {zone} is the trust anchor"),
            Self::Expired(ago) => {
                format!("all signatures over the keys of {zone} ended, {} days ago", days(ago))
            }
            Self::NotYet(ahead) => {
                format!("all signatures over the keys of {zone} are still to begin, in {} days", days(ahead))
            }
            Self::Wrong => format!("the keys of {zone} are not signed by the trust anchor"),
        }
    }
}

/// RFC 4034 §3.1.5: times are compared in serial number arithmetic (RFC 1982).
pub(crate) fn is_current(signature: &RRSIG, now: u32) -> bool {
    starts_by(signature, now) && !is_expired(signature, now)
}

pub(crate) fn starts_by(signature: &RRSIG, now: u32) -> bool {
    now.wrapping_sub(signature.input().sig_inception.get()) < 1 << 31
}

pub(crate) fn is_expired(signature: &RRSIG, now: u32) -> bool {
    signature.input().sig_expiration.get().wrapping_sub(now) >= 1 << 31
}

fn dnskey(record: &Record) -> Option<DNSKEY> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::DNSKEY(key)) => Some(key.clone()),
        _ => None,
    }
}

pub(crate) fn signature(record: &Record) -> Option<&RRSIG> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => Some(signature),
        _ => None,
    }
}

/// RFC 4034 §2.1.1, RFC 5011 §2.1: a zone key that is not revoked.
fn usable(key: &DNSKEY) -> bool {
    key.zone_key() && !key.revoke()
}

/// The keys in the form the validator takes.
pub(crate) fn store(zones: impl IntoIterator<Item = (Name, Vec<DNSKEY>)>) -> TrustAnchors {
    let mut store = TrustAnchors::empty();
    for (zone, keys) in zones {
        for key in keys {
            store.insert_with_name(key.public_key(), LowerName::from(&zone));
        }
    }
    store
}

/// The root's keys as IANA publishes them, built in.
pub(crate) fn iana() -> Vec<Anchor> {
    let built_in = TrustAnchors::default();
    let keys = (0..built_in.len()).filter_map(|at| built_in.get(at).cloned()).collect();
    vec![Anchor { zone: Name::root(), keys, digests: Vec::new() }]
}

/// Reads a trust anchor file: DNSKEY and DS records in zone-file form, `;` comments, parentheses over lines.
pub(crate) fn read(path: &Path) -> Result<Vec<Anchor>, Error> {
    let text = fs::read_to_string(path)
        .map_err(|source| Error::AnchorUnreadable { path: path.to_owned(), source })?;
    let anchors = parse(&text).map_err(|(line, problem)| Error::AnchorInvalid {
        path: path.to_owned(),
        line,
        problem,
    })?;
    if anchors.is_empty() {
        return Err(Error::AnchorEmpty { path: path.to_owned() });
    }
    Ok(anchors)
}

fn parse(text: &str) -> Result<Vec<Anchor>, (usize, String)> {
    let mut anchors: Vec<Anchor> = Vec::new();
    let (mut entry, mut starts, mut open) = (String::new(), 1, false);
    for (at, line) in text.lines().enumerate() {
        if entry.is_empty() {
            starts = at + 1;
        }
        let line = line.split(';').next().unwrap_or_default();
        for part in line.split_inclusive(['(', ')']) {
            open = (open || part.ends_with('(')) && !part.ends_with(')');
            entry.push_str(part.trim_end_matches(['(', ')']));
            entry.push(' ');
        }
        if !open {
            add(entry.split_whitespace().collect(), &mut anchors).map_err(|problem| (starts, problem))?;
            entry.clear();
        }
    }
    if open { Err((starts, "the parenthesis is not closed".into())) } else { Ok(anchors) }
}

/// One record: `name [ttl] [class] DNSKEY|DS rdata`.
fn add(words: Vec<&str>, anchors: &mut Vec<Anchor>) -> Result<(), String> {
    let Some(owner) = words.first() else { return Ok(()) };
    let is_type = |word: &str| word.eq_ignore_ascii_case("DNSKEY") || word.eq_ignore_ascii_case("DS");
    let at = words.iter().position(|word| is_type(word)).filter(|at| (1..=3).contains(at));
    let Some(at) = at else { return Err("neither a DNSKEY nor a DS record".into()) };
    let mut zone = Name::from_ascii(owner).map_err(|problem| format!("{owner:?}: {problem}"))?;
    zone.set_fqdn(true);
    let data = words[at + 1..].join(" ");
    let anchor = match anchors.iter().position(|anchor| anchor.zone == zone) {
        Some(at) => &mut anchors[at],
        None => {
            anchors.push(Anchor { zone, keys: Vec::new(), digests: Vec::new() });
            let last = anchors.len() - 1;
            &mut anchors[last]
        }
    };
    if words[at].eq_ignore_ascii_case("DS") {
        anchor.digests.push(parse_digest(&data)?);
        return Ok(());
    }
    let key = parse_key(&data)?;
    if !usable(&key) {
        return Err("the key is revoked or no zone key".into());
    }
    anchor.keys.push(key.public_key().clone());
    Ok(())
}

fn parse_digest(data: &str) -> Result<DS, String> {
    match RData::try_from_str(RecordType::DS, data) {
        Ok(RData::DNSSEC(DNSSECRData::DS(digest))) => Ok(digest),
        Ok(_) => Err("no DS record".into()),
        Err(problem) => Err(problem.to_string()),
    }
}

fn parse_key(data: &str) -> Result<DNSKEY, String> {
    // The library reads keys only with an owner before them.
    let entries =
        Parser::new(format!(". IN DNSKEY {data}\n")).parse().map_err(|problem| problem.to_string())?;
    match entries.as_slice() {
        [Entry::DNSKEY(key)] => Ok(key.data().clone()),
        _ => Err("no DNSKEY record".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==";
    const DIGEST: &str = "20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D";

    #[test]
    fn anchor_files_hold_keys_and_digests_in_zone_file_form() {
        let table = [
            (format!(". IN DNSKEY {KEY}"), 1, 1, 0),
            (format!("; comment\n\ntest. 3600 IN DNSKEY {KEY} ;{{id = 1}}\n"), 1, 1, 0),
            (format!("test.\tDNSKEY\t{KEY}\ntest. IN DS {DIGEST}"), 1, 1, 1),
            (format!(". 172800 IN DS ( 20326 8 2\n {} ) ; x", &DIGEST[10..]), 1, 0, 1),
            (format!(". DS {DIGEST}\nexample. DS {DIGEST}"), 2, 0, 1),
            (String::new(), 0, 0, 0),
        ];
        for (text, zones, keys, digests) in table {
            let anchors = parse(&text).unwrap_or_else(|(line, problem)| panic!("{text}: {line}: {problem}"));
            assert_eq!(anchors.len(), zones, "{text}");
            if let Some(first) = anchors.first() {
                assert_eq!((first.keys.len(), first.digests.len()), (keys, digests), "{text}");
            }
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, line) in [
            (". IN A 192.0.2.1", 1),
            ("\n\n. IN DS nonsense", 3),
            (". DS (", 1),
            (
                ". IN DNSKEY 385 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==",
                1,
            ),
        ] {
            assert_eq!(parse(text).map(|_| ()).map_err(|(at, _)| at), Err(line), "{text}");
        }
    }

    #[test]
    fn the_iana_root_is_built_in() {
        assert!(!iana()[0].keys.is_empty());
    }
}
