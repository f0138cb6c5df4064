//! The security levels of Postfix's TLS policy.

use alloc::string::String;
use core::{fmt, str::FromStr};

/// A level of `smtp_tls_security_level` and `smtp_tls_policy_maps` (postconf(5)).
///
/// The order of the variants is that of Postfix's manual and means nothing: what a level demands is said by
/// [`crate::TlsDemand`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsLevel {
    /// No TLS at all.
    None,
    /// TLS where offered, in clear otherwise; nothing is verified.
    May,
    /// TLS always; nothing is verified.
    Encrypt,
    /// RFC 7672 where the destination publishes secure TLSA records, `May` otherwise.
    Dane,
    /// RFC 7672 or no delivery.
    DaneOnly,
    /// The certificate or its public key is one of those listed.
    Fingerprint,
    /// A trusted chain and a matching name; by default the MX host's name.
    Verify,
    /// A trusted chain and a matching name that does not come from DNS.
    Secure,
}

impl TlsLevel {
    /// All levels, in the manual's order.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::May,
        Self::Encrypt,
        Self::Dane,
        Self::DaneOnly,
        Self::Fingerprint,
        Self::Verify,
        Self::Secure,
    ];

    /// The word used in `main.cf`, policy tables and delivery events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::May => "may",
            Self::Encrypt => "encrypt",
            Self::Dane => "dane",
            Self::DaneOnly => "dane-only",
            Self::Fingerprint => "fingerprint",
            Self::Verify => "verify",
            Self::Secure => "secure",
        }
    }
}

impl fmt::Display for TlsLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word is none of the levels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown TLS security level {0:?}")]
pub struct UnknownLevel(pub String);

impl FromStr for TlsLevel {
    type Err = UnknownLevel;

    /// Case does not matter, as in Postfix.
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(word))
            .ok_or_else(|| UnknownLevel(word.into()))
    }
}
