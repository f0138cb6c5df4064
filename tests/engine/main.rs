//! The whole engine: bounces, restarts, services that crash, tables that break.

mod bounces;
mod crashes;
mod expected;
mod fronts;
mod hardship;
mod lanes;
mod limits;
mod metrics;
mod orders;
mod quays;
mod reload;
mod restart;
mod services;
mod tables;
mod traces;
mod ttl;
