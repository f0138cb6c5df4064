//! Reading one reply: the aliases in it, its end, and its time to live. Both back ends build on this.

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};
use waxseal_types::{DnsFailureKind, Proof};

use crate::trouble::Trouble;

/// RFC 7672 §2.1.3 wants a limit on aliases; ten is Postfix's (`dns_lookup`).
pub(crate) const MAX_ALIASES: usize = 10;

/// One reply of a back end.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The aliases that it leads through, in order, without the name that was asked.
    pub(crate) aliases: Vec<Name>,
    pub(crate) end: End,
    /// Of everything in this reply that counts.
    pub(crate) proof: Proof,
    /// Seconds.
    pub(crate) ttl: u32,
}

/// Where a reply ends.
#[derive(Debug)]
pub(crate) enum End {
    Found(Vec<RData>),
    NoData,
    NxDomain,
    /// With an alias whose target has to be asked for.
    Elsewhere,
}

/// The records of one type at one name.
pub(crate) fn records_at<'a>(
    records: &'a [Record],
    name: &'a Name,
    kind: RecordType,
) -> impl Iterator<Item = &'a Record> {
    records.iter().filter(move |record| record.record_type() == kind && &record.name == name)
}

/// The alias at `name`, if there is one (RFC 1034 §3.6.2: at most one).
pub(crate) fn alias_at<'a>(
    records: &'a [Record],
    name: &Name,
) -> Result<Option<(&'a Name, &'a Record)>, Trouble> {
    let mut found: Option<(&Name, &Record)> = None;
    for record in records.iter().filter(|record| &record.name == name) {
        let RData::CNAME(target) = &record.data else { continue };
        match found {
            Some((first, _)) if first != &target.0 => {
                return Err(Trouble::malformed(format!("several aliases at {name}")));
            }
            Some(_) => {}
            None => found = Some((&target.0, record)),
        }
    }
    Ok(found)
}

/// Follows the aliases of a recursive resolver's reply to its end; `proof` holds for all of it (RFC 4035 §3.2.3).
pub(crate) fn follow(
    message: &Message,
    asked: &Name,
    kind: RecordType,
    proof: Proof,
) -> Result<Reply, Trouble> {
    let mut aliases: Vec<Name> = Vec::new();
    let mut ttl = u32::MAX;
    loop {
        let name = aliases.last().unwrap_or(asked);
        let found: Vec<&Record> = records_at(&message.answers, name, kind).collect();
        if let Some(least) = found.iter().map(|record| record.ttl).min() {
            let end = End::Found(found.iter().map(|record| record.data.clone()).collect());
            return Ok(Reply { aliases, end, proof, ttl: ttl.min(least) });
        }
        let alias = if kind == RecordType::CNAME { None } else { alias_at(&message.answers, name)? };
        let Some((target, record)) = alias else {
            let (end, least) = absence(message, !aliases.is_empty())?;
            return Ok(Reply { aliases, end, proof, ttl: ttl.min(least) });
        };
        ttl = ttl.min(record.ttl);
        let target = target.clone();
        if aliases.contains(&target) || &target == asked {
            return Err(alias_loop(&target));
        }
        if aliases.len() >= MAX_ALIASES {
            return Err(too_many_aliases());
        }
        aliases.push(target);
    }
}

/// What a reply without the records that were asked for means.
pub(crate) fn absence(message: &Message, behind_alias: bool) -> Result<(End, u32), Trouble> {
    let head = &message.metadata;
    let negative = negative_ttl(message);
    if head.response_code == ResponseCode::NXDomain {
        return Ok((End::NxDomain, negative.unwrap_or(0)));
    }
    match negative {
        Some(ttl) => Ok((End::NoData, ttl)),
        // A server that gives the alias alone leaves the rest of the way to us.
        None if behind_alias => Ok((End::Elsewhere, u32::MAX)),
        // RFC 2308 §2.2: NODATA may come without SOA, but not from a server that neither knows nor asks.
        None if head.authoritative || head.recursion_available => Ok((End::NoData, 0)),
        None => Err(Trouble::server("referral from a server that does not recurse")),
    }
}

/// RFC 2308 §5: the lesser of the SOA record's TTL and its minimum; `None` without SOA.
fn negative_ttl(message: &Message) -> Option<u32> {
    message.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    })
}

pub(crate) fn alias_loop(at: &Name) -> Trouble {
    Trouble::new(
        DnsFailureKind::AliasLoop,
        format!("the aliases lead back to {}", crate::records::printable(at)),
    )
}

pub(crate) fn too_many_aliases() -> Trouble {
    Trouble::new(DnsFailureKind::AliasLoop, format!("more than {MAX_ALIASES} aliases"))
}
