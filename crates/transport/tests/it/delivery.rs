//! Mail over a session, and sessions that break.

use std::{sync::Arc, time::Duration};

use tokio::join;
use waxseal_transport::{
    Cause, Connector, Endpoint, OpenRequest, RcptOutcome, SessionAfter, Settings, Stage, TlsUse, Unsupported,
};
use waxseal_types::{QueueId, Service, TlsDemand};
use waxseal_verify::ClearanceError;

use crate::peer::{Peer, Wire, cleared, connector, message, settings};

const CLEAR: TlsDemand = TlsDemand::Clear;
const TEXT: &[u8] = b"Subject: x\r\n\r\n.dot\r\n.\r\nend\r\n";

/// Opens a session in clear and sends one message to `r@b.example` and `q@b.example`, while `server` plays its part after EHLO.
async fn send_to<F>(settings: Settings, server: impl FnOnce(Wire) -> F) -> waxseal_transport::Sent
where
    F: Future<Output = ()>,
{
    let (peer, connector) = (Peer::bind().await, Connector::new(settings).unwrap());
    let client = async {
        let mut session = connector.open(&peer.request(TlsUse::Never)).await.unwrap().session;
        let clearance = cleared(&session, &CLEAR, None);
        session.send(&clearance, &message(&CLEAR, &["r@b.example", "q@b.example"], TEXT)).await
    };
    let server = async {
        let mut wire = peer.accept().await;
        wire.greet(&["PIPELINING"]).await;
        server(wire).await;
    };
    join!(client, server).0
}

fn words(outcome: &RcptOutcome) -> String {
    match outcome {
        RcptOutcome::Delivered(reply) => format!("delivered {}", reply.code),
        RcptOutcome::Rejected { stage, reply } => format!("{stage:?} {}", reply.code),
        RcptOutcome::Failed { stage, cause } => format!("{stage:?}: {cause}"),
        RcptOutcome::Unsupported(why) => why.to_string(),
    }
}

fn all(sent: &waxseal_transport::Sent) -> Vec<String> {
    sent.recipients.iter().map(|(_, outcome)| words(outcome)).collect()
}

#[tokio::test]
async fn a_message_takes_two_flights_and_arrives_stuffed() {
    let sent = send_to(settings(), async |mut wire| {
        assert_eq!(
            wire.flight().await,
            "MAIL FROM:<s@a.example>\r\nRCPT TO:<r@b.example>\r\nRCPT TO:<q@b.example>\r\nDATA\r\n"
        );
        wire.say("250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n").await;
        assert_eq!(wire.flight().await, "Subject: x\r\n\r\n..dot\r\n..\r\nend\r\n.\r\n");
        wire.say("250 2.0.0 queued\r\n").await;
    })
    .await;
    assert_eq!(all(&sent), ["delivered 250", "Rcpt 550"]);
    assert_eq!((sent.session, sent.ambiguous, sent.dsn), (SessionAfter::Usable, false, false));
}

#[tokio::test]
async fn a_second_message_resets_what_the_first_one_left() {
    let (peer, connector) = (Peer::bind().await, connector());
    let client = async {
        let mut session = connector.open(&peer.request(TlsUse::Never)).await.unwrap().session;
        let clearance = cleared(&session, &CLEAR, None);
        let first = session.send(&clearance, &message(&CLEAR, &["r@b.example"], TEXT)).await;
        let second = session.send(&clearance, &message(&CLEAR, &["r@b.example"], TEXT)).await;
        session.quit().await;
        [all(&first), all(&second)].concat()
    };
    let server = async {
        let mut wire = peer.accept().await;
        wire.greet(&["PIPELINING"]).await;
        wire.until("DATA\r\n").await;
        wire.say("250 ok\r\n450 4.2.1 later\r\n503 none\r\n").await;
        assert_eq!(wire.line().await, "RSET");
        wire.say("250 ok\r\n").await;
        wire.take_message().await;
        assert_eq!(wire.line().await, "QUIT");
        assert_eq!(wire.flight().await, "", "the reply to QUIT is not waited for");
    };
    assert_eq!(join!(client, server).0, ["Rcpt 450", "delivered 250"]);
}

