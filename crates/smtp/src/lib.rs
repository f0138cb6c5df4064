//! SMTP and LMTP without I/O: what to say, and what the other side's words mean.
//!
//! Both sides are machines. Whoever owns a connection gives them the octets that came in, writes the octets that they put out, and keeps the
//! time; so every session, however it is cut into segments and wherever it breaks, can be played in a test without a socket. The client half
//! is four small machines, in the order in which a delivery needs them:
//!
//! 1. [`ReplyReader`] puts replies together (RFC 5321 §4.2), bounded in lines and octets, and makes their text printable.
//! 2. [`Opening`] leads from the greeting through EHLO and STARTTLS (RFC 3207) to an [`Ehlo`], or says why there is no session.
//! 3. [`Transaction`] carries one message: parameters only where they are offered, one flight where PIPELINING is (RFC 2920), an answer for each
//!    recipient, with LMTP after the final dot as well (RFC 2033).
//! 4. [`DataText`] turns a text into what DATA wants without copying it, and refuses texts that could be read in two ways; [`TextFlow`] does so for a text that comes in pieces.
//!
//! The crate refuses to know TLS, sockets, clocks and policy: it says *that* TLS is to be started now, and never whether a reply is good enough
//! to go on in clear; that a reply means "try the next host" is the business of `queue`.
//!
//! The server half is in [`server`].
//!
//! ```
//! use waxseal_smtp::{Discard, Hello, Offer, Opening, OpeningStep, ReplyReader, Stage, StartTls};
//! use waxseal_types::Protocol;
//!
//! let hello = Hello {
//!     protocol: Protocol::Smtp,
//!     name: "client.example".into(),
//!     starttls: StartTls::IfOffered,
//!     detect_loop: true,
//!     discard: Discard::default(),
//! };
//! let (mut opening, mut reader, mut out) = (Opening::new(hello), ReplyReader::new(), Vec::new());
//!
//! let mut wire = &b"220 mx.example ESMTP\r\n"[..];
//! let greeting = reader.read(&mut wire)?.expect("the reply is whole");
//! let step = opening.reply(&greeting, reader.lines(), &mut out);
//! assert_eq!(step, OpeningStep::Await(Stage::Hello));
//! assert_eq!(out, b"EHLO client.example\r\n");
//!
//! let mut wire = &b"250-mx.example\r\n250 PIPELINING\r\n"[..];
//! let reply = reader.read(&mut wire)?.expect("the reply is whole");
//! let OpeningStep::Ready(ehlo, offer) = opening.reply(&reply, reader.lines(), &mut out) else { panic!() };
//! assert!(ehlo.pipelining && offer == Offer::NotOffered);
//! # Ok::<(), waxseal_smtp::ReplyError>(())
//! ```
#![no_std]

extern crate alloc;

mod client;
pub mod server;
mod stage;

pub use client::{
    Afterwards, BareLineEnd, DataText, Discard, Ehlo, FlowPiece, Hello, Job, Offer, Opening, OpeningError,
    OpeningStep, OutOfStep, ReplyError, ReplyReader, Settled, StartTls, TextFlow, Transaction,
    TransactionStep, Unsupported,
};
pub use stage::Stage;
