//! Is this peer who was demanded? Paths, names, fingerprints, DANE.
//!
//! [`judge`] takes a [`Question`], which is what was demanded and what a handshake produced, and answers with a [`Verdict`]. It
//! is asked after every handshake, also a resumed one, since a handshake in Waxseal proves possession of a key and nothing
//! else. Demand and achievement are two types with one comparison between them: [`waxseal_types::TlsDemand`] and
//! [`TlsAchieved`]. Only that comparison makes a [`Clearance`], and without one no mail is sent.
//!
//! Below it are parts that stand alone: [`check_dane`] takes TLSA records and a chain; [`check_path`] takes anchors and a
//! chain. Every octet of a chain comes from a stranger: readers check lengths, the search for a path has a budget, and no
//! input panics. The crate does no I/O, reads no clock, and refuses to know what SMTP is.
//!
//! ```
//! use std::sync::Arc;
//! use waxseal_types::{ConnectionId, QueueId, Strength, TlsDemand, UnixTime};
//! use waxseal_verify::{ClearReason, Question, TlsAchieved, judge};
//!
//! // Level `may`, and a server without STARTTLS: mail may go in clear, and the verdict says why that was allowed.
//! let mut question = Question {
//!     demand: Arc::new(TlsDemand::Opportunistic),
//!     facts: None,
//!     clear: Some(ClearReason::NotOffered),
//!     anchors: None,
//!     strength: Strength::default(),
//!     connection: ConnectionId(1),
//!     policy_generation: 1,
//!     expires: None,
//!     only_message: None,
//!     now: UnixTime::from_secs(1_795_249_800),
//! };
//! let verdict = judge(&question);
//! assert_eq!(verdict.achieved, TlsAchieved::Clear);
//! let clearance = verdict.outcome.expect("allowed at may");
//! assert!(clearance.permits(ConnectionId(1), question.now, QueueId::from_u64(7)).is_ok());
//! assert!(clearance.permits(ConnectionId(2), question.now, QueueId::from_u64(7)).is_err());
//!
//! // Level `encrypt`: never.
//! question.demand = Arc::new(TlsDemand::Encrypted);
//! assert!(judge(&question).outcome.is_err());
//! ```

mod achieved;
#[cfg(feature = "actor")]
mod actor;
mod chain;
mod checks;
mod clearance;
mod constraints;
mod dane;
mod digest;
mod failure;
mod fingerprint;
mod judge;
mod names;
mod path;
mod public;
mod question;
#[cfg(feature = "rustls")]
mod rustls_verifier;
mod signature;

pub use achieved::{TlsAchieved, Verified};
#[cfg(feature = "crash")]
pub use actor::Crash;
#[cfg(feature = "actor")]
pub use actor::{Judge, VerifyActor};
pub use chain::describe;
pub use clearance::{Clearance, ClearanceError};
pub use dane::{DaneFailure, DaneMatch, Unusable, check_dane, check_dane_demand, usability};
pub use digest::DemandDigest;
pub use failure::{PathFailure, Problem};
pub use fingerprint::fingerprints;
pub use judge::judge;
pub use path::Purpose;
pub use public::{PathRules, TrustedPath, check_path, names_match};
pub use question::{ClearReason, Question, Refused, RefusedKind, Verdict};
#[cfg(feature = "rustls")]
pub use rustls_verifier::{Verifier, VerifierPolicy};