#[tokio::test]
async fn a_connection_lost_behind_the_final_dot_is_ambiguous_and_one_lost_before_is_not() {
    let after = send_to(settings(), async |mut wire| {
        wire.until("DATA\r\n").await;
        wire.say("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n").await;
        wire.until("\r\n.\r\n").await;
    })
    .await;
    assert_eq!(all(&after), ["EndOfData: lost connection", "EndOfData: lost connection"]);
    assert!(after.ambiguous && after.session == SessionAfter::Closed);

    // Half a reply is no reply.
    let torn = send_to(settings(), async |mut wire| {
        wire.until("DATA\r\n").await;
        wire.say("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n").await;
        wire.until("\r\n.\r\n").await;
        wire.say("250 2.0.0 queu").await;
    })
    .await;
    assert!(torn.ambiguous);
    assert_eq!(all(&torn)[0], "EndOfData: lost connection");

    let before = send_to(settings(), async |mut wire| {
        wire.until("DATA\r\n").await;
        wire.say("250 ok\r\n250 ok\r\n").await;
    })
    .await;
    assert_eq!(all(&before), ["Rcpt: lost connection", "Rcpt: lost connection"]);
    assert!(!before.ambiguous);
}

#[tokio::test]
async fn every_stage_has_its_own_time_limit() {
    let limit = Duration::from_millis(40);
    let table: [(Settings, &str, &str); 4] = [
        (Settings { mail_timeout: limit, ..settings() }, "", "Mail: timed out"),
        (Settings { rcpt_timeout: limit, ..settings() }, "250 ok\r\n", "Rcpt: timed out"),
        (
            Settings { data_init_timeout: limit, ..settings() },
            "250 ok\r\n250 ok\r\n250 ok\r\n",
            "Data: timed out",
        ),
        (
            Settings { data_done_timeout: limit, ..settings() },
            "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n",
            "EndOfData: timed out",
        ),
    ];
    for (settings, replies, expected) in table {
        let sent = send_to(settings, async |mut wire| {
            wire.until("DATA\r\n").await;
            wire.say(replies).await;
            // The client goes first.
            wire.until("never").await;
        })
        .await;
        assert_eq!(all(&sent)[0], expected);
        assert_eq!(sent.ambiguous, expected.starts_with("EndOfData"));
    }
}

#[tokio::test]
async fn a_reply_that_drips_in_is_timed_as_a_whole() {
    let limit = Duration::from_millis(60);
    let sent = send_to(Settings { mail_timeout: limit, ..settings() }, async |mut wire| {
        wire.until("DATA\r\n").await;
        for _ in 0..40 {
            wire.say("250-x\r\n").await;
            tokio::time::sleep(limit / 6).await;
            if wire_is_closed(&mut wire).await {
                break;
            }
        }
    })
    .await;
    assert_eq!(all(&sent)[0], "Mail: timed out");
}

/// Whether the client has gone, without waiting for it.
async fn wire_is_closed(wire: &mut Wire) -> bool {
    tokio::time::timeout(Duration::from_millis(1), wire.flight()).await.is_ok_and(|flight| flight.is_empty())
}

#[tokio::test]
async fn what_is_not_smtp_ends_the_session() {
    let table = [
        ("what?\r\n", "Mail: protocol error: not an SMTP reply: \"what?\""),
        ("354 go\r\n", "Mail: protocol error: unexpected reply while sending MAIL FROM: 354 go"),
        ("150 hm\r\n", "Mail: protocol error: not an SMTP reply: \"150 hm\""),
        ("421 4.3.2 shutting down\r\n", "Mail 421"),
    ];
    for (words, expected) in table {
        let sent = send_to(settings(), async |mut wire| {
            wire.until("DATA\r\n").await;
            wire.say(words).await;
        })
        .await;
        assert_eq!(all(&sent)[0], expected);
        assert_eq!(sent.session, SessionAfter::Closed);
    }
}

