//! The words in which a server says no.

use alloc::{borrow::Cow, string::String};
use core::fmt;

use waxseal_types::EnhancedStatus;

/// A negative reply: code, enhanced status and one line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// 400 to 599.
    pub code: u16,
    /// The status in front of the text (RFC 2034 §4).
    pub status: EnhancedStatus,
    /// What went wrong. Nothing that the client said is repeated here: a reply must not serve to carry somebody's words into
    /// another protocol (ALPACA).
    pub text: Cow<'static, str>,
}

impl Refusal {
    /// A refusal in fixed words.
    #[must_use]
    pub const fn new(code: u16, status: EnhancedStatus, text: &'static str) -> Self {
        Self { code, status, text: Cow::Borrowed(text) }
    }

    /// A refusal in the words of another part of this program; what cannot stand in a reply line becomes `?`.
    #[must_use]
    pub fn worded(code: u16, status: EnhancedStatus, text: &str) -> Self {
        // RFC 5321 §4.5.3.1.5: a reply line has at most 512 octets, code and CRLF included.
        const LONGEST: usize = 480;
        let clean = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
        Self { code, status, text: Cow::Owned(text.chars().take(LONGEST).map(clean).collect::<String>()) }
    }
}

impl fmt::Display for Refusal {
    /// As on the wire, without its CRLF.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.code, self.status, self.text)
    }
}

const fn transient(code: u16, subject: u16, detail: u16, text: &'static str) -> Refusal {
    Refusal::new(code, EnhancedStatus::transient(subject, detail), text)
}

const fn permanent(code: u16, subject: u16, detail: u16, text: &'static str) -> Refusal {
    Refusal::new(code, EnhancedStatus::permanent(subject, detail), text)
}

impl Refusal {
    /// Something of ours failed; nothing was accepted.
    pub const LOCAL_ERROR: Self = transient(451, 3, 0, "Error: queue file write error");
    /// No room for this message now.
    pub const NO_SPACE: Self = transient(452, 3, 1, "Error: insufficient system storage");
    /// The client may not send mail through this server.
    pub const RELAY_DENIED: Self = permanent(554, 7, 1, "Relay access denied");
    /// The server is going away.
    pub const SHUTTING_DOWN: Self = transient(421, 3, 2, "Service shutting down, closing connection");
    /// The server has all the clients that it can bear.
    pub const TOO_BUSY: Self = transient(421, 3, 2, "All server ports are busy");
    /// This client has too many connections.
    pub const TOO_MANY_CONNECTIONS: Self = transient(421, 7, 0, "Error: too many connections from you");
    /// This client starts too many sessions of one kind or another in too short a time.
    pub const TOO_MANY_IN_TIME: Self =
        transient(421, 7, 0, "Error: too many connections from you, try later");
    /// The same of TLS sessions that are not resumed ones.
    pub const TOO_MANY_TLS: Self = transient(421, 7, 0, "Error: too many new TLS sessions from you");
    /// The same of messages.
    pub const TOO_MUCH_MAIL: Self = transient(450, 7, 1, "Error: too much mail from you");
    /// The same of recipients.
    pub const TOO_MANY_RECIPIENTS_IN_TIME: Self = transient(450, 7, 1, "Error: too many recipients from you");
    /// The same of AUTH commands, or of those that failed.
    pub const TOO_MANY_AUTH: Self = transient(421, 7, 0, "Error: too many AUTH commands from you");
    /// Nobody is known by that name and password.
    pub const BAD_CREDENTIALS: Self = permanent(535, 7, 8, "Error: authentication failed");
    /// It cannot be said whether somebody is.
    pub const AUTH_UNAVAILABLE: Self = transient(454, 7, 0, "Error: temporary authentication failure");
    /// A certificate that leads to a trusted authority is demanded (`smtpd_tls_req_ccert`).
    pub const CERTIFICATE_REQUIRED: Self =
        transient(421, 7, 0, "Error: a trusted client certificate is required");
    /// TLS cannot be started for a reason of ours.
    pub const TLS_UNAVAILABLE: Self = transient(454, 7, 0, "TLS not available due to local problem");
    /// The client was silent, or too slow, for too long.
    pub const TIMEOUT: Self = transient(421, 4, 2, "Error: timeout exceeded");

