//! What can go wrong, and whose fault it is.

use std::io;

use waxseal_smtp::{OutOfStep, ReplyError};
use waxseal_types::Reply;
use waxseal_verify::ClearanceError;

use crate::Crowd;

/// The operator's fault: a connector cannot be made of these settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The EHLO name has characters that no name has, or is empty.
    #[error("{0:?} cannot be given as the name of this host in EHLO")]
    HeloName(String),
    /// No key exchange group is left.
    #[error("no key exchange group is configured")]
    NoGroups,
}

/// Why a session could not be opened, or broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The system said so: refused, unreachable, no permission, ...
    #[error("{1}")]
    Io(io::ErrorKind, String),
    /// The time limit of the stage was reached.
    #[error("timed out")]
    Timeout,
    /// There are as many connections as the operator allows; none was tried.
    #[error("{0}")]
    Crowded(Crowd),
    /// The server closed the connection.
    #[error("lost connection")]
    Lost,
    /// The server refused to go on.
    #[error("server said: {0}")]
    Reply(Reply),
    /// TLS failed, in the handshake at [`waxseal_smtp::Stage::Tls`], later at the others; the text is the TLS library's, printable.
    #[error("TLS failed: {0}")]
    Handshake(String),
    /// The server calls itself by our name (5.4.6).
    #[error("mail loops back to myself")]
    LoopsToSelf,
    /// TLS was required and STARTTLS not offered.
    #[error("TLS is required, but was not offered")]
    NotOffered,
    /// TLS was required and STARTTLS answered with this.
    #[error("TLS is required, but STARTTLS was refused: {0}")]
    Refused(Reply),
    /// What the server says is not SMTP, or answers nothing that was asked.
    #[error("protocol error: {0}")]
    Protocol(String),
    /// No handshake can be made of what the policy asks for: the operator's fault.
    #[error("TLS configuration: {0}")]
    Configuration(String),
    /// The message's own text cannot be read to its end, or is no text that may be sent: nobody else's fault. It was not ended.
    #[error("the text of the message cannot be sent: {0}")]
    Text(String),
    /// The clearance does not cover this message; nothing was sent.
    #[error("not cleared: {0}")]
    NotCleared(#[from] ClearanceError),
}

impl From<ReplyError> for Cause {
    fn from(error: ReplyError) -> Self {
        Self::Protocol(error.to_string())
    }
}

impl From<OutOfStep> for Cause {
    fn from(error: OutOfStep) -> Self {
        Self::Protocol(error.to_string())
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::Handshake(printable(&tls.to_string()));
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Lost,
            io::ErrorKind::TimedOut => Self::Timeout,
            kind => Self::Io(kind, error.to_string()),
        }
    }
}

impl Cause {
    /// No connection came about.
    pub(crate) fn of_connecting(error: &io::Error) -> Self {
        if error.raw_os_error().is_some_and(|number| OUT_OF_DESCRIPTORS.contains(&number)) {
            return Self::Crowded(Crowd::Descriptors);
        }
        Self::Io(error.kind(), error.to_string())
    }
}

/// ENFILE and EMFILE of errno(3): the same numbers wherever there is a Unix.
const OUT_OF_DESCRIPTORS: [i32; 2] = [23, 24];

/// A peer can put words into some TLS errors.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(500).collect()
}
