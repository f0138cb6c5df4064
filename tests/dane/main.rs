//! DANE for SMTP (RFC 7672, RFC 7671, RFC 6698), requirement by requirement, against zones that are signed in this process.
//!
//! `requirements.tsv` names each requirement and its tests; `tests/tidy` holds that table against the functions. Every delivery here is
//! made twice: with signatures validated in process, and with the AD bit of a resolver that validates. Both must come to the same end.

mod account;
mod candidates;
mod destinations;
mod errors;
mod ground;
mod outcomes;
mod references;
mod time;
mod trace;
mod wire;
