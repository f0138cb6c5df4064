//! RSA signatures by keys that aws-lc-rs does not take: shorter than 2048 bits, or longer than 8192.
//!
//! Mail servers with 1024-bit keys are a fact, and they sign PSS whenever it is offered. All of this works on public data, so nothing here
//! has to be constant in time.

use num_bigint::BigUint;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::spki;

/// Moduli that are worth a multiplication, in bits: the floor is what 1024-bit keys with an unlucky leading octet have, the ceiling keeps a
/// handshake from costing more than some milliseconds.
const MODULUS_BITS: std::ops::RangeInclusive<u64> = 1016..=16384;

/// Exponents, likewise. 65537 in practice.
const EXPONENT_BITS: u64 = 33;

/// Digests of the signature schemes of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        fn over<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
            let mut sum = D::new();
            parts.iter().for_each(|part| sum.update(part));
            sum.finalize().to_vec()
        }
        match self {
            Self::Sha256 => over::<Sha256>(parts),
            Self::Sha384 => over::<Sha384>(parts),
            Self::Sha512 => over::<Sha512>(parts),
        }
    }

    const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The DER of DigestInfo up to the digest (RFC 8017 §9.2, note 1).
    const fn digest_info(self) -> [u8; 19] {
        let (algorithm, len) = match self {
            Self::Sha256 => (1, 32),
            Self::Sha384 => (2, 48),
            Self::Sha512 => (3, 64),
        };
        let all = len + 17;
        [0x30, all, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, algorithm, 5, 0, 4, len]
    }
}

/// How many bits the modulus of an RSAPublicKey has; `None` where that is out of bounds.
pub(super) fn modulus_bits(key: &[u8]) -> Option<u64> {
    let (modulus, exponent) = spki::rsa_parts(key)?;
    let bits = |number: &[u8]| {
        number.first().map_or(0, |top| number.len() as u64 * 8 - u64::from(top.leading_zeros()))
    };
    (MODULUS_BITS.contains(&bits(modulus)) && bits(exponent) <= EXPONENT_BITS).then(|| bits(modulus))
}

/// RSASSA-PSS (RFC 8017 §8.1.2), the salt as long as the digest (RFC 8446 §4.2.3).
pub(super) fn verify_pss(key: &[u8], hash: Hash, message: &[u8], signature: &[u8]) -> Option<()> {
    let bits = modulus_bits(key)?;
    // RFC 8017 §9.1.2: the encoded message has one bit less than the modulus.
    let encoded_bits = usize::try_from(bits - 1).ok()?;
    let encoded = raise(key, signature, encoded_bits.div_ceil(8))?;
    let (masked, rest) = encoded.split_at_checked(encoded.len().checked_sub(hash.len() + 1)?)?;
    let (seed, [0xbc]) = rest.split_at_checked(hash.len())? else { return None };
    let unused = masked.len() * 8 + (hash.len() + 1) * 8 - encoded_bits;
    let mask_first = 0xff_u8.checked_shr(u32::try_from(unused).ok()?)?;
    if masked.first()? & !mask_first != 0 {
        return None;
    }
    let mut block: Vec<u8> = masked.iter().zip(mask(hash, seed, masked.len())).map(|(a, b)| a ^ b).collect();
    *block.first_mut()? &= mask_first;
    let (padding, salt) = block.split_at_checked(block.len().checked_sub(hash.len())?)?;
    let (1, zeros) = padding.split_last().map(|(one, zeros)| (*one, zeros))? else { return None };
    if zeros.iter().any(|octet| *octet != 0) {
        return None;
    }
    let digest = hash.digest(&[message]);
    (hash.digest(&[&[0; 8], &digest, salt]) == seed).then_some(())
}

/// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.2), by comparing encodings.
pub(super) fn verify_pkcs1(key: &[u8], hash: Hash, message: &[u8], signature: &[u8]) -> Option<()> {
    let length = usize::try_from(modulus_bits(key)?.div_ceil(8)).ok()?;
    let encoded = raise(key, signature, length)?;
    let info = [&hash.digest_info()[..], &hash.digest(&[message])].concat();
    // RFC 8017 §9.2: at least eight octets of padding.
    let padding = length.checked_sub(info.len() + 3).filter(|padding| *padding >= 8)?;
    let expected = [&[0, 1][..], &vec![0xff; padding], &[0], &info].concat();
    (encoded == expected).then_some(())
}

/// RSAVP1 (RFC 8017 §5.2.2) and I2OSP: the signature to the power of the exponent, in so many octets.
fn raise(key: &[u8], signature: &[u8], octets: usize) -> Option<Vec<u8>> {
    let (modulus, exponent) = spki::rsa_parts(key)?;
    if signature.len() != modulus.len() {
        return None;
    }
    let (modulus, signature) = (BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(signature));
    if signature >= modulus || !modulus.bit(0) {
        return None;
    }
    let number = signature.modpow(&BigUint::from_bytes_be(exponent), &modulus).to_bytes_be();
    let mut padded = vec![0; octets.checked_sub(number.len())?];
    padded.extend_from_slice(&number);
    Some(padded)
}

/// MGF1 (RFC 8017 §B.2.1).
fn mask(hash: Hash, seed: &[u8], length: usize) -> Vec<u8> {
    (0u32..).flat_map(|counter| hash.digest(&[seed, &counter.to_be_bytes()])).take(length).collect()
}
