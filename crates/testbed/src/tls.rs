//! The peer's side of TLS, and clients that take any peer.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, DistinguishedName, ServerConfig, ServerConnection, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ClientHello, ResolvesServerCert,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};

use crate::{Certificate, Error};

/// The protocol versions a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersions {
    /// TLS 1.2 and 1.3.
    #[default]
    Both,
    /// TLS 1.2 alone.
    Tls12,
    /// TLS 1.3 alone.
    Tls13,
}

/// What a handshake showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSeen {
    /// `TLSv1.2` or `TLSv1.3`.
    pub protocol: &'static str,
    /// The suite, as rustls names it.
    pub suite: String,
    /// The name that the ClientHello asked for.
    pub sni: Option<String>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// The client's leaf, where one was asked for and shown.
    pub client_certificate: Option<Vec<u8>>,
}

impl TlsSeen {
    pub(crate) fn of(connection: &ServerConnection) -> Self {
        let protocol = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        let suite = connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
        let chain = connection.peer_certificates().unwrap_or_default();
        Self {
            protocol,
            suite: suite.unwrap_or_default(),
            sni: connection.server_name().map(str::to_owned),
            resumed: connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            client_certificate: chain.first().map(|leaf| leaf.to_vec()),
        }
    }
}

/// How a peer does TLS; scripts that agree on it share one session cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsScript {
    pub(crate) certificate: Certificate,
    pub(crate) by_name: Vec<(String, Certificate)>,
    /// Shown to who cannot verify the other.
    pub(crate) second: Option<Certificate>,
    pub(crate) versions: TlsVersions,
    pub(crate) asks_client: bool,
    pub(crate) tickets: bool,
    pub(crate) keeps_sessions: bool,
}

impl TlsScript {
    pub(crate) fn new(certificate: Certificate) -> Self {
        Self {
            certificate,
            by_name: Vec::new(),
            second: None,
            versions: TlsVersions::default(),
            asks_client: false,
            tickets: true,
            keeps_sessions: false,
        }
    }

    /// `before` is what the connection before was served with.
    pub(crate) fn config(&self, before: Option<&ServerConfig>) -> Result<Arc<ServerConfig>, Error> {
        let versions: &[&rustls::SupportedProtocolVersion] = match self.versions {
            TlsVersions::Both => &[&rustls::version::TLS12, &rustls::version::TLS13],
            TlsVersions::Tls12 => &[&rustls::version::TLS12],
            TlsVersions::Tls13 => &[&rustls::version::TLS13],
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
        let builder = if self.asks_client {
            builder.with_client_cert_verifier(Arc::new(AnyClient))
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_cert_resolver(Arc::new(self.resolver()?));
        if !self.tickets {
            config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else if let Some(before) = before.filter(|_| self.keeps_sessions) {
            config.session_storage = Arc::clone(&before.session_storage);
        }
        Ok(Arc::new(config))
    }

    fn resolver(&self) -> Result<ByName, Error> {
        let named =
            self.by_name.iter().map(|(name, certificate)| Ok((name.clone(), certified(certificate)?)));
        let second = self.second.as_ref().map(certified).transpose()?;
        Ok(ByName {
            default: certified(&self.certificate)?,
            second,
            named: named.collect::<Result<_, Error>>()?,
        })
    }
}

/// Key and chain as they are, also when they do not belong together.
fn certified(certificate: &Certificate) -> Result<Arc<CertifiedKey>, Error> {
    let key = aws_lc_rs::sign::any_supported_type(&certificate.key())?;
    Ok(Arc::new(CertifiedKey::new(certificate.chain(), key)))
}

#[derive(Debug)]
struct ByName {
    default: Arc<CertifiedKey>,
    second: Option<Arc<CertifiedKey>>,
    named: Vec<(String, Arc<CertifiedKey>)>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let wanted = hello.server_name();
        let named = self.named.iter().find(|(name, _)| Some(name.as_str()) == wanted);
        let fits = |key: &Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let default = match &self.second {
            Some(second) if !fits(&self.default) && fits(second) => second,
            Some(_) | None => &self.default,
        };
        Some(named.map_or(default, |(_, key)| key).clone())
    }
}

/// Asks for a client certificate and takes any, or none: the test judges what came.
#[derive(Debug)]
struct AnyClient;

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// For a client's handshake: takes any certificate or raw public key (RFC 7250), and no signature is checked. The test
/// looks at what came, or measures what the server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnyServer {
    /// Asks for a raw public key in place of certificates.
    pub raw_public_keys: bool,
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.raw_public_keys
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
