//! The one comparison of demand and achievement, and what it gives.

use waxseal_types::{ConnectionId, Proof, QueueId, TlsDemand, UnixTime};

use crate::{ClearReason, DemandDigest, Question, Refused, RefusedKind, TlsAchieved, Verified};

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
pub(crate) fn compare(
    question: &Question,
    achieved: &TlsAchieved,
    why: Option<Refused>,
) -> Result<Clearance, Refused> {
    let digest = DemandDigest::of(&question.demand);
    if let (TlsDemand::Opportunistic, TlsAchieved::Clear) = (&*question.demand, achieved) {
        return in_clear(question, digest);
    }
    if meets(&question.demand, digest, achieved) {
        return Ok(grant(question, digest));
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

/// Every demand meets every achievement here; a new variant of either does not compile until its row is written.
fn meets(demand: &TlsDemand, digest: DemandDigest, achieved: &TlsAchieved) -> bool {
    use TlsAchieved::{Clear, Dane, DaneInsecureMx, Encrypted, Fingerprint, Names, Trusted};
    let proven = |verified: &Verified| verified.demand() == digest;
    match (demand, achieved) {
        (TlsDemand::Clear, Clear) => true,
        // In clear at `may`: only by the table of reasons.
        (TlsDemand::Opportunistic | TlsDemand::Encrypted, Clear) => false,
        // Level none asks for no TLS. Where there is some all the same, nothing that was asked for is missing.
        (
            TlsDemand::Clear | TlsDemand::Opportunistic | TlsDemand::Encrypted,
            Encrypted | Trusted | Fingerprint(_) | Names(_) | Dane(_) | DaneInsecureMx(_),
        ) => true,
        (TlsDemand::Fingerprint(_), Fingerprint(verified)) => proven(verified),
        (TlsDemand::Names(_), Names(verified)) => proven(verified),
        // RFC 7672 §2.2.1: behind an insecure MX the most that can be had is the host; the demand says which it is.
        (TlsDemand::Dane(wanted), Dane(verified)) => proven(verified) && wanted.mx == Proof::Secure,
        (TlsDemand::Dane(wanted), DaneInsecureMx(verified)) => {
            proven(verified) && wanted.mx == Proof::Insecure
        }
        (TlsDemand::Fingerprint(_), Clear | Encrypted | Trusted | Names(_) | Dane(_) | DaneInsecureMx(_))
        | (TlsDemand::Names(_), Clear | Encrypted | Trusted | Fingerprint(_) | Dane(_) | DaneInsecureMx(_))
        | (TlsDemand::Dane(_), Clear | Encrypted | Trusted | Fingerprint(_) | Names(_)) => false,
    }
}

/// Effective level `may`, in clear: at once for some reasons, for others only the one message that has waited.
fn in_clear(question: &Question, digest: DemandDigest) -> Result<Clearance, Refused> {
    let refused = |text: &str| Err(Refused::new(RefusedKind::TlsRequired, text));
    match question.clear {
        Some(ClearReason::NotOffered | ClearReason::EhloRefused | ClearReason::StarttlsRefused) => {
            Ok(grant(question, digest))
        }
        Some(ClearReason::HandshakeFailed | ClearReason::SessionDied) if question.only_message.is_some() => {
            Ok(grant(question, digest))
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

fn grant(question: &Question, demand: DemandDigest) -> Clearance {
    Clearance {
        connection: question.connection,
        demand,
        policy_generation: question.policy_generation,
        expires: question.expires,
        only_message: question.only_message,
    }
}
