//! Possession, on signatures that were made by another implementation.

use rustls::{
    SignatureScheme as S,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{
    possession::{check_tls12, check_tls13},
    rsa::{self, Hash},
    spki::{self, PublicKey},
};

const MESSAGE: &[u8] = include_bytes!("../../tests/fixtures/message.bin");

macro_rules! certificate {
    ($name:literal) => {
        CertificateDer::from_pem_slice(include_bytes!(concat!("../../tests/fixtures/", $name, ".pem")))
            .unwrap()
    };
}

macro_rules! signature {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/fixtures/", $name, ".sig")).as_slice()
    };
}

/// Certificate, scheme, signature, and whether TLS 1.2 and TLS 1.3 take it.
type Row = (CertificateDer<'static>, S, &'static [u8], bool, bool);

fn table() -> Vec<Row> {
    vec![
        (certificate!("plain"), S::ECDSA_NISTP256_SHA256, signature!("plain.ecdsa.sha256"), true, true),
        // RFC 5246: the curve is open in TLS 1.2; RFC 8446: it is not in TLS 1.3.
        (certificate!("plain"), S::ECDSA_NISTP384_SHA384, signature!("plain.ecdsa.sha384"), true, false),
        (certificate!("plain"), S::ECDSA_SHA1_Legacy, signature!("plain.ecdsa.sha1"), true, false),
        (certificate!("p384"), S::ECDSA_NISTP384_SHA384, signature!("p384.ecdsa.sha384"), true, true),
        (certificate!("p521"), S::ECDSA_NISTP521_SHA512, signature!("p521.ecdsa.sha512"), true, true),
        (certificate!("rsa1024"), S::RSA_PSS_SHA256, signature!("rsa1024.pss.sha256"), true, true),
        (certificate!("rsa1024"), S::RSA_PSS_SHA384, signature!("rsa1024.pss.sha384"), true, true),
        (certificate!("rsa1024"), S::RSA_PKCS1_SHA1, signature!("rsa1024.pkcs1.sha1"), true, false),
        (certificate!("rsa1024"), S::RSA_PKCS1_SHA256, signature!("rsa1024.pkcs1.sha256"), true, false),
        (certificate!("rsa1024"), S::RSA_PKCS1_SHA384, signature!("rsa1024.pkcs1.sha384"), true, false),
        (certificate!("rsa1024"), S::RSA_PKCS1_SHA512, signature!("rsa1024.pkcs1.sha512"), true, false),
        (certificate!("rsa2056"), S::RSA_PSS_SHA256, signature!("rsa2056.pss.sha256"), true, true),
        (certificate!("rsa2056"), S::RSA_PSS_SHA384, signature!("rsa2056.pss.sha384"), true, true),
        (certificate!("rsa2056"), S::RSA_PSS_SHA512, signature!("rsa2056.pss.sha512"), true, true),
        (certificate!("rsa2056"), S::RSA_PKCS1_SHA1, signature!("rsa2056.pkcs1.sha1"), true, false),
        (certificate!("rsa2056"), S::RSA_PKCS1_SHA256, signature!("rsa2056.pkcs1.sha256"), true, false),
        (certificate!("rsa2056"), S::RSA_PKCS1_SHA384, signature!("rsa2056.pkcs1.sha384"), true, false),
        (certificate!("rsapss"), S::Unknown(0x0809), signature!("rsapss.pss.sha256"), true, true),
        // RFC 8446 §4.2.3: a key for PSS alone signs under the schemes for such keys.
        (certificate!("rsapss"), S::RSA_PSS_SHA256, signature!("rsapss.pss.sha256"), true, false),
        // The salt is as long as the digest, and not otherwise.
        (certificate!("rsa1024"), S::RSA_PSS_SHA256, signature!("rsa1024.pss_salt20.sha256"), false, false),
        // Somebody else's certificate.
        (certificate!("other"), S::ECDSA_NISTP256_SHA256, signature!("plain.ecdsa.sha256"), false, false),
        (certificate!("rsa2056"), S::RSA_PSS_SHA256, signature!("rsapss.pss.sha256"), false, false),
        (certificate!("plain"), S::RSA_PSS_SHA256, signature!("rsa2056.pss.sha256"), false, false),
        (certificate!("rsa2056"), S::ECDSA_NISTP256_SHA256, signature!("plain.ecdsa.sha256"), false, false),
        (certificate!("plain"), S::ED25519, signature!("plain.ecdsa.sha256"), false, false),
    ]
}

