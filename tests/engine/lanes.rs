//! Many messages over few connections.

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
