//! The public half of private keys and of certificate requests.

use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};

use crate::{
    der,
    der::Reader,
    key::{Curve, EC_PUBLIC_KEY, ED25519, KeyKind, KeyParts, RSA_ENCRYPTION, RSASSA_PSS, curve_of},
};

/// The SubjectPublicKeyInfo that belongs to a private key (DER: PKCS#8, PKCS#1 or SEC 1); `None` for what is none, or of a kind that
/// nothing here can use.
///
/// It is what a certificate for this key would hold, so that its digest can be published before there is one.
#[must_use]
pub fn spki_of_private_key(key: &[u8]) -> Option<Vec<u8>> {
    let mut fields = Reader::new(der::single(key, der::SEQUENCE)?);
    fields.take(der::INTEGER)?;
    let (algorithm, bits) = match fields.peek()? {
        // PKCS#8 (RFC 5958 §2) names the algorithm as a SubjectPublicKeyInfo does.
        der::SEQUENCE => {
            let algorithm = fields.next()?.whole;
            (algorithm.to_vec(), of_algorithm(algorithm, key, fields.take(der::OCTET_STRING)?)?)
        }
        // SEC 1 §C.4: the private number, and the curve in [0].
        der::OCTET_STRING => {
            fields.next()?;
            let curve = der::single(fields.take(der::explicit(0))?, der::OID)?;
            let algorithm = sequence(&[&element(der::OID, EC_PUBLIC_KEY), &element(der::OID, curve)]);
            (algorithm, ec_point(curve_of(curve)?, key, key)?)
        }
        // PKCS#1 (RFC 8017 §A.1.2). RFC 3279 §2.3.1: the parameters are NULL.
        _ => (sequence(&[&element(der::OID, RSA_ENCRYPTION), &[5, 0]]), rsa_public(key)?),
    };
    let spki = sequence(&[&algorithm, &element(der::BIT_STRING, &[&[0], &bits[..]].concat())]);
    // What our own reader does not take, nobody should publish.
    KeyParts::new(&spki).filter(|parts| parts.kind != KeyKind::Unknown)?;
    Some(spki)
}

/// The SubjectPublicKeyInfo in a certificate request (RFC 2986 §4.1). Its signature is not looked at: the key is the operator's own.
#[must_use]
pub fn spki_of_request(request: &[u8]) -> Option<&[u8]> {
    let mut outer = Reader::new(der::single(request, der::SEQUENCE)?);
    let mut info = Reader::new(outer.take(der::SEQUENCE)?);
    info.take(der::INTEGER)?;
    // Subject.
    info.take(der::SEQUENCE)?;
    let spki = info.next().filter(|element| element.tag == der::SEQUENCE)?.whole;
    (info.peek()? == der::explicit(0)).then_some(())?;
    KeyParts::new(spki).map(|_| spki)
}

fn of_algorithm(algorithm: &[u8], pkcs8: &[u8], inner: &[u8]) -> Option<Vec<u8>> {
    let mut parts = Reader::new(der::single(algorithm, der::SEQUENCE)?);
    match parts.take(der::OID)? {
        RSA_ENCRYPTION | RSASSA_PSS => rsa_public(pkcs8),
        EC_PUBLIC_KEY => ec_point(curve_of(parts.take(der::OID)?)?, pkcs8, inner),
        ED25519 => ed25519_public(pkcs8),
        _ => None,
    }
}

/// The point, in the form in which the key's own file has it: OpenSSL puts a compressed one as such into certificates.
fn ec_point(curve: Curve, key: &[u8], sec1: &[u8]) -> Option<Vec<u8>> {
    let full = ec_public(curve, key)?;
    let half = (full.len() - 1) / 2;
    let mut fields = Reader::new(der::single(sec1, der::SEQUENCE)?);
    while let Some(field) = fields.next() {
        if field.tag != der::explicit(1) {
            continue;
        }
        let named = der::single(field.value, der::BIT_STRING)?.get(1..)?;
        let parity = 2 + (full.last()? & 1);
        let compressed = named.first() == Some(&parity) && named.get(1..) == full.get(1..=half);
        return (compressed || named == full).then(|| named.to_vec());
    }
    Some(full)
}

pub(crate) fn ec_public(curve: Curve, key: &[u8]) -> Option<Vec<u8>> {
    let algorithm = match curve {
        Curve::P256 => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        Curve::P384 => &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
        Curve::P521 => &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
        Curve::Secp256k1 => &signature::ECDSA_P256K1_SHA256_ASN1_SIGNING,
    };
    let pair = EcdsaKeyPair::from_private_key_der(algorithm, key).ok()?;
    Some(pair.public_key().as_ref().to_vec())
}

pub(crate) fn ed25519_public(key: &[u8]) -> Option<Vec<u8>> {
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key).ok()?;
    Some(pair.public_key().as_ref().to_vec())
}

/// The RSAPublicKey of an RSAPrivateKey (RFC 8017 §A.1.2), which may lie in PKCS#8 (RFC 5958 §2). Any size will do.
pub(crate) fn rsa_public(key: &[u8]) -> Option<Vec<u8>> {
    let mut fields = Reader::new(der::single(key, der::SEQUENCE)?);
    fields.take(der::INTEGER)?;
    if fields.peek() == Some(der::SEQUENCE) {
        fields.next()?;
        fields = Reader::new(der::single(fields.take(der::OCTET_STRING)?, der::SEQUENCE)?);
        fields.take(der::INTEGER)?;
    }
    let (modulus, exponent) = (fields.next()?, fields.next()?);
    Some(sequence(&[modulus.whole, exponent.whole]))
}

fn element(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    der::write(&mut out, tag, value);
    out
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(der::SEQUENCE, &parts.concat())
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PublicKeyData as _, RsaKeySize};

    use super::*;

    #[test]
    fn a_private_key_leads_to_the_key_that_its_certificate_has() {
        let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let others = [
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &rcgen::PKCS_ECDSA_P384_SHA384,
            &rcgen::PKCS_ECDSA_P521_SHA512,
            &rcgen::PKCS_ED25519,
        ];
        let others = others.map(|algorithm| KeyPair::generate_for(algorithm).unwrap());
        for key in others.iter().chain([&rsa]) {
            let pkcs8 = key.serialize_der();
            assert_eq!(spki_of_private_key(&pkcs8), Some(key.subject_public_key_info()));
            for cut in 0..pkcs8.len() {
                assert_eq!(spki_of_private_key(&pkcs8[..cut]), None);
            }
            let request = rcgen::CertificateParams::default().serialize_request(key).unwrap();
            assert_eq!(spki_of_request(request.der()), Some(&key.subject_public_key_info()[..]));
            for cut in 0..request.der().len() {
                assert_eq!(spki_of_request(&request.der()[..cut]), None);
            }
        }
    }
}
