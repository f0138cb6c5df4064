//! What was seen of a destination: answers and handshakes, no judgement.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use waxseal_dns::{DnssecHealth, Signature};
use waxseal_tlsa::Owner;
use waxseal_transport::{OpenError, StarttlsOutcome};
use waxseal_trust::{Certificate, KeyKind};
use waxseal_types::{
    DnsAnswer, DnsFailure, Domain, Lookup, MxHost, NextHop, Proof, Target, TlsDemand, TlsFacts, Tlsa,
    UnixTime,
};

/// The outcome of a lookup.
pub type Answered<T> = Result<DnsAnswer<T>, DnsFailure>;

/// All that was seen.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What was asked about.
    pub nexthop: NextHop,
    /// The port at its hosts.
    pub port: u16,
    /// When.
    pub at: UnixTime,
    /// What the resolver can do.
    pub health: DnssecHealth,
    /// The MX records, where the next hop has such.
    pub mx: Option<Answered<Vec<MxHost>>>,
    /// The hosts, in the order in which a delivery would try them.
    pub hosts: Vec<Host>,
    /// Until when the answers are signed.
    pub signatures: Vec<Signature>,
    /// Questions for signatures that got no answer.
    pub unread: Vec<DnsFailure>,
}

/// One host.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name; `None` for an address literal.
    pub name: Option<Domain>,
    /// Its addresses.
    pub addresses: Option<Answered<Vec<IpAddr>>>,
    /// The address family that could not be looked up, while the other could.
    pub lost: Option<DnsFailure>,
    /// What was asked for under each TLSA base domain, in order.
    pub tlsa: Vec<(Domain, Answered<Vec<Tlsa>>)>,
    /// Where else records of this host lie, while there are none where clients look.
    pub elsewhere: Vec<Owner>,
    /// Its servers, one for each address that was called.
    pub servers: Vec<Server>,
}

/// One address of a host.
#[derive(Debug, Clone)]
pub struct Server {
    /// The address.
    pub address: SocketAddr,
    /// What a delivery would demand of it.
    pub demand: Option<Arc<TlsDemand>>,
    /// How a delivery's own call went.
    pub call: Call,
    /// The chains that it has, the one that a delivery sees first.
    pub chains: Vec<Shown>,
    /// Kinds of keys for which it could not be asked, with the reason.
    pub unasked: Vec<(&'static str, String)>,
}

/// How a call went.
#[derive(Debug, Clone)]
pub enum Call {
    /// TLS stands; so many octets came in clear behind the reply to STARTTLS.
    Tls {
        /// Of the handshake.
        facts: Arc<TlsFacts>,
        /// Octets.
        injected: usize,
    },
    /// There is a session, in clear.
    Clear(StarttlsOutcome),
    /// There is none.
    Failed(Box<OpenError>),
}

/// One chain of a server.
#[derive(Debug, Clone)]
pub struct Shown {
    /// `RSA`, `ECDSA`, ...
    pub key: &'static str,
    /// DER, leaf first.
    pub chain: Arc<[Vec<u8>]>,
}

impl Shown {
    pub(crate) fn new(chain: &Arc<[Vec<u8>]>) -> Self {
        let leaf = chain.first().and_then(|der| Certificate::parse(der).ok());
        let kind = leaf.and_then(|leaf| leaf.public_key()).and_then(|key| Some(key.parts()?.kind));
        let key = match kind {
            Some(KeyKind::Rsa(_)) => "RSA",
            Some(KeyKind::Ec(_)) => "ECDSA",
            Some(KeyKind::Ed25519) => "Ed25519",
            Some(KeyKind::Unknown) | None => "unknown",
        };
        Self { key, chain: Arc::clone(chain) }
    }

    /// The certificates that can be read, leaf first.
    pub fn certificates(&self) -> impl Iterator<Item = Certificate> {
        self.chain.iter().filter_map(|der| Certificate::parse(der).ok())
    }
}

impl Host {
    pub(crate) fn new(name: Option<Domain>) -> Self {
        Self {
            name,
            addresses: None,
            lost: None,
            tlsa: Vec::new(),
            elsewhere: Vec::new(),
            servers: Vec::new(),
        }
    }

    /// The name behind its aliases, where it is one.
    #[must_use]
    pub fn canonical(&self) -> Option<&Domain> {
        let answer = self.addresses.as_ref()?.as_ref().ok()?;
        answer.canonical.as_ref().filter(|canonical| Some(*canonical) != self.name.as_ref())
    }

    /// The records that clients go by: those of the first base domain that has secure ones (RFC 7672 §2.2.3).
    #[must_use]
    pub fn records(&self) -> Option<(&Domain, &[Tlsa])> {
        self.tlsa.iter().find_map(|(base, answer)| match answer {
            Ok(DnsAnswer { proof: Proof::Secure, lookup: Lookup::Found(records), .. }) => {
                Some((base, records.as_slice()))
            }
            Ok(_) | Err(_) => None,
        })
    }

    /// For people.
    #[must_use]
    pub fn label(&self) -> String {
        self.name.as_ref().map_or_else(|| "the host".to_owned(), ToString::to_string)
    }
}

impl Seen {
    /// The domain whose MX records count, where there is one.
    #[must_use]
    pub fn domain(&self) -> Option<&Domain> {
        match self.nexthop.target() {
            Target::Mx(domain) => Some(domain),
            Target::Host(_) | Target::Address(_) | Target::Unix(_) => None,
        }
    }
}
