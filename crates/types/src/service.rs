//! Whose settings mail goes by.

use alloc::sync::Arc;
use core::fmt;

use crate::Protocol;

/// A mail client as Postfix's `master.cf` has them: a protocol, and the settings that hold for it.
///
/// Most mail goes by the main service of its protocol. One with a name of its own has settings of its own (master(5), `-o name=value`), and shares neither
/// policies nor connections with another. Two services are the same when protocol and name are. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    protocol: Protocol,
    name: Option<Arc<str>>,
}

impl Service {
    /// The main service for SMTP.
    pub const SMTP: Self = Self { protocol: Protocol::Smtp, name: None };
    /// The main service for LMTP.
    pub const LMTP: Self = Self { protocol: Protocol::Lmtp, name: None };

    /// A service with settings of its own.
    #[must_use]
    pub fn named(protocol: Protocol, name: &str) -> Self {
        Self { protocol, name: Some(name.into()) }
    }

    /// What it speaks.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Its name, where it is not the main one of its protocol.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its name, or that of its protocol: the transport of transport(5) that leads to it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.name.as_deref().unwrap_or(self.protocol.as_str())
    }
}

impl From<Protocol> for Service {
    /// The main service.
    fn from(protocol: Protocol) -> Self {
        Self { protocol, name: None }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
