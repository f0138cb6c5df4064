//! The server's side of ESMTP (RFC 5321) as a machine without I/O.
//!
//! A [`Session`] is fed with octets and gives replies, and steps that its driver has to take. What the protocol leaves open (may this
//! client relay, is there room, what goes into `Received:`) it asks of a [`Host`], who answers at once. Only the final answer to a message
//! may take time: the machine stops at [`Step::Message`] until [`Session::settle`] is called, and a driver that forgets to call it
//! makes the client hear 451.
//!
//! PIPELINING (RFC 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), ENHANCEDSTATUSCODES (RFC 2034), CHUNKING (RFC 3030), DSN
//! (RFC 3461) and, where configured, STARTTLS (RFC 3207) and, over TLS, AUTH (RFC 4954) are offered. The module refuses to know sockets, clocks, spools and TLS.
//!
//! ```
//! use std::sync::Arc;
//! use bytes::BytesMut;
//! use waxseal_smtp::server::{Hello, Host, Refusal, Session, Settings, Step, Transaction};
//! use waxseal_types::{QueueId, Recipient};
//!
//! struct Anyone;
//! impl Host for Anyone {
//!     fn mail(&mut self, _: &Transaction) -> Result<(), Refusal> { Ok(()) }
//!     fn recipient(&mut self, _: &Transaction, _: &Recipient) -> Result<(), Refusal> { Ok(()) }
//!     fn text(&mut self, _: &Hello, _: &Transaction, _: &mut BytesMut) -> Result<(), Refusal> { Ok(()) }
//! }
//!
//! let mut session = Session::new(Arc::new(Settings::default()));
//! for input in ["EHLO client.example\r\n", "MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"] {
//!     assert!(matches!(session.advance(&mut BytesMut::from(input), &mut Anyone), Step::Read));
//! }
//! let step = session.advance(&mut BytesMut::from("Subject: hello\r\n\r\n..\r\n.\r\n"), &mut Anyone);
//! let Step::Message(message) = step else { panic!("{step:?}") };
//! assert_eq!(&*message.text, b"Subject: hello\r\n\r\n.\r\n");
//! session.settle(Ok(QueueId::from_u64(51)));
//! assert!(session.output().ends_with(b"250 2.0.0 Ok: queued as z\r\n"));
//! ```

mod auth;
mod command;
mod dialogue;
mod header;
mod parameters;
mod received;
mod refusal;
mod scanner;
mod session;
mod settings;
mod transaction;
mod transfer;

pub use auth::Credentials;
pub use header::{HeaderField, header_fields};
pub use received::Received;
pub use refusal::Refusal;
pub use session::{Host, Session, Step};
pub use settings::Settings;
pub use transaction::{Hello, Message, Transaction};

#[cfg(test)]
mod tests;
