//! Delivery events, log lines and OpenTelemetry traces, all from the delivery account.

mod backlog;
mod events;
mod json;
mod log;
mod settings;
mod telemetry;
mod writer;

pub use log::init_logging;
pub use settings::{Error, Settings, Target};
pub use telemetry::Telemetry;
