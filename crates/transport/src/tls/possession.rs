//! Proof of possession: does the server hold the key of the certificate that it shows?
//!
//! That is all a handshake checks here. Who may be believed depends on policy, DNS and trust stores, and is judged afterwards from the chain,
//! on resumed sessions too, for which rustls asks no verifier (design: verify after the handshake, always). Without this check, though,
//! the chain would be somebody else's to copy.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA1_ASN1, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1,
    ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA1_ASN1,
    ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ED25519,
    RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA384, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{
    rsa::{self, Hash},
    spki::{self, PublicKey},
};
use crate::ServerKeys;

/// RFC 8446 §4.2.3: PSS by keys that are marked for PSS. rustls has no names for them.
const RSA_PSS_PSS: [(u16, Hash); 3] =
    [(0x0809, Hash::Sha256), (0x080a, Hash::Sha384), (0x080b, Hash::Sha512)];

/// The verifier of all connections of a connector. Stateless, and one for all of them, since sessions are bound to it.
#[derive(Debug, Default)]
pub(super) struct Possession {
    keys: ServerKeys,
}

impl Possession {
    pub(super) const fn of(keys: ServerKeys) -> Self {
        Self { keys }
    }
}

impl ServerCertVerifier for Possession {
    /// Nothing is said of the certificate here. The name of the result is rustls'; nothing in Waxseal takes it for a verdict.
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // RFC 5246 §7.4.1.4.1: in TLS 1.2 a scheme names a digest and leaves the curve open.
        verdict(spki::public_key(cert).and_then(|key| check_tls12(key, dss.scheme, message, dss.signature())))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verdict(spki::public_key(cert).and_then(|key| check_tls13(key, dss.scheme, message, dss.signature())))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        use SignatureScheme as S;
        let ecdsa = [S::ECDSA_NISTP256_SHA256, S::ECDSA_NISTP384_SHA384, S::ECDSA_NISTP521_SHA512];
        let pss = [S::RSA_PSS_SHA256, S::RSA_PSS_SHA384, S::RSA_PSS_SHA512];
        let pss_pss = RSA_PSS_PSS.map(|(number, _)| S::Unknown(number));
        let pkcs1 = [S::RSA_PKCS1_SHA256, S::RSA_PKCS1_SHA384, S::RSA_PKCS1_SHA512];
        // SHA-1 last: TLS 1.2 servers that know nothing better are still better than none.
        match self.keys {
            ServerKeys::Any => ecdsa
                .into_iter()
                .chain([S::ED25519])
                .chain(pss)
                .chain(pss_pss)
                .chain(pkcs1)
                .chain([S::ECDSA_SHA1_Legacy, S::RSA_PKCS1_SHA1])
                .collect(),
            ServerKeys::Rsa => {
                pss.into_iter().chain(pss_pss).chain(pkcs1).chain([S::RSA_PKCS1_SHA1]).collect()
            }
            ServerKeys::Ecdsa => ecdsa.into_iter().chain([S::ECDSA_SHA1_Legacy]).collect(),
        }
    }
}

fn verdict(valid: Option<()>) -> Result<HandshakeSignatureValid, Error> {
    valid
        .map(|()| HandshakeSignatureValid::assertion())
        .ok_or(Error::InvalidCertificate(CertificateError::BadSignature))
}

/// RFC 8446 §4.2.3: a scheme is bound to its curve; PKCS #1 v1.5 and SHA-1 sign no handshakes.
pub(super) fn check_tls13(
    key: PublicKey<'_>,
    scheme: SignatureScheme,
    message: &[u8],
    signature: &[u8],
) -> Option<()> {
    use SignatureScheme as S;
    match (key, scheme) {
        (PublicKey::P256(_), S::ECDSA_NISTP256_SHA256)
        | (PublicKey::P384(_), S::ECDSA_NISTP384_SHA384)
        | (PublicKey::P521(_), S::ECDSA_NISTP521_SHA512)
        | (PublicKey::Ed25519(_), S::ED25519)
        | (PublicKey::Rsa { pss: false, .. }, S::RSA_PSS_SHA256 | S::RSA_PSS_SHA384 | S::RSA_PSS_SHA512)
        | (PublicKey::Rsa { pss: true, .. }, S::Unknown(0x0809..=0x080b)) => {
            check_tls12(key, scheme, message, signature)
        }
        _ => None,
    }
}

