//! Is this peer who was demanded? Paths, names, fingerprints, DANE.

mod achieved;
#[cfg(feature = "actor")]
mod actor;
mod clearance;
mod digest;
mod judge;
mod question;

pub use achieved::{TlsAchieved, Verified};
#[cfg(feature = "crash")]
pub use actor::Crash;
#[cfg(feature = "actor")]
pub use actor::{Judge, VerifyActor};
pub use clearance::{Clearance, ClearanceError};
pub use digest::DemandDigest;
pub use judge::judge;
pub use question::{ClearReason, Question, Refused, RefusedKind, Verdict};
