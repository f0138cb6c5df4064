//! A certificate verifier for any rustls client.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime as RustlsTime},
};
use waxseal_trust::Anchors;
use waxseal_types::{Domain, FingerprintDemand, NamePattern, Tlsa, UnixTime};

use crate::{PathRules, check_dane, check_path, fingerprint, names_match};

/// What a server must prove to a [`Verifier`].
#[derive(Debug, Clone)]
pub enum VerifierPolicy {
    /// A trusted path, and the name that the client connects to.
    Anchors(Arc<Anchors>),
    /// The certificate or its key is listed; nothing else counts.
    Pins(FingerprintDemand),
    /// One of these TLSA records, which must have been validated by DNSSEC; the client's name counts for usage DANE-TA.
    Dane(Arc<[Tlsa]>),
}

/// A rustls [`ServerCertVerifier`] with Waxseal's rules.
///
/// It judges during the handshake, and only full handshakes: rustls calls no verifier when a session is resumed. Give each
/// policy its own `ClientConfig`, so that sessions are not shared between policies.
///
/// ```
/// use std::sync::Arc;
/// use waxseal_types::{DigestAlgorithm, Fingerprint, FingerprintDemand};
/// use waxseal_verify::{Verifier, VerifierPolicy};
///
/// let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
/// let pins = FingerprintDemand {
///     digest: DigestAlgorithm::Sha256,
///     accepted: Arc::new([Fingerprint(vec![0xab; 32])]),
/// };
/// let verifier = Verifier::new(VerifierPolicy::Pins(pins), provider.clone());
/// let config = rustls::ClientConfig::builder_with_provider(provider)
///     .with_safe_default_protocol_versions()?
///     .dangerous()
///     .with_custom_certificate_verifier(Arc::new(verifier))
///     .with_no_client_auth();
/// # drop(config);
/// # Ok::<(), rustls::Error>(())
/// ```
pub struct Verifier {
    policy: VerifierPolicy,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// With this policy; the provider checks the handshake's own signatures.
    #[must_use]
    pub const fn new(policy: VerifierPolicy, provider: Arc<CryptoProvider>) -> Self {
        Self { policy, provider }
    }

    fn check(&self, chain: &[Vec<u8>], name: &ServerName<'_>, now: UnixTime) -> Result<(), String> {
        match &self.policy {
            VerifierPolicy::Anchors(anchors) => {
                check_path(anchors, chain, PathRules::default(), now)
                    .map_err(|failure| failure.to_string())?;
                let patterns: Vec<_> = pattern(name).into_iter().collect();
                let leaf = chain.first().map(Vec::as_slice).unwrap_or_default();
                names_match(leaf, &patterns, false).map(|_| ()).ok_or_else(|| "hostname mismatch".into())
            }
            VerifierPolicy::Pins(demand) => {
                let leaf = chain.first().map(Vec::as_slice).unwrap_or_default();
                let found = fingerprint::matching(demand, leaf);
                found.map(|_| ()).ok_or_else(|| "no listed fingerprint".into())
            }
            VerifierPolicy::Dane(records) => {
                let names: Vec<_> = domain(name).into_iter().collect();
                check_dane(records, &names, chain, now).map(|_| ()).map_err(|failure| failure.to_string())
            }
        }
    }
}

fn domain(name: &ServerName<'_>) -> Option<Domain> {
    match name {
        ServerName::DnsName(name) => Domain::new(name.as_ref()).ok(),
        // ServerName is non-exhaustive; what is no DNS name has no domain.
        _ => None,
    }
}

fn pattern(name: &ServerName<'_>) -> Option<NamePattern> {
    match name {
        ServerName::IpAddress(address) => Some(NamePattern::Address((*address).into())),
        other => domain(other).map(NamePattern::Exact),
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: RustlsTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain: Vec<Vec<u8>> = std::iter::once(end_entity)
            .chain(intermediates)
            .map(|certificate| certificate.to_vec())
            .collect();
        match self.check(&chain, server_name, UnixTime::from_secs(now.as_secs())) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(why) => Err(CertificateError::Other(rustls::OtherError(Arc::new(Why(why)))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The reason within rustls's error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Why(String);
