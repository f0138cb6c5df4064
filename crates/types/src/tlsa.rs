//! TLSA records (RFC 6698 §2.1) as they came from DNS.

use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::{fmt, str::FromStr};

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

/// The digests that TLSA records may have, strongest first (RFC 7671 §9; postconf(5), `tls_dane_digests`). A record with another one is
/// unusable; one without a digest is not concerned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DigestOrder(Arc<[Matching]>);

impl DigestOrder {
    /// Lower is stronger; `None` is a digest that may not be used.
    #[must_use]
    pub fn rank(&self, matching: Matching) -> Option<usize> {
        self.0.iter().position(|listed| *listed == matching)
    }

    /// Strongest first.
    #[must_use]
    pub fn as_slice(&self) -> &[Matching] {
        &self.0
    }
}

/// `sha512 sha256`.
impl Default for DigestOrder {
    fn default() -> Self {
        Self(Arc::new([Matching::Sha512, Matching::Sha256]))
    }
}

/// Names between spaces or commas, perhaps with their number: `sha512, sha256=1`. None is allowed, too: full data alone is usable then.
impl FromStr for DigestOrder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        let mut listed = Vec::new();
        for word in words {
            let digest = match word.to_ascii_lowercase().as_str() {
                "sha256" | "sha256=1" => Matching::Sha256,
                "sha512" | "sha512=2" => Matching::Sha512,
                _ => return Err(format!("{word:?} is none of sha512 and sha256")),
            };
            if listed.contains(&digest) {
                return Err(format!("{word:?} is listed twice"));
            }
            listed.push(digest);
        }
        Ok(Self(listed.into()))
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
