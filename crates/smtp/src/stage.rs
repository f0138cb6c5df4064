//! Where in a session something happened.

use core::fmt;

/// A step of a delivery session, as time limits and failures name it.
///
/// [`Stage::Connect`] and [`Stage::Tls`] belong to whoever does the I/O; they stand here so that one word serves for all of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Making the connection.
    Connect,
    /// Waiting for the greeting.
    Greeting,
    /// EHLO, HELO or LHLO.
    Hello,
    /// The command STARTTLS and its reply.
    StartTls,
    /// The TLS handshake.
    Tls,
    /// RSET before the transaction.
    Rset,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// The command DATA and its reply.
    Data,
    /// The text of the message, up to the final dot.
    Body,
    /// The final dot was sent and its reply is awaited: a failure here leaves open whether the message was taken.
    EndOfData,
    /// QUIT.
    Quit,
}

impl Stage {
    /// What was being done, for a sentence such as "lost connection while ...".
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::Greeting => "receiving the initial server greeting",
            Self::Hello => "performing the EHLO handshake",
            Self::StartTls => "receiving the STARTTLS response",
            Self::Tls => "performing the TLS handshake",
            Self::Rset => "sending RSET",
            Self::Mail => "sending MAIL FROM",
            Self::Rcpt => "sending RCPT TO",
            Self::Data => "sending DATA command",
            Self::Body => "sending message body",
            Self::EndOfData => "sending end of data -- message may be sent more than once",
            Self::Quit => "sending QUIT",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
