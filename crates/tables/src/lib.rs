//! Postfix lookup tables in Rust.
