//! Signatures of certificates, with the algorithms that mail servers really have.

use aws_lc_rs::signature::{self as algorithms, UnparsedPublicKey, VerificationAlgorithm};
use waxseal_trust::{Curve, KeyKind, KeyParts, Signed};

/// A digest within a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// Collisions can be made.
    pub(crate) const fn is_weak(self) -> bool {
        match self {
            Self::Sha1 => true,
            Self::Sha256 | Self::Sha384 | Self::Sha512 => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Pkcs1(Hash),
    Pss(Hash),
    Ecdsa(Hash),
    Ed25519,
}

/// Why a signature does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadSignature {
    /// It is wrong.
    Wrong,
    /// Its algorithm, or that of the key, is not one that can be checked.
    Unsupported,
}

/// Checks one signature. MD5, DSA, Ed448, RSA below 1024 bits and RSA-PSS with a salt of its own length are not supported.
pub(crate) fn check(signed: &Signed<'_>, spki: &[u8]) -> Result<(), BadSignature> {
    let key = KeyParts::new(spki).ok_or(BadSignature::Unsupported)?;
    let scheme = scheme(signed).ok_or(BadSignature::Unsupported)?;
    let algorithm = algorithm(scheme, key.kind).ok_or(BadSignature::Unsupported)?;
    // RFC 5280 §4.1.1.2: the algorithm is also among what is signed, and must be the same.
    if !signed.same_algorithm {
        return Err(BadSignature::Wrong);
    }
    UnparsedPublicKey::new(algorithm, key.octets)
        .verify(signed.message, signed.signature)
        .map_err(|_| BadSignature::Wrong)
}

/// The digest in the signature, if it has one that is known.
pub(crate) fn hash(signed: &Signed<'_>) -> Option<Hash> {
    match scheme(signed)? {
        Scheme::Pkcs1(hash) | Scheme::Pss(hash) | Scheme::Ecdsa(hash) => Some(hash),
        Scheme::Ed25519 => None,
    }
}

fn scheme(signed: &Signed<'_>) -> Option<Scheme> {
    // RFC 4055 §5: NULL parameters; some leave them out.
    let null = matches!(signed.parameters, [] | [5, 0]);
    let scheme = match signed.algorithm {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5] => Scheme::Pkcs1(Hash::Sha1),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11] => Scheme::Pkcs1(Hash::Sha256),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12] => Scheme::Pkcs1(Hash::Sha384),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13] => Scheme::Pkcs1(Hash::Sha512),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10] => return pss(signed.parameters).map(Scheme::Pss),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1] => Scheme::Ecdsa(Hash::Sha1),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2] => Scheme::Ecdsa(Hash::Sha256),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3] => Scheme::Ecdsa(Hash::Sha384),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4] => Scheme::Ecdsa(Hash::Sha512),
        [0x2b, 0x65, 0x70] => Scheme::Ed25519,
        _ => return None,
    };
    null.then_some(scheme)
}

/// RSASSA-PSS parameters (RFC 4055 §3.1) with the digest also in the mask and a salt as long as it; with or without the NULLs.
fn pss(parameters: &[u8]) -> Option<Hash> {
    [(1, Hash::Sha256, 32), (2, Hash::Sha384, 48), (3, Hash::Sha512, 64)]
        .into_iter()
        .find(|(number, _, salt)| {
            [true, false].iter().any(|null| parameters == pss_parameters(*number, *salt, *null))
        })
        .map(|(_, hash, _)| hash)
}

fn pss_parameters(number: u8, salt: u8, null: bool) -> Vec<u8> {
    let mut digest = vec![0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, number];
    if null {
        digest.extend([5, 0]);
    }
    let wrap = |tag: u8, inner: Vec<u8>| [vec![tag, inner.len() as u8], inner].concat();
    let digest = wrap(0x30, digest);
    let mask = [vec![0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8], digest.clone()].concat();
    let fields = [wrap(0xa0, digest), wrap(0xa1, wrap(0x30, mask)), wrap(0xa2, vec![2, 1, salt])].concat();
    wrap(0x30, fields)
}

/// aws-lc's name for the pair. RSA keys below 2048 bits are still in use between mail servers; only some digests take them.
fn algorithm(scheme: Scheme, key: KeyKind) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (scheme, key) {
        (Scheme::Pkcs1(Hash::Sha1), KeyKind::Rsa(_)) => {
            &algorithms::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY
        }
        (Scheme::Pkcs1(Hash::Sha256), KeyKind::Rsa(_)) => {
            &algorithms::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY
        }
        (Scheme::Pkcs1(Hash::Sha384), KeyKind::Rsa(_)) => &algorithms::RSA_PKCS1_2048_8192_SHA384,
        (Scheme::Pkcs1(Hash::Sha512), KeyKind::Rsa(_)) => {
            &algorithms::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY
        }
        (Scheme::Pss(Hash::Sha256), KeyKind::Rsa(_)) => &algorithms::RSA_PSS_2048_8192_SHA256,
        (Scheme::Pss(Hash::Sha384), KeyKind::Rsa(_)) => &algorithms::RSA_PSS_2048_8192_SHA384,
        (Scheme::Pss(Hash::Sha512), KeyKind::Rsa(_)) => &algorithms::RSA_PSS_2048_8192_SHA512,
        (Scheme::Ecdsa(hash), KeyKind::Ec(curve)) => return ecdsa(hash, curve),
        (Scheme::Ed25519, KeyKind::Ed25519) => &algorithms::ED25519,
        (Scheme::Pss(Hash::Sha1), KeyKind::Rsa(_))
        | (Scheme::Pkcs1(_) | Scheme::Pss(_), KeyKind::Ec(_) | KeyKind::Ed25519 | KeyKind::Unknown)
        | (Scheme::Ecdsa(_), KeyKind::Rsa(_) | KeyKind::Ed25519 | KeyKind::Unknown)
        | (Scheme::Ed25519, KeyKind::Rsa(_) | KeyKind::Ec(_) | KeyKind::Unknown) => return None,
    })
}

fn ecdsa(hash: Hash, curve: Curve) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (curve, hash) {
        (Curve::P256, Hash::Sha1) => &algorithms::ECDSA_P256_SHA1_ASN1,
        (Curve::P256, Hash::Sha256) => &algorithms::ECDSA_P256_SHA256_ASN1,
        (Curve::P256, Hash::Sha384) => &algorithms::ECDSA_P256_SHA384_ASN1,
        (Curve::P256, Hash::Sha512) => &algorithms::ECDSA_P256_SHA512_ASN1,
        (Curve::P384, Hash::Sha256) => &algorithms::ECDSA_P384_SHA256_ASN1,
        (Curve::P384, Hash::Sha384) => &algorithms::ECDSA_P384_SHA384_ASN1,
        (Curve::P384, Hash::Sha512) => &algorithms::ECDSA_P384_SHA512_ASN1,
        (Curve::P521, Hash::Sha1) => &algorithms::ECDSA_P521_SHA1_ASN1,
        (Curve::P521, Hash::Sha256) => &algorithms::ECDSA_P521_SHA256_ASN1,
        (Curve::P521, Hash::Sha384) => &algorithms::ECDSA_P521_SHA384_ASN1,
        (Curve::P521, Hash::Sha512) => &algorithms::ECDSA_P521_SHA512_ASN1,
        (Curve::Secp256k1, Hash::Sha256) => &algorithms::ECDSA_P256K1_SHA256_ASN1,
        (Curve::P384, Hash::Sha1) | (Curve::Secp256k1, Hash::Sha1 | Hash::Sha384 | Hash::Sha512) => {
            return None;
        }
    })
}
