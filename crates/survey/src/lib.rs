//! Would mail to this destination arrive under DANE, from everybody, now and in some days?
//!
//! A [`Surveyor`] looks at a domain or host as a delivery does: it runs the very plan that delivers (`waxseal-queue`), and refuses it each
//! connection after having looked at it, so that the plan goes on to every address of every host. What a delivery takes from the first server
//! that answers is thereby seen of all of them. At each server the RSA and the ECDSA chain are both asked for, since a client sees
//! only one of them; and for each signed answer it is read when the signature ends.
//!
//! What was seen ([`Seen`]) is judged by itself ([`Report::new`]): a pure function of what was seen and the days that it is to hold. Each
//! [`Finding`] has a word for programs, a sentence, and what to do. The comparison of records and chains is the one by which deliveries go
//! (`waxseal-verify`). Reports can be written as JSON and as metrics.
//!
//! The crate refuses to know configuration files and terminals. It sends no mail, and changes nothing.
//!
//! ```
//! use waxseal_dns::{DnssecMode, Families, Settings};
//! use waxseal_survey::{Fault, Report, Surveyor};
//! use waxseal_testbed::dns::{DnsServer, Zone};
//! use waxseal_types::UnixTime;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A domain whose mail host has no address.
//! let zone = Zone::new().mx("example.test", 10, "mx.example.test").secure("example.test");
//! let server = DnsServer::start(zone).await?;
//! let dns = Settings { servers: vec![server.addr()], dnssec: DnssecMode::TrustAd, ..Settings::default() };
//!
//! let surveyor = Surveyor::new(dns, &waxseal_transport::Settings::default(), Families::Both)?;
//! let seen = surveyor.look(&"example.test".parse()?, 25, || UnixTime::from_secs(1_795_249_800)).await?;
//! let report = Report::new(seen, 0);
//! assert_eq!(report.findings[0].fault, Fault::NoAddress);
//! assert!(!report.is_healthy());
//! # Ok(())
//! # }
//! ```

mod assess;
mod error;
mod finding;
mod json;
mod metrics;
mod seen;
mod watch;

pub use assess::Report;
pub use error::Error;
pub use finding::{Fault, Finding, Severity};
pub use metrics::metrics;
pub use seen::{Answered, Call, Host, Seen, Server, Shown};
pub use watch::Surveyor;
