//! The one error of the crate.

use alloc::string::String;
use core::fmt;

use waxseal_types::EnhancedStatus;

use crate::Origin;

/// What part of the configuration is unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The TLS policy: the entry is wrong, or cannot be read.
    Tls,
    /// The routing: transport(5).
    Route,
}

/// The operator's configuration gives no usable answer for this destination. Mail for it waits; it is never sent weaker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PolicyError {
    /// Which part.
    pub kind: ErrorKind,
    /// One sentence for the operator.
    pub reason: String,
    /// The table entry that is to blame, where it is one.
    pub origin: Option<Origin>,
}

impl PolicyError {
    /// A fault of the TLS policy.
    #[must_use]
    pub const fn tls(reason: String, origin: Option<Origin>) -> Self {
        Self { kind: ErrorKind::Tls, reason, origin }
    }

    /// A fault of the routing.
    #[must_use]
    pub const fn route(reason: String, origin: Option<Origin>) -> Self {
        Self { kind: ErrorKind::Route, reason, origin }
    }

    /// 4.7.5 for the TLS policy, as Postfix has it; 4.3.5, "system incorrectly configured" (RFC 3463 §3.4), for routing.
    #[must_use]
    pub const fn status(&self) -> EnhancedStatus {
        match self.kind {
            ErrorKind::Tls => EnhancedStatus::transient(7, 5),
            ErrorKind::Route => EnhancedStatus::transient(3, 5),
        }
    }
}

impl fmt::Display for PolicyError {
    /// Postfix's words first: operators search for them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ErrorKind::Tls => "client TLS configuration problem: ",
            ErrorKind::Route => "mail transport configuration problem: ",
        })?;
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        f.write_str(&self.reason)
    }
}
