//! The verifier in a rustls client, against a rustls server, in memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]
#![cfg(feature = "rustls")]

mod common;

use std::sync::Arc;

use rustls::{
    ClientConfig, ClientConnection, ServerConfig, ServerConnection,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use sha2::Digest as _;
use waxseal_trust::{AnchorRules, spki_of};
use waxseal_types::{DigestAlgorithm, Fingerprint, FingerprintDemand, Tlsa};
use waxseal_verify::{Verifier, VerifierPolicy};

fn handshake(policy: VerifierPolicy, name: &str, chain: &[Vec<u8>], key: &[u8]) -> Result<(), rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier::new(policy, provider.clone())))
        .with_no_client_auth();
    let chain = chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::try_from(key.to_vec()).expect("a key"))?;
    let mut client =
        ClientConnection::new(Arc::new(client), ServerName::try_from(name.to_owned()).expect("a name"))?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    for _ in 0..10 {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).expect("memory");
        server.read_tls(&mut wire.as_slice()).expect("memory");
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).expect("memory");
        client.read_tls(&mut wire.as_slice()).expect("memory");
        client.process_new_packets()?;
        if !client.is_handshaking() && !server.is_handshaking() {
            return Ok(());
        }
    }
    Err(rustls::Error::HandshakeNotComplete)
}

#[test]
fn a_rustls_client_judges_by_anchors_pins_or_tlsa_records() {
    let ca = common::root("Root");
    let mut params = rcgen::CertificateParams::new(["mx.example.com".to_owned()]).unwrap();
    common::name(&mut params, "leaf");
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &ca.issuer()).unwrap().der().to_vec();
    let print = sha2::Sha256::digest(spki_of(&leaf).unwrap()).to_vec();
    let pins = |print: Vec<u8>| {
        let accepted = Arc::new([Fingerprint(print)]);
        VerifierPolicy::Pins(FingerprintDemand { digest: DigestAlgorithm::Sha256, accepted })
    };
    let trust = |ca: &common::Ca| {
        VerifierPolicy::Anchors(Arc::new(common::anchors(
            AnchorRules::Explicit,
            std::slice::from_ref(&ca.der),
        )))
    };
    let tlsa = |usage, data: &[u8]| VerifierPolicy::Dane(Arc::new([Tlsa::new(usage, 1, 1, data)]));
    let root_print = sha2::Sha256::digest(spki_of(&ca.der).unwrap()).to_vec();
    let table = [
        (trust(&ca), "mx.example.com", true),
        (trust(&ca), "other.example.com", false),
        (trust(&common::root("Other")), "mx.example.com", false),
        (pins(print.clone()), "other.example.com", true),
        (pins(vec![0; 32]), "mx.example.com", false),
        (tlsa(3, &print), "other.example.com", true),
        (tlsa(3, &[0; 32]), "mx.example.com", false),
        (tlsa(2, &root_print), "mx.example.com", true),
        (tlsa(2, &root_print), "other.example.com", false),
    ];
    for (policy, name, expected) in table {
        let outcome = handshake(policy.clone(), name, &[leaf.clone(), ca.der.clone()], &key.serialize_der());
        assert_eq!(outcome.is_ok(), expected, "{policy:?} {name}: {outcome:?}");
    }
}
