//! The queue manager: owner of the schedule, supervisor of the services.
//!
//! A star: only this module and the binaries hold addresses. Services run as children of the manager; one that dies is
//! started anew from its factory, and while it is down its questions are answered [`crate::Answer::Unavailable`], so mail is
//! deferred, never lost and never sent weaker. A panic of the manager itself ends the process with status 70; recovery does the rest.

mod admission;
mod children;
mod commands;
mod counting;
mod crews;
mod delays;
mod delivery;
mod doorway;
mod expected;
mod factories;
mod learning;
mod listing;
mod manager;
mod obey;
mod orders;
mod passage;
mod quay;
mod recovery;
mod saving;
mod services;
mod stored;
mod supervise;
mod telling;
mod ways;

pub use admission::Admit;
pub use children::{DeathNotice, Died, watch};
#[cfg(feature = "crash")]
pub use commands::CrashService;
pub use commands::{AskDoorway, Drain, Show, ShownMessage, Stop};
pub use counting::Count;
pub use doorway::Doorway;
pub use factories::{Factories, Factory, Fittings, SpoolParts};
pub use listing::{List, Listing, Look, Slice};
pub use manager::{QueueManager, Threads};
pub use orders::{Act, AskLevers, AskStandings, Standing, Suspend, Switch};
