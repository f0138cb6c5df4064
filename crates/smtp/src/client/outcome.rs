//! What becomes of recipients, and of the session.

use waxseal_types::{EnhancedStatus, Reply};

use super::text::BareLineEnd;
use crate::Stage;

/// What became of one recipient, as far as the protocol goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The server took responsibility.
    Delivered(Reply),
    /// The server refused: the recipient at [`Stage::Rcpt`], the message at the others.
    Rejected {
        /// Where.
        stage: Stage,
        /// Its words. 552 to RCPT has become 452 here.
        reply: Reply,
    },
    /// The message cannot be sent to this server as it is; nothing of it was sent.
    Unsupported(Unsupported),
}

/// Why a message was not even offered to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// RFC 6531 §3.5: an address or a header needs SMTPUTF8 and the server does not offer it. Bounces with 5.6.7.
    #[error("SMTPUTF8 is required, but was not offered")]
    SmtpUtf8,
    /// RFC 1870 §6.1: the message is larger than the server takes. Bounces with 5.3.4.
    #[error("message size {size} exceeds size limit {limit} of the server")]
    Size {
        /// Of the message.
        size: u64,
        /// Of the server.
        limit: u64,
    },
    /// RFC 5321 §2.3.8: the text has a bare CR or LF.
    #[error(transparent)]
    BareLineEnd(#[from] BareLineEnd),
}

/// The reply makes no sense here: client and server are no longer in step, and the connection must be closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unexpected reply while {stage}: {reply}")]
pub struct OutOfStep {
    /// Where.
    pub stage: Stage,
    /// The reply.
    pub reply: Reply,
}

/// How a transaction left the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// The next transaction may follow.
    Clean,
    /// The server may still hold a half transaction: RSET comes first.
    NeedsReset,
    /// The server said 421, or is not where it should be.
    Closed,
}

/// RFC 5321 §4.5.3.1.10: 552 to RCPT is an old way to say 452, too many recipients, and is treated as such.
pub(super) fn too_many(reply: Reply) -> Reply {
    if reply.code != 552 {
        return reply;
    }
    let status = reply.status.map(|status| status.with_class(EnhancedStatus::transient(0, 0).class()));
    Reply { code: 452, status, ..reply }
}

/// The header of a text, the empty line behind it not included.
pub(super) fn header(text: &[u8]) -> &[u8] {
    memchr::memmem::find(text, b"\r\n\r\n").map_or(text, |end| &text[..end])
}
