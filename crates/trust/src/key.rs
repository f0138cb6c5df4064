//! Public keys.

use std::{fmt, sync::Arc};

use sha2::{Digest as _, Sha256};

use crate::{der, der::Reader};

/// A SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) by itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    der: Arc<[u8]>,
}

/// What a key is, as far as it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, with the size of its modulus in bits.
    Rsa(usize),
    /// An elliptic curve.
    Ec(Curve),
    /// Ed25519.
    Ed25519,
    /// Something else.
    Unknown,
}

/// The curves that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the curves say it all")]
pub enum Curve {
    P256,
    P384,
    P521,
    Secp256k1,
}

/// Algorithm, parameters and the key's own octets within a SubjectPublicKeyInfo.
#[derive(Debug, Clone, Copy)]
pub struct KeyParts<'a> {
    /// What it is.
    pub kind: KeyKind,
    /// The contents of the BIT STRING: an RSAPublicKey, a point, or the key itself.
    pub octets: &'a [u8],
}

impl PublicKey {
    /// From DER; `None` if it is not exactly one SubjectPublicKeyInfo with a key that can be used.
    #[must_use]
    pub fn parse(der: &[u8]) -> Option<Self> {
        let parts = KeyParts::new(der)?;
        (parts.kind != KeyKind::Unknown).then(|| Self { der: der.into() })
    }

    /// The SubjectPublicKeyInfo.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// Its parts.
    #[must_use]
    pub fn parts(&self) -> Option<KeyParts<'_>> {
        KeyParts::new(&self.der)
    }

    /// SHA-256 of the SubjectPublicKeyInfo.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?})", self.parts().map(|parts| parts.kind))
    }
}

pub(crate) const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
pub(crate) const RSASSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
pub(crate) const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
pub(crate) const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

impl<'a> KeyParts<'a> {
    /// Takes a SubjectPublicKeyInfo apart.
    #[must_use]
    pub fn new(spki: &'a [u8]) -> Option<Self> {
        let mut info = Reader::new(der::single(spki, der::SEQUENCE)?);
        let mut algorithm = Reader::new(info.take(der::SEQUENCE)?);
        let oid = algorithm.take(der::OID)?;
        let bits = info.take(der::BIT_STRING)?;
        let (0, octets) = bits.split_first().map(|(unused, octets)| (*unused, octets))? else { return None };
        if !info.is_empty() || octets.is_empty() {
            return None;
        }
        let kind = match oid {
            RSA_ENCRYPTION | RSASSA_PSS => KeyKind::Rsa(modulus_bits(octets)?),
            EC_PUBLIC_KEY => curve(algorithm.take(der::OID), octets)?,
            ED25519 if octets.len() == 32 => KeyKind::Ed25519,
            _ => KeyKind::Unknown,
        };
        Some(Self { kind, octets })
    }
}

fn curve(oid: Option<&[u8]>, point: &[u8]) -> Option<KeyKind> {
    let Some(curve) = oid.and_then(curve_of) else { return Some(KeyKind::Unknown) };
    let size = match curve {
        Curve::P256 | Curve::Secp256k1 => 32,
        Curve::P384 => 48,
        Curve::P521 => 66,
    };
    // SEC 1 §2.3.3: uncompressed, or compressed.
    let good = match point.first() {
        Some(4) => point.len() == 1 + 2 * size,
        Some(2 | 3) => point.len() == 1 + size,
        _ => false,
    };
    good.then_some(KeyKind::Ec(curve))
}

/// By object identifier (RFC 5480 §2.1.1.1, SEC 2 §A.2).
pub(crate) const fn curve_of(oid: &[u8]) -> Option<Curve> {
    Some(match oid {
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07] => Curve::P256,
        [0x2b, 0x81, 0x04, 0x00, 0x22] => Curve::P384,
        [0x2b, 0x81, 0x04, 0x00, 0x23] => Curve::P521,
        [0x2b, 0x81, 0x04, 0x00, 0x0a] => Curve::Secp256k1,
        _ => return None,
    })
}

fn modulus_bits(octets: &[u8]) -> Option<usize> {
    let mut key = Reader::new(der::single(octets, der::SEQUENCE)?);
    let modulus = key.take(der::INTEGER)?;
    let exponent = key.take(der::INTEGER)?;
    let start = modulus.iter().position(|octet| *octet != 0)?;
    let (first, rest) = modulus.get(start..)?.split_first()?;
    (!exponent.is_empty() && key.is_empty()).then_some(rest.len() * 8 + 8 - first.leading_zeros() as usize)
}
