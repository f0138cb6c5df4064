//! TLSA records (RFC 6698 §2.1) as they came from DNS.

use alloc::sync::Arc;
use core::fmt;

/// Certificate usage (RFC 7218 §2.1). An open registry: unknown values make a record unusable, not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the registry's own acronyms")]
pub enum Usage {
    PkixTa,
    PkixEe,
    DaneTa,
    DaneEe,
    Unassigned(u8),
}

/// Selector (RFC 7218 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Selector {
    /// The full certificate.
    Cert,
    /// The SubjectPublicKeyInfo.
    Spki,
    /// Not known here.
    Unassigned(u8),
}

/// Matching type (RFC 7218 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Matching {
    /// No digest: the data itself.
    Full,
    /// SHA2-256.
    Sha256,
    /// SHA2-512.
    Sha512,
    /// Not known here.
    Unassigned(u8),
}

/// One TLSA record.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tlsa {
    /// What the association data stands for.
    pub usage: Usage,
    /// What of the certificate it is about.
    pub selector: Selector,
    /// How it is presented.
    pub matching: Matching,
    /// The certificate association data.
    pub data: Arc<[u8]>,
}

macro_rules! registry {
    ($name:ident { $($variant:ident = $number:literal),+ }) => {
        impl From<u8> for $name {
            fn from(number: u8) -> Self {
                match number { $($number => Self::$variant,)+ other => Self::Unassigned(other) }
            }
        }
        impl From<$name> for u8 {
            fn from(value: $name) -> Self {
                match value { $($name::$variant => $number,)+ $name::Unassigned(other) => other }
            }
        }
    };
}

registry!(Usage { PkixTa = 0, PkixEe = 1, DaneTa = 2, DaneEe = 3 });
registry!(Selector { Cert = 0, Spki = 1 });
registry!(Matching { Full = 0, Sha256 = 1, Sha512 = 2 });

impl Tlsa {
    /// From the numbers of the wire format.
    #[must_use]
    pub fn new(usage: u8, selector: u8, matching: u8, data: &[u8]) -> Self {
        Self { usage: usage.into(), selector: selector.into(), matching: matching.into(), data: data.into() }
    }
}

/// `3 1 1 0123abcd…`, the data cut after 32 octets.
impl fmt::Display for Tlsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", u8::from(self.usage), u8::from(self.selector), u8::from(self.matching))?;
        self.data.iter().take(32).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        if self.data.len() > 32 { f.write_str("...") } else { Ok(()) }
    }
}

impl fmt::Debug for Tlsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
