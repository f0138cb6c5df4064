//! Metrics: one catalogue, one page of numbers, two ways to read it.
//!
//! What the events of the queue tell is counted here, in plain atomics. What other crates count they count themselves; whoever assembles the
//! process copies it to a [`Page`] when somebody wants to know. So nothing below this crate knows of any metrics library, and a
//! process that nobody asks does nothing but add.

mod bounds;
mod catalogue;
mod census;
mod histogram;
mod otlp;
mod outlook;
mod page;
mod prometheus;
mod recorder;
mod reference;
mod table;

pub use bounds::{BOUND_TABLE, Bound};
pub use catalogue::*;
pub use census::LARGEST;
pub use histogram::Buckets;
pub use outlook::Outlook;
pub use page::{Number, Page, Sample, Value};
pub use prometheus::PROMETHEUS_TYPE;
pub(crate) use recorder::Recorder;
pub use reference::reference;
