//! MX, address and TLSA lookups with their DNSSEC proof.
mod anchors;
mod answer;
mod cache;
mod chase;
mod counters;
mod error;
mod exchange;
mod health;
mod records;
mod resolver;
mod settings;
mod stub;
mod system;
mod trouble;
mod upstream;
mod validate;
mod why;
mod wire;

pub use counters::Statistics;
pub use error::Error;
pub use health::DnssecHealth;
pub use resolver::Resolver;
pub use settings::{CacheSettings, DnssecMode, Families, Settings};
