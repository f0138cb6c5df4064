//! What TLS a destination demands, and where its mail goes: Postfix's `smtp_tls_policy_maps` and `transport_maps`.
//!
//! The crate is pure. A lookup is a small machine that asks for one key of one table at a time and is answered
//! [`TableAnswer::Found`], [`TableAnswer::Absent`] or [`TableAnswer::TempFail`]; who owns the tables, and how slow they are, is not
//! its business. The answer to a failed table is never "there is no entry": it is a [`PolicyError`], and mail waits.
//!
//! 1. [`RouteLookup`]: recipient to [`Route`] (transport(5), `relayhost`).
//! 2. [`PolicyLookup`]: next hop to [`TlsPolicy`] (postconf(5), `smtp_tls_policy_maps`), with the line it came from.
//! 3. [`TlsPolicy::demand_for`] and, for DANE, [`dane`]: next hop and host to what the connection must prove
//!    ([`waxseal_types::TlsDemand`]) and what its ClientHello looks like ([`waxseal_types::TlsShape`]).
//! 4. [`compare`]: an old and a new policy; [`findings`]: what is worth saying about whole tables.
//!
//! It refuses to know files, DNS, certificates and clocks.
//!
//! ```
//! use waxseal_policy::{Origin, PolicyLookup, Settings, Step, TableAnswer, TableName};
//! use waxseal_types::{Service, TlsLevel};
//!
//! let mut settings = Settings::default();
//! settings.smtp.policy_maps = vec![TableName::new("texthash:/etc/waxseal/tls_policy")];
//!
//! let mut lookup = PolicyLookup::new(&settings, &Service::SMTP, &"mail.example.com".parse()?);
//! let policy = loop {
//!     match lookup.step() {
//!         Step::Done(policy) => break policy?,
//!         // The exact name first, then its parents with a leading dot.
//!         Step::NeedKey { key: ".example.com", table } => {
//!             let origin = Origin::new(table.clone(), "/etc/waxseal/tls_policy:7", ".example.com");
//!             lookup.answer(TableAnswer::Found { value: "encrypt ciphers=high".into(), origin });
//!         }
//!         Step::NeedKey { .. } => lookup.answer(TableAnswer::Absent),
//!     }
//! };
//! assert_eq!(policy.level, TlsLevel::Encrypt);
//! assert_eq!(policy.source.to_string(), "/etc/waxseal/tls_policy:7");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

extern crate alloc;

#[cfg(feature = "actor")]
pub mod actor;
mod compare;
pub mod dane;
mod direction;
mod entry;
mod error;
pub mod findings;
mod fingerprint;
#[cfg(feature = "actor")]
mod known;
mod lookup;
mod names;
mod openssl;
mod print;
mod protocols;
mod remark;
mod route;
mod service;
mod settings;
mod suites;
mod tables;
mod tls_policy;
mod words;

pub use compare::compare;
pub use direction::{Aspect, Change, Comparison, Direction};
pub use entry::{Entry, InvalidEntry};
pub use error::{ErrorKind, PolicyError};
pub use fingerprint::{InvalidFingerprint, parse_digest_name, parse_fingerprint, parse_fingerprints};
pub use lookup::{PolicyLookup, find_policy};
pub use names::{MatchName, MatchNames};
pub use protocols::{InvalidProtocols, Protocols};
pub use remark::{Concern, Remark};
pub use route::{Route, RouteKind, RouteLookup, check_transport, find_route};
pub use service::{find_service, parse_hop};
pub use settings::{ClientSettings, DomainList, HandshakeSettings, Settings, Transport};
pub use suites::{Exclusions, Grade, InvalidCiphers};
pub use tables::{Crowding, Origin, PolicySource, Step, TableAnswer, TableName, Tables};
pub use tls_policy::{InsecureMx, PluginAttributes, ServerName, TlsPolicy};
pub use words::{InvalidWords, braced, split_words};
