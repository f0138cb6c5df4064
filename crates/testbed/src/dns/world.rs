//! A [`Zone`] sorted into zones with their delegations, keys and states.

use std::collections::BTreeMap;

use hickory_proto::{
    dnssec::{
        Algorithm, DigestType, PublicKeyBuf,
        rdata::{DNSKEY, DNSSECRData, DS},
    },
    rr::{
        Name, RData, RecordType,
        rdata::{NS, SOA},
    },
};

use super::{
    sign::Keys,
    zone::{Break, Cut, Entry, Fault, Hashing, Zone},
};

/// What a validator must make of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    Bogus,
    Insecure,
    Secure,
}

#[derive(Debug)]
pub(super) struct Set {
    pub(super) ttl: u32,
    pub(super) data: Vec<RData>,
}

pub(super) type Sets = BTreeMap<RecordType, Set>;

/// One zone: its names in canonical order, delegations among them.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) apex: Name,
    pub(super) cut: Cut,
    pub(super) health: Health,
    pub(super) names: BTreeMap<Name, Sets>,
    pub(super) keys: Keys,
    pub(super) hashing: Option<Hashing>,
    /// Days that its signatures are good for.
    pub(super) life: u32,
}

#[derive(Debug)]
pub(super) struct World {
    parts: BTreeMap<Name, Part>,
    tampered: Vec<(Name, RecordType)>,
    faults: Vec<(Name, Option<RecordType>, Fault)>,
    negative_ttl: u32,
}

impl World {
    /// Keys of zones that `last` had already are kept, so that a change of records is none of keys.
    pub(super) fn new(zone: Zone, last: Option<World>) -> Result<Self, String> {
        if let Some(problem) = zone.problem {
            return Err(problem);
        }
        let mut old = last.map(|last| last.parts).unwrap_or_default();
        let mut world = Self {
            parts: BTreeMap::new(),
            tampered: zone.tampered,
            faults: zone.faults,
            negative_ttl: zone.negative_ttl,
        };
        for (apex, cut) in cuts(&zone.cuts, &zone.records) {
            let algorithm = zone.algorithms.get(&apex).copied().unwrap_or(Algorithm::ECDSAP256SHA256);
            let keys = match old.remove(&apex) {
                Some(part) if part.keys.algorithm == algorithm => part.keys,
                Some(_) | None => Keys::generate(algorithm)?,
            };
            world.delegate(apex, cut, keys)?;
        }
        for (apex, hashing) in zone.hashing {
            if let Some(part) = world.parts.get_mut(&apex) {
                part.hashing = Some(hashing);
            }
        }
        for (apex, life) in zone.lives {
            if let Some(part) = world.parts.get_mut(&apex) {
                part.life = life;
            }
        }
        for entry in zone.records {
            world.add(&entry.owner.clone(), entry.ttl, entry.data);
        }
        Ok(world)
    }

    /// Ancestors come before their descendants in canonical order, so that the zone above is there already.
    fn delegate(&mut self, apex: Name, cut: Cut, keys: Keys) -> Result<(), String> {
        let above = self.part(&apex).map(|part| (part.apex.clone(), part.health));
        let health = match (above.as_ref().map_or(Health::Secure, |(_, health)| *health), cut) {
            (Health::Secure, Cut::Secure) if self.is_tampered(&apex, RecordType::DNSKEY) => Health::Bogus,
            (Health::Secure, Cut::Secure) => Health::Secure,
            (Health::Secure, Cut::Insecure | Cut::Broken(Break::UnknownAlgorithm)) => Health::Insecure,
            (Health::Secure, Cut::Broken(_)) => Health::Bogus,
            (lesser, _) => lesser,
        };
        let ns = Name::from_ascii("ns.invalid.").map_err(|problem| problem.to_string())?;
        if let Some((above, _)) = above {
            let digest = ds(&apex, cut, &keys)?;
            if let Some(above) = self.parts.get_mut(&above) {
                put(&mut above.names, &apex, 300, RData::NS(NS(ns.clone())));
                if let Some(digest) = digest {
                    put(&mut above.names, &apex, 300, RData::DNSSEC(DNSSECRData::DS(digest)));
                }
            }
        }
        let mut names = BTreeMap::new();
        let soa = SOA::new(ns.clone(), ns.clone(), 1, 3600, 600, 86400, self.negative_ttl);
        put(&mut names, &apex, self.negative_ttl, RData::SOA(soa));
        put(&mut names, &apex, 300, RData::NS(NS(ns)));
        match cut {
            Cut::Insecure | Cut::Broken(Break::Unsigned) => {}
            Cut::Broken(Break::UnknownAlgorithm) => {
                let key = DNSKEY::new(true, true, false, PublicKeyBuf::new(vec![1; 64], UNKNOWN));
                put(&mut names, &apex, 300, RData::DNSSEC(DNSSECRData::DNSKEY(key)));
            }
            Cut::Secure | Cut::Broken(_) => {
                for key in keys.records() {
                    put(&mut names, &apex, 300, RData::DNSSEC(DNSSECRData::DNSKEY(key)));
                }
            }
        }
        self.parts.insert(apex.clone(), Part { apex, cut, health, names, keys, hashing: None, life: 20 });
        Ok(())
    }

