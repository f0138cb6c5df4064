//! Facts: what many messages share, written once in each file (docs/ledger-format.md, "Facts").

use std::{net::IpAddr, sync::Arc};

use waxseal_queue::{
    Account, AccountStep, CertificateFact, Connection, Destination, Fact, Origin, PolicyFact, PolicySource,
    Standing, TableName, Times, TlsaFact,
};
use waxseal_types::{ConnectionId, DnsFailure, Domain, Service, TlsFacts, UnixTime};

use crate::{
    octets::{Flaw, Read, Reader, maybe_text, number, text},
    words,
};

fn domain(text: &str) -> Read<Domain> {
    Domain::new(text).map_err(|_| Flaw)
}

fn maybe_domain(text: Option<&str>) -> Read<Option<Domain>> {
    text.map(domain).transpose()
}

pub(crate) fn write_destination(out: &mut Vec<u8>, destination: &Destination) {
    out.push(words::service(&destination.service));
    if let Some(name) = destination.service.name() {
        text(out, name);
    }
    text(out, destination.nexthop.as_str());
}

pub(crate) fn read_destination(reader: &mut Reader<'_>) -> Read<Destination> {
    let (protocol, named) = words::to_protocol(reader.octet()?);
    let service = if named { Service::named(protocol, reader.text()?) } else { protocol.into() };
    Ok(Destination { service, nexthop: reader.text()?.parse().map_err(|_| Flaw)? })
}

/// The policies in force, and what each step learnt, without their times.
pub(crate) fn write_way(out: &mut Vec<u8>, account: &Account) {
    number(out, account.policies.len() as u64);
    for PolicyFact { level, source, nexthop } in &account.policies {
        out.push(words::level(*level));
        match source {
            PolicySource::Default => out.push(0),
            PolicySource::Entry(origin) => {
                out.push(1);
                text(out, origin.table.as_str());
                text(out, &origin.place);
                text(out, &origin.key);
            }
        }
        text(out, nexthop);
    }
    number(out, account.steps.len() as u64);
    account.steps.iter().for_each(|step| write_fact(out, &step.fact));
}

pub(crate) struct Way {
    pub(crate) policies: Vec<PolicyFact>,
    pub(crate) facts: Vec<Fact>,
}

pub(crate) fn read_way(reader: &mut Reader<'_>) -> Read<Way> {
    let mut policies = Vec::new();
    for _ in 0..reader.count()? {
        let level = words::to_level(reader.octet()?);
        let source = match reader.octet()? {
            0 => PolicySource::Default,
            _ => {
                let table = TableName::new(reader.text()?);
                PolicySource::Entry(Origin::new(table, reader.text()?, reader.text()?))
            }
        };
        policies.push(PolicyFact { level, source, nexthop: reader.text()?.to_owned() });
    }
    let count = reader.count()?;
    let facts = (0..count).map(|_| read_fact(reader)).collect::<Read<_>>()?;
    Ok(Way { policies, facts })
}

fn write_standing(out: &mut Vec<u8>, standing: &Standing) {
    out.push(words::proof(standing.proof));
    maybe_text(out, standing.why.as_deref());
    maybe_text(out, standing.canonical.as_ref().map(Domain::as_str));
}

fn read_standing(reader: &mut Reader<'_>) -> Read<Standing> {
    let proof = words::to_proof(reader.octet()?);
    let why = reader.maybe_text()?.map(Arc::from);
    Ok(Standing { proof, why, canonical: maybe_domain(reader.maybe_text()?)? })
}

fn write_address(out: &mut Vec<u8>, address: Option<IpAddr>) {
    match address {
        None => out.push(0),
        Some(IpAddr::V4(v4)) => {
            out.push(4);
            out.extend_from_slice(&v4.octets());
        }
        Some(IpAddr::V6(v6)) => {
            out.push(6);
            out.extend_from_slice(&v6.octets());
        }
    }
}

fn read_address(reader: &mut Reader<'_>) -> Read<Option<IpAddr>> {
    match reader.octet()? {
        0 => Ok(None),
        4 => Ok(Some(IpAddr::from(reader.array::<4>()?))),
        6 => Ok(Some(IpAddr::from(reader.array::<16>()?))),
        _ => Err(Flaw),
    }
}

