//! Sessions that come about, and those that do not.

use std::time::Duration;

use tokio::join;
use waxseal_transport::{
    Cause, Connector, OpenError, OpenRequest, Opened, Settings, Stage, StarttlsOutcome, TlsUse,
};

use crate::peer::{Peer, Wire, connector, plain_server, settings, shape};

/// Opens a session while `server` plays its part from the first octet.
async fn open_with<F>(
    settings: Settings,
    tls: TlsUse,
    server: impl FnOnce(Wire) -> F,
) -> Result<Opened, OpenError>
where
    F: Future<Output = ()>,
{
    let (peer, connector) = (Peer::bind().await, Connector::new(settings).unwrap());
    let request = peer.request(tls);
    let client = connector.open(&request);
    let server = async { server(peer.accept().await).await };
    join!(client, server).0
}

fn failed(result: Result<Opened, OpenError>) -> (Stage, Cause) {
    let error = result.map(|_| ()).unwrap_err();
    (error.stage, error.cause)
}

#[tokio::test]
async fn refusals_are_told_with_their_stage() {
    let table: [(&[&str], &str); 6] = [
        (&["554 go away\r\n"], "server said: 554 go away while receiving the initial server greeting"),
        (&["421 busy\r\n"], "server said: 421 busy while receiving the initial server greeting"),
        (&["354 what\r\n"], "server said: 354 what while receiving the initial server greeting"),
        (&["220 a\r\n", "421 busy\r\n"], "server said: 421 busy while performing the EHLO handshake"),
        (
            &["220 a\r\n", "500 what\r\n", "550 no\r\n"],
            "server said: 550 no while performing the EHLO handshake",
        ),
        (
            &["SSH-2.0-x\r\n"],
            "protocol error: not an SMTP reply: \"SSH-2.0-x\" while receiving the initial server greeting",
        ),
    ];
    for (script, expected) in table {
        let result = open_with(settings(), TlsUse::Never, async |mut wire| {
            wire.say(script[0]).await;
            for reply in &script[1..] {
                wire.line().await;
                wire.say(reply).await;
            }
            let rest = wire.flight().await;
            assert!(rest.is_empty() || rest == "QUIT\r\n", "{rest:?}");
        })
        .await;
        assert_eq!(result.map(|_| ()).unwrap_err().to_string(), expected);
    }
}

#[tokio::test]
async fn servers_that_close_or_stay_silent_are_given_up() {
    let closed = open_with(settings(), TlsUse::Never, async |wire| drop(wire)).await;
    assert_eq!(failed(closed), (Stage::Greeting, Cause::Lost));
    let quick = Settings { helo_timeout: Duration::from_millis(40), ..settings() };
    let silent =
        open_with(quick.clone(), TlsUse::Never, async |mut wire| assert_eq!(wire.flight().await, "")).await;
    assert_eq!(failed(silent), (Stage::Greeting, Cause::Timeout));
    let silent = open_with(quick, TlsUse::Never, async |mut wire| {
        wire.say("220 a\r\n").await;
        wire.until("never").await;
    })
    .await;
    assert_eq!(failed(silent), (Stage::Hello, Cause::Timeout));
}

#[tokio::test]
async fn nobody_listens() {
    let peer = Peer::bind().await;
    let request = peer.request(TlsUse::Never);
    drop(peer);
    let (stage, cause) = failed(connector().open(&request).await);
    assert_eq!(stage, Stage::Connect);
    assert!(matches!(cause, Cause::Io(std::io::ErrorKind::ConnectionRefused, _)), "{cause:?}");
}

#[tokio::test]
async fn a_server_with_our_own_name_is_ourselves_on_the_port_of_mail_only() {
    for own_port in [true, false] {
        let (peer, request);
        peer = Peer::bind().await;
        request = peer.request(TlsUse::Never);
        let loop_port = if own_port { peer.address.port() } else { 25 };
        let connector = Connector::new(Settings { loop_port, ..settings() }).unwrap();
        let server = async {
            let mut wire = peer.accept().await;
            wire.say("220 client.example\r\n").await;
            wire.line().await;
            wire.say("250 Client.Example at your service\r\n").await;
        };
        let result = join!(connector.open(&request), server).0;
        if own_port {
            assert_eq!(failed(result), (Stage::Hello, Cause::LoopsToSelf));
        } else {
            result.unwrap();
        }
    }
}

