//! A scripted peer does what it was told and writes down what it saw.

use std::{sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use waxseal_testbed::{
    Act, Authority, Certificate, Gate, Handshake, Happening, Peer, Step, TlsVersions, within,
};

const LIMIT: Duration = Duration::from_secs(20);

/// Sends `line` (nothing if empty) and reads one whole reply.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), line: &str) -> String {
    if !line.is_empty() {
        stream.write_all(format!("{line}\r\n").as_bytes()).await.expect("the peer reads");
    }
    let mut reply = String::new();
    loop {
        let start = reply.len();
        while !reply.ends_with("\r\n") || reply.len() == start {
            match within(LIMIT, stream.read_u8()).await {
                Ok(byte) => reply.push(char::from(byte)),
                Err(_) => return reply,
            }
        }
        if reply.as_bytes()[start + 3] == b' ' {
            return reply;
        }
    }
}

async fn dialogue(peer: &Peer, steps: &[(&str, &str)]) -> TcpStream {
    let mut stream = TcpStream::connect(peer.addr()).await.expect("the peer listens");
    for (line, expected) in steps {
        let reply = ask(&mut stream, line).await;
        assert!(reply.starts_with(expected), "{line}: {reply}");
    }
    stream
}

fn client(authority: &Authority) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.root_der().to_vec().into()).expect("a root");
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

async fn sealed(peer: &Peer, config: Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = dialogue(peer, &[("", "220 "), ("EHLO a", "250-"), ("STARTTLS", "220 ")]).await;
    let name = ServerName::try_from("mx.example.com").expect("a name");
    TlsConnector::from(config).connect(name, stream).await
}

const DELIVERY: &[(&str, &str)] = &[
    ("", "220 "),
    ("EHLO client", "250-peer.test"),
    ("MAIL FROM:<a@a.test> SIZE=12", "250 "),
    ("RCPT TO:<b@b.test> NOTIFY=NEVER", "250 "),
    ("DATA", "354 "),
    ("Subject: x\r\n\r\n..dot\r\n.", "250 "),
    ("QUIT", "221 "),
];

#[tokio::test]
async fn a_message_is_recorded_as_it_was_meant() {
    let peer = Peer::builder().start().await.expect("starts");
    dialogue(&peer, DELIVERY).await;
    let messages = within(LIMIT, peer.wait_for(1)).await;
    let message = &messages[0];
    assert_eq!(message.sender, "a@a.test");
    assert_eq!(message.recipients, ["b@b.test"]);
    assert_eq!(message.parameters, ["SIZE=12"]);
    assert_eq!(message.recipient_parameters, [["NOTIFY=NEVER"]]);
    assert_eq!(message.text(), "Subject: x\r\n\r\n.dot\r\n");
    assert_eq!(message.header("subject").as_deref(), Some("x"));
    assert_eq!(message.tls, None);
    assert_eq!(peer.commands().len(), 5);
}

#[tokio::test]
async fn replies_follow_the_script_connection_by_connection() {
    let builder = Peer::builder().greeting("421 4.3.2 busy").then().greeting("220-a\n220 b");
    let builder =
        builder.reply_to_mail("250 ok").reply_to_recipient("x@x", "550 5.1.1 no").reply_to_data("451 later");
    let builder = builder.on_each(Step::Rset, ["250 one", "451 two"]);
    let peer = builder.start().await.expect("starts");
    dialogue(&peer, &[("", "421 4.3.2 busy")]).await;
    for _ in 0..2 {
        let steps = [
            ("", "220-a\r\n220 b"),
            ("HELO a", "250 "),
            ("MAIL FROM:<>", "250 ok"),
            ("RCPT TO:<x@x>", "550 5.1.1"),
            ("RCPT TO:<y@x>", "250 "),
            ("DATA", "451 later"),
            ("RSET", "250 one"),
            ("RSET", "451 two"),
            ("RSET", "451 two"),
            ("NONSENSE", "500 "),
        ];
        dialogue(&peer, &steps).await;
    }
    assert_eq!(peer.connections(), 3);
}

#[tokio::test]
async fn chunks_make_a_message() {
    let peer = Peer::builder().start().await.expect("starts");
    let steps = [
        ("", "220 "),
        ("EHLO a", "250-"),
        ("MAIL FROM:<>", "250 "),
        ("RCPT TO:<y@x>", "250 "),
        ("BDAT 4\r\n.\r", "250 "),
        ("BDAT 3 LAST\r\na", "250 "),
    ];
    dialogue(&peer, &steps).await;
    let messages = within(LIMIT, peer.wait_for(1)).await;
    assert!(messages[0].chunked);
    assert_eq!(messages[0].data, b".\r\r\na\r\n");
}

#[tokio::test]
async fn lmtp_answers_for_each_recipient() {
    let builder = Peer::builder().lmtp().on_each(Step::Dot, ["250 one", "452 two"]);
    let peer = builder.start().await.expect("starts");
    let steps = [
        ("", "220 "),
        ("EHLO a", "500 "),
        ("LHLO a", "250-"),
        ("MAIL FROM:<>", "250 "),
        ("RCPT TO:<y@x>", "250 "),
        ("RCPT TO:<z@x>", "250 "),
        ("DATA", "354 "),
        ("x\r\n.", "250 one"),
        ("", "452 two"),
    ];
    dialogue(&peer, &steps).await;
    assert_eq!(within(LIMIT, peer.wait_for(1)).await[0].recipients, ["y@x", "z@x"]);
}

