//! What the peer answers, and where that leads: another host, later, or never.

use std::time::Duration;

use waxseal_queue::Outcome;
use waxseal_testbed::{Act, Builder, Certificate, Happening, Peer, Step};
use waxseal_tests::{Lane, Letter, bounced, deferred, delivered};
use waxseal_transport::Discard;
use waxseal_types::TlsLevel;

fn letter() -> Letter {
    Letter::to(&["b@b.test"])
}

fn lane() -> Lane {
    Lane::at(TlsLevel::May)
}

/// A server at which mail comes to this step: with CHUNKING nobody says DATA.
fn server(step: Step) -> Builder {
    let peer = Peer::builder();
    if step == Step::Data { peer.without("CHUNKING") } else { peer }
}

#[tokio::test]
async fn trouble_before_the_message_is_tried_at_the_next_host() {
    for (step, act) in [
        (Step::Greeting, Act::from("421 4.3.2 busy")),
        (Step::Greeting, Act::from("554 5.7.1 go away")),
        (Step::Greeting, Act::Close),
        (Step::Greeting, Act::Reset),
        (Step::Ehlo, Act::Close),
        (Step::Mail, Act::from("451 4.3.0 later")),
        (Step::Mail, Act::from("421 4.3.2 closing")),
        (Step::Rcpt, Act::from("450 4.2.0 later")),
        (Step::Data, Act::from("452 4.3.1 full")),
        (Step::Data, Act::Close),
    ] {
        let first = server(step).on(step, act.clone()).start().await.expect("starts");
        let second = Peer::builder().start().await.expect("starts");
        let account = lane().deliver(&letter(), &[&first.nexthop(), &second.nexthop()]).await;
        assert!(delivered(&account), "{step:?} {act:?}: {:?}", account.results);
        assert_eq!(second.accepted().len(), 1);

        let account = lane().deliver(&letter(), &[&first.nexthop()]).await;
        assert!(deferred(&account).starts_with("4."), "{step:?} {act:?}");
    }
}

#[tokio::test]
async fn nobody_listening_is_tried_at_the_next_host() {
    let mut gone = Peer::builder().start().await.expect("starts");
    gone.stop().await;
    let second = Peer::builder().start().await.expect("starts");
    let account = lane().deliver(&letter(), &[&gone.nexthop(), &second.nexthop()]).await;
    assert!(delivered(&account), "{:?}", account.results);
    assert_eq!(deferred(&lane().deliver(&letter(), &[&gone.nexthop()]).await), "4.4.1");
}

#[tokio::test]
async fn a_permanent_refusal_bounces_and_is_tried_nowhere_else() {
    for (step, reply, status) in [
        (Step::Mail, "550 5.7.1 you are unwanted", "5.7.1"),
        (Step::Rcpt, "550 5.1.1 no such user", "5.1.1"),
        (Step::Data, "554 5.3.0 no", "5.3.0"),
        (Step::Dot, "552 5.3.4 too big", "5.3.4"),
        (Step::Dot, "550 no code of its own", "5.0.0"),
    ] {
        let first = server(step).on(step, reply).start().await.expect("starts");
        let second = Peer::builder().start().await.expect("starts");
        let account = lane().deliver(&letter(), &[&first.nexthop(), &second.nexthop()]).await;
        assert_eq!(bounced(&account), status, "{step:?} {reply}");
        assert_eq!(second.connections(), 0, "{step:?} {reply}");
        let failure = account.results[0].outcome.failure().expect("a failure");
        let words = failure.reply.as_ref().expect("the server's own words").to_string();
        assert!(words.contains(reply), "{words}");
    }
}

#[tokio::test]
async fn each_recipient_has_its_own_fate_in_one_transaction() {
    let builder = Peer::builder().reply_to_recipient("no@b.test", "550 5.1.1 who?");
    let peer = builder.reply_to_recipient("later@b.test", "452 4.2.2 full").start().await.expect("starts");
    let letter = Letter::to(&["no@b.test", "yes@b.test", "later@b.test", "too@b.test"]);
    let account = lane().deliver(&letter, &[&peer.nexthop()]).await;
    let mut fates = vec![' '; 4];
    for result in &account.results {
        fates[result.index] = match result.outcome {
            Outcome::Delivered { .. } => '2',
            Outcome::Deferred(_) => '4',
            Outcome::Bounced(_) => '5',
        };
    }
    assert_eq!(fates, ['5', '2', '4', '2']);
    assert_eq!(peer.accepted().len(), 1);
    assert_eq!(peer.accepted()[0].recipients, ["yes@b.test", "too@b.test"]);
}

#[tokio::test]
async fn a_connection_lost_behind_the_dot_is_ambiguous_and_tried_nowhere_else() {
    for act in [Act::Close, Act::Reset] {
        let first = Peer::builder().reply_to_dot(act).start().await.expect("starts");
        let second = Peer::builder().start().await.expect("starts");
        let account = lane().deliver(&letter(), &[&first.nexthop(), &second.nexthop()]).await;
        assert!(deferred(&account).starts_with("4."), "{:?}", account.results);
        assert_eq!(second.connections(), 0, "it may have been taken: RFC 5321 §4.5.3.2.6");
    }
}

