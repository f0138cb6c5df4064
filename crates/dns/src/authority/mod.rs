//! What the authoritative servers of a zone say, asked one by one and past every cache: for those who publish records and must know when
//! the last server has them.

mod tsig;
mod update;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_proto::{
    dnssec::rdata::DNSSECRData,
    op::Message,
    rr::{Name, RData, Record, RecordType},
};
use waxseal_types::{DnsFailure, Domain, Proof, RecordKind, Tlsa, UnixTime};

pub use self::{
    tsig::{InvalidTsigKey, TsigKey},
    update::{TlsaUpdate, UpdateError},
};
use crate::{
    Error, Families, Settings, answer, counters::Counters, exchange::Exchange, records, resolver::checked,
    trouble::Trouble, wire::Wanted,
};

/// Names of servers and addresses in all that are asked for one zone. The root has 13 with 26 addresses; who has more is told.
const MAX_SERVERS: usize = 64;
/// The longest that a record can be kept, whatever its TTL says (RFC 8767 §4: seven days are recommended).
const LONGEST_TTL: u32 = 7 * 86_400;

/// Asks authoritative servers. What they say is taken as it is: a signature is looked at for its end, not checked. Nothing is cached.
#[derive(Debug)]
pub struct Authorities {
    recursive: Exchange,
    timeout: Duration,
    attempts: u32,
    families: Families,
    port: u16,
    counters: Arc<Counters>,
}

/// A zone and who serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its apex.
    pub apex: Domain,
    /// The server that updates go to (RFC 2136 §4.3: the MNAME of its SOA record).
    pub primary: Domain,
    /// All addresses of all its name servers.
    pub servers: Vec<NameServer>,
}

/// One address of a name server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameServer {
    /// The target of the NS record.
    pub name: Domain,
    /// Where it is asked.
    pub address: SocketAddr,
}

impl std::fmt::Display for NameServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}]", self.name, self.address.ip())
    }
}

/// What one server serves at one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedTlsa {
    /// The records; none where it says that there are none.
    pub records: Vec<Tlsa>,
    /// Where the name is an alias: to be asked for at the servers of that zone.
    pub alias: Option<Domain>,
    /// How long a client may keep this answer, an absence too (RFC 2308 §5).
    pub ttl: Duration,
    /// When the last of its signatures ends; `None` where it is not signed.
    pub signed_until: Option<UnixTime>,
}

impl Authorities {
    /// Finds zones by way of the recursive resolvers of `settings`, and asks their servers, at addresses of these families.
    ///
    /// # Errors
    /// [`Error`] as of a [`Resolver`](crate::Resolver).
    pub fn new(settings: &Settings, families: Families) -> Result<Self, Error> {
        let settings = checked(settings.clone())?;
        let counters = Arc::<Counters>::default();
        let (timeout, attempts) = (settings.timeout, settings.attempts);
        let recursive = Exchange::new(&settings.servers, timeout, attempts, Arc::clone(&counters));
        Ok(Self { recursive, timeout, attempts, families, port: settings.authority_port, counters })
    }

    /// The zone that `owner` lies in, and all its servers. There is none where not even its top-level domain exists.
    ///
    /// # Errors
    /// [`DnsFailure`], also where a single name server has no address: who cannot be asked may serve anything.
    pub async fn zone(&self, owner: &Domain) -> Result<Option<Zone>, DnsFailure> {
        let failed = |trouble: Trouble| trouble.of(owner.to_string(), RecordKind::Tlsa);
        let (apex, primary) = self.apex(owner).await.map_err(failed)?;
        if apex.is_root() {
            return Ok(None);
        }
        let mut names = self.names(&apex, &self.recursive).await.map_err(failed)?;
        let mut servers = self.addresses(&names).await.map_err(failed)?;
        // A server that was added lately is known to the others before it is to every cache.
        for server in servers.clone() {
            let exchange = self.exchange(server.address);
            let more = self.names(&apex, &exchange).await.map_err(failed)?;
            let new: Vec<Domain> = more.into_iter().filter(|name| !names.contains(name)).collect();
            servers.extend(self.addresses(&new).await.map_err(failed)?);
            names.extend(new);
        }
        servers.sort();
        servers.dedup();
        if servers.is_empty() || servers.len() > MAX_SERVERS {
            return Err(failed(Trouble::malformed(format!("{apex} has {} name servers", servers.len()))));
        }
        let (apex, primary) = (domain(&apex).map_err(failed)?, domain(&primary).map_err(failed)?);
        Ok(Some(Zone { apex, primary, servers }))
    }

    /// The TLSA records at `owner` (`_25._tcp.mx.example.org`) as this server serves them.
    ///
    /// # Errors
    /// [`DnsFailure`], also where the server does not have the zone.
    pub async fn tlsa(&self, server: &NameServer, owner: &Domain) -> Result<ServedTlsa, DnsFailure> {
        let asked = self.served(server, owner).await;
        asked.map_err(|mut trouble| {
            trouble.detail = format!("{server}: {}", trouble.detail);
            trouble.of(owner.to_string(), RecordKind::Tlsa)
        })
    }

    async fn served(&self, server: &NameServer, owner: &Domain) -> Result<ServedTlsa, Trouble> {
        let name = wire(owner)?;
        let exchange = self.exchange(server.address);
        let message = exchange.ask(&name, RecordType::TLSA, Wanted::Proof).await?.message;
        // RFC 1035 §4.1.1: AA. A server that only passes on what others said has a cache, and not the zone.
        if !message.metadata.authoritative {
            return Err(Trouble::server("it is not authoritative for this zone"));
        }
        read(&message, &name)
    }