fn write_fact(out: &mut Vec<u8>, fact: &Fact) {
    match fact {
        Fact::Policy(number_of) => {
            out.push(1);
            number(out, *number_of as u64);
        }
        Fact::PolicyFailed(reason) => {
            out.push(2);
            text(out, reason);
        }
        Fact::Mx { domain, hosts, standing } => {
            out.push(3);
            text(out, domain.as_str());
            number(out, hosts.len() as u64);
            for (preference, host) in hosts {
                number(out, u64::from(*preference));
                maybe_text(out, host.as_ref().map(Domain::as_str));
            }
            write_standing(out, standing);
        }
        Fact::Addresses { host, addresses, standing } => {
            out.push(4);
            text(out, host.as_str());
            number(out, addresses.len() as u64);
            addresses.iter().for_each(|address| write_address(out, Some(*address)));
            write_standing(out, standing);
        }
        Fact::Alias { name, target, standing } => {
            out.push(5);
            text(out, name.as_str());
            text(out, target.as_str());
            write_standing(out, standing);
        }
        Fact::Tlsa { base, port, records, standing } => {
            out.push(6);
            text(out, base.as_str());
            number(out, u64::from(*port));
            number(out, records.len() as u64);
            for TlsaFact { text: record, unusable } in records {
                text(out, record);
                maybe_text(out, unusable.as_deref());
            }
            write_standing(out, standing);
        }
        other => write_other_fact(out, other),
    }
}

/// Those that need no list.
fn write_other_fact(out: &mut Vec<u8>, fact: &Fact) {
    match fact {
        Fact::Absent { what, standing } => {
            out.push(7);
            text(out, what);
            write_standing(out, standing);
        }
        Fact::DnsFailed(DnsFailure { name, kind, failure, detail }) => {
            out.push(8);
            text(out, name);
            out.extend_from_slice(&[words::kind(*kind), words::dns(*failure)]);
            text(out, detail);
        }
        Fact::Skipped { host, reason } => {
            out.push(9);
            text(out, host);
            text(out, reason);
        }
        Fact::Lowered { host, level, reason } => {
            out.push(10);
            maybe_text(out, host.as_ref().map(Domain::as_str));
            out.push(words::level(*level));
            text(out, reason);
        }
        Fact::Unavailable(service) => {
            out.push(11);
            text(out, service);
        }
        Fact::Connection(number_of) => {
            out.push(12);
            number(out, *number_of as u64);
        }
        Fact::Policy(_)
        | Fact::PolicyFailed(_)
        | Fact::Mx { .. }
        | Fact::Addresses { .. }
        | Fact::Alias { .. }
        | Fact::Tlsa { .. } => {}
    }
}

fn read_fact(reader: &mut Reader<'_>) -> Read<Fact> {
    Ok(match reader.octet()? {
        1 => Fact::Policy(reader.small()?),
        2 => Fact::PolicyFailed(reader.text()?.to_owned()),
        3 => {
            let asked = domain(reader.text()?)?;
            let mut hosts = Vec::new();
            for _ in 0..reader.count()? {
                hosts.push((reader.small()?, maybe_domain(reader.maybe_text()?)?));
            }
            Fact::Mx { domain: asked, hosts, standing: read_standing(reader)? }
        }
        4 => {
            let host = domain(reader.text()?)?;
            let mut addresses = Vec::new();
            for _ in 0..reader.count()? {
                addresses.extend(read_address(reader)?);
            }
            Fact::Addresses { host, addresses, standing: read_standing(reader)? }
        }
        5 => Fact::Alias {
            name: domain(reader.text()?)?,
            target: domain(reader.text()?)?,
            standing: read_standing(reader)?,
        },
        6 => {
            let (base, port) = (domain(reader.text()?)?, reader.small()?);
            let mut records = Vec::new();
            for _ in 0..reader.count()? {
                let text = reader.text()?.to_owned();
                records.push(TlsaFact { text, unusable: reader.maybe_text()?.map(str::to_owned) });
            }
            Fact::Tlsa { base, port, records, standing: read_standing(reader)? }
        }
        7 => Fact::Absent { what: reader.text()?.to_owned(), standing: read_standing(reader)? },
        8 => Fact::DnsFailed(DnsFailure {
            name: reader.text()?.to_owned(),
            kind: words::to_kind(reader.octet()?),
            failure: words::to_dns(reader.octet()?),
            detail: reader.text()?.to_owned(),
        }),
        9 => Fact::Skipped { host: reader.text()?.to_owned(), reason: reader.text()?.to_owned() },
        10 => Fact::Lowered {
            host: maybe_domain(reader.maybe_text()?)?,
            level: words::to_level(reader.octet()?),
            reason: reader.text()?.into(),
        },
        11 => Fact::Unavailable(words::word(reader.text()?)),
        12 => Fact::Connection(reader.small()?),
        _ => return Err(Flaw),
    })
}

