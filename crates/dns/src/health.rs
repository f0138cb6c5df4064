//! Can this resolver do DNSSEC at all? An alarm, nothing more.

use std::fmt;

/// The outcome of [`crate::Resolver::probe`].
///
/// It changes no answer: what weakens `dane` is configuration alone, for otherwise whoever can spoil the probe could
/// take DNSSEC from a whole site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnssecHealth {
    /// Signed answers come out secure.
    Capable,
    /// `dnssec = "off"`: nobody asked for it.
    Off,
    /// Answers come, but none is secure: levels `dane` and `dane-only` cannot find what they need.
    Blind {
        /// One sentence for the operator.
        reason: String,
    },
    /// No answer at all.
    Unreachable {
        /// One sentence for the operator.
        reason: String,
    },
}

impl fmt::Display for DnssecHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capable => f.write_str("DNSSEC works"),
            Self::Off => f.write_str("DNSSEC is off by configuration"),
            Self::Blind { reason } => write!(f, "DANE blind: {reason}"),
            Self::Unreachable { reason } => write!(f, "no resolver answers: {reason}"),
        }
    }
}
