//! DNS answers with their DNSSEC proof.

use alloc::{string::String, sync::Arc};
use core::{fmt, time::Duration};

use crate::Domain;

/// What DNSSEC says of an answer that may be used (RFC 4033 §5). An answer that is neither is no answer but a [`DnsFailure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[must_use]
pub enum Proof {
    /// No signature is expected here: the zone, or an alias on the way, is not signed.
    Insecure,
    /// Every step from the trust anchor to this answer is signed and valid.
    Secure,
}

impl Proof {
    /// A chain is as strong as its weakest link (RFC 7672 §2.1.3).
    pub fn and(self, other: Self) -> Self {
        self.min(other)
    }

    /// `secure` or `insecure`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Insecure => "insecure",
            Self::Secure => "secure",
        }
    }
}

/// A value and the proof it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validated<T> {
    /// The value.
    pub value: T,
    /// What DNSSEC says of it.
    pub proof: Proof,
}

/// The record types that mail delivery asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names of the record types say it all")]
pub enum RecordKind {
    A,
    Aaaa,
    Mx,
    Tlsa,
    Cname,
    Txt,
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Mx => "MX",
            Self::Tlsa => "TLSA",
            Self::Cname => "CNAME",
            Self::Txt => "TXT",
        })
    }
}

/// What was found under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup<T> {
    /// Records of the type that was asked for.
    Found(T),
    /// The name exists, such records do not.
    NoData,
    /// The name does not exist.
    NxDomain,
}

/// An answer: NOERROR or NXDOMAIN, validated secure or insecure (RFC 7672 §2.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsAnswer<T> {
    /// What was found.
    pub lookup: Lookup<T>,
    /// The AND of all steps, aliases included.
    pub proof: Proof,
    /// Why it is not secure, as far as the resolver can tell; `None` where it is.
    pub why: Option<Arc<str>>,
    /// Whether the name that was asked is an alias, and what it stands for in the end.
    pub canonical: Option<Domain>,
    /// How long this may be believed: the smallest TTL and signature life on the way.
    pub ttl: Duration,
}

/// One MX record (RFC 5321 §5.1). The host as written in the record, before aliases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MxHost {
    /// Lower is tried first.
    pub preference: u16,
    /// The host; `None` is the root, `.`, which alone is a null MX (RFC 7505 §3).
    pub host: Option<Domain>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DnsFailureKind {
    /// DNSSEC says that the answer is forged, expired or stripped.
    Bogus,
    /// The same of the very beginning of all proofs: the keys of the zone that our own trust anchor is for do not fit it. That is nobody's zone but
    /// our own resolver, clock or anchor; and it is as forged as any other answer until somebody mends it.
    Anchor,
    /// SERVFAIL, REFUSED, FORMERR, NOTIMP and other codes that are no answers.
    ServerFailure,
    /// Nobody answered in time.
    Timeout,
    /// The answer could not be understood, or was larger than any limit.
    Malformed,
    /// Too many aliases, or a loop of them.
    AliasLoop,
    /// The resolver is not running: restarting, or its bound on questions is reached.
    Unavailable,
}

impl DnsFailureKind {
    /// Whether DNSSEC says no, wherever the proof breaks.
    #[must_use]
    pub const fn is_bogus(self) -> bool {
        match self {
            Self::Bogus | Self::Anchor => true,
            Self::ServerFailure | Self::Timeout | Self::Malformed | Self::AliasLoop | Self::Unavailable => {
                false
            }
        }
    }
}

/// A lookup that failed. Never to be read as "there is none" (RFC 7672 §2.1.2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} lookup of {name} failed: {detail}")]
pub struct DnsFailure {
    /// The name that was asked.
    pub name: String,
    /// The type that was asked.
    pub kind: RecordKind,
    /// What went wrong.
    pub failure: DnsFailureKind,
    /// One phrase for the operator.
    pub detail: String,
}