#[tokio::test]
async fn a_reply_before_its_command_is_not_taken_for_its_answer() {
    for (early, expected) in [
        ("250 2.0.0 queued\r\n", "Mail: protocol error: unexpected reply: 250 2.0.0 queued"),
        ("421 4.4.2 idle too long\r\n", "Mail 421"),
    ] {
        let (peer, connector) = (Peer::bind().await, connector());
        let client = async {
            let mut session = connector.open(&peer.request(TlsUse::Never)).await.unwrap().session;
            let clearance = cleared(&session, &CLEAR, None);
            session.send(&clearance, &message(&CLEAR, &["r@b.example"], TEXT)).await
        };
        let server = async {
            let mut wire = peer.accept().await;
            wire.say("220 mx.example\r\n").await;
            wire.line().await;
            wire.say(&format!("250-mx.example\r\n250 PIPELINING\r\n{early}")).await;
            assert_eq!(wire.flight().await, "", "no MAIL is sent");
        };
        let client = async { words(&client.await.recipients[0].1) };
        assert_eq!(join!(client, server).0, expected);
    }
}

#[tokio::test]
async fn nothing_is_sent_that_is_not_cleared() {
    let (peer, connector) = (Peer::bind().await, connector());
    let client = async {
        let mut first = connector.open(&peer.request(TlsUse::Never)).await.unwrap().session;
        let other = OpenRequest { reuse: false, ..peer.request(TlsUse::Never) };
        let second = connector.open(&other).await.unwrap().session;
        let out = message(&CLEAR, &["r@b.example"], TEXT);
        let mut refused = Vec::new();
        let foreign = cleared(&second, &CLEAR, None);
        refused.push(first.send(&foreign, &out).await);
        let mine = cleared(&first, &CLEAR, None);
        refused.push(first.send(&mine, &message(&TlsDemand::Encrypted, &["r@b.example"], TEXT)).await);
        let newer =
            waxseal_transport::OutMessage { policy: waxseal_transport::Generation::fixed(2), ..out.clone() };
        refused.push(first.send(&mine, &newer).await);
        let another = cleared(&first, &CLEAR, Some(QueueId::from_u64(8)));
        refused.push(first.send(&another, &out).await);
        assert!(first.usable());
        let causes = refused.into_iter().map(|sent| sent.recipients[0].1.clone()).collect::<Vec<_>>();
        drop((first, second));
        causes
    };
    let server = async {
        let mut a = peer.accept().await;
        a.greet(&["PIPELINING"]).await;
        let mut b = peer.accept().await;
        b.greet(&["PIPELINING"]).await;
        assert_eq!(a.flight().await, "");
    };
    let failed =
        |error: ClearanceError| RcptOutcome::Failed { stage: Stage::Mail, cause: Cause::NotCleared(error) };
    let expected =
        [ClearanceError::Connection, ClearanceError::Demand, ClearanceError::Policy, ClearanceError::Message];
    assert_eq!(join!(client, server).0, expected.map(failed));
}

#[tokio::test]
async fn a_connection_cleared_for_one_message_carries_no_other() {
    let (peer, connector) = (Peer::bind().await, connector());
    let client = async {
        let mut session = connector.open(&peer.request(TlsUse::Never)).await.unwrap().session;
        let out = message(&CLEAR, &["r@b.example"], TEXT);
        let clearance = cleared(&session, &CLEAR, Some(out.envelope.id));
        let sent = session.send(&clearance, &out).await;
        assert_eq!(
            (words(&sent.recipients[0].1).as_str(), sent.session),
            ("delivered 250", SessionAfter::Closed)
        );
        let again = session.send(&clearance, &out).await;
        assert!(matches!(again.recipients[0].1, RcptOutcome::Failed { cause: Cause::NotCleared(_), .. }));
        connector.park(session).await;
        assert_eq!(connector.idle(), 0);
    };
    let server = async {
        let mut wire = peer.accept().await;
        wire.greet(&["PIPELINING"]).await;
        wire.take_message().await;
        assert_eq!(wire.line().await, "QUIT");
    };
    join!(client, server);
}

