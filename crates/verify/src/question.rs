//! What is asked, and what is answered.

use std::{fmt, sync::Arc};

use waxseal_trust::Anchors;
use waxseal_types::{ConnectionId, QueueId, Strength, TlsDemand, TlsFacts, TlsStatus, UnixTime};

use crate::{Clearance, TlsAchieved};

/// Everything that a verdict rests on. No clock is read: `now` is part of the question.
#[derive(Debug, Clone)]
pub struct Question {
    /// What policy, DANE and the rest ask of this connection.
    pub demand: Arc<TlsDemand>,
    /// What the handshake produced; `None` is a connection in clear.
    pub facts: Option<Arc<TlsFacts>>,
    /// Why the connection is in clear, where it is.
    pub clear: Option<ClearReason>,
    /// The anchors that the demand names. At `none`, `may` and `encrypt`: those of the configuration, and they decide
    /// only the word in the log.
    pub anchors: Option<Arc<Anchors>>,
    /// What keys and signatures must be.
    pub strength: Strength,
    /// The connection that is judged.
    pub connection: ConnectionId,
    /// The generation of the policy that the demand came from.
    pub policy_generation: u64,
    /// The end of what the demand rests on: the shortest DNS TTL or signature life.
    pub expires: Option<UnixTime>,
    /// The one message that a clearance is for; needed for a fallback to clear that a message earned by its age.
    pub only_message: Option<QueueId>,
    /// The time of judgement.
    pub now: UnixTime,
}

/// Why a connection is in clear (design: "in clear, only by this table").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClearReason {
    /// The level is `none`.
    LevelNone,
    /// The server does not offer STARTTLS.
    NotOffered,
    /// The server refused EHLO and took HELO, which has no STARTTLS.
    EhloRefused,
    /// The server answered STARTTLS with something else than 2xx.
    StarttlsRefused,
    /// An earlier handshake failed, and the message has waited long enough to go without.
    HandshakeFailed,
    /// An earlier TLS session died before the message was settled, and the message has waited long enough.
    SessionDied,
}

impl ClearReason {
    /// Whether a message must have waited before this reason counts; the clearance is then for that message alone.
    #[must_use]
    pub const fn is_aged(self) -> bool {
        match self {
            Self::HandshakeFailed | Self::SessionDied => true,
            Self::LevelNone | Self::NotOffered | Self::EhloRefused | Self::StarttlsRefused => false,
        }
    }
}

impl fmt::Display for ClearReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LevelNone => "the policy says no TLS",
            Self::NotOffered => "the server does not offer STARTTLS",
            Self::EhloRefused => "the server refused EHLO",
            Self::StarttlsRefused => "the server refused STARTTLS",
            Self::HandshakeFailed => "the TLS handshake failed",
            Self::SessionDied => "the TLS session died",
        })
    }
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// What the connection proved.
    pub achieved: TlsAchieved,
    /// The word for it.
    pub status: TlsStatus,
    /// What the verdict rests on: the TLSA record, the name, the fingerprint, the anchor.
    pub matched: Option<String>,
    /// The chain's subjects and fingerprints, so that an operator can pin what was seen; printable.
    pub detail: Vec<String>,
    /// Whether mail may go.
    pub outcome: Result<Clearance, Refused>,
}

/// Mail may not go over this connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// One sentence for the operator.
    pub reason: String,
    /// The same for programs.
    pub kind: RefusedKind,
}

/// Kinds of refusal; the words of RFC 8460 §4.3 follow from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusedKind {
    /// The connection is in clear and must not be.
    TlsRequired,
    /// The server presented no certificate, or one that cannot be read.
    BadCertificate,
    /// The chain leads to nothing that is trusted.
    NotTrusted,
    /// A certificate of the chain is not valid at this time.
    Expired,
    /// The chain is trusted; the name is another one.
    NameMismatch,
    /// No fingerprint of the list is that of the certificate or its key.
    FingerprintMismatch,
    /// No TLSA record matches.
    TlsaMismatch,
    /// There is nothing that could match: an empty list, no usable record, no anchors.
    NothingToMatch,
}

impl RefusedKind {
    /// The result type of TLS reports (RFC 8460 §4.3).
    #[must_use]
    pub const fn report_word(self) -> &'static str {
        match self {
            Self::TlsRequired => "starttls-not-supported",
            Self::BadCertificate | Self::FingerprintMismatch | Self::TlsaMismatch => "validation-failure",
            Self::NotTrusted => "certificate-not-trusted",
            Self::Expired => "certificate-expired",
            Self::NameMismatch => "certificate-host-mismatch",
            Self::NothingToMatch => "tlsa-invalid",
        }
    }
}

impl Refused {
    /// A refusal in words.
    #[must_use]
    pub fn new(kind: RefusedKind, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), kind }
    }
}
