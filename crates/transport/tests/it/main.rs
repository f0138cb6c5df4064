//! The transport against scripted servers on loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[cfg(feature = "actor")]
mod actor;
mod delivery;
mod lane;
mod opening;
mod peer;
mod pool;
mod stored;
mod tls;
