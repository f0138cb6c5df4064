//! What a recursive resolver would say.

use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RData, Record, RecordType, rdata::CNAME},
};

use super::{
    denial::{Absence, denial, encloser},
    sign::{is_signed, signature, spoiled},
    world::{Health, Part, Set, Sets, World},
};

/// As unbound does.
const MAX_ALIASES: usize = 12;

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: ResponseCode,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    /// The weakest of all zones on the way.
    pub(super) health: Health,
}

/// The answer to one question, signatures included.
pub(super) fn answer(world: &World, asked: &Name, kind: RecordType) -> Answer {
    let mut answer = Answer {
        code: ResponseCode::NoError,
        answers: Vec::new(),
        authorities: Vec::new(),
        health: Health::Secure,
    };
    let mut name = asked.to_lowercase();
    for _ in 0..=MAX_ALIASES {
        let Some(part) = world.part_for(&name, kind) else { break };
        answer.health = answer.health.min(part.health);
        match answer.step(world, part, &name, kind) {
            Some(next) => name = next.to_lowercase(),
            None => return answer,
        }
    }
    Answer {
        code: ResponseCode::ServFail,
        answers: Vec::new(),
        authorities: Vec::new(),
        health: Health::Bogus,
    }
}

impl Answer {
    /// One name; where to go on from it.
    fn step(&mut self, world: &World, part: &Part, name: &Name, kind: RecordType) -> Option<Name> {
        if let Some((owner, target)) = dname_above(part, name) {
            self.add(world, part, (&owner, &owner), RecordType::DNAME);
            let kept = usize::from(name.num_labels() - owner.num_labels());
            let made = Name::from_labels(name.iter().take(kept)).ok()?.append_domain(&target).ok()?;
            let ttl = self.answers.last().map_or(0, |record| record.ttl);
            self.answers.push(Record::from_rdata(name.clone(), ttl, RData::CNAME(CNAME(made.clone()))));
            return if kind == RecordType::CNAME { None } else { Some(made) };
        }
        let Some((source, sets)) = source_of(part, name) else {
            let exists = part.names.keys().any(|owner| name.zone_of(owner));
            self.code = if exists { ResponseCode::NoError } else { ResponseCode::NXDomain };
            self.soa(world, part);
            self.deny(world, part, name, Absence::Name);
            return None;
        };
        let is_wildcard = source != *name;
        let redirects = sets.contains_key(&RecordType::CNAME) && !is_of_the_zone(kind);
        if is_wildcard && (sets.contains_key(&kind) || redirects) {
            self.deny(world, part, name, Absence::Covered);
        }
        if sets.contains_key(&kind) {
            self.add(world, part, (name, &source), kind);
            return None;
        }
        match sets.get(&RecordType::CNAME).and_then(|set| set.data.first()) {
            Some(RData::CNAME(target)) if !is_of_the_zone(kind) => {
                self.add(world, part, (name, &source), RecordType::CNAME);
                Some(target.0.clone())
            }
            _ => {
                self.soa(world, part);
                let absence = if is_wildcard { Absence::CoveredData(&source) } else { Absence::Data };
                self.deny(world, part, name, absence);
                None
            }
        }
    }

    /// The `kind` records of `source` under the name that was asked, with their signature.
    fn add(&mut self, world: &World, part: &Part, (owner, source): (&Name, &Name), kind: RecordType) {
        let Some(set) = part.names.get(source).and_then(|sets| sets.get(&kind)) else { return };
        if world.is_tampered(source, kind) {
            self.health = self.health.min(if part.health == Health::Insecure {
                Health::Insecure
            } else {
                Health::Bogus
            });
        }
        self.answers.extend(signed(world, part, (owner, source), set));
    }

    fn soa(&mut self, world: &World, part: &Part) {
        let apex = part.names.get(&part.apex).and_then(|sets| sets.get(&RecordType::SOA));
        if let Some(set) = apex {
            self.authorities.extend(signed(world, part, (&part.apex, &part.apex), set));
        }
    }

    /// Adds the proof that something is not there.
    fn deny(&mut self, world: &World, part: &Part, name: &Name, absence: Absence<'_>) {
        if !is_signed(part) {
            return;
        }
        let denial = denial(part, name, absence);
        if !denial.is_believed {
            self.health = self.health.min(Health::Insecure);
        }
        for record in denial.records {
            if world.is_tampered(&record.name, RecordType::NSEC) {
                self.health = self.health.min(Health::Bogus);
            }
            let set = Set { ttl: record.ttl, data: vec![record.data.clone()] };
            self.authorities.extend(signed(world, part, (&record.name, &record.name), &set));
        }
    }
}

fn signed(world: &World, part: &Part, (owner, source): (&Name, &Name), set: &Set) -> Vec<Record> {
    let mut records: Vec<Record> =
        set.data.iter().map(|data| Record::from_rdata(owner.clone(), set.ttl, data.clone())).collect();
    let Some(kind) = records.first().map(Record::record_type) else { return records };
    // A delegation's NS records belong to the zone below and are not signed (RFC 4035 §2.2).
    let delegation = kind == RecordType::NS && *owner != part.apex;
    if is_signed(part) && !delegation {
        let signature = signature(part, &records, source.num_labels());
        let tampered = world.is_tampered(source, kind);
        records.extend(signature.map(|record| if tampered { spoiled(&record) } else { record }));
    }
    records
}

/// Records that an alias never redirects.
fn is_of_the_zone(kind: RecordType) -> bool {
    matches!(
        kind,
        RecordType::CNAME
            | RecordType::NS
            | RecordType::SOA
            | RecordType::DS
            | RecordType::DNSKEY
            | RecordType::NSEC
    )
}

/// The records for `name`: its own, or those of the wildcard at its closest encloser (RFC 4592 §3.3.1).
fn source_of<'a>(part: &'a Part, name: &Name) -> Option<(Name, &'a Sets)> {
    if let Some(sets) = part.names.get(name) {
        return Some((name.clone(), sets));
    }
    if part.names.keys().any(|owner| name.zone_of(owner)) {
        return None;
    }
    let wildcard = encloser(part, name).prepend_label("*").ok()?;
    part.names.get(&wildcard).map(|sets| (wildcard, sets))
}

fn dname_above(part: &Part, name: &Name) -> Option<(Name, Name)> {
    use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
    part.names.iter().filter(|(owner, _)| *owner != name && owner.zone_of(name)).find_map(|(owner, sets)| {
        let set = sets.get(&RecordType::DNAME)?;
        let RData::Unknown { rdata, .. } = set.data.first()? else { return None };
        Some((owner.clone(), Name::read(&mut BinDecoder::new(&rdata.anything)).ok()?))
    })
}
