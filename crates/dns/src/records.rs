//! From records of the wire to the words of mail.

use std::net::IpAddr;

use hickory_proto::rr::{Name, RData, RecordType};
use waxseal_types::{Domain, Lookup, MxHost, RecordKind, Tlsa};

use crate::{chase::Chased, trouble::Trouble};

/// Records kept of one answer, as Postfix does since 3.9: no domain needs more, and an attacker gets no more
/// (threat D14).
const MAX_RECORDS: usize = 100;

/// What is asked: the key of the cache.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) name: Domain,
    pub(crate) asked: Asked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    A,
    Aaaa,
    Mx,
    Cname,
    /// With the port.
    Tlsa(u16),
}

/// Records in Waxseal's words.
#[derive(Debug, Clone)]
pub(crate) enum Records {
    Addresses(Vec<IpAddr>),
    Mx(Vec<MxHost>),
    Alias(Domain),
    Tlsa(Vec<Tlsa>),
}

impl Records {
    /// About what they hold in memory.
    pub(crate) fn octets(&self) -> usize {
        match self {
            Self::Addresses(addresses) => size_of_val(addresses.as_slice()),
            Self::Mx(hosts) => {
                let names = hosts.iter().filter_map(|host| host.host.as_ref());
                size_of_val(hosts.as_slice()) + names.map(|name| name.as_str().len()).sum::<usize>()
            }
            Self::Alias(target) => target.as_str().len(),
            Self::Tlsa(records) => {
                size_of_val(records.as_slice()) + records.iter().map(|tlsa| tlsa.data.len()).sum::<usize>()
            }
        }
    }
}

impl Question {
    /// The name that goes on the wire, always absolute.
    pub(crate) fn wire_name(&self) -> Result<Name, Trouble> {
        Name::from_ascii(format!("{}.", self.owner()))
            .map_err(|problem| Trouble::malformed(format!("the name cannot be asked for: {problem}")))
    }

    /// The name that is asked, as people write it.
    pub(crate) fn owner(&self) -> String {
        match self.asked {
            Asked::A | Asked::Aaaa | Asked::Mx | Asked::Cname => self.name.to_string(),
            // RFC 6698 §3, RFC 7672 §2.2.3: the port as it is, the protocol always tcp.
            Asked::Tlsa(port) => format!("_{port}._tcp.{}", self.name),
        }
    }

    pub(crate) fn kind(&self) -> RecordKind {
        match self.asked {
            Asked::A => RecordKind::A,
            Asked::Aaaa => RecordKind::Aaaa,
            Asked::Mx => RecordKind::Mx,
            Asked::Cname => RecordKind::Cname,
            Asked::Tlsa(_) => RecordKind::Tlsa,
        }
    }

    pub(crate) fn wire_kind(&self) -> RecordType {
        match self.asked {
            Asked::A => RecordType::A,
            Asked::Aaaa => RecordType::AAAA,
            Asked::Mx => RecordType::MX,
            Asked::Cname => RecordType::CNAME,
            Asked::Tlsa(_) => RecordType::TLSA,
        }
    }

    /// The end of the aliases, where the question was one about a host; TLSA records may stand under any name
    /// (RFC 7672 §2.2.3: the base domain does not follow their aliases).
    pub(crate) fn canonical(&self, chased: &Chased) -> Result<Option<Domain>, Trouble> {
        let Some(end) = &chased.canonical else { return Ok(None) };
        match self.asked {
            Asked::A | Asked::Aaaa | Asked::Mx | Asked::Cname => end_of_alias(end).map(Some),
            Asked::Tlsa(_) => Ok(host_name(end)),
        }
    }

    /// The records of an answer, in Waxseal's words.
    pub(crate) fn translate(&self, chased: &Chased) -> Result<Lookup<Records>, Trouble> {
        let found = match &chased.lookup {
            Lookup::Found(found) => found,
            Lookup::NoData => return Ok(Lookup::NoData),
            Lookup::NxDomain => return Ok(Lookup::NxDomain),
        };
        // A record without data, or of another type than it says: the reply cannot be trusted to be whole.
        if found.iter().any(|record| matches!(record, RData::Update0(_))) {
            return Err(Trouble::malformed("a record without data"));
        }
        if found.len() > MAX_RECORDS {
            tracing::warn!(name = %self.name, records = found.len(), "only the first {MAX_RECORDS} records are used");
        }
        let found = found.iter().take(MAX_RECORDS);
        Ok(Lookup::Found(match self.asked {
            Asked::A | Asked::Aaaa => Records::Addresses(found.filter_map(RData::ip_addr).collect()),
            Asked::Mx => Records::Mx(exchangers(found, &self.name)?),
            Asked::Cname => Records::Alias(alias(found)?),
            Asked::Tlsa(_) => Records::Tlsa(found.filter_map(tlsa).collect()),
        }))
    }
}

/// Hosts whose names no host can have are left out, with a note; when none is left, the answer is useless, and
/// that is no reason to deliver to the domain's own address (RFC 5321 §5.1).
fn exchangers<'a>(found: impl Iterator<Item = &'a RData>, domain: &Domain) -> Result<Vec<MxHost>, Trouble> {
    let mut hosts = Vec::new();
    for record in found {
        let RData::MX(mx) = record else { continue };
        if mx.exchange.is_root() {
            hosts.push(MxHost { preference: mx.preference, host: None });
            continue;
        }
        match host_name(&mx.exchange) {
            Some(host) => hosts.push(MxHost { preference: mx.preference, host: Some(host) }),
            None => {
                tracing::warn!(%domain, host = printable(&mx.exchange), "an MX record names no host: left out")
            }
        }
    }
    if hosts.is_empty() {
        return Err(Trouble::malformed("no MX record names a host"));
    }
    Ok(hosts)
}

fn alias<'a>(mut found: impl Iterator<Item = &'a RData>) -> Result<Domain, Trouble> {
    match found.next() {
        Some(RData::CNAME(target)) => end_of_alias(&target.0),
        Some(_) | None => Err(Trouble::malformed("the alias is no CNAME record")),
    }
}

fn end_of_alias(name: &Name) -> Result<Domain, Trouble> {
    host_name(name).ok_or_else(|| {
        Trouble::malformed(format!("the alias leads to {}, which is no host", printable(name)))
    })
}

pub(crate) fn tlsa(record: &RData) -> Option<Tlsa> {
    let RData::TLSA(tlsa) = record else { return None };
    Some(Tlsa::new(tlsa.cert_usage.into(), tlsa.selector.into(), tlsa.matching.into(), &tlsa.cert_data))
}

fn host_name(name: &Name) -> Option<Domain> {
    Domain::new(&name.to_ascii()).ok()
}

/// A stranger's name for a log line: escaped by `to_ascii`, and what that leaves by us.
pub(crate) fn printable(name: &Name) -> String {
    if name.is_root() {
        return "the root".to_owned();
    }
    name.to_ascii().trim_end_matches('.').escape_default().to_string()
}