#[test]
fn signatures_prove_possession_of_the_key_and_nothing_else_does() {
    for (number, (certificate, scheme, signature, tls12, tls13)) in table().into_iter().enumerate() {
        let key = spki::public_key(&certificate).unwrap();
        assert_eq!(check_tls12(key, scheme, MESSAGE, signature).is_some(), tls12, "TLS 1.2, row {number}");
        assert_eq!(check_tls13(key, scheme, MESSAGE, signature).is_some(), tls13, "TLS 1.3, row {number}");
        assert!(check_tls12(key, scheme, b"another message", signature).is_none(), "row {number}");
        assert!(
            check_tls12(key, scheme, MESSAGE, &signature[..signature.len() - 1]).is_none(),
            "row {number}"
        );
        assert!(check_tls12(key, scheme, MESSAGE, &vec![0; signature.len()]).is_none(), "row {number}");
        assert!(check_tls12(key, scheme, MESSAGE, &[]).is_none(), "row {number}");
    }
}

#[test]
fn every_flipped_bit_spoils_a_signature_that_is_checked_by_hand() {
    let pss = [
        (certificate!("rsa1024"), Hash::Sha256, signature!("rsa1024.pss.sha256")),
        (certificate!("rsa1024"), Hash::Sha384, signature!("rsa1024.pss.sha384")),
        (certificate!("rsa2056"), Hash::Sha512, signature!("rsa2056.pss.sha512")),
    ];
    for (certificate, hash, good) in pss {
        let Some(PublicKey::Rsa { key, .. }) = spki::public_key(&certificate) else { panic!("no RSA key") };
        assert!(rsa::verify_pss(key, hash, MESSAGE, good).is_some());
        // All bits of a short key, some of a long one.
        for bit in (0..good.len() * 8).step_by(good.len() / 128) {
            let mut bad = good.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(rsa::verify_pss(key, hash, MESSAGE, &bad).is_none(), "bit {bit}");
        }
        assert!(rsa::verify_pss(key, Hash::Sha256, b"", good).is_none());
        assert!(rsa::verify_pss(key, hash, MESSAGE, &[&[0], good].concat()).is_none());
        assert!(rsa::verify_pss(key, hash, MESSAGE, &vec![0xff; good.len()]).is_none());
    }
    let (certificate, good) = (certificate!("rsa1024"), signature!("rsa1024.pkcs1.sha256"));
    let Some(PublicKey::Rsa { key, .. }) = spki::public_key(&certificate) else { panic!("no RSA key") };
    for bit in 0..good.len() * 8 {
        let mut bad = good.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(rsa::verify_pkcs1(key, Hash::Sha256, MESSAGE, &bad).is_none(), "bit {bit}");
    }
}

#[test]
fn moduli_out_of_bounds_cost_nothing() {
    let key = |modulus: &[u8], exponent: &[u8]| {
        let integer = |value: &[u8]| {
            let len = u16::try_from(value.len()).unwrap().to_be_bytes();
            [&[0x02, 0x82][..], &len, value].concat()
        };
        let body = [integer(modulus), integer(exponent)].concat();
        [&[0x30, 0x82][..], &u16::try_from(body.len()).unwrap().to_be_bytes(), &body].concat()
    };
    let e = &[1, 0, 1][..];
    let table = [
        (key(&[0xff; 128], e), Some(1024)),
        (key(&[[0].as_slice(), &[0xff; 128]].concat(), e), Some(1024)),
        (key(&[0xff; 127], e), Some(1016)),
        (key(&[0xff; 126], e), None),
        (key(&[0xff; 64], e), None),
        (key(&[0xff; 2048], e), Some(16384)),
        (key(&[0xff; 2049], e), None),
        (key(&[0xff; 128], &[1, 0, 0, 0, 0]), Some(1024)),
        (key(&[0xff; 128], &[2, 0, 0, 0, 0]), None),
        (key(&[], e), None),
    ];
    for (key, bits) in table {
        assert_eq!(rsa::modulus_bits(&key), bits);
    }
}

#[test]
fn a_secp521r1_exchange_agrees_and_refuses_points_off_the_curve() {
    use super::p521::SECP521R1;
    use rustls::crypto::SupportedKxGroup as _;

    let (ours, theirs) = (SECP521R1.start().unwrap(), SECP521R1.start().unwrap());
    let (our_point, their_point) = (ours.pub_key().to_vec(), theirs.pub_key().to_vec());
    let (a, b) = (ours.complete(&their_point).unwrap(), theirs.complete(&our_point).unwrap());
    assert_eq!(a.secret_bytes(), b.secret_bytes());
    let mut off = their_point.clone();
    off[100] ^= 1;
    for bad in [&off[..], &their_point[..100], &[], &[4], &[[2].as_slice(), &their_point[1..67]].concat()] {
        assert!(SECP521R1.start().unwrap().complete(bad).is_err());
    }
}
