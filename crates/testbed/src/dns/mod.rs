//! The whole name space in one process: zones as a test wants them, and a resolver that answers from them.
//!
//! A [`Zone`] says which records exist, which names lie in signed zones, what is broken, and which questions fail. A
//! [`DnsServer`] answers for it on a loopback port as a recursive resolver would, aliases followed, over UDP and TCP,
//! and writes down what it was asked. It plays one of two parts:
//!
//! - [`DnsServer::start`]: a resolver that validates. The AD bit is set where everything is secure, and what is bogus
//!   is SERVFAIL.
//! - [`DnsServer::forwarder`]: one that passes on what the authoritative servers say, right or wrong, and never sets
//!   AD. Its signatures are real: keys are made at start, the root's is [`DnsServer::trust_anchor`], answers are signed
//!   as they are given, and absence is proven with NSEC or NSEC3 records.
//!
//! So one zone shows both back ends of a client the same world. `twist` lets a test rewrite replies on their way out.
//!
//! ```
//! use waxseal_testbed::dns::{DnsServer, Zone};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let zone = Zone::new()
//!     .mx("example.test", 10, "mx.example.test")
//!     .a("mx.example.test", [127, 0, 0, 1])
//!     .secure("example.test");
//! let server = DnsServer::start(zone).await?;
//! assert!(server.addr().ip().is_loopback());
//! assert!(server.questions().is_empty());
//! # Ok(())
//! # }
//! ```

mod answer;
mod denial;
mod server;
mod sign;
mod world;
mod zone;

pub use server::{Asked, DnsServer};
pub use zone::{Break, Fault, Zone};