    fn add(&mut self, owner: &Name, ttl: u32, data: RData) {
        let apex = self.part(owner).map(|part| part.apex.clone());
        if let Some(part) = apex.and_then(|apex| self.parts.get_mut(&apex)) {
            put(&mut part.names, owner, ttl, data);
        }
    }

    /// The zone that `name` lies in.
    pub(super) fn part(&self, name: &Name) -> Option<&Part> {
        let mut at = name.clone();
        loop {
            if let Some(part) = self.parts.get(&at) {
                return Some(part);
            }
            if at.is_root() {
                return None;
            }
            at = at.base_name();
        }
    }

    /// The zone that answers for `kind` records of `name`: DS records are the parent's (RFC 4035 §3.1.4.1).
    pub(super) fn part_for(&self, name: &Name, kind: RecordType) -> Option<&Part> {
        if kind == RecordType::DS && !name.is_root() { self.part(&name.base_name()) } else { self.part(name) }
    }

    pub(super) fn fault(&self, name: &Name, kind: RecordType) -> Option<Fault> {
        self.faults
            .iter()
            .filter(|(owner, of, _)| owner == name && of.is_none_or(|of| of == kind))
            .max_by_key(|(_, of, _)| of.is_some())
            .map(|(.., fault)| *fault)
    }

    pub(super) fn is_tampered(&self, owner: &Name, kind: RecordType) -> bool {
        self.tampered.iter().any(|(name, of)| name == owner && *of == kind)
    }

    pub(super) fn root_keys(&self) -> Option<&Keys> {
        self.parts.get(&Name::root()).map(|part| &part.keys)
    }
}

/// A number that no algorithm has (RFC 8624 §3.1).
const UNKNOWN: Algorithm = Algorithm::Unknown(200);

fn ds(apex: &Name, cut: Cut, keys: &Keys) -> Result<Option<DS>, String> {
    let digest = keys.digest(apex)?;
    Ok(match cut {
        Cut::Insecure => None,
        Cut::Broken(Break::UnknownAlgorithm) => Some(DS::new(4711, UNKNOWN, DigestType::SHA256, digest)),
        Cut::Broken(Break::WrongDs) => {
            let wrong = digest.iter().map(|octet| !octet).collect();
            Some(DS::new(keys.tag()?, keys.algorithm, DigestType::SHA256, wrong))
        }
        Cut::Secure
        | Cut::Broken(Break::Expired | Break::NotYetValid | Break::SoonValid | Break::Unsigned) => {
            Some(DS::new(keys.tag()?, keys.algorithm, DigestType::SHA256, digest))
        }
    })
}

fn put(names: &mut BTreeMap<Name, Sets>, owner: &Name, ttl: u32, data: RData) {
    let set = names
        .entry(owner.to_lowercase())
        .or_default()
        .entry(data.record_type())
        .or_insert(Set { ttl, data: Vec::new() });
    set.ttl = set.ttl.min(ttl);
    if !set.data.contains(&data) {
        set.data.push(data);
    }
}

/// The zones: the root, those of the test, and one unsigned for each name that lies in none of them.
fn cuts(marked: &[(Name, Cut)], records: &[Entry]) -> BTreeMap<Name, Cut> {
    let mut cuts: BTreeMap<Name, Cut> =
        marked.iter().map(|(name, cut)| (name.to_lowercase(), *cut)).collect();
    let any_signed = cuts.values().any(|cut| *cut != Cut::Insecure);
    cuts.entry(Name::root()).or_insert(if any_signed { Cut::Secure } else { Cut::Insecure });
    if !any_signed {
        return cuts;
    }
    let named: Vec<Name> = cuts.keys().filter(|name| !name.is_root()).cloned().collect();
    let root_is_marked = marked.iter().any(|(name, _)| name.is_root());
    for entry in records.iter().filter(|_| !root_is_marked) {
        let owner = entry.owner.to_lowercase();
        if named.iter().any(|zone| zone.zone_of(&owner)) {
            continue;
        }
        let labels = 1..=usize::from(owner.num_labels());
        let shallowest = labels
            .map(|labels| owner.trim_to(labels))
            .find(|candidate| !candidate.is_wildcard() && !named.iter().any(|zone| candidate.zone_of(zone)));
        if let Some(apex) = shallowest {
            cuts.entry(apex).or_insert(Cut::Insecure);
        }
    }
    cuts
}
