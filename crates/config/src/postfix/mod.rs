//! Postfix's `main.cf`.
//!
//! `file` reads lines, `expand` knows `$name`, `parameters` says which parameter is which key, with Postfix's defaults, and `unsupported` lists
//! those that are not implemented although they matter.

mod expand;
mod file;
mod parameters;
mod unsupported;

pub(crate) use file::MainCf;