    /// The apex of the zone around `owner`, and the first name in its SOA record. Labels are taken off until a SOA record is shown that is
    /// not one behind an alias.
    async fn apex(&self, owner: &Domain) -> Result<(Name, Name), Trouble> {
        let mut name = wire(owner)?;
        while !name.is_root() {
            let message = self.recursive.ask(&name, RecordType::SOA, Wanted::Plain).await?.message;
            let soa =
                message.answers.iter().chain(&message.authorities).find_map(|record| match &record.data {
                    RData::SOA(soa) if record.name.zone_of(&name) => {
                        Some((record.name.clone(), soa.mname.clone()))
                    }
                    _ => None,
                });
            let is_alias = answer::alias_at(&message.answers, &name)?.is_some();
            if let Some(soa) = soa.filter(|_| !is_alias) {
                return Ok(soa);
            }
            name = name.base_name();
        }
        Err(Trouble::malformed("no zone has this name"))
    }

    async fn names(&self, apex: &Name, whom: &Exchange) -> Result<Vec<Domain>, Trouble> {
        let message = whom.ask(apex, RecordType::NS, Wanted::Plain).await?.message;
        let found = answer::records_at(&message.answers, apex, RecordType::NS);
        let names = found.filter_map(|record| match &record.data {
            RData::NS(target) => Some(domain(&target.0)),
            _ => None,
        });
        let names = names.take(MAX_SERVERS).collect::<Result<Vec<_>, _>>()?;
        if names.is_empty() {
            Err(Trouble::malformed(format!("{apex} has no NS records")))
        } else {
            Ok(names)
        }
    }

    async fn addresses(&self, names: &[Domain]) -> Result<Vec<NameServer>, Trouble> {
        let kinds: &[RecordType] = match self.families {
            Families::V4 => &[RecordType::A],
            Families::V6 => &[RecordType::AAAA],
            Families::Both => &[RecordType::A, RecordType::AAAA],
        };
        let mut servers = Vec::new();
        for name in names {
            let before = servers.len();
            for kind in kinds {
                let message = self.recursive.ask(&wire(name)?, *kind, Wanted::Plain).await?.message;
                let found = answer::follow(&message, &wire(name)?, *kind, Proof::Insecure)?;
                let answer::End::Found(found) = found.end else { continue };
                let addresses = found.iter().filter_map(RData::ip_addr).take(MAX_SERVERS);
                let all = addresses.map(|address| self.server(name, address));
                servers.extend(all.filter(|server| has_route(server.address)));
            }
            if servers.len() == before {
                return Err(Trouble::server(format!(
                    "the name server {name} has no address that has a route from here"
                )));
            }
        }
        Ok(servers)
    }

    fn server(&self, name: &Domain, address: IpAddr) -> NameServer {
        NameServer { name: name.clone(), address: SocketAddr::new(address, self.port) }
    }

    fn exchange(&self, address: SocketAddr) -> Exchange {
        Exchange::new(&[address], self.timeout, self.attempts, Arc::clone(&self.counters))
    }
}

/// A machine without IPv6 cannot ask the IPv6 addresses of a server, which has others. Connecting a datagram socket sends nothing.
fn has_route(address: SocketAddr) -> bool {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    std::net::UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(address)).is_ok()
}

fn wire(name: &Domain) -> Result<Name, Trouble> {
    Name::from_ascii(format!("{name}."))
        .map_err(|problem| Trouble::malformed(format!("the name cannot be asked for: {problem}")))
}

fn domain(name: &Name) -> Result<Domain, Trouble> {
    Domain::new(&name.to_ascii())
        .map_err(|_| Trouble::malformed(format!("{} is no usable name", records::printable(name))))
}

/// Reads an authoritative answer.
fn read(message: &Message, name: &Name) -> Result<ServedTlsa, Trouble> {
    let alias = match answer::alias_at(&message.answers, name)? {
        Some((target, _)) => Some(domain(target)?),
        None => None,
    };
    let kind = if alias.is_some() { RecordType::CNAME } else { RecordType::TLSA };
    let found: Vec<&Record> = answer::records_at(&message.answers, name, kind).collect();
    let (section, ttl) = match found.iter().map(|record| record.ttl).max() {
        Some(ttl) => (&message.answers, ttl),
        None => {
            // RFC 2308 §5: an absence is kept as long as the SOA record says that goes with it.
            let (_, ttl) = answer::absence(message, false)?;
            (&message.authorities, ttl)
        }
    };
    let signatures = section.iter().filter_map(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => Some((record, signature.input())),
        _ => None,
    });
    let (mut longest, mut signed_until) = (ttl, None);
    for (record, signature) in signatures {
        let is_about_it = found.is_empty() || (record.name == *name && signature.type_covered == kind);
        if is_about_it {
            // RFC 4034 §3.1.4: the TTL that was signed; a validator may put it back.
            longest = longest.max(if found.is_empty() { ttl } else { signature.original_ttl });
            let end = UnixTime::from_secs(u64::from(signature.sig_expiration.get()));
            signed_until = signed_until.max(Some(end));
        }
    }
    let records = found.iter().filter_map(|record| records::tlsa(&record.data)).collect();
    let ttl = Duration::from_secs(u64::from(longest.min(LONGEST_TTL)));
    Ok(ServedTlsa { records, alias, ttl, signed_until })
}
