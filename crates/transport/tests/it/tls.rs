//! Handshakes: who completes one, who does not, and what is told of them.

use std::{sync::Arc, time::Duration};

use rustls::{
    HandshakeKind, ServerConfig,
    version::{TLS12, TLS13},
};
use tokio::join;
use waxseal_transport::{
    Cause, Connector, OpenError, OpenReport, OpenRequest, Settings, Stage, StarttlsOutcome, TlsUse,
};
use waxseal_types::{ClientCertificate, TlsDemand, TlsShape};

use crate::peer::{Peer, Wire, cleared, connector, message, plain_server, server, settings, shape};

/// A session by STARTTLS with this server; what each side says of the handshake.
async fn shake(
    connector: &Connector,
    peer: &Peer,
    request: &OpenRequest,
    server: &Arc<ServerConfig>,
) -> (Result<OpenReport, OpenError>, Option<HandshakeKind>) {
    let serve = async {
        let mut wire = peer.accept().await;
        wire.greet(&["STARTTLS"]).await;
        let Ok((mut wire, kind)) = wire.starttls(server).await else { return None };
        wire.ehlo(&["PIPELINING"]).await;
        // Tickets are sent ahead of this reply; the client has read them when it has read it.
        kind
    };
    let open = async {
        let opened = connector.open(request).await?;
        Ok(opened.report)
    };
    join!(open, serve)
}

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../fixtures/", $name)).as_slice()
    };
}

