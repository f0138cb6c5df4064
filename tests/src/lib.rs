//! What the scenarios share: letters, policies without files, one delivery at a time, and a whole engine in process.
//!
//! A [`Lane`] carries one [`Letter`] by the real plan, the real policy, DNS, trust, verification and transport crates, and
//! gives the account: no queue, no actors, and the clock is whatever the test says. A [`World`] is the whole engine, spool
//! and intake included, as the daemon runs it. Servers are the testbed's scripted peers in both.

mod changing;
mod collector;
mod engine;
mod lane;
mod letter;
mod recorder;
mod tables;

pub use changing::Changing;
pub use collector::{Collector, attributes};
pub use engine::World;
pub use lane::{Lane, bounced, deferred, delivered};
pub use letter::{Letter, NOON};
pub use recorder::{Recorder, Seen};
pub use tables::Entries;

use std::time::Duration;

/// How long a scenario waits for something that should happen at once.
pub const LIMIT: Duration = Duration::from_secs(30);