#[tokio::test]
async fn starttls_that_cannot_be_had() {
    // Keywords, reply to STARTTLS, outcome where it is only wished for, cause where it is required.
    let table: [(&[&str], Option<&str>, &str); 6] = [
        (&[], None, "TLS is required, but was not offered"),
        (&["XSTARTTLS"], None, "TLS is required, but was not offered"),
        (&["STARTTLS"], Some("454 not now"), "TLS is required, but STARTTLS was refused: 454 not now"),
        (&["STARTTLS"], Some("502 what"), "TLS is required, but STARTTLS was refused: 502 what"),
        (&["STARTTLS"], Some("354 what"), "TLS is required, but STARTTLS was refused: 354 what"),
        (&["starttls"], Some("554 no"), "TLS is required, but STARTTLS was refused: 554 no"),
    ];
    for (keywords, reply, cause) in table {
        let script = async |mut wire: Wire| {
            wire.greet(keywords).await;
            if let Some(reply) = reply {
                assert_eq!(wire.line().await, "STARTTLS");
                wire.say(&format!("{reply}\r\n")).await;
            }
            let rest = wire.flight().await;
            assert!(rest.is_empty() || rest == "QUIT\r\n", "{rest:?}");
        };
        let required = open_with(settings(), TlsUse::Required(shape(None)), script).await;
        assert_eq!(required.map(|_| ()).unwrap_err().cause.to_string(), cause);
        let wished = open_with(settings(), TlsUse::IfOffered(shape(None)), async |wire| {
            // The client keeps the session; the script ends where it would wait for it.
            let _ = tokio::time::timeout(Duration::from_millis(20), script(wire)).await;
        });
        let opened = wished.await.unwrap();
        let expected = reply.is_some();
        assert_eq!(matches!(opened.report.starttls, StarttlsOutcome::Refused(_)), expected, "{keywords:?}");
        assert_eq!(opened.report.starttls_offered, expected);
        assert!(opened.session.facts().is_none());
    }
}

#[tokio::test]
async fn helo_is_taken_where_ehlo_is_not_known_and_has_no_tls() {
    let script = async |mut wire: Wire| {
        wire.say("220 a\r\n").await;
        assert_eq!(wire.line().await, "EHLO client.example");
        wire.say("502 what\r\n").await;
        assert_eq!(wire.line().await, "HELO client.example");
        wire.say("250-mx\r\n250 STARTTLS\r\n").await;
    };
    let opened = open_with(settings(), TlsUse::IfOffered(shape(None)), script).await.unwrap();
    assert_eq!(opened.report.starttls, StarttlsOutcome::EhloRefused);
    assert!(!opened.report.ehlo.extended && !opened.report.ehlo.starttls);
    let required = open_with(settings(), TlsUse::Required(shape(None)), script).await;
    assert_eq!(failed(required), (Stage::StartTls, Cause::NotOffered));
}

#[tokio::test]
async fn endless_replies_are_cut_off() {
    for endless in ["2".repeat(10 << 10), "250-x\r\n".repeat(10_000)] {
        let result = open_with(settings(), TlsUse::Never, async |mut wire| {
            wire.say(&endless).await;
            wire.flight().await;
        })
        .await;
        assert!(matches!(failed(result), (Stage::Greeting, Cause::Protocol(_))));
    }
}

#[tokio::test]
async fn implicit_tls_comes_before_the_greeting() {
    let server = plain_server(rustls::ALL_VERSIONS);
    let opened = open_with(settings(), TlsUse::Implicit(shape(None)), async |wire| {
        let (mut wire, _) = wire.handshake(&server).await.unwrap();
        wire.greet(&["STARTTLS"]).await;
    })
    .await
    .unwrap();
    assert_eq!(opened.session.facts().unwrap().protocol, "TLSv1.3");
    assert!(opened.report.times.total >= opened.report.times.tls);
}

#[tokio::test]
async fn the_source_address_is_as_configured() {
    let bound = Settings { bind_address: Some("127.0.0.77".parse().unwrap()), ..settings() };
    let (peer, connector) = (Peer::bind().await, Connector::new(bound).unwrap());
    let request: OpenRequest = peer.request(TlsUse::Never);
    let server = async {
        let (mut wire, from) = peer.accept_from().await;
        wire.greet(&[]).await;
        from
    };
    let (opened, from) = join!(connector.open(&request), server);
    opened.unwrap();
    assert_eq!(from.ip().to_string(), "127.0.0.77");
}

#[test]
fn a_connector_is_not_made_of_nonsense() {
    for name in ["", "a b", "a\r\nQUIT", "mx.example\0"] {
        assert!(
            Connector::new(Settings { helo_name: name.into(), ..Settings::default() }).is_err(),
            "{name:?}"
        );
    }
    assert!(Connector::new(Settings { groups: Vec::new(), ..settings() }).is_err());
    assert!(Connector::new(Settings { helo_name: "[192.0.2.1]".into(), ..Settings::default() }).is_ok());
}