#[tokio::test]
async fn any_certificate_completes_a_handshake_with_its_own_key() {
    let p256 = fixture!("p256.key");
    let expired = {
        let key = rcgen::KeyPair::from_pem(std::str::from_utf8(p256).unwrap()).unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["mx.example".into()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        params.self_signed(&key).unwrap().pem()
    };
    let table = [
        ("plain", fixture!("plain.pem"), p256),
        ("expired", expired.as_bytes(), p256),
        ("version 1", fixture!("v1.pem"), p256),
        ("CA without serverAuth or digitalSignature", fixture!("ca_leaf.pem"), p256),
        ("unknown critical extension", fixture!("critical.pem"), p256),
        ("garbage in subjectAltName", fixture!("garbage_san.pem"), p256),
        ("signed with SHA-1", fixture!("sha1.pem"), p256),
        ("no subject", fixture!("no_subject.pem"), p256),
        ("P-384", fixture!("p384.pem"), fixture!("p384.key")),
        ("P-521", fixture!("p521.pem"), fixture!("p521.key")),
        ("Ed25519", fixture!("ed25519.pem"), fixture!("ed25519.key")),
        ("RSA", fixture!("rsa2048.pem"), fixture!("rsa2048.key")),
    ];
    let connector = connector();
    for (name, certificate, key) in table {
        for (version, word) in [(&TLS12, "TLSv1.2"), (&TLS13, "TLSv1.3")] {
            let (peer, server) = (Peer::bind().await, server(certificate, key, &[version]));
            let request = peer.request(TlsUse::Required(shape(Some("mx.example"))));
            let (report, _) = shake(&connector, &peer, &request, &server).await;
            let report = report.unwrap_or_else(|error| panic!("{name}, {word}: {error}"));
            let facts = report.facts().unwrap();
            assert_eq!(facts.protocol, word, "{name}");
            assert_eq!(
                (facts.chain.len(), facts.resumed, facts.client_certificate),
                (1, false, false),
                "{name}"
            );
            assert_eq!(facts.sni.as_ref().map(|sni| sni.as_str()), Some("mx.example"));
            assert_eq!(facts.group, Some("X25519"));
            assert!(report.ehlo.pipelining && !report.ehlo.starttls);
        }
    }
}

#[tokio::test]
async fn a_certificate_of_somebody_else_does_not() {
    let connector = connector();
    let wrong = [
        (fixture!("plain.pem"), fixture!("other.key")),
        (fixture!("v1.pem"), fixture!("other.key")),
        (fixture!("p384.pem"), fixture!("p256.key")),
        (fixture!("rsa2048.pem"), fixture!("p256.key")),
        (fixture!("plain.pem"), fixture!("rsa2048.key")),
        (fixture!("ed25519.pem"), fixture!("p256.key")),
    ];
    for (certificate, key) in wrong {
        for version in [&TLS12, &TLS13] {
            let (peer, server) = (Peer::bind().await, server(certificate, key, &[version]));
            let request = peer.request(TlsUse::IfOffered(shape(None)));
            let error = shake(&connector, &peer, &request, &server).await.0.unwrap_err();
            assert_eq!(error.stage, Stage::Tls);
            assert!(
                matches!(&error.cause, Cause::Handshake(text) if text.contains("BadSignature")),
                "{error}"
            );
            assert!(error.report.facts().is_none());
        }
    }
}

#[tokio::test]
async fn sessions_are_resumed_by_the_same_shape_and_by_no_other() {
    for version in [&TLS12, &TLS13] {
        let (peer, connector, server) = (Peer::bind().await, connector(), plain_server(&[version]));
        let request = peer.request(TlsUse::IfOffered(shape(Some("mx.example"))));
        let both = async |connector: &Connector, request: &OpenRequest| {
            let (report, kind) = shake(connector, &peer, request, &server).await;
            let resumed = report.unwrap().facts().unwrap().resumed;
            assert_eq!(resumed, kind == Some(HandshakeKind::Resumed), "both ends see the same");
            resumed
        };
        assert!(!both(&connector, &request).await);
        assert!(both(&connector, &request).await);
        // Whether TLS was a wish or a need makes no difference to the session; the chain is judged anew.
        let required = OpenRequest { tls: TlsUse::Required(shape(Some("mx.example"))), ..request.clone() };
        assert!(both(&connector, &required).await);
        // A sibling on another core shares the cache.
        assert!(both(&connector.sibling(), &request).await);

        let other_name =
            OpenRequest { tls: TlsUse::IfOffered(shape(Some("mx2.example"))), ..request.clone() };
        assert!(!both(&connector, &other_name).await);
        let other_suites = TlsShape { suites: crate::peer::SUITES[1..].into(), ..shape(Some("mx.example")) };
        assert!(
            !both(&connector, &OpenRequest { tls: TlsUse::IfOffered(other_suites), ..request.clone() }).await
        );
        assert!(!both(&connector.clone(), &OpenRequest { resume: false, ..request.clone() }).await);
        assert!(both(&connector, &request).await, "the full handshake left a new session");
    }
}

#[tokio::test]
async fn a_resumed_session_shows_the_chain_of_its_first_handshake() {
    let (peer, connector, server) = (Peer::bind().await, connector(), plain_server(&[&TLS13]));
    let request = peer.request(TlsUse::IfOffered(shape(None)));
    let first = shake(&connector, &peer, &request, &server).await.0.unwrap();
    let second = shake(&connector, &peer, &request, &server).await.0.unwrap();
    assert!(second.facts().unwrap().resumed);
    assert_eq!(first.facts().unwrap().chain, second.facts().unwrap().chain);
}

#[tokio::test]
async fn sessions_grow_old() {
    let (peer, server) = (Peer::bind().await, plain_server(&[&TLS13]));
    let none = Settings { session_cache_timeout: Duration::ZERO, ..settings() };
    let short = Settings { session_cache_timeout: Duration::from_nanos(1), ..settings() };
    for settings in [none, short] {
        let connector = Connector::new(settings).unwrap();
        let request = peer.request(TlsUse::IfOffered(shape(None)));
        shake(&connector, &peer, &request, &server).await.0.unwrap();
        let (second, kind) = shake(&connector, &peer, &request, &server).await;
        assert!(!second.unwrap().facts().unwrap().resumed);
        assert_eq!(kind, Some(HandshakeKind::Full));
    }
}

#[tokio::test]
async fn octets_injected_behind_the_220_are_thrown_away_and_counted() {
    let injected = "250-evil.example\r\n250-DSN\r\n250 SIZE 1\r\n";
    let (connector, server) = (connector(), plain_server(rustls::ALL_VERSIONS));
    for extra in [injected, "x"] {
        let peer = Peer::bind().await;
        let request = peer.request(TlsUse::IfOffered(shape(None)));
        let serve = async {
            let mut wire = peer.accept().await;
            wire.greet(&["STARTTLS", "CHUNKING"]).await;
            assert_eq!(wire.line().await, "STARTTLS");
            wire.say(&format!("220 go ahead\r\n{extra}")).await;
            let (mut wire, _) = wire.handshake(&server).await.unwrap();
            wire.ehlo(&["PIPELINING"]).await;
        };
        let report = join!(connector.open(&request), serve).0.unwrap().report;
        assert_eq!(report.injected, extra.len());
        // RFC 3207 §4.2: neither the injected keywords nor those from before TLS are believed.
        let ehlo = &report.ehlo;
        assert!(ehlo.pipelining && !ehlo.dsn && !ehlo.size && !ehlo.chunking);
    }
}

#[tokio::test]
async fn handshakes_that_fail_are_told_as_such() {
    type Script = (&'static str, fn(Wire) -> std::pin::Pin<Box<dyn Future<Output = ()>>>, &'static str);
    async fn offered(wire: &mut Wire) {
        wire.greet(&["STARTTLS"]).await;
        assert_eq!(wire.line().await, "STARTTLS");
        wire.say("220 go ahead\r\n").await;
    }
    let scripts: [Script; 4] = [
        (
            "plaintext instead of a ServerHello",
            |mut wire| {
                Box::pin(async move {
                    offered(&mut wire).await;
                    wire.octets().await;
                    wire.say("500 what is this?\r\n").await;
                    wire.octets().await;
                })
            },
            "InvalidContentType",
        ),
        (
            "closed",
            |mut wire| {
                Box::pin(async move {
                    offered(&mut wire).await;
                    wire.octets().await;
                })
            },
            "lost connection",
        ),
        (
            "no version in common",
            |wire| Box::pin(async move { refuse(wire, &plain_server(&[&TLS12])).await }),
            "ProtocolVersion",
        ),
        (
            "silent",
            |mut wire| {
                Box::pin(async move {
                    offered(&mut wire).await;
                    while !wire.octets().await.is_empty() {}
                })
            },
            "timed out",
        ),
    ];
    async fn refuse(mut wire: Wire, server: &Arc<ServerConfig>) {
        wire.greet(&["STARTTLS"]).await;
        assert!(wire.starttls(server).await.is_err());
    }
    for (name, script, expected) in scripts {
        let peer = Peer::bind().await;
        let starttls_timeout =
            if name == "silent" { Duration::from_millis(50) } else { Duration::from_secs(60) };
        let connector = Connector::new(Settings { starttls_timeout, ..settings() }).unwrap();
        let only13 = TlsShape { tls12: false, ..shape(None) };
        let request = peer.request(TlsUse::IfOffered(only13));
        let serve = async { script(peer.accept().await).await };
        let error = join!(connector.open(&request), serve).0.map(|_| ()).unwrap_err();
        assert_eq!(error.stage, Stage::Tls, "{name}");
        assert!(error.cause.to_string().contains(expected), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_shape_without_suites_is_a_fault_of_the_configuration() {
    let (peer, connector) = (Peer::bind().await, connector());
    let request = peer.request(TlsUse::IfOffered(TlsShape { suites: [].into(), ..shape(None) }));
    let serve = async {
        let mut wire = peer.accept().await;
        wire.greet(&["STARTTLS"]).await;
        wire.line().await;
        wire.say("220 go\r\n").await;
    };
    let error = join!(connector.open(&request), serve).0.map(|_| ()).unwrap_err();
    assert!(matches!(error.cause, Cause::Configuration(_)), "{error}");
}

/// An ordinary certificate, unlike those of the fixtures.
fn client_certificate() -> Vec<u8> {
    let key = rcgen::KeyPair::from_pem(std::str::from_utf8(fixture!("p256.key")).unwrap()).unwrap();
    rcgen::CertificateParams::new(vec!["client.example".into()])
        .unwrap()
        .self_signed(&key)
        .unwrap()
        .der()
        .to_vec()
}

/// A server that asks for a client certificate; `mandatory` ones refuse who has none.
fn asking(mandatory: bool) -> Arc<ServerConfig> {
    use rustls::{
        RootCertStore,
        pki_types::{CertificateDer, pem::PemObject},
        server::WebPkiClientVerifier,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(client_certificate().into()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let verifier = if mandatory { verifier } else { verifier.allow_unauthenticated() };
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(fixture!("p256.key")).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![CertificateDer::from_pem_slice(fixture!("plain.pem")).unwrap()], key)
        .unwrap();
    Arc::new(config)
}

#[tokio::test]
async fn a_client_certificate_is_shown_when_it_is_asked_for() {
    use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
    let client = ClientCertificate {
        chain: vec![client_certificate()],
        key: PrivateKeyDer::from_pem_slice(fixture!("p256.key")).unwrap().secret_der().to_vec(),
    };
    let with = TlsShape { client: [client].into(), ..shape(None) };
    let table = [
        (with.clone(), asking(false), true),
        (with, plain_server(&[&TLS13]), false),
        (shape(None), asking(false), false),
    ];
    let connector = connector();
    for (shape, server, shown) in table {
        let peer = Peer::bind().await;
        let request = peer.request(TlsUse::IfOffered(shape));
        let report = shake(&connector, &peer, &request, &server).await.0.unwrap();
        assert_eq!(report.facts().unwrap().client_certificate, shown);
    }
}

#[tokio::test]
async fn a_client_certificate_that_is_missed_is_a_failed_handshake_though_it_is_told_late() {
    let (peer, connector, server) = (Peer::bind().await, connector(), asking(true));
    let request = peer.request(TlsUse::IfOffered(shape(None)));
    let error = shake(&connector, &peer, &request, &server).await.0.unwrap_err();
    assert_eq!(error.stage, Stage::Tls);
    assert!(
        matches!(&error.cause, Cause::Handshake(text) if text.contains("CertificateRequired")),
        "{error}"
    );
}

#[tokio::test]
async fn mail_goes_over_tls_and_close_notify_is_not_needed_for_a_final_reply() {
    let (peer, connector, server) = (Peer::bind().await, connector(), plain_server(&[&TLS13]));
    let request = peer.request(TlsUse::Required(shape(None)));
    let client = async {
        let opened = connector.open(&request).await.unwrap();
        assert!(matches!(opened.report.starttls, StarttlsOutcome::Established(_)));
        let mut session = opened.session;
        let demand = TlsDemand::Encrypted;
        let clearance = cleared(&session, &demand, None);
        let body: &'static [u8] = Vec::leak(b"0123456789abcdef0123456789abcdef\r\n".repeat(20_000));
        let first = session.send(&clearance, &message(&demand, &["r@b.example"], body)).await;
        let second = session.send(&clearance, &message(&demand, &["r@b.example"], b".a\r\n")).await;
        (first, second)
    };
    let serve = async {
        let mut wire = peer.accept().await;
        wire.greet(&["STARTTLS"]).await;
        let (mut wire, _) = wire.starttls(&server).await.unwrap();
        wire.ehlo(&["PIPELINING"]).await;
        assert_eq!(wire.take_message().await.len(), 20_000 * 34 + 3);
        assert_eq!(wire.take_message().await, "..a\r\n.\r\n");
        // Gone without a close_notify.
    };
    let ((first, second), ()) = join!(client, serve);
    assert!(matches!(first.recipients[0].1, waxseal_transport::RcptOutcome::Delivered(_)));
    assert!(matches!(second.recipients[0].1, waxseal_transport::RcptOutcome::Delivered(_)));
}
