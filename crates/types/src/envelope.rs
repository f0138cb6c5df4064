//! The envelope of a message, and the words of RFC 3461 in it.

use alloc::{sync::Arc, vec::Vec};
use core::fmt;

use crate::{Mailbox, QueueId, UnixTime};

/// When the sender wants to hear about a recipient (RFC 3461 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Notify {
    /// `NEVER`.
    Never,
    /// Any of the three; at least one is set.
    On {
        /// `SUCCESS`.
        success: bool,
        /// `FAILURE`.
        failure: bool,
        /// `DELAY`.
        delay: bool,
    },
}

impl fmt::Display for Notify {
    /// As on the wire: `NEVER`, `SUCCESS,FAILURE`, ...
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::On { success, failure, delay } = *self else { return f.write_str("NEVER") };
        let mut comma = "";
        for (set, word) in [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")] {
            if set {
                write!(f, "{comma}{word}")?;
                comma = ",";
            }
        }
        Ok(())
    }
}

/// How much of the message a notification returns (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ret {
    /// All of it.
    Full,
    /// Its header.
    Headers,
}

/// What the client said of the body (RFC 6152 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyKind {
    /// Nothing, or `BODY=7BIT`.
    SevenBit,
    /// `BODY=8BITMIME`.
    EightBitMime,
}

/// One recipient of a message with its DSN parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The forward-path.
    pub mailbox: Mailbox,
    /// `NOTIFY=`, where given.
    pub notify: Option<Notify>,
    /// `ORCPT=`, where given: `rfc822;` and xtext, checked and kept as it came, since it is passed on unchanged (RFC 3461 §5.2.1).
    pub original: Option<Arc<str>>,
}

/// Everything about a message but its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Its name in this queue.
    pub id: QueueId,
    /// When it was accepted; its age and expiry count from here.
    pub arrived: UnixTime,
    /// The reverse-path; `None` is the null one.
    pub sender: Option<Mailbox>,
    /// At least one; never reordered, results refer to them by index.
    pub recipients: Vec<Recipient>,
    /// `BODY=`.
    pub body: BodyKind,
    /// Whether the client gave SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// `ENVID=`: xtext as it came.
    pub envelope_id: Option<Arc<str>>,
    /// `RET=`.
    pub ret: Option<Ret>,
    /// Octets of the text, line ends as CRLF, before dot-stuffing.
    pub size: u64,
    /// Whether a line of the text starts with a dot, so that DATA has to stuff it (RFC 5321 §4.5.2).
    pub leading_dots: bool,
    /// The `Message-ID:` of its header, where it has one: printable ASCII, at most 250 octets.
    pub message_id: Option<Arc<str>>,
    /// Who submitted it: `name[address]`, or the local user; printable ASCII.
    pub client: Arc<str>,
    /// W3C trace id, minted at intake, and the span id of the intake.
    pub trace: TraceContext,
}

impl Envelope {
    /// One that says nothing yet: from the null reverse-path to nobody, about a text of no octets, in no trace. The fields that have something to say are
    /// written over it.
    #[must_use]
    pub fn empty(id: QueueId, arrived: UnixTime, client: impl Into<Arc<str>>) -> Self {
        Self {
            id,
            arrived,
            sender: None,
            recipients: Vec::new(),
            body: BodyKind::SevenBit,
            smtputf8: false,
            envelope_id: None,
            ret: None,
            size: 0,
            leading_dots: false,
            message_id: None,
            client: client.into(),
            trace: TraceContext::default(),
        }
    }
}

/// Where the trace of a message begins (W3C Trace Context §3.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TraceContext {
    /// Not zero in a message.
    pub trace_id: u128,
    /// The intake's span.
    pub span_id: u64,
    /// Whether the trace is exported.
    pub sampled: bool,
    /// The span that the intake's hangs on: of the client that submitted the message, or of the message that a notification is about; zero is none.
    pub parent_id: u64,
}
