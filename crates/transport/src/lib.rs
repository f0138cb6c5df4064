//! Sockets and TLS: from an address to a session that takes mail, and the mail over it.
//!
//! A [`Connector`] is asked to [`Connector::open`] a connection of a certain shape: an address, SMTP or LMTP, and what TLS is for ([`TlsUse`]).
//! It connects, listens to the greeting, says EHLO, starts TLS where that is wanted and offered, says EHLO again, and hands out a [`Session`] with
//! a report. The one thing it checks in the handshake is that the server holds the key of the certificate it shows; with any certificate at
//! all the handshake completes. The chain comes back as a fact, and somebody else judges it. Only then is there a
//! [`waxseal_verify::Clearance`], without which [`Session::send`] sends nothing.
//!
//! A [`Lane`] is one session that several deliveries to one destination use: with PIPELINING the next message's commands leave in the same write as
//! the text of the one before, with CHUNKING whole messages follow one another. Each is cleared by itself, and of each it is known whether its text
//! left whole when the connection breaks.
//!
//! Idle sessions are kept by what shaped them ([`Connector::park`]), and so are TLS sessions. What had been proven with them is not
//! kept: it is judged again for each use, because the next message may be under another demand.
//!
//! The crate refuses to know policy, DNS, and what an error leads to. It says where a session failed ([`waxseal_smtp::Stage`]) and why
//! ([`Cause`]); whether another host is tried, whether mail may go in clear instead, and when to try again is for `queue` to decide.
//!
//! ```no_run
//! use waxseal_transport::{Connector, Endpoint, OpenRequest, Settings, TlsUse};
//! use waxseal_types::Service;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let connector = Connector::new(Settings { helo_name: "client.example".into(), ..Settings::default() })?;
//! let opened = connector
//!     .open(&OpenRequest {
//!         endpoint: Endpoint::Inet("[2001:db8::25]:25".parse()?),
//!         host: None,
//!         service: Service::SMTP,
//!         tls: TlsUse::Never,
//!         reuse: true,
//!         resume: true,
//!     })
//!     .await?;
//! println!("{} offers {:?}", opened.report.ehlo.name, opened.report.ehlo);
//! connector.park(opened.session).await;
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "actor")]
mod actor;
mod channel;
mod connector;
mod counters;
mod error;
mod flight;
mod graves;
mod hold;
mod lane;
mod limits;
mod pool;
mod pour;
mod report;
mod session;
mod settings;
mod shape;
mod socket;
mod text;
mod tls;

#[cfg(feature = "crash")]
pub use actor::Crash;
#[cfg(feature = "actor")]
pub use actor::{Lead, Open, Park, Quit, Recall, TransportActor};
pub use connector::Connector;
pub use counters::Statistics;
pub use error::{Cause, Error};
pub use hold::{Hold, Holder};
pub use lane::Lane;
pub use limits::Crowd;
pub use report::{
    Endpoint, Generation, OpenError, OpenReport, OpenRequest, OpenTimes, Opened, OutMessage, RcptOutcome,
    Sent, SessionAfter, StarttlsOutcome, TlsUse,
};
pub use session::Session;
pub use settings::{Group, ServerKeys, Settings};
pub use text::{Piece, Pieces, Stored, Text};
pub use waxseal_smtp::{Discard, Ehlo, Stage, Unsupported};
