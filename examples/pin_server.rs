//! A rustls client that knows its server by the digest of its public key, and by nothing else.

use std::{error::Error, sync::Arc};

use rustls::{ClientConfig, crypto::aws_lc_rs::default_provider, pki_types::ServerName};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use waxseal_testbed::{Certificate, Peer};
use waxseal_types::{DigestAlgorithm, Fingerprint, FingerprintDemand};
use waxseal_verify::{Verifier, VerifierPolicy};

fn client(pin: &[u8]) -> Result<TlsConnector, rustls::Error> {
    let accepted = Arc::new([Fingerprint(pin.to_vec())]);
    let pins = VerifierPolicy::Pins(FingerprintDemand { digest: DigestAlgorithm::Sha256, accepted });
    let provider = Arc::new(default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier::new(pins, provider)))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    // Nobody vouches for this certificate, and its name is not the one that we call.
    let certificate = Certificate::self_signed(&["box.example.org"]).issue()?;
    let pin = Sha256::digest(certificate.public_key());
    let server = Peer::builder().implicit_tls(certificate).start().await?;
    let name = ServerName::try_from("mx.example.com")?;

    let stream = TcpStream::connect(server.addr()).await?;
    let session = client(&pin)?.connect(name.clone(), stream).await?;
    println!("the pinned key: {:?}", session.get_ref().1.protocol_version());

    let stream = TcpStream::connect(server.addr()).await?;
    match client(&[0; 32])?.connect(name, stream).await {
        Ok(_) => Err("another pin was enough".into()),
        Err(error) => {
            println!("another pin: {error}");
            Ok(())
        }
    }
}
