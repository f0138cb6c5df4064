//! The engine of Waxseal: configuration in, a running mail system out.
//!
//! [`Engine::start`] assembles what the crates provide: it opens the spool, binds the intake's addresses, and starts the queue manager
//! with a factory for each service. It must run within an actix `System`. The daemon `queue-manager` is a shell around it that knows
//! arguments and signals; `waxseal demo` and the tests run it in process. Nothing is decided here.
//!
//! ```no_run
//! use std::sync::Arc;
//! use waxseal_queue_manager::{Engine, EngineSettings};
//!
//! actix::System::new().block_on(async {
//!     let engine = Engine::start(EngineSettings::default(), Arc::new(waxseal_queue::Silent)).await?;
//!     println!("listening on {:?}", engine.addresses());
//!     engine.shut_down().await;
//!     Ok::<(), waxseal_queue_manager::StartError>(())
//! })?;
//! # Ok::<(), waxseal_queue_manager::StartError>(())
//! ```

mod attendant;
mod desk;
mod dnssec;
mod engine;
mod factories;
mod levers;
mod neighbours;
mod readings;
mod reloads;
mod settings;

pub use desk::Archive;
pub use engine::{Engine, EngineEvent, GATE_FILE, Opened};
pub use readings::Readings;
pub use reloads::ReloadRequest;
pub use settings::{EngineSettings, StartError};
pub use waxseal_admin::SOCKET as CONTROL_SOCKET;