#[tokio::test]
async fn a_session_is_resumed_and_both_ends_know() {
    let authority = Authority::new("CA").expect("a CA");
    for versions in [TlsVersions::Tls12, TlsVersions::Tls13] {
        let certificate = authority.leaf(&["mx.example.com"]).issue().expect("a leaf");
        let peer = Peer::builder().starttls(certificate).versions(versions).start().await.expect("starts");
        let config = client(&authority);
        for resumed in [false, true] {
            let mut stream = sealed(&peer, Arc::clone(&config)).await.expect("a handshake");
            assert!(!ask(&mut stream, "EHLO a").await.contains("STARTTLS"));
            let kind = stream.get_ref().1.handshake_kind();
            assert_eq!(kind == Some(rustls::HandshakeKind::Resumed), resumed, "{versions:?}");
        }
        let seen: Vec<bool> = peer.handshakes().iter().map(|seen| seen.resumed).collect();
        assert_eq!(seen, [false, true]);
        assert_eq!(peer.handshakes()[0].sni.as_deref(), Some("mx.example.com"));
    }
}

#[tokio::test]
async fn wrong_certificates_are_wrong() {
    let authority = Authority::new("CA").expect("a CA");
    let other = Authority::new("Another CA").expect("a CA");
    let leaf = || authority.leaf(&["mx.example.com"]);
    for (certificate, expected) in [
        (leaf().issue(), ""),
        (leaf().from_root().issue(), ""),
        (leaf().expired().issue(), "Expired"),
        (leaf().not_yet_valid().issue(), "NotValidYet"),
        (leaf().without_intermediate().issue(), "UnknownIssuer"),
        (leaf().with_wrong_key().issue(), "BadSignature"),
        (other.leaf(&["mx.example.com"]).issue(), "UnknownIssuer"),
        (authority.leaf(&["mx.example.org"]).issue(), "NotValidForName"),
        (Certificate::self_signed(&["mx.example.com"]).issue(), "UnknownIssuer"),
    ] {
        let peer = Peer::builder().starttls(certificate.expect("a leaf")).start().await.expect("starts");
        let outcome = sealed(&peer, client(&authority)).await;
        let error = outcome.err().map(|error| format!("{error:?}")).unwrap_or_default();
        let fits = if expected.is_empty() { error.is_empty() } else { error.contains(expected) };
        assert!(fits, "expected {expected:?}: {error}");
    }
}

#[tokio::test]
async fn a_peer_breaks_handshakes_as_told() {
    let authority = Authority::new("CA").expect("a CA");
    for handshake in [Handshake::Eof, Handshake::Reset, Handshake::Garbage(b"500 what?\r\n".to_vec())] {
        let certificate = authority.leaf(&["mx.example.com"]).issue().expect("a leaf");
        let builder = Peer::builder().starttls(certificate).handshake(handshake.clone());
        let peer = builder.start().await.expect("starts");
        assert!(sealed(&peer, client(&authority)).await.is_err(), "{handshake:?}");
        assert_eq!(peer.handshakes(), []);
    }
}

#[tokio::test]
async fn injected_bytes_come_in_clear_behind_the_reply() {
    let authority = Authority::new("CA").expect("a CA");
    let certificate = authority.leaf(&["mx.example.com"]).issue().expect("a leaf");
    let builder = Peer::builder().starttls(certificate).inject_behind_starttls("250 evil\r\n");
    let peer = builder.start().await.expect("starts");
    let mut stream = dialogue(&peer, &[("", "220 "), ("EHLO a", "250-"), ("STARTTLS", "220 ")]).await;
    assert_eq!(ask(&mut stream, "").await, "250 evil\r\n");
    stream.write_all(b"NOOP\r\n").await.expect("the peer reads");
    let clear = Happening::ClearBehindStarttls(vec![b'N']);
    within(LIMIT, peer.wait_until(|events| events.iter().any(|event| event.what == clear))).await;
}

#[tokio::test]
async fn a_gate_holds_a_reply_until_it_opens() {
    let gate = Gate::new();
    let held = Act::Hold(gate.clone(), Box::new(Act::from("250 at last")));
    let peer = Peer::builder().reply_to_dot(held).start().await.expect("starts");
    let mut stream = dialogue(&peer, &DELIVERY[..5]).await;
    stream.write_all(b"x\r\n.\r\n").await.expect("the peer reads");
    within(LIMIT, gate.reached()).await;
    assert_eq!(peer.accepted().len(), 1, "taken before the reply");
    gate.open();
    assert_eq!(ask(&mut stream, "").await, "250 at last\r\n");
}

#[tokio::test]
async fn a_client_that_does_not_wait_is_noticed() {
    let peer = Peer::builder().without("PIPELINING").start().await.expect("starts");
    dialogue(&peer, &[("", "220 "), ("EHLO a", "250-"), ("MAIL FROM:<>\r\nRCPT TO:<y@x>", "250 ")]).await;
    let early = Happening::Early("MAIL FROM:<>".to_owned());
    within(LIMIT, peer.wait_until(|events| events.iter().any(|event| event.what == early))).await;
}

#[tokio::test]
async fn closing_and_resetting_look_so_to_the_client() {
    for (act, error) in [(Act::Close, false), (Act::Reset, true)] {
        let peer = Peer::builder().reply_to_mail(act).start().await.expect("starts");
        let mut stream = dialogue(&peer, &[("", "220 "), ("EHLO a", "250-")]).await;
        stream.write_all(b"MAIL FROM:<>\r\n").await.expect("the peer reads");
        let mut rest = Vec::new();
        assert_eq!(within(LIMIT, stream.read_to_end(&mut rest)).await.is_err(), error);
    }
}

#[tokio::test]
#[should_panic(expected = "nothing happened within")]
async fn a_deadline_names_its_place() {
    let peer = Peer::builder().greeting(Act::Hang).start().await.expect("starts");
    within(Duration::from_millis(1), peer.wait_for(1)).await;
}
