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
        /// What seems to be the matter.
        cause: BlindCause,
        /// What was seen, without a full stop.
        reason: String,
    },
    /// No answer at all.
    Unreachable {
        /// What was tried, without a full stop.
        reason: String,
    },
}

/// Why no answer is secure. Each has another remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlindCause {
    /// The settings do not let its word be believed.
    Untrusted,
    /// It answers, and vouches for nothing.
    NotValidating,
    /// It answers with an error.
    Refusing,
    /// Keys or signatures are missing from what it passes on.
    Stripping,
    /// All signatures ended, or are still to begin.
    Clock,
    /// The keys are not those of the trust anchor.
    Anchor,
    /// Signatures are there and wrong.
    Forged,
}

impl BlindCause {
    /// One word, for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::NotValidating => "not-validating",
            Self::Refusing => "refusing",
            Self::Stripping => "stripping",
            Self::Clock => "clock",
            Self::Anchor => "anchor",
            Self::Forged => "forged",
        }
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Untrusted => {
                "name the resolver in dns.trusted if it validates and the way to it is safe, or use dnssec = \"validate\""
            }
            Self::NotValidating => {
                "make the resolver validate (unbound: module-config \"validator iterator\" and a trust anchor), or use \
                 dnssec = \"validate\""
            }
            Self::Refusing => "see the resolver's own log: it answers, but with an error",
            Self::Stripping => {
                "ask a resolver that passes DNSSEC records on: this one, or something on the way to it, does not"
            }
            Self::Clock => "set the clock, of this host or of the resolver that validates",
            Self::Anchor => {
                "look after dns.trust_anchor: the zone has other keys; unless somebody forges answers"
            }
            Self::Forged => "ask another resolver: somebody changes answers, or the zone is broken",
        }
    }
}

impl DnssecHealth {
    /// One word, for metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Capable => "capable",
            Self::Off => "off",
            Self::Blind { cause, .. } => cause.as_str(),
            Self::Unreachable { .. } => "unreachable",
        }
    }

    /// Whether DANE finds nothing although it is wanted.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        match self {
            Self::Capable | Self::Off => false,
            Self::Blind { .. } | Self::Unreachable { .. } => true,
        }
    }
}

impl fmt::Display for DnssecHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capable => f.write_str("DNSSEC works"),
            Self::Off => f.write_str("DNSSEC is off by configuration"),
            Self::Blind { cause, reason } => write!(f, "DANE blind: {reason}; {}", cause.remedy()),
            Self::Unreachable { reason } => write!(f, "no resolver answers: {reason}"),
        }
    }
}