#[tokio::test]
async fn silence_ends_with_the_time_limit() {
    for step in [Step::Greeting, Step::Ehlo, Step::Mail, Step::Rcpt, Step::Data, Step::Dot] {
        let peer = server(step).on(step, Act::Hang).start().await.expect("starts");
        let lane = lane().patience(Duration::from_millis(100));
        assert!(deferred(&lane.deliver(&letter(), &[&peer.nexthop()]).await).starts_with("4."), "{step:?}");
        assert_eq!(peer.accepted(), [], "{step:?}");
    }
}

#[tokio::test]
async fn replies_that_are_none_defer_and_harm_nobody() {
    let endless = "250-x\r\n".repeat(100_000);
    let long = format!("220 {}\r\n", "x".repeat(3 << 20));
    for bytes in [
        &b"\r\n"[..],
        b"25\r\n",
        b"999 hello\r\n",
        b"000 hello\r\n",
        b"1000 hello\r\n",
        b"hello\r\n",
        b"220-one\r\n250 two\r\n",
        b"\0\0\0\0\r\n",
        b"\xff\xfe\xfd\xfc\r\n",
        b"\x16\x03\x01\x00\x01\x00\r\n",
        long.as_bytes(),
        endless.as_bytes(),
    ] {
        for step in [Step::Greeting, Step::Ehlo, Step::Mail] {
            let peer = Peer::builder().on(step, Act::Raw(bytes.to_vec())).start().await.expect("starts");
            let lane = lane().patience(Duration::from_secs(1));
            let account = lane.deliver(&letter(), &[&peer.nexthop()]).await;
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
            // A strange greeting may be read kindly (RFC 5321 §4.2 wants only the first digit looked at), never a crash.
            let fate = delivered(&account) || deferred(&account).starts_with("4.");
            assert!(fate, "{step:?} {shown:?}: {:?}", account.results);
        }
    }
}

#[tokio::test]
async fn the_text_arrives_as_it_was_by_every_way() {
    let text = "Subject: dots\r\n\r\n.\r\n..\r\n.x\r\nx.\r\n\r\n.\r\n";
    for (chunking, pipelining) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut builder = Peer::builder();
        if !chunking {
            builder = builder.without("CHUNKING");
        }
        if !pipelining {
            builder = builder.without("PIPELINING");
        }
        let peer = builder.start().await.expect("starts");
        let account = lane().deliver(&letter().text(text), &[&peer.nexthop()]).await;
        assert!(delivered(&account), "{:?}", account.results);
        assert_eq!(peer.accepted()[0].text(), text, "chunking {chunking}, pipelining {pipelining}");
        let early = peer.transcript().into_iter().find(|event| matches!(event.what, Happening::Early(_)));
        assert_eq!(early, None, "chunking {chunking}, pipelining {pipelining}");
    }
}

/// postconf(5) `smtp_discard_ehlo_keywords`.
#[tokio::test]
async fn what_is_discarded_of_an_offer_is_not_used() {
    let said = |peer: &Peer, verb: &str| {
        let line = |what: Happening| matches!(what, Happening::Command(line) if line.starts_with(verb));
        peer.transcript().into_iter().any(|event| line(event.what))
    };
    for (keyword, verb) in [("chunking", "BDAT"), ("starttls", "STARTTLS")] {
        let server = || async {
            let certificate = Certificate::self_signed(&["mx.example.test"]).issue().expect("a certificate");
            Peer::builder().starttls(certificate).start().await.expect("starts")
        };
        let (peer, mut lane) = (server().await, lane());
        assert!(delivered(&lane.deliver(&letter(), &[&peer.nexthop()]).await));
        assert!(said(&peer, verb), "{verb} is used where nothing is discarded");
        let peer = server().await;
        lane.transport.discard = Discard::default().with(keyword).expect("a keyword");
        assert!(delivered(&lane.deliver(&letter(), &[&peer.nexthop()]).await));
        assert!(!said(&peer, verb), "{keyword} is discarded");
    }
}

#[tokio::test]
async fn smtputf8_mail_for_a_server_without_it_bounces() {
    let peer = Peer::builder().without("SMTPUTF8").start().await.expect("starts");
    let letter = Letter::to(&["björn@b.test"]).smtputf8();
    assert_eq!(bounced(&lane().deliver(&letter, &[&peer.nexthop()]).await), "5.6.7");
    let peer = Peer::builder().start().await.expect("starts");
    assert!(delivered(&lane().deliver(&letter, &[&peer.nexthop()]).await));
    assert!(peer.accepted()[0].parameters.contains(&"SMTPUTF8".to_owned()));
}

#[tokio::test]
async fn a_message_beyond_the_announced_size_is_not_sent() {
    let peer = Peer::builder().keywords(["SIZE 10", "8BITMIME"]).start().await.expect("starts");
    assert_eq!(bounced(&lane().deliver(&letter(), &[&peer.nexthop()]).await), "5.3.4");
    assert_eq!(peer.accepted(), []);
}

#[tokio::test]
async fn mail_that_would_come_back_to_us_bounces() {
    let peer = Peer::builder().on(Step::Ehlo, "250 client.test").start().await.expect("starts");
    let mut lane = lane();
    lane.transport.loop_port = peer.addr().port();
    assert_eq!(bounced(&lane.deliver(&letter(), &[&peer.nexthop()]).await), "5.4.6");
}
