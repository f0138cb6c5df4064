//! The public key of a certificate, and nothing else of it.

/// A public key as a certificate has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PublicKey<'a> {
    /// RSAPublicKey (RFC 8017 §A.1.1); `pss` where the key is for RSASSA-PSS alone (RFC 4055 §1.2).
    Rsa {
        key: &'a [u8],
        pss: bool,
    },
    P256(&'a [u8]),
    P384(&'a [u8]),
    P521(&'a [u8]),
    Ed25519(&'a [u8]),
}

const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const RSASSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const VERSION: u8 = 0xa0;

/// One DER element: its tag and contents, and what follows it.
struct Element<'a> {
    tag: u8,
    value: &'a [u8],
    rest: &'a [u8],
}

/// Reads the public key out of a certificate (RFC 5280 §4.1). Whatever is odd about the rest of it does not matter here: version 1, unknown
/// critical extensions and garbled names say nothing of who holds the key.
pub(super) fn public_key(certificate: &[u8]) -> Option<PublicKey<'_>> {
    let body = sequence(sequence(certificate)?.value)?.value;
    let first = element(body)?;
    let mut rest = if first.tag == VERSION { first.rest } else { body };
    // serialNumber, signature, issuer, validity, subject.
    for _ in 0..5 {
        rest = element(rest)?.rest;
    }
    let spki = sequence(rest)?.value;
    let algorithm = sequence(spki)?;
    let (0, key) =
        expect(algorithm.rest, BIT_STRING)?.value.split_first().map(|(unused, key)| (*unused, key))?
    else {
        return None;
    };
    let oid = expect(algorithm.value, OBJECT_IDENTIFIER)?;
    // Parameters of RSA keys are NULL, or forgotten.
    match oid.value {
        RSA_ENCRYPTION => Some(PublicKey::Rsa { key, pss: false }),
        RSASSA_PSS => Some(PublicKey::Rsa { key, pss: true }),
        ED25519 => Some(PublicKey::Ed25519(key)),
        EC_PUBLIC_KEY => match expect(oid.rest, OBJECT_IDENTIFIER)?.value {
            P256 => Some(PublicKey::P256(key)),
            P384 => Some(PublicKey::P384(key)),
            P521 => Some(PublicKey::P521(key)),
            _ => None,
        },
        _ => None,
    }
}

/// Modulus and exponent of an RSAPublicKey, without leading zeros.
pub(super) fn rsa_parts(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let modulus = expect(sequence(key)?.value, INTEGER)?;
    let exponent = expect(modulus.rest, INTEGER)?;
    Some((strip_zeros(modulus.value), strip_zeros(exponent.value)))
}

fn strip_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    &number[zeros..]
}

fn sequence(input: &[u8]) -> Option<Element<'_>> {
    expect(input, SEQUENCE)
}

fn expect(input: &[u8], tag: u8) -> Option<Element<'_>> {
    element(input).filter(|element| element.tag == tag)
}

/// X.690 §8.1: tag, length, contents. Long tags do not occur on the way to the key, and no certificate needs lengths of more than four octets.
fn element(input: &[u8]) -> Option<Element<'_>> {
    let (&[tag, first], rest) = input.split_first_chunk::<2>()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (
                octets.iter().try_fold(0usize, |length, octet| {
                    length.checked_mul(256)?.checked_add(usize::from(*octet))
                })?,
                rest,
            )
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some(Element { tag, value, rest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = public_key(&octets);
            let _ = rsa_parts(&octets);
        }
    }

    #[test]
    fn lengths_beyond_the_input_are_no_elements() {
        for bad in [
            &b""[..],
            b"\x30",
            b"\x30\x01",
            b"\x30\x80",
            b"\x30\x85\0\0\0\0\0",
            b"\x30\x84\xff\xff\xff\xff",
            b"\x3f\x01\x00",
        ] {
            assert!(element(bad).is_none(), "{bad:x?}");
        }
    }
}
