//! The words that at least two of Waxseal's crates exchange.
//!
//! Values only: a value that exists is valid (parsed by a checked constructor), nothing here does I/O, reads a
//! clock or decides. The crate refuses to know protocols, files and libraries; whoever needs behaviour finds it in
//! `policy` (what is demanded), `verify` (what was achieved) or `queue` (what happens next).
//!
//! ```
//! use waxseal_types::{Domain, NextHop, Target};
//!
//! let hop: NextHop = "[MX.Example.com]:587".parse()?;
//! assert_eq!(hop.as_str(), "[mx.example.com]:587");
//! assert_eq!(hop.port(), Some(587));
//! assert!(matches!(hop.target(), Target::Host(host) if host == &Domain::new("mx.example.com")?));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
#![no_std]

extern crate alloc;

mod demand;
mod dns;
mod domain;
mod envelope;
mod level;
mod mailbox;
mod nexthop;
mod queue_id;
mod reply;
mod service;
mod status;
mod time;
mod tls;
mod tlsa;

pub use demand::{
    AnchorFiles, DaneDemand, DigestAlgorithm, Fingerprint, FingerprintDemand, NameDemand, NamePattern,
    Strength, TlsDemand,
};
pub use dns::{DnsAnswer, DnsFailure, DnsFailureKind, Lookup, MxHost, Proof, RecordKind, Validated};
pub use domain::{Domain, InvalidDomain};
pub use envelope::{BodyKind, Envelope, Notify, Recipient, Ret, TraceContext};
pub use level::{TlsLevel, UnknownLevel};
pub use mailbox::{InvalidMailbox, Mailbox};
pub use nexthop::{InvalidNextHop, NextHop, Protocol, Target};
pub use queue_id::{InvalidQueueId, QueueId};
pub use reply::{Reply, Words};
pub use service::Service;
pub use status::{EnhancedStatus, InvalidStatus, StatusClass};
pub use time::{Rfc3339, Rfc5322, UnixTime};
pub use tls::{ClientCertificate, ConnectionId, TlsFacts, TlsShape, TlsStatus};
pub use tlsa::{DigestOrder, Matching, Selector, Tlsa, Usage};