pub(super) fn check_tls12(
    key: PublicKey<'_>,
    scheme: SignatureScheme,
    message: &[u8],
    signature: &[u8],
) -> Option<()> {
    let by = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
        UnparsedPublicKey::new(algorithm, key).verify(message, signature).ok()
    };
    match key {
        PublicKey::Ed25519(key) => (scheme == SignatureScheme::ED25519).then(|| by(&ED25519, key))?,
        PublicKey::P256(point) | PublicKey::P384(point) | PublicKey::P521(point) => {
            by(ecdsa(key, scheme)?, point)
        }
        PublicKey::Rsa { key, .. } => check_rsa(key, scheme, message, signature),
    }
}

fn ecdsa(key: PublicKey<'_>, scheme: SignatureScheme) -> Option<&'static dyn VerificationAlgorithm> {
    use SignatureScheme as S;
    Some(match (key, scheme) {
        (PublicKey::P256(_), S::ECDSA_NISTP256_SHA256) => &ECDSA_P256_SHA256_ASN1,
        (PublicKey::P256(_), S::ECDSA_NISTP384_SHA384) => &ECDSA_P256_SHA384_ASN1,
        (PublicKey::P256(_), S::ECDSA_NISTP521_SHA512) => &ECDSA_P256_SHA512_ASN1,
        (PublicKey::P256(_), S::ECDSA_SHA1_Legacy) => &ECDSA_P256_SHA1_ASN1,
        (PublicKey::P384(_), S::ECDSA_NISTP256_SHA256) => &ECDSA_P384_SHA256_ASN1,
        (PublicKey::P384(_), S::ECDSA_NISTP384_SHA384) => &ECDSA_P384_SHA384_ASN1,
        (PublicKey::P384(_), S::ECDSA_NISTP521_SHA512) => &ECDSA_P384_SHA512_ASN1,
        (PublicKey::P521(_), S::ECDSA_NISTP256_SHA256) => &ECDSA_P521_SHA256_ASN1,
        (PublicKey::P521(_), S::ECDSA_NISTP384_SHA384) => &ECDSA_P521_SHA384_ASN1,
        (PublicKey::P521(_), S::ECDSA_NISTP521_SHA512) => &ECDSA_P521_SHA512_ASN1,
        (PublicKey::P521(_), S::ECDSA_SHA1_Legacy) => &ECDSA_P521_SHA1_ASN1,
        _ => return None,
    })
}

fn check_rsa(key: &[u8], scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> Option<()> {
    use SignatureScheme as S;
    let bits = rsa::modulus_bits(key)?;
    let by = |algorithm: &'static dyn VerificationAlgorithm| {
        UnparsedPublicKey::new(algorithm, key).verify(message, signature).ok()
    };
    // aws-lc-rs takes 2048 to 8192 bits for what it has no legacy variant of.
    let usual = (2048..=8192).contains(&bits);
    let pss = |hash, algorithm: &'static dyn VerificationAlgorithm| {
        if usual { by(algorithm) } else { rsa::verify_pss(key, hash, message, signature) }
    };
    let pkcs1 = |hash, algorithm: &'static dyn VerificationAlgorithm| {
        if usual { by(algorithm) } else { rsa::verify_pkcs1(key, hash, message, signature) }
    };
    match scheme {
        S::RSA_PSS_SHA256 | S::Unknown(0x0809) => pss(Hash::Sha256, &RSA_PSS_2048_8192_SHA256),
        S::RSA_PSS_SHA384 | S::Unknown(0x080a) => pss(Hash::Sha384, &RSA_PSS_2048_8192_SHA384),
        S::RSA_PSS_SHA512 | S::Unknown(0x080b) => pss(Hash::Sha512, &RSA_PSS_2048_8192_SHA512),
        S::RSA_PKCS1_SHA256 => pkcs1(Hash::Sha256, &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
        S::RSA_PKCS1_SHA384 => pkcs1(Hash::Sha384, &RSA_PKCS1_2048_8192_SHA384),
        S::RSA_PKCS1_SHA512 => pkcs1(Hash::Sha512, &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY),
        S::RSA_PKCS1_SHA1 => by(&RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
        _ => None,
    }
}
