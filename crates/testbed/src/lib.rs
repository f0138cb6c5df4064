//! A world to deliver mail in, inside one process: certificates, scripted mail servers, signed zones.
//!
//! A [`Peer`] is a mail server on a loopback port that the system chose. What it says at each step is written down
//! before it starts, for its first, second, ... connection; it can refuse, stay silent, lie about STARTTLS, send bytes
//! nobody asked for, or hold a reply until the test lets go. It writes down everything it sees: connections, commands,
//! handshakes, messages. An [`Authority`] issues the certificates, the wrong ones too.
//!
//! Nothing here sleeps. A test waits for an event with [`Peer::wait_for`] inside [`within`] a deadline; a silent peer is
//! silent until it is dropped. The testbed refuses to know Waxseal's own SMTP and TLS code: what checks a client must not
//! share its mistakes. It is meant for tests, examples and `waxseal demo`, not for a network.
//!
//! ```
//! use std::time::Duration;
//! use tokio::{io::AsyncReadExt, net::TcpStream};
//! use waxseal_testbed::{Authority, Peer, within};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let authority = Authority::new("Example CA")?;
//! let certificate = authority.leaf(&["mx.example.com"]).issue()?;
//! let peer = Peer::builder()
//!     .starttls(certificate)
//!     .reply_to_rcpt("450 4.2.1 mailbox busy")
//!     .then()
//!     .greeting("421 4.3.2 going down")
//!     .start()
//!     .await?;
//!
//! let mut client = TcpStream::connect(peer.addr()).await?;
//! let mut greeting = [0; 4];
//! within(Duration::from_secs(5), client.read_exact(&mut greeting)).await?;
//! assert_eq!(&greeting, b"220 ");
//! assert_eq!(peer.connections(), 1);
//! # Ok(())
//! # }
//! ```

mod ca;
mod client;
mod deadline;
pub mod dns;
mod error;
mod peer;
mod postfix;
mod tls;

pub use ca::{Authority, Certificate, KeyKind, Leaf};
pub use client::Client;
pub use deadline::within;
pub use error::Error;
pub use peer::{Act, Builder, Event, Gate, Handshake, Happening, Message, Peer, Step, TlsSeen, TlsVersions};
pub use postfix::Postfix;
pub use tls::AnyServer;
