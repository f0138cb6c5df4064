//! Many messages over few connections.

use waxseal_config::Config;
use waxseal_testbed::{Act, Builder, Gate, Peer, Step, within};
use waxseal_tests::{LIMIT, World};
use waxseal_types::TlsLevel;

const TEXT: &str = "Subject: x\n\nx\n";
const MESSAGES: usize = 12;

/// A queue with one connection for its destination, and messages that are all there before the first of them has its final reply.
async fn crowd(peer: Builder, first: Act) -> (Vec<String>, Peer) {
    let gate = Gate::new();
    let acts =
        [Act::Hold(gate.clone(), Box::new("250 2.0.0 the first".into())), first, "250 2.0.0 ok".into()];
    let peer = peer.on_each(Step::Dot, acts).then().on(Step::Dot, "250 2.0.0 ok");
    let peer = peer.start().await.expect("starts");
    let mut world = World::new(&peer.nexthop(), TlsLevel::May);
    world.settings.queue.initial_destination_concurrency = 1;
    world.settings.queue.destination_concurrency_limit = 1;
    let engine = world.start().await;
    for number in 0..MESSAGES {
        world.submit(&engine, "a@a.test", &[&format!("b{number:02}@b.test")], TEXT).await;
    }
    within(LIMIT, gate.reached()).await;
    gate.open();
    let messages = within(LIMIT, peer.wait_for(MESSAGES)).await;
    assert!(within(LIMIT, engine.shut_down()).await);
    assert_eq!(peer.accepted().len(), MESSAGES, "none twice");
    let mut recipients: Vec<String> = messages.into_iter().flat_map(|message| message.recipients).collect();
    recipients.sort();
    (recipients, peer)
}

fn everybody() -> Vec<String> {
    (0..MESSAGES).map(|number| format!("b{number:02}@b.test")).collect()
}

#[actix_rt::test]
async fn one_connection_carries_the_queue_of_a_destination() {
    for without in ["CHUNKING", "PIPELINING", "none"] {
        let (recipients, peer) = crowd(Peer::builder().without(without), "250 2.0.0 ok".into()).await;
        assert_eq!(recipients, everybody(), "without {without}");
        assert_eq!(peer.connections(), 1, "without {without}");
    }
}

#[actix_rt::test]
async fn a_connection_that_dies_under_many_messages_loses_none_and_doubles_none() {
    for act in [Act::Close, Act::Reset, Act::SayAndClose("421 4.3.2 enough".into())] {
        for without in ["CHUNKING", "PIPELINING", "none"] {
            let (recipients, peer) = crowd(Peer::builder().without(without), act.clone()).await;
            assert_eq!(recipients, everybody(), "{act:?} without {without}");
            assert!(peer.connections() >= 2);
        }
    }
}

#[actix_rt::test]
async fn a_message_that_is_refused_takes_nobody_with_it() {
    for without in ["CHUNKING", "none"] {
        let later = "451 4.3.0 this one later";
        let (recipients, _) = crowd(Peer::builder().without(without), later.into()).await;
        assert_eq!(recipients, everybody(), "without {without}");
    }
}

/// postconf(5), `smtp_discard_ehlo_keywords`, under its own key: from the line of the configuration to the wire.
#[actix_rt::test]
async fn chunking_that_is_to_be_discarded_makes_data() {
    for (keywords, chunked) in [("[]", true), ("[\"chunking\"]", false), ("[\"Chunking\", \"size\"]", false)]
    {
        let peer = Peer::builder().start().await.expect("starts");
        let mut world = World::new(&peer.nexthop(), TlsLevel::May);
        let path = world.folder().join("waxseal.toml");
        let lines = format!("hostname = \"queue.test\"\n[transport]\ndiscard_ehlo_keywords = {keywords}\n");
        std::fs::write(&path, lines).expect("a file");
        let config = Config::load(&[path], std::iter::empty()).expect("a good configuration");
        world.settings.transport = config.transport;
        let engine = world.start().await;
        world.submit(&engine, "a@a.test", &["b@b.test"], TEXT).await;
        let messages = within(LIMIT, peer.wait_for(1)).await;
        assert_eq!(messages[0].chunked, chunked, "{keywords}");
        let commands = peer.commands();
        assert_eq!(commands.iter().any(|line| line.starts_with("BDAT")), chunked, "{commands:?}");
        assert_eq!(commands.iter().any(|line| line == "DATA"), !chunked, "{commands:?}");
        assert!(within(LIMIT, engine.shut_down()).await);
    }
}

/// A text that is in a file of its own is read while it is sent; here one that the lines of the end of data, of stuffing and of pieces fall into.
#[actix_rt::test]
async fn a_text_larger_than_pieces_are_arrives_as_it_came() {
    let line = |number: usize| match number % 7 {
        0 => ".\n".to_owned(),
        1 => format!("..{number}\n"),
        rest => format!("{number} {}\n", "x".repeat(rest * 30)),
    };
    let text: String =
        std::iter::once("Subject: large\n\n".to_owned()).chain((0..20_000).map(line)).collect();
    for without in ["CHUNKING", "PIPELINING", "none"] {
        let peer = Peer::builder().without(without).start().await.expect("starts");
        let world = World::new(&peer.nexthop(), TlsLevel::May);
        let engine = world.start().await;
        for large in [true, false, true] {
            world.submit(&engine, "a@a.test", &["b@b.test"], if large { &text } else { TEXT }).await;
        }
        let messages = within(LIMIT, peer.wait_for(3)).await;
        let crlf = text.replace('\n', "\r\n");
        let large = messages.iter().filter(|message| message.data.len() > crlf.len()).collect::<Vec<_>>();
        assert_eq!(large.len(), 2, "without {without}");
        for message in large {
            assert!(message.data.ends_with(crlf.as_bytes()), "without {without}");
            assert!(message.data.starts_with(b"Received: "));
        }
        assert!(within(LIMIT, engine.shut_down()).await);
    }
}

/// What is sent back of a large message is its header.
#[actix_rt::test]
async fn a_large_text_that_is_refused_comes_back_as_its_header() {
    let peer = Peer::builder().on(Step::Rcpt, "550 5.1.1 nobody").start().await.expect("starts");
    let home = Peer::builder().start().await.expect("starts");
    let world = World::new(&peer.nexthop(), TlsLevel::May);
    let world = world.routes(&[&format!("a.test smtp:{}", home.nexthop())]);
    let engine = world.start().await;
    let text = format!("Subject: large\nX-Mark: here\n\n{}", "words of a line\n".repeat(50_000));
    world.submit(&engine, "a@a.test", &["b@b.test"], &text).await;
    let bounce = &within(LIMIT, home.wait_for(1)).await[0];
    let told = bounce.text();
    assert!(told.contains("text/rfc822-headers") && told.contains("X-Mark: here"), "{told}");
    assert!(!told.contains("words of a line"));
    assert!(within(LIMIT, engine.shut_down()).await);
}
