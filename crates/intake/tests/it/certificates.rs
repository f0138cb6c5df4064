//! An authority, its certificates, and clients that show them.

use std::{path::PathBuf, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, PublicKeyData as _, RsaKeySize,
};
use rustls::{
    ClientConfig, ProtocolVersion,
    client::{AlwaysResolvesClientRawPublicKeys, Resumption},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    sign::CertifiedKey,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use waxseal_testbed::AnyServer;

use crate::common::{Client, Server};

pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub(crate) folder: tempfile::TempDir,
}

/// A certificate with its key.
pub(crate) struct Pair {
    pub(crate) certificate: rcgen::Certificate,
    pub(crate) key: KeyPair,
    /// Key first, then the certificate.
    pub(crate) file: PathBuf,
}

pub(crate) fn key(rsa: bool) -> KeyPair {
    if rsa {
        KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
    } else {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = named("An Authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, key(false)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(crate) fn server(&self, name: &str, rsa: bool) -> Pair {
        self.issue(name, key(rsa), ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub(crate) fn client(&self, name: &str) -> Pair {
        self.issue(name, key(false), ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, name: &str, key: KeyPair, purpose: ExtendedKeyUsagePurpose) -> Pair {
        let mut params = named(name);
        params.extended_key_usages = vec![purpose];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.pair(name, certificate, key)
    }

    pub(crate) fn stranger(&self, name: &str) -> Pair {
        let key = key(false);
        let certificate = named(name).self_signed(&key).unwrap();
        self.pair(name, certificate, key)
    }

    fn pair(&self, name: &str, certificate: rcgen::Certificate, key: KeyPair) -> Pair {
        let kind = if key.is_compatible(&PKCS_RSA_SHA256) { "rsa" } else { "ecdsa" };
        let file = self.folder.path().join(format!("{name}-{kind}.pem"));
        std::fs::write(&file, key.serialize_pem() + &certificate.pem()).unwrap();
        Pair { certificate, key, file }
    }
}

/// How a client shakes hands.
#[derive(Clone)]
pub(crate) struct Hands {
    pub(crate) config: ClientConfig,
    pub(crate) name: &'static str,
}

impl Hands {
    pub(crate) fn new() -> Self {
        Self::with(None, None)
    }

    pub(crate) fn showing(pair: &Pair) -> Self {
        Self::with(Some(pair), None)
    }

    pub(crate) fn with(shown: Option<&Pair>, suites: Option<&str>) -> Self {
        let mut provider: CryptoProvider = aws_lc_rs::default_provider();
        if let Some(wanted) = suites {
            provider.cipher_suites.retain(|suite| format!("{:?}", suite.suite()).contains(wanted));
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer::default()));
        let config = match shown {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let key = PrivateKeyDer::try_from(pair.key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![pair.certificate.der().clone()], key).unwrap()
            }
        };
        Self { config, name: "mx.example" }.resuming(false)
    }

    pub(crate) fn resuming(mut self, wanted: bool) -> Self {
        self.config.resumption =
            if wanted { Resumption::in_memory_sessions(16) } else { Resumption::disabled() };
        self
    }

    /// RFC 7250, in both directions: keys and no certificates.
    pub(crate) fn bare(pair: &Pair) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(pair.key.serialize_der()).unwrap();
        let key = provider.key_provider.load_private_key(key).unwrap();
        let spki = CertificateDer::from(pair.key.subject_public_key_info());
        let shown = Arc::new(CertifiedKey::new(vec![spki], key));
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer { raw_public_keys: true }))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(shown)));
        Self { config, name: "mx.example" }.resuming(false)
    }

    pub(crate) async fn shake(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(self.name).unwrap();
        TlsConnector::from(Arc::new(self.config.clone())).connect(name, stream).await
    }
}

/// What a client saw of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) version: ProtocolVersion,
    pub(crate) leaf: Vec<u8>,
    pub(crate) resumed: bool,
}

pub(crate) fn seen(stream: &TlsStream<TcpStream>) -> Seen {
    let connection = stream.get_ref().1;
    Seen {
        version: connection.protocol_version().unwrap(),
        leaf: connection.peer_certificates().unwrap()[0].to_vec(),
        resumed: connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
    }
}

impl Server {
    /// A client that has said EHLO, STARTTLS and EHLO again.
    pub(crate) async fn sealed(&self, hands: &Hands) -> (Client<TlsStream<TcpStream>>, Seen) {
        let mut client = self.client().await;
        client.say("STARTTLS\r\n").await;
        assert_eq!(client.reply().await, "220 2.0.0 Ready to start TLS");
        let stream = hands.shake(client.into_inner()).await.unwrap();
        let seen = seen(&stream);
        let mut client = Client::new(stream);
        client.say("EHLO client.example\r\n").await;
        (client, seen)
    }
}
