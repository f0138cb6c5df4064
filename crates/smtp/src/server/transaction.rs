//! What a client said about one message.

use alloc::{sync::Arc, vec::Vec};

use bytes::Bytes;
use waxseal_types::{BodyKind, Mailbox, Recipient, Ret};

/// How the client introduced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The argument of HELO or EHLO, fit for a header: letters, digits and `.-_:[]`; anything else became `?`.
    pub name: Arc<str>,
    /// Whether it was EHLO.
    pub extended: bool,
    /// Whether the session runs over TLS.
    pub tls: bool,
    /// Whether the client has proved who it is by AUTH (RFC 4954).
    pub authenticated: bool,
}

/// A mail transaction (RFC 5321 §3.3) so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The reverse-path; `None` is the null one.
    pub sender: Option<Mailbox>,
    /// The accepted recipients, in their order.
    pub recipients: Vec<Recipient>,
    /// `BODY=`.
    pub body: BodyKind,
    /// `SMTPUTF8`.
    pub smtputf8: bool,
    /// `ENVID=`, xtext as it came.
    pub envelope_id: Option<Arc<str>>,
    /// `RET=`.
    pub ret: Option<Ret>,
}

/// A complete message that waits for its final reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its envelope; at least one recipient.
    pub transaction: Transaction,
    /// Octets of the text that [`Session::take`](super::Session::take_piece) gave out before; `text` is what follows them.
    pub taken: u64,
    /// What the [`Host`](super::Host) wrote in front, then the text: lines that end in CRLF, neither CR nor LF elsewhere, no NUL,
    /// dots un-stuffed.
    pub text: Bytes,
    /// Whether a line of the text begins with a dot.
    pub leading_dots: bool,
    /// The first `Message-ID:` of the header: printable ASCII, at most 250 octets.
    pub message_id: Option<Arc<str>>,
    /// Whether the header has a `Traceparent:`.
    pub traceparent: bool,
}
