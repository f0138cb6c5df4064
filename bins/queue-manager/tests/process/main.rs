//! The real binary, from outside: killed, traced, badly configured.
//!
//! Peers and clients are the testbed's. Nothing here needs root; what needs `strace` is ignored unless asked for.

mod bad_input;
mod daemon;
mod exhaustion;
mod first_start;
mod front_door;
mod kill_nine;
mod soak;
mod supervisor;
mod telling;
mod trace_order;
