//! Proof of possession: does the client hold the key of the certificate that it shows?
//!
//! That is all a handshake checks. Who the client is to be is judged afterwards, on resumed sessions too, for which TLS libraries call no
//! verifier; so an unknown certificate never ends a connection (postconf(5), `smtpd_tls_ask_ccert`).

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs},
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use waxseal_trust::{KeyParts, spki_of};

/// Asks for a certificate and takes any, or none.
#[derive(Debug)]
pub(super) struct Possession {
    algorithms: WebPkiSupportedAlgorithms,
    /// Whether keys are shown without certificates (RFC 7250).
    raw: bool,
}

impl Possession {
    pub(super) fn new(raw: bool) -> Self {
        Self { algorithms: aws_lc_rs::default_provider().signature_verification_algorithms, raw }
    }

    /// The SubjectPublicKeyInfo of what is shown.
    fn spki<'a>(&self, shown: &'a [u8]) -> Option<&'a [u8]> {
        if self.raw { Some(shown) } else { spki_of(shown) }
    }

    /// The key is taken from the certificate by our own lenient reader: version 1 and odd extensions say nothing of who holds the key.
    fn check(&self, message: &[u8], certificate: &[u8], dss: &DigitallySignedStruct) -> Option<()> {
        let spki = self.spki(certificate)?;
        let key = KeyParts::new(spki)?;
        let (_, algorithms) = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == dss.scheme)?;
        // The AlgorithmIdentifier is what stands before the key: the contents of the first element of the sequence.
        algorithms
            .iter()
            .filter(|algorithm| contains(spki, algorithm.public_key_alg_id().as_ref()))
            .find_map(|algorithm| algorithm.verify_signature(key.octets, message, dss.signature()).ok())
    }
}

/// Whether a SubjectPublicKeyInfo names this algorithm (RFC 5280 §4.1.2.7). Lengths before it are of one to three octets.
fn contains(spki: &[u8], algorithm: &[u8]) -> bool {
    (2..=8).any(|start| spki.get(start..).is_some_and(|rest| rest.starts_with(algorithm)))
}

fn verdict(valid: Option<()>) -> Result<HandshakeSignatureValid, Error> {
    valid
        .map(|()| HandshakeSignatureValid::assertion())
        .ok_or(Error::InvalidCertificate(CertificateError::BadSignature))
}

impl ClientCertVerifier for Possession {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints: a client that has one certificate shows it.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    /// Nothing is said of the certificate here. The name of the result is rustls'; nothing in Waxseal takes it for a verdict.
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verdict(self.check(message, cert, dss))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // RFC 8446 §4.2.3: PKCS #1 v1.5 signs no handshakes, and a scheme is bound to its curve.
        let bound = match dss.scheme {
            SignatureScheme::RSA_PKCS1_SHA256
            | SignatureScheme::RSA_PKCS1_SHA384
            | SignatureScheme::RSA_PKCS1_SHA512 => None,
            scheme => self.spki(cert).and_then(KeyParts::new).filter(|key| curve_fits(scheme, key.kind)),
        };
        verdict(bound.and_then(|_| self.check(message, cert, dss)))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.raw
    }
}

/// RFC 8446 §4.2.3: in TLS 1.3 a scheme names the curve, too.
const fn curve_fits(scheme: SignatureScheme, kind: waxseal_trust::KeyKind) -> bool {
    use waxseal_trust::{Curve, KeyKind};
    match (kind, scheme) {
        (KeyKind::Ec(Curve::P256), scheme) => matches!(scheme, SignatureScheme::ECDSA_NISTP256_SHA256),
        (KeyKind::Ec(Curve::P384), scheme) => matches!(scheme, SignatureScheme::ECDSA_NISTP384_SHA384),
        (KeyKind::Ec(Curve::P521), scheme) => matches!(scheme, SignatureScheme::ECDSA_NISTP521_SHA512),
        (KeyKind::Ec(Curve::Secp256k1) | KeyKind::Unknown, _) => false,
        (KeyKind::Rsa(_) | KeyKind::Ed25519, _) => true,
    }
}
