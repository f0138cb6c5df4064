//! Each example, run.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::default_provider,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;
use waxseal_dns::{DnssecMode, Resolver, Settings};
use waxseal_testbed::{
    Certificate, Peer,
    dns::{DnsServer, Zone},
};

#[path = "../dane_check.rs"]
mod dane_check;
#[path = "../lookup.rs"]
mod lookup;
#[path = "../pin_server.rs"]
mod pin_server;
#[path = "../schedule.rs"]
mod schedule;
#[path = "../smtp_client.rs"]
mod smtp_client;
#[path = "../verify_chain.rs"]
mod verify_chain;

#[test]
fn all_examples_come_to_a_good_end() {
    for (name, run) in [
        ("dane_check", dane_check::main as fn() -> _),
        ("lookup", lookup::main),
        ("pin_server", pin_server::main),
        ("schedule", schedule::main),
        ("smtp_client", smtp_client::main),
        ("verify_chain", verify_chain::main),
    ] {
        println!("--- {name}");
        let end: Result<(), Box<dyn std::error::Error>> = run();
        assert!(end.is_ok(), "{name}: {end:?}");
    }
}

/// Each protocol, with the right TLSA record and with somebody else's.
#[tokio::test]
async fn dane_check_takes_mail_and_web_servers() {
    let certificate = Certificate::self_signed(&["h.example.test"]).issue().expect("a certificate");
    let digest = Sha256::digest(certificate.public_key());
    let smtp = Peer::builder().starttls(certificate.clone()).start().await.expect("starts");
    let https = Peer::builder().implicit_tls(certificate.clone()).start().await.expect("starts");
    let (imap, port) = imap_server(&certificate).await;
    let servers = [("smtp", smtp.addr().port()), ("https", https.addr().port()), ("imap", port)];
    let zone = |data: &[u8]| {
        let zone = Zone::new().secure("example.test").a("h.example.test", [127, 0, 0, 1]);
        servers.iter().fold(zone, |zone, (_, port)| zone.tlsa("h.example.test", *port, (3, 1, 1), data))
    };
    for (data, good) in [(&digest[..], true), (&[0; 32], false)] {
        let dns = DnsServer::start(zone(data)).await.expect("starts");
        let settings =
            Settings { servers: vec![dns.addr()], dnssec: DnssecMode::TrustAd, ..Settings::default() };
        let resolver = Resolver::new(settings).expect("a resolver");
        for (protocol, port) in servers {
            let outcome = dane_check::check(&resolver, protocol, "h.example.test", port).await;
            println!("{outcome:?}");
            assert_eq!(outcome.is_ok(), good, "{protocol}: {outcome:?}");
        }
        let none = dane_check::check(&resolver, "smtp", "h.example.test", 1).await;
        assert!(none.expect_err("there is none").to_string().contains("no TLSA records"));
    }
    imap.abort();
}

/// As much of an IMAP server as comes before TLS (RFC 9051 §6.2.1).
async fn imap_server(certificate: &Certificate) -> (JoinHandle<()>, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem().as_bytes()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| {
            config.with_no_client_auth().with_single_cert(vec![certificate.der().to_vec().into()], key)
        })
        .expect("they fit");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let serve = async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut command = [0; 12];
            stream.write_all(b"* OK [CAPABILITY IMAP4rev2 STARTTLS] ready\r\n").await.expect("it listens");
            stream.read_exact(&mut command).await.expect("it speaks");
            assert_eq!(&command, b"a STARTTLS\r\n");
            stream.write_all(b"a OK begin\r\n").await.expect("it listens");
            // A client that does not believe the certificate says so, and goes.
            let _ = acceptor.accept(stream).await;
        }
    };
    (tokio::spawn(serve), port)
}

#[test]
fn no_example_is_longer_than_sixty_lines() {
    let folder = std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("it is there");
    let files = folder
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "rs"));
    for file in files {
        let lines = std::fs::read_to_string(&file).expect("it is text").lines().count();
        assert!(lines <= 60, "{}: {lines} lines", file.display());
    }
}
