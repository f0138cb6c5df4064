//! Durable messages in an append-only log.

#[cfg(feature = "actor")]
pub mod actor;

mod answer;
mod api;
mod build;
mod codec;
mod committer;
mod disk;
mod engine;
mod error;
mod format;
mod gate;
mod group;
mod index;
mod log;
mod message;
mod metrics;
mod read;
mod recover;
mod reserve;
mod scan;
mod settings;
mod storage;
mod writer;

pub use api::{Accept, Pending, Spool};
pub use error::{Error, Refusal};
pub use gate::{Gate, Gathering};
pub use log::{Log, Recovery, Stepper, open, open_on, open_stepped};
pub use message::{Done, Outcome, Progress, Put, RecipientResult, RecipientState, Recovered, Stored, Update};
pub use metrics::Metrics;
pub use recover::{Damage, Report};
pub use settings::Settings;
pub use storage::{Storage, StorageFile};
