//! The whole engine: bounces, restarts, services that crash, traces.

mod bounces;
mod crashes;
mod lanes;
mod restart;
mod ttl;