#[tokio::test]
async fn a_text_that_could_be_read_in_two_ways_is_not_sent() {
    let (peer, connector) = (Peer::bind().await, connector());
    let client = async {
        let mut session = connector.open(&peer.request(TlsUse::Never)).await.unwrap().session;
        let clearance = cleared(&session, &CLEAR, None);
        let sent =
            session.send(&clearance, &message(&CLEAR, &["r@b.example"], b"a\r\n.\nMAIL FROM:<>\r\n")).await;
        assert!(matches!(sent.recipients[0].1, RcptOutcome::Unsupported(Unsupported::BareLineEnd(_))));
        assert_eq!(sent.session, SessionAfter::Usable);
    };
    let server = async {
        let mut wire = peer.accept().await;
        wire.greet(&["PIPELINING"]).await;
        assert_eq!(wire.flight().await, "");
    };
    join!(client, server);
}

#[tokio::test]
async fn rfc2033_lmtp_over_a_unix_socket_answers_for_each_recipient() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lmtp");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let connector = connector();
    let client = async {
        let request = OpenRequest {
            endpoint: Endpoint::Unix(Arc::from(path.to_str().unwrap())),
            host: None,
            service: Service::LMTP,
            tls: TlsUse::Never,
            reuse: true,
            resume: true,
        };
        let mut session = connector.open(&request).await.unwrap().session;
        let clearance = cleared(&session, &CLEAR, None);
        session.send(&clearance, &message(&CLEAR, &["a@b.example", "b@b.example", "c@b.example"], TEXT)).await
    };
    let server = async {
        let mut wire = Wire::new(listener.accept().await.unwrap().0);
        wire.greet(&["PIPELINING"]).await;
        wire.until("DATA\r\n").await;
        wire.say("250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n").await;
        wire.until("\r\n.\r\n").await;
        // Connection lost after the first of two replies: that one counts (RFC 2033 §5).
        wire.say("250 2.0.0 a\r\n").await;
    };
    let sent = join!(client, server).0;
    assert_eq!(all(&sent), ["delivered 250", "Rcpt 550", "EndOfData: lost connection"]);
    assert!(sent.ambiguous);
}

#[tokio::test]
async fn a_large_text_arrives_whole() {
    let body: &'static [u8] =
        Vec::leak([b"Subject: x\r\n\r\n".to_vec(), b".0123456789\r\n".repeat(200_000)].concat());
    let (peer, connector) = (Peer::bind().await, connector());
    let request = peer.request(TlsUse::Never);
    let server = tokio::spawn(async move {
        let mut wire = peer.accept().await;
        wire.greet(&["PIPELINING"]).await;
        wire.until("DATA\r\n").await;
        wire.say("250 ok\r\n250 ok\r\n354 go\r\n").await;
        let mut text = String::new();
        while !text.ends_with("\r\n.\r\n") {
            text.push_str(&wire.flight().await);
        }
        wire.say("250 ok\r\n").await;
        text
    });
    let mut session = connector.open(&request).await.unwrap().session;
    let clearance = cleared(&session, &CLEAR, None);
    let sent = session.send(&clearance, &message(&CLEAR, &["r@b.example"], body)).await;
    assert_eq!(all(&sent), ["delivered 250"]);
    let text = server.await.unwrap();
    assert_eq!(text.len(), body.len() + 200_000 + 3);
}
