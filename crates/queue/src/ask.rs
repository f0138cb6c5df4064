//! The questions of a delivery plan, and their answers.

use std::{net::IpAddr, sync::Arc};

use waxseal_dns::Families;
use waxseal_policy::{PolicyError, TlsPolicy};
use waxseal_transport::{Generation, OpenError, OpenReport, OpenRequest, OutMessage, Sent};
use waxseal_trust::Anchors;
use waxseal_types::{ClientCertificate, DnsAnswer, DnsFailure, Domain, MxHost, NextHop, Service, Tlsa};
use waxseal_verify::{Clearance, Question, Verdict};

/// A question: what the plan must know or have done before it can go on.
#[derive(Debug)]
pub enum Ask {
    /// The TLS policy of a next hop.
    Policy {
        /// Whose parameters.
        service: Service,
        /// The lookup key.
        nexthop: NextHop,
    },
    /// The MX hosts of a domain.
    Mx(Domain),
    /// The addresses of a host.
    Addresses {
        /// Its name.
        host: Domain,
        /// Of which families.
        families: Families,
    },
    /// The CNAME-type question of RFC 7672 §2.1.3.
    Cname(Domain),
    /// TLSA records below `_port._tcp.`.
    Tlsa {
        /// The candidate base domain.
        base: Domain,
        /// The real port.
        port: u16,
    },
    /// Trust anchors and client certificates.
    Trust {
        /// Whose parameters.
        service: Service,
        /// Which anchors.
        policy: Arc<TlsPolicy>,
    },
    /// A connection up to the point where MAIL could be sent.
    Open(OpenRequest),
    /// Whether it proved what is demanded.
    Judge(Box<Question>),
    /// The message over the open connection.
    Send(Clearance, OutMessage),
    /// The open connection is not needed any more: kept for others, or ended.
    Release(Release),
}

/// What happens to a connection after use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Back to the pool.
    Keep,
    /// QUIT.
    Quit,
}

/// Anchors and client certificates; each can fail on its own.
#[derive(Debug, Clone)]
pub struct TrustAnswer {
    /// The anchors, or why there are none.
    pub anchors: Result<Arc<Anchors>, String>,
    /// Certificates to show, or why there are none. Empty where none is configured.
    pub client: Result<Arc<[ClientCertificate]>, String>,
}

/// The answer to an [`Ask`].
#[derive(Debug)]
pub enum Answer {
    /// To [`Ask::Policy`]: the policy and the generation of the tables it came from.
    Policy(Result<(Arc<TlsPolicy>, Generation), PolicyError>),
    /// To [`Ask::Mx`].
    Mx(Result<DnsAnswer<Vec<MxHost>>, DnsFailure>),
    /// To [`Ask::Addresses`].
    Addresses(Result<DnsAnswer<Vec<IpAddr>>, DnsFailure>),
    /// To [`Ask::Cname`].
    Cname(Result<DnsAnswer<Domain>, DnsFailure>),
    /// To [`Ask::Tlsa`].
    Tlsa(Result<DnsAnswer<Vec<Tlsa>>, DnsFailure>),
    /// To [`Ask::Trust`].
    Trust(TrustAnswer),
    /// To [`Ask::Open`].
    Open(Result<Box<OpenReport>, Box<OpenError>>),
    /// To [`Ask::Judge`].
    Judge(Box<Verdict>),
    /// To [`Ask::Send`].
    Send(Sent),
    /// To [`Ask::Release`].
    Released,
    /// The service that would answer is not there; never an answer of its kind.
    Unavailable(&'static str),
}
