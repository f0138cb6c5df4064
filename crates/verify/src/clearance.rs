//! The one comparison of demand and achievement, and what it gives.

use waxseal_types::{ConnectionId, QueueId, TlsDemand, UnixTime};

use crate::{ClearReason, DemandDigest, Question, Refused, RefusedKind, TlsAchieved};

/// Mail may go: over this connection, under this demand, until then.
///
/// It is made by the comparison of demand and achievement in this crate and by nothing else, and is looked at before each
/// MAIL command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clearance {
    connection: ConnectionId,
    demand: DemandDigest,
    policy_generation: u64,
    expires: Option<UnixTime>,
    only_message: Option<QueueId>,
}

/// Why a clearance does not cover what was about to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClearanceError {
    /// It was given for another connection.
    #[error("the clearance is for another connection")]
    Connection,
    /// It was given under another demand.
    #[error("the clearance is for another demand")]
    Demand,
    /// The policy was loaded anew since.
    #[error("the clearance is for an older policy")]
    Policy,
    /// What it rests on is no longer valid.
    #[error("the clearance has expired")]
    Expired,
    /// It was given for one message, and this is another one.
    #[error("the clearance is for another message")]
    Message,
}

impl Clearance {
    /// Whether this message may be sent over this connection now.
    ///
    /// # Errors
    /// [`ClearanceError`] says what does not fit.
    pub fn permits(
        &self,
        connection: ConnectionId,
        now: UnixTime,
        message: QueueId,
    ) -> Result<(), ClearanceError> {
        if connection != self.connection {
            return Err(ClearanceError::Connection);
        }
        if self.expires.is_some_and(|end| now >= end) {
            return Err(ClearanceError::Expired);
        }
        if self.only_message.is_some_and(|only| only != message) {
            return Err(ClearanceError::Message);
        }
        Ok(())
    }

    /// Whether it was given under this very demand and this generation of the policy.
    ///
    /// # Errors
    /// [`ClearanceError::Demand`] or [`ClearanceError::Policy`].
    pub fn covers(&self, demand: DemandDigest, policy_generation: u64) -> Result<(), ClearanceError> {
        if demand != self.demand {
            return Err(ClearanceError::Demand);
        }
        if policy_generation != self.policy_generation {
            return Err(ClearanceError::Policy);
        }
        Ok(())
    }

    /// The connection it is for.
    #[must_use]
    pub const fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// When it ends.
    #[must_use]
    pub const fn expires(&self) -> Option<UnixTime> {
        self.expires
    }

    /// The one message it is for, if it is for one only. Such a connection carries nothing else and is never kept.
    #[must_use]
    pub const fn only_message(&self) -> Option<QueueId> {
        self.only_message
    }
}

/// The comparison. `why` is what the check that failed had to say.
///
/// Every demand meets every achievement here; a new variant of either does not compile until its row is written.
pub(crate) fn compare(
    question: &Question,
    achieved: &TlsAchieved,
    why: Option<Refused>,
) -> Result<Clearance, Refused> {
    let digest = DemandDigest::of(&question.demand);
    let proven = achieved.verified().is_some_and(|verified| verified.demand() == digest);
    let met = match (&*question.demand, achieved) {
        (TlsDemand::Clear, TlsAchieved::Clear) => true,
        // Level none asks for no TLS. Where there is some all the same, nothing that was asked for is missing.
        (
            TlsDemand::Clear | TlsDemand::Opportunistic | TlsDemand::Encrypted,
            TlsAchieved::Encrypted
            | TlsAchieved::Trusted
            | TlsAchieved::Fingerprint(_)
            | TlsAchieved::Names(_)
            | TlsAchieved::Dane(_)
            | TlsAchieved::DaneInsecureMx(_),
        ) => true,
        (TlsDemand::Opportunistic, TlsAchieved::Clear) => return in_clear(question, digest),
        (TlsDemand::Encrypted, TlsAchieved::Clear) => false,
        (TlsDemand::Fingerprint(_), TlsAchieved::Fingerprint(_))
        | (TlsDemand::Names(_), TlsAchieved::Names(_)) => proven,
        // RFC 7672 §2.2.1: behind an insecure MX the most that can be had is the host; the demand says which it is.
        (TlsDemand::Dane(wanted), TlsAchieved::Dane(_)) => {
            proven && wanted.mx == waxseal_types::Proof::Secure
        }
        (TlsDemand::Dane(wanted), TlsAchieved::DaneInsecureMx(_)) => {
            proven && wanted.mx == waxseal_types::Proof::Insecure
        }
        (
            TlsDemand::Fingerprint(_),
            TlsAchieved::Clear
            | TlsAchieved::Encrypted
            | TlsAchieved::Trusted
            | TlsAchieved::Names(_)
            | TlsAchieved::Dane(_)
            | TlsAchieved::DaneInsecureMx(_),
        )
        | (
            TlsDemand::Names(_),
            TlsAchieved::Clear
            | TlsAchieved::Encrypted
            | TlsAchieved::Trusted
            | TlsAchieved::Fingerprint(_)
            | TlsAchieved::Dane(_)
            | TlsAchieved::DaneInsecureMx(_),
        )
        | (
            TlsDemand::Dane(_),
            TlsAchieved::Clear
            | TlsAchieved::Encrypted
            | TlsAchieved::Trusted
            | TlsAchieved::Fingerprint(_)
            | TlsAchieved::Names(_),
        ) => false,
    };
    if met {
        return Ok(grant(question, digest, question.only_message));
    }
    Err(match achieved {
        TlsAchieved::Clear => Refused::new(RefusedKind::TlsRequired, tls_required(question.clear)),
        TlsAchieved::Encrypted
        | TlsAchieved::Trusted
        | TlsAchieved::Fingerprint(_)
        | TlsAchieved::Names(_)
        | TlsAchieved::Dane(_)
        | TlsAchieved::DaneInsecureMx(_) => why.unwrap_or_else(|| {
            Refused::new(RefusedKind::NotTrusted, "Server certificate not verified: not what was demanded")
        }),
    })
}

/// Effective level `may`, in clear: at once for some reasons, for others only the one message that has waited.
fn in_clear(question: &Question, digest: DemandDigest) -> Result<Clearance, Refused> {
    let refused = |text: &str| Err(Refused::new(RefusedKind::TlsRequired, text));
    match question.clear {
        Some(ClearReason::NotOffered | ClearReason::EhloRefused | ClearReason::StarttlsRefused) => {
            Ok(grant(question, digest, question.only_message))
        }
        Some(ClearReason::HandshakeFailed | ClearReason::SessionDied) if question.only_message.is_some() => {
            Ok(grant(question, digest, question.only_message))
        }
        Some(ClearReason::HandshakeFailed | ClearReason::SessionDied) => {
            refused("the fallback to clear is for one message that has waited, and none is named")
        }
        Some(ClearReason::LevelNone) | None => {
            refused("the connection is in clear and nothing says why it may be")
        }
    }
}

fn tls_required(clear: Option<ClearReason>) -> String {
    clear.map_or_else(
        || "TLS is required, but the connection is in clear".into(),
        |why| format!("TLS is required, but {why}"),
    )
}

fn grant(question: &Question, demand: DemandDigest, only_message: Option<QueueId>) -> Clearance {
    Clearance {
        connection: question.connection,
        demand,
        policy_generation: question.policy_generation,
        expires: question.expires,
        only_message,
    }
}
