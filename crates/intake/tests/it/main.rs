//! The intake as its clients see it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

#[cfg(feature = "crash")]
mod actor;
mod common;
mod framing;
mod loopback;
