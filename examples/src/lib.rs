//! Short programs that take one crate of Waxseal each, and need nothing but this machine.
//!
//! Run one with `cargo run -p waxseal-examples --example lookup`; `tests/run.rs` runs them all.
