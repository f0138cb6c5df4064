//! What a connection proved.

use waxseal_types::TlsStatus;

use crate::DemandDigest;

/// What one connection proved; the counterpart of [`waxseal_types::TlsDemand`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsAchieved {
    /// Nothing: it is in clear.
    Clear,
    /// TLS with somebody.
    Encrypted,
    /// TLS with somebody whose chain leads to a trusted anchor; no name was demanded, or none matched.
    Trusted,
    /// The certificate or key is one of those listed.
    Fingerprint(Verified),
    /// A trusted chain and a matching name.
    Names(Verified),
    /// A TLSA record matches, and all of DNS that led here is secure.
    Dane(Verified),
    /// A TLSA record matches, but the MX records that named this host are not signed: the host is proven, the destination
    /// is not. A variant of its own, so that nothing that needs the destination proven can take it for [`TlsAchieved::Dane`].
    DaneInsecureMx(Verified),
}

impl TlsAchieved {
    /// The word for logs and events (postconf(5), `smtp_tls_loglevel`; `halfdane` is logged as trusted).
    #[must_use]
    pub const fn status(&self) -> TlsStatus {
        match self {
            Self::Clear => TlsStatus::None,
            Self::Encrypted => TlsStatus::Untrusted,
            Self::Trusted | Self::DaneInsecureMx(_) => TlsStatus::Trusted,
            Self::Fingerprint(_) | Self::Names(_) | Self::Dane(_) => TlsStatus::Verified,
        }
    }

    /// What it rests on.
    #[must_use]
    pub fn verified(&self) -> Option<&Verified> {
        match self {
            Self::Clear | Self::Encrypted | Self::Trusted => None,
            Self::Fingerprint(v) | Self::Names(v) | Self::Dane(v) | Self::DaneInsecureMx(v) => Some(v),
        }
    }
}

/// The peer is who was demanded. Made in this crate alone, by the checks, and good for one demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    demand: DemandDigest,
    proof: String,
}

impl Verified {
    pub(crate) const fn new(demand: DemandDigest, proof: String) -> Self {
        Self { demand, proof }
    }

    /// The demand that was met.
    #[must_use]
    pub const fn demand(&self) -> DemandDigest {
        self.demand
    }

    /// What matched, in words.
    #[must_use]
    pub fn proof(&self) -> &str {
        &self.proof
    }
}
