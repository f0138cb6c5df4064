//! Proofs of absence: which NSEC (RFC 4035 §3.1.3) or NSEC3 records (RFC 5155 §7.2) an answer needs.

use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::{
    dnssec::{
        Nsec3HashAlgorithm,
        rdata::{DNSSECRData, NSEC, NSEC3},
    },
    rr::{Name, RData, Record, RecordType},
};

use super::{
    world::{Part, Sets},
    zone::Hashing,
};

/// RFC 9276 §3.2: above this, validators take an absence as unproven, not as wrong; the number is unbound's.
const ITERATIONS_BELIEVED: u16 = 150;
const TTL: u32 = 60;

/// What is not there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Absence<'a> {
    /// The name, nor a wildcard for it.
    Name,
    /// The type, at a name that exists.
    Data,
    /// The name; a wildcard answered in its place.
    Covered,
    /// The name, and the type at this wildcard.
    CoveredData(&'a Name),
}

/// The records that prove it, and whether a validator believes them.
pub(super) struct Denial {
    pub(super) records: Vec<Record>,
    pub(super) is_believed: bool,
}

pub(super) fn denial(part: &Part, name: &Name, absence: Absence<'_>) -> Denial {
    match part.hashing {
        None => Denial { records: plain(part, name, absence), is_believed: true },
        Some(hashing) => hashed(&Chain::new(part, hashing), name, absence),
    }
}

fn plain(part: &Part, name: &Name, absence: Absence<'_>) -> Vec<Record> {
    let names = match absence {
        Absence::Name => {
            let wildcard = encloser(part, name).prepend_label("*").unwrap_or_else(|_| name.clone());
            vec![name.clone(), wildcard]
        }
        Absence::Data | Absence::Covered => vec![name.clone()],
        Absence::CoveredData(wildcard) => vec![wildcard.clone(), name.clone()],
    };
    let mut records = Vec::new();
    for record in names.iter().filter_map(|name| nsec(part, name)) {
        if !records.contains(&record) {
            records.push(record);
        }
    }
    records
}

/// The NSEC record at or before `name` (RFC 4034 §4).
fn nsec(part: &Part, name: &Name) -> Option<Record> {
    use std::ops::Bound::{Excluded, Unbounded};
    let names = &part.names;
    let (owner, sets) = names.range(..=name.clone()).next_back()?;
    // The last name's next is the first, the apex.
    let after = names.range((Excluded(owner.clone()), Unbounded)).next().or_else(|| names.iter().next());
    let types = sets.keys().copied().chain([RecordType::RRSIG, RecordType::NSEC]);
    let data = RData::DNSSEC(DNSSECRData::NSEC(NSEC::new(after?.0.clone(), types)));
    Some(Record::from_rdata(owner.clone(), TTL, data))
}

/// The longest ancestor that exists.
pub(super) fn encloser(part: &Part, name: &Name) -> Name {
    let mut at = name.base_name();
    while !at.is_root() && !part.names.keys().any(|owner| at.zone_of(owner)) {
        at = at.base_name();
    }
    at
}

/// The names of a zone by their hashes, empty non-terminals among them.
struct Chain<'a> {
    part: &'a Part,
    hashing: Hashing,
    links: BTreeMap<Vec<u8>, BTreeSet<RecordType>>,
}

impl<'a> Chain<'a> {
    fn new(part: &'a Part, hashing: Hashing) -> Self {
        let mut chain = Self { part, hashing, links: BTreeMap::new() };
        for (owner, sets) in &part.names {
            if hashing.opt_out && is_unsigned_delegation(part, owner, sets) {
                continue;
            }
            let link = chain.links.entry(chain.hash(owner)).or_default();
            link.extend(sets.keys().copied());
            link.insert(RecordType::RRSIG);
            let mut above = owner.clone();
            while above != part.apex && !above.is_root() {
                above = above.base_name();
                chain.links.entry(chain.hash(&above)).or_default();
            }
        }
        chain
    }

    fn hash(&self, name: &Name) -> Vec<u8> {
        let digest = Nsec3HashAlgorithm::SHA1.hash(&[], name, self.hashing.iterations);
        digest.map(|digest| digest.as_ref().to_vec()).unwrap_or_default()
    }

    fn has(&self, name: &Name) -> bool {
        self.links.contains_key(&self.hash(name))
    }

    /// The record that matches `name`, or covers it.
    fn at(&self, name: &Name) -> Option<Record> {
        use std::ops::Bound::{Excluded, Unbounded};
        let hash = self.hash(name);
        let last = || self.links.iter().next_back();
        let (owner, types) = self.links.range(..=hash).next_back().or_else(last)?;
        let after = self.links.range((Excluded(owner.clone()), Unbounded)).next();
        let (next, _) = after.or_else(|| self.links.iter().next())?;
        let data = NSEC3::new(
            Nsec3HashAlgorithm::SHA1,
            self.hashing.opt_out,
            self.hashing.iterations,
            Vec::new(),
            next.clone(),
            types.iter().copied(),
        );
        let owner = self.part.apex.prepend_label(base32(owner)).ok()?;
        Some(Record::from_rdata(owner, TTL, RData::DNSSEC(DNSSECRData::NSEC3(data))))
    }
}

fn hashed(chain: &Chain<'_>, name: &Name, absence: Absence<'_>) -> Denial {
    let mut enclosing = name.base_name();
    let mut nearer = name.clone();
    while !enclosing.is_root() && !chain.has(&enclosing) {
        nearer = enclosing.clone();
        enclosing = enclosing.base_name();
    }
    let wildcard = enclosing.prepend_label("*").unwrap_or_else(|_| name.clone());
    let names = match absence {
        Absence::Data if chain.has(name) => vec![name],
        // Opted out: the delegation has no record of its own (RFC 5155 §7.2.4).
        Absence::Data => vec![&enclosing, &nearer],
        Absence::Name if chain.has(name) => vec![name],
        Absence::Name => vec![&enclosing, &nearer, &wildcard],
        Absence::Covered => vec![&nearer],
        Absence::CoveredData(wildcard) => vec![&enclosing, &nearer, wildcard],
    };
    let steps_over = chain.hashing.opt_out && !chain.has(name);
    let mut records: Vec<Record> = Vec::new();
    for record in names.into_iter().filter_map(|name| chain.at(name)) {
        if !records.contains(&record) {
            records.push(record);
        }
    }
    Denial { records, is_believed: !steps_over && chain.hashing.iterations <= ITERATIONS_BELIEVED }
}

fn is_unsigned_delegation(part: &Part, owner: &Name, sets: &Sets) -> bool {
    *owner != part.apex && sets.contains_key(&RecordType::NS) && !sets.contains_key(&RecordType::DS)
}

/// RFC 4648 §7, without padding, in lower case: 20 octets give 32 letters.
fn base32(octets: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let (mut text, mut bits, mut held) = (String::new(), 0_u32, 0_u32);
    for octet in octets {
        held = (held << 8) | u32::from(*octet);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(LETTERS[(held >> bits) as usize & 31]));
        }
        held &= (1 << bits) - 1;
    }
    text
}
