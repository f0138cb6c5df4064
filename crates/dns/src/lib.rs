//! MX, address and TLSA lookups with their DNSSEC proof.

mod error;
mod resolver;
mod settings;

pub use error::Error;
pub use resolver::Resolver;
pub use settings::{CacheSettings, DnssecMode, Families, Settings};
