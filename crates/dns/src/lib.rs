//! MX, address, TLSA and CNAME lookups for mail, each answer with its DNSSEC proof (RFC 4033, RFC 7672 §2).
//!
//! A [`Resolver`] asks the configured recursive resolvers and tells of every answer whether it is *secure*, proven
//! from the trust anchor down, or *insecure*, where nothing is signed. What is neither is no answer but a
//! [`DnsFailure`](waxseal_types::DnsFailure): bogus, SERVFAIL, silence, garbage. An error never reads as "there is
//! none"; that is the mistake by which DANE is lost (RFC 7672 §2.1.2).
//!
//! The proof comes from one of two back ends, which tests hold against each other:
//!
//! - [`DnssecMode::Validate`] checks signatures in this process. The resolver may lie: stripped or forged answers
//!   come out bogus.
//! - [`DnssecMode::TrustAd`] takes the resolver's word, its AD bit, if the resolver is on loopback or named in
//!   [`Settings::trusted`]. [`Resolver::notices`] says what is believed.
//!
//! [`DnssecMode::Off`] asks for no DNSSEC, and every answer is insecure. Aliases are followed, at most ten, and the
//! proof is that of the weakest step. Above all that is one cache: TTLs within bounds, absences by their SOA record,
//! failures for seconds, one question at a time for each name, and no more octets than it may hold.
//!
//! [`Resolver::probe`] tells whether DNSSEC works here at all, and if not, what keeps it from that: a [`BlindCause`]. It
//! alarms and changes no answer. [`Resolver::statistics`] counts.
//!
//! [`Authorities`] asks the authoritative servers of a zone one by one, and changes TLSA records there (RFC 2136): for those who publish.
//!
//! The crate refuses to know what the answers are for: which host comes first, which base domain counts, whether an
//! insecure answer is good enough. It is the only one that names its DNS library.
//!
//! ```
//! use waxseal_dns::{DnssecMode, Families, Resolver, Settings};
//! use waxseal_testbed::dns::{DnsServer, Zone};
//! use waxseal_types::{Domain, Lookup, Proof};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let zone = Zone::new().a("mx.example.test", [127, 0, 0, 1]).secure("example.test");
//! let server = DnsServer::start(zone).await?;
//!
//! let resolver = Resolver::new(Settings {
//!     servers: vec![server.addr()],
//!     dnssec: DnssecMode::TrustAd,
//!     ..Settings::default()
//! })?;
//! let answer = resolver.addresses(&Domain::new("mx.example.test")?, Families::Both).await?;
//! assert_eq!(answer.lookup, Lookup::Found(vec![[127, 0, 0, 1].into()]));
//! assert_eq!(answer.proof, Proof::Secure);
//!
//! let none = resolver.tlsa(&Domain::new("mx.example.test")?, 25).await?;
//! assert_eq!((none.lookup, none.proof), (Lookup::NxDomain, Proof::Secure));
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "actor")]
pub mod actor;
mod anchors;
mod answer;
mod authority;
mod cache;
mod chase;
mod counters;
mod dname;
mod error;
mod exchange;
mod health;
mod records;
mod resolver;
#[cfg(feature = "actor")]
mod respond;
mod settings;
mod signatures;
mod stub;
mod system;
mod trouble;
mod upstream;
mod validate;
mod why;
mod wildcard;
mod wire;

pub use authority::{
    Authorities, InvalidTsigKey, NameServer, ServedTlsa, TlsaUpdate, TsigKey, UpdateError, Zone,
};
pub use counters::Statistics;
pub use error::Error;
pub use health::{BlindCause, DnssecHealth};
pub use resolver::Resolver;
pub use settings::{CacheSettings, DnssecMode, Families, Settings};
pub use signatures::Signature;
