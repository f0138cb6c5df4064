//! The transport against scripted servers on loopback.

mod delivery;
mod opening;
mod peer;
mod pool;
mod tls;