/// All of a connection that is the same for each message that it carries under one demand.
pub(crate) fn write_connection(out: &mut Vec<u8>, connection: &Connection) {
    number(out, connection.id.map_or(0, |id| id.0.saturating_add(1)));
    maybe_text(out, connection.host.as_ref().map(Domain::as_str));
    write_address(out, connection.address);
    number(out, u64::from(connection.port));
    number(out, connection.policy as u64);
    out.push(words::level(connection.level));
    maybe_text(out, connection.lowered.as_deref());
    out.push(words::status(connection.status));
    maybe_text(out, connection.matched.as_deref());
    out.push(words::downgrade(connection.downgrade));
    number(out, connection.injected as u64);
    number(out, connection.chain.len() as u64);
    connection.chain.iter().for_each(|line| text(out, line));
    let Some(facts) = &connection.tls else { return out.push(0) };
    out.push(1 | u8::from(facts.resumed) << 1 | u8::from(facts.client_certificate) << 2);
    text(out, facts.protocol);
    text(out, facts.cipher);
    maybe_text(out, facts.group);
    maybe_text(out, facts.sni.as_ref().map(Domain::as_str));
}

/// The times are the message's own, and the chain is a fact of its own.
pub(crate) fn read_connection(reader: &mut Reader<'_>) -> Read<Connection> {
    let mut connection = Connection {
        at: UnixTime::default(),
        id: reader.number()?.checked_sub(1).map(ConnectionId),
        host: maybe_domain(reader.maybe_text()?)?,
        address: read_address(reader)?,
        port: reader.small()?,
        policy: reader.small()?,
        level: words::to_level(reader.octet()?),
        lowered: reader.maybe_text()?.map(Arc::from),
        status: words::to_status(reader.octet()?),
        matched: reader.maybe_text()?.map(str::to_owned),
        downgrade: words::to_downgrade(reader.octet()?),
        injected: reader.small()?,
        chain: Vec::new(),
        pooled: false,
        tls: None,
        presented: None,
        times: Times::default(),
        failure: None,
        ended: UnixTime::default(),
    };
    for _ in 0..reader.count()? {
        connection.chain.push(reader.text()?.to_owned());
    }
    let flags = reader.octet()?;
    if flags & 1 != 0 {
        connection.tls = Some(Arc::new(TlsFacts {
            protocol: words::word(reader.text()?),
            cipher: words::word(reader.text()?),
            group: reader.maybe_text()?.map(words::word),
            sni: maybe_domain(reader.maybe_text()?)?,
            resumed: flags & 2 != 0,
            client_certificate: flags & 4 != 0,
            chain: Arc::new([]),
        }));
    }
    Ok(connection)
}

pub(crate) fn write_chain(out: &mut Vec<u8>, chain: &[CertificateFact]) {
    number(out, chain.len() as u64);
    for fact in chain {
        text(out, &fact.subject);
        text(out, &fact.issuer);
        number(out, fact.names.len() as u64);
        fact.names.iter().for_each(|name| text(out, name));
        number(out, fact.all_names as u64);
        out.extend_from_slice(&fact.sha256);
        out.extend_from_slice(&fact.spki_sha256);
        for time in [fact.not_before, fact.not_after] {
            out.push(u8::from(time.is_some()));
            crate::octets::signed(out, time.unwrap_or_default());
        }
    }
}

pub(crate) fn read_chain(reader: &mut Reader<'_>) -> Read<Arc<[CertificateFact]>> {
    fn time(reader: &mut Reader<'_>) -> Read<Option<i64>> {
        let given = reader.octet()? != 0;
        let time = reader.signed()?;
        Ok(given.then_some(time))
    }
    let mut chain = Vec::new();
    for _ in 0..reader.count()? {
        let (subject, issuer) = (reader.text()?.to_owned(), reader.text()?.to_owned());
        let mut names = Vec::new();
        for _ in 0..reader.count()? {
            names.push(reader.text()?.to_owned());
        }
        chain.push(CertificateFact {
            subject,
            issuer,
            names,
            all_names: reader.small()?,
            sha256: reader.array()?,
            spki_sha256: reader.array()?,
            not_before: time(reader)?,
            not_after: time(reader)?,
        });
    }
    Ok(chain.into())
}

/// Steps with their times, of facts and of pairs "after the beginning, took" in microseconds.
pub(crate) fn steps(facts: Vec<Fact>, times: &[(u64, u64)], started: UnixTime) -> Vec<AccountStep> {
    let micros = std::time::Duration::from_micros;
    let timed = |(fact, at): (Fact, usize)| {
        let (after, took) = times.get(at).copied().unwrap_or_default();
        AccountStep { at: started + micros(after), took: micros(took), fact }
    };
    facts.into_iter().zip(0..).map(timed).collect()
}
