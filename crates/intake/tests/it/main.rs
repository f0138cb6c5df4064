//! The intake as its clients see it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod abuse;
#[cfg(feature = "crash")]
mod actor;
mod bombs;
mod certificates;
mod common;
mod framing;
mod gate;
mod large;
mod loopback;
mod real;
mod tls;
mod who;
