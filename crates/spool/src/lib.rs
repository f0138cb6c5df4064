//! Durable messages in an append-only log.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

#[cfg(feature = "actor")]
pub mod actor;

mod api;
mod error;
mod gate;
mod log;
mod message;
mod settings;
mod storage;

pub use api::{Accept, Pending, Spool};
pub use error::{Error, Refusal};
pub use gate::{Gate, Gathering};
pub use log::{Log, Recovery, open};
pub use message::{Done, Outcome, Progress, Put, RecipientResult, RecipientState, Recovered, Stored, Update};
pub use settings::Settings;
pub use storage::{Storage, StorageFile};
