//! A hundred certificates of all kinds, with their keys and requests.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData as _, RsaKeySize,
    date_time_ymd,
};

/// One certificate, as a server would have it.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) certificate: Vec<u8>,
    /// The certificate that issued it, where that is another one.
    pub(crate) issuer: Option<Vec<u8>>,
    pub(crate) key_pem: String,
    pub(crate) request_pem: String,
    pub(crate) spki: Vec<u8>,
}

/// So many, always the same kinds in the same order: five keys, each self-signed and issued, of version 3 and 1, with dates that are over and not.
pub(crate) fn samples(number: usize) -> Vec<Sample> {
    // RSA keys take long to find: two sizes, and no more.
    let rsa = [RsaKeySize::_2048, RsaKeySize::_3072].map(|size| {
        KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size)
            .expect("the test's own words are good")
            .serialize_pem()
    });
    let authority = KeyPair::generate().expect("the test's own words are good");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Sample CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&authority).expect("the test's own words are good").der().to_vec();
    let issuer = Issuer::new(params, authority);
    (0..number).map(|at| sample(at, &rsa, &issuer, &root)).collect()
}

fn sample(at: usize, rsa: &[String; 2], issuer: &Issuer<'static, KeyPair>, root: &[u8]) -> Sample {
    let (kind, key) = match at % 5 {
        0 => ("RSA", KeyPair::from_pem(&rsa[at / 5 % 2]).expect("the test's own words are good")),
        1 => (
            "P-256",
            KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("the test's own words are good"),
        ),
        2 => (
            "P-384",
            KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("the test's own words are good"),
        ),
        3 => ("Ed25519", KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("the test's own words are good")),
        _ => (
            "P-521",
            KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).expect("the test's own words are good"),
        ),
    };
    let (issued, old, expired) = (at / 5 % 2 == 1, at / 10 % 3 == 2, at / 30 % 2 == 1);
    let mut params =
        CertificateParams::new(vec![format!("mx{at}.example.test")]).expect("the test's own words are good");
    params.distinguished_name.push(DnType::CommonName, format!("mx{at} \u{e9}"));
    if expired {
        params.not_after = date_time_ymd(2001, 1, 1);
    }
    let request_pem = params
        .serialize_request(&key)
        .expect("the test's own words are good")
        .pem()
        .expect("the test's own words are good");
    let made = if issued { params.signed_by(&key, issuer) } else { params.self_signed(&key) };
    let der = made.expect("the test's own words are good").der().to_vec();
    Sample {
        name: format!(
            "{at} {kind}{}{}{}",
            [", self-signed", ", issued"][usize::from(issued)],
            if old { ", version 1" } else { "" },
            if expired { ", expired" } else { "" }
        ),
        certificate: if old { version_1(&der) } else { der },
        issuer: issued.then(|| root.to_vec()),
        // RFC 8410 §7, the form without the public half: OpenSSL 3.0 reads no other.
        key_pem: match kind {
            "Ed25519" => {
                pem("PRIVATE KEY", &[&[0x30, 0x2e, 2, 1, 0][..], &key.serialize_der()[5..48]].concat())
            }
            _ => key.serialize_pem(),
        },
        request_pem,
        spki: key.subject_public_key_info(),
    }
}

/// The same without what version 1 does not have (RFC 5280 §4.1: version and extensions); nobody here looks at signatures.
fn version_1(der: &[u8]) -> Vec<u8> {
    let (outer, _) = element(der);
    let (body, rest) = element(outer.1);
    let mut fields = Vec::new();
    let mut left = body.1;
    while !left.is_empty() {
        let (field, after) = element(left);
        if !matches!(field.0, 0xa0 | 0xa3) {
            fields.extend_from_slice(&left[..left.len() - after.len()]);
        }
        left = after;
    }
    sequence(&[&sequence(&[&fields]), rest])
}

/// Tag and contents of the first element, and what follows.
fn element(der: &[u8]) -> ((u8, &[u8]), &[u8]) {
    let (length, header) = match der[1] {
        short @ 0..=0x7f => (usize::from(short), 2),
        long => {
            let octets = usize::from(long & 0x7f);
            (der[2..2 + octets].iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)), 2 + octets)
        }
    };
    ((der[0], &der[header..header + length]), &der[header + length..])
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    // X.690 §10.1: no longer than it must be, or OpenSSL writes it anew.
    let mut out = vec![0x30];
    match body.len() {
        short @ 0..=0x7f => out.push(short as u8),
        long @ 0x80..=0xff => out.extend([0x81, long as u8]),
        longer => {
            out.push(0x82);
            out.extend(u16::try_from(longer).expect("a certificate is small").to_be_bytes());
        }
    }
    out.extend(body);
    out
}

/// As a file has it.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in der.chunks(3) {
        let bits =
            three.iter().fold(0u32, |sum, octet| sum << 8 | u32::from(*octet)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place > three.len() { '=' } else { char::from(digit) });
        }
    }
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("the test's own words are good"))
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
