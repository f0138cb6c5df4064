//! The SMTP server: where mail comes in.
//!
//! The protocol itself, with its limits, is [`waxseal_smtp::server`]; what "safely on disk" means is [`waxseal_spool`]. This crate has what is
//! between them and the network: listeners (TCP and unix sockets), who may relay, how many connections, how long a client may take, and the
//! hand-over of each message through [`Accept`](waxseal_spool::Accept). The final 250 is written when that has resolved to `Ok`, and never before;
//! while one session waits for the disk, all others go on.
//!
//! An [`Intake`] owns the bound sockets and the counts; [`Intake::serve`] is a future that accepts connections and may be dropped and called
//! again (an actor that crashed and was started anew), or called once on each of several threads. Sessions are local tasks: it runs on a
//! `tokio` `LocalSet`, as actix arbiters are.
//!
//! The crate refuses to know where mail goes, what a queue is, and how anything is stored.
//!
//! ```
//! use std::{future::Future, pin::Pin, sync::Arc};
//! use bytes::Bytes;
//! use tokio::{io::AsyncWriteExt, net::TcpStream, task::LocalSet};
//! use waxseal_intake::{Intake, Settings};
//! use waxseal_spool::{Accept, Gate, Gathering, Refusal};
//! use waxseal_types::{Envelope, QueueId};
//!
//! struct Nowhere(Gate);
//! impl Accept for Nowhere {
//!     fn ready(&self) -> Result<(), Refusal> { Ok(()) }
//!     fn next_id(&self) -> QueueId { self.0.next_id() }
//!     fn gathering(&self) -> Gathering { self.0.gathering() }
//!     fn accept(&self, _: Envelope, _: Bytes) -> Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>> {
//!         Box::pin(async { Err(Refusal::FULL) })
//!     }
//! }
//!
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! LocalSet::new().block_on(&runtime, async {
//!     let settings = Settings { listen: vec!["127.0.0.1:0".parse()?], ..Settings::default() };
//!     let intake = Arc::new(Intake::bind(settings)?);
//!     let serving = tokio::task::spawn_local(Arc::clone(&intake).serve(Arc::new(Nowhere(Gate::default()))));
//!     TcpStream::connect(intake.local_addrs()[0]).await?.write_all(b"QUIT\r\n").await?;
//!     intake.shut_down();
//!     serving.await??;
//!     intake.drained().await;
//!     Ok::<(), Box<dyn std::error::Error>>(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "actor")]
pub mod actor;

mod address;
mod auth;
mod client;
mod counters;
mod error;
mod examine;
mod host;
mod ids;
mod intake;
mod large;
mod listener;
mod neighbours;
mod protocols;
mod rates;
mod relay;
mod session;
mod settings;
mod stream;
mod tls;
mod traceparent;

pub use address::{Cidr, InvalidCidr, InvalidListenAddr, ListenAddr};
pub use counters::Statistics;
pub use error::Error;
pub use examine::{chain_files, examine, examine_chain};
pub use intake::Intake;
pub use neighbours::{Answer, Lookup, Neighbours, Publication, Records, Switch};
pub use relay::RelayRule;
pub use settings::{AuthSettings, Handshake, Level, RateLimits, Settings, TlsSettings};
