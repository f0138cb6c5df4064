//! What a server offers and how much it bears.

use alloc::{string::String, vec::Vec};

/// Offers and limits of one server. The defaults are Postfix's, by the names of postconf(5) given at each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name in the greeting and in `Received:` (`myhostname`).
    pub hostname: String,
    /// Largest message in octets, as announced by SIZE (`message_size_limit`; here 50 MiB); 0 is no limit, to the protocol as to Postfix
    /// (RFC 1870 §4). The text is held in memory: whoever says 0 has to bound that.
    pub message_size_limit: usize,
    /// Longest command line without its CRLF (`line_length_limit`). RFC 3461 §5.4 asks for 1036 at least.
    pub line_length_limit: usize,
    /// Recipients of one message (`smtpd_recipient_limit`).
    pub recipient_limit: usize,
    /// Recipients beyond that limit which are refused before each one counts as an error (`smtpd_recipient_overshoot_limit`).
    pub recipient_overshoot_limit: usize,
    /// Errors after which each further one is answered slowly (`smtpd_soft_error_limit`).
    pub soft_error_limit: usize,
    /// Errors at which the session ends (`smtpd_hard_error_limit`).
    pub hard_error_limit: usize,
    /// NOOP, VRFY, HELP, RSET and hellos between two messages (`smtpd_junk_command_limit`).
    pub junk_command_limit: usize,
    /// Longest header field with its continuation lines (`header_size_limit`).
    pub header_size_limit: usize,
    /// A message that already has this many `Received:` fields is in a loop (`hopcount_limit`).
    pub hop_count_limit: usize,
    /// Whether STARTTLS is offered.
    pub starttls: bool,
    /// Whether there is nothing but STARTTLS before TLS (`smtpd_tls_security_level = encrypt`; RFC 3207 §4).
    pub require_tls: bool,
    /// Whether AUTH is offered; over TLS only (`smtpd_sasl_auth_enable` with `smtpd_tls_auth_only`).
    pub auth: bool,
    /// First words that no mail client says (`smtpd_forbidden_commands`); what does not begin with a letter is one always.
    pub forbidden: Vec<String>,
}

/// postconf(5) `smtpd_forbidden_commands`, and the first words of POP3: a browser or another client was lured here.
const FORBIDDEN: [&str; 5] = ["CONNECT", "GET", "POST", "USER", "PASS"];

impl Default for Settings {
    fn default() -> Self {
        Self {
            hostname: String::from("localhost"),
            message_size_limit: 50 << 20,
            line_length_limit: 2048,
            recipient_limit: 1000,
            recipient_overshoot_limit: 1000,
            soft_error_limit: 10,
            hard_error_limit: 20,
            junk_command_limit: 100,
            header_size_limit: 102_400,
            hop_count_limit: 50,
            starttls: false,
            require_tls: false,
            auth: false,
            forbidden: FORBIDDEN.map(String::from).to_vec(),
        }
    }
}

impl Settings {
    /// [`Settings::message_size_limit`] as a number to compare with.
    pub(super) const fn largest_message(&self) -> usize {
        if self.message_size_limit == 0 { usize::MAX } else { self.message_size_limit }
    }
}