    pub(super) const TOO_MANY_ERRORS: Self = transient(421, 7, 0, "Error: too many errors");
    pub(super) const TOO_MUCH_JUNK: Self = transient(421, 7, 0, "Error: too many commands without mail");
    pub(super) const TOO_MANY_RECIPIENTS: Self = transient(452, 5, 3, "Error: too many recipients");
    pub(super) const SYNCHRONISATION: Self = permanent(554, 5, 0, "Error: SMTP protocol synchronization");
    pub(super) const LINE_TOO_LONG: Self = permanent(500, 5, 2, "Error: line too long");
    pub(super) const STRAY_CONTROL: Self =
        permanent(500, 5, 2, "Error: bare <CR>, bare <LF> or <NUL> in command");
    pub(super) const NOT_UTF8: Self = permanent(500, 5, 2, "Error: command is not UTF-8");
    pub(super) const BAD_SYNTAX: Self = permanent(500, 5, 2, "Error: bad syntax");
    pub(super) const UNKNOWN_COMMAND: Self = permanent(500, 5, 2, "Error: command not recognized");
    pub(super) const NOT_IMPLEMENTED: Self = permanent(502, 5, 1, "Error: command not implemented");
    pub(super) const NO_ARGUMENT: Self = permanent(501, 5, 4, "Syntax: no argument allowed");
    pub(super) const ARGUMENT_MISSING: Self = permanent(501, 5, 4, "Syntax: argument missing");
    pub(super) const MAIL_SYNTAX: Self = permanent(501, 5, 4, "Syntax: MAIL FROM:<address>");
    pub(super) const RCPT_SYNTAX: Self = permanent(501, 5, 4, "Syntax: RCPT TO:<address>");
    pub(super) const BAD_SENDER: Self = permanent(501, 1, 7, "Bad sender address syntax");
    pub(super) const BAD_RECIPIENT: Self = permanent(501, 1, 3, "Bad recipient address syntax");
    pub(super) const UNSUPPORTED: Self = permanent(555, 5, 4, "Unsupported option");
    pub(super) const DUPLICATE: Self = permanent(501, 5, 4, "Error: option given twice");
    pub(super) const BAD_SIZE: Self = permanent(501, 5, 4, "Bad message size syntax");
    pub(super) const BAD_BODY: Self = permanent(501, 5, 4, "Error: bad BODY option");
    pub(super) const BAD_RET: Self = permanent(501, 5, 4, "Error: bad RET option");
    pub(super) const BAD_ENVID: Self = permanent(501, 5, 4, "Error: bad ENVID option");
    pub(super) const BAD_AUTH_PARAMETER: Self = permanent(501, 5, 4, "Error: bad AUTH option");
    pub(super) const BAD_NOTIFY: Self = permanent(501, 5, 4, "Error: bad NOTIFY option");
    pub(super) const BAD_ORCPT: Self = permanent(501, 5, 4, "Error: bad ORCPT option");
    // RFC 6531 §3.5.
    pub(super) const NEEDS_SMTPUTF8: Self =
        permanent(553, 6, 7, "Must declare SMTPUTF8 to send unicode address");
    pub(super) const HELLO_FIRST: Self = permanent(503, 5, 1, "Error: send HELO/EHLO first");
    pub(super) const NESTED_MAIL: Self = permanent(503, 5, 1, "Error: nested MAIL command");
    pub(super) const MAIL_FIRST: Self = permanent(503, 5, 1, "Error: need MAIL command");
    pub(super) const RCPT_FIRST: Self = permanent(503, 5, 1, "Error: need RCPT command");
    pub(super) const NO_RECIPIENTS: Self = permanent(554, 5, 1, "Error: no valid recipients");
    pub(super) const WITHIN_BDAT: Self =
        permanent(503, 5, 1, "Error: command not allowed within BDAT transfer");
    pub(super) const BDAT_FAILED: Self = permanent(503, 5, 1, "Error: transaction failed, RSET needed");
    pub(super) const BDAT_SYNTAX: Self = permanent(521, 5, 4, "Syntax: BDAT count [LAST]");
    // RFC 3207 §4.
    pub(super) const TLS_REQUIRED: Self = permanent(530, 7, 0, "Must issue a STARTTLS command first");
    // RFC 4954 §4 and §6.
    pub(super) const AUTH_NEEDS_TLS: Self =
        permanent(538, 7, 11, "Encryption required for requested authentication mechanism");
    pub(super) const AUTH_TWICE: Self = permanent(503, 5, 1, "Error: already authenticated");
    pub(super) const AUTH_IN_TRANSACTION: Self = permanent(503, 5, 1, "Error: MAIL transaction in progress");
    pub(super) const AUTH_MECHANISM: Self = permanent(504, 5, 4, "Error: this mechanism is not offered");
    pub(super) const AUTH_ABORTED: Self = permanent(501, 7, 0, "Authentication aborted");
    pub(super) const AUTH_SYNTAX: Self = permanent(501, 5, 2, "Error: cannot decode this response");
    pub(super) const TLS_ACTIVE: Self = permanent(503, 5, 1, "Error: TLS already active");
    pub(super) const TOO_LARGE: Self = permanent(552, 3, 4, "Error: message file too big");
    pub(super) const FIELD_TOO_LARGE: Self = permanent(552, 3, 4, "Error: message header field too big");
    pub(super) const STRAY_TEXT: Self = permanent(550, 5, 2, "Error: bare <CR>, bare <LF> or <NUL> received");
    pub(super) const TOO_MANY_HOPS: Self = permanent(554, 4, 6, "Error: too many hops");
}
