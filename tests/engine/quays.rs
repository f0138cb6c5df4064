//! Deliveries on several threads.

use std::collections::HashSet;

use waxseal_testbed::{Act, Gate, Peer, Step, within};
use waxseal_tests::{LIMIT, Seen, World};
use waxseal_types::TlsLevel;

const TEXT: &str = "Subject: x\n\nx\n";
const THREADS: usize = 3;

#[actix_rt::test]
async fn a_hot_destination_is_served_from_all_threads_and_each_message_goes_once() {
    const MESSAGES: usize = 60;
    let (gate, peer) = (Gate::new(), Peer::builder());
    // The first connection is kept busy, so that others are opened.
    let held = Act::Hold(gate.clone(), Box::new("250 2.0.0 ok".into()));
    let peer = peer.on_each(Step::Dot, [held, "250 2.0.0 ok".into()]).then().on(Step::Dot, "250 2.0.0 ok");
    let peer = peer.start().await.expect("starts");
    let mut world = World::new(&peer.nexthop(), TlsLevel::May);
    world.settings.queue.delivery_threads = Some(THREADS);
    let engine = world.start().await;
    for number in 0..MESSAGES {
        world.submit(&engine, "a@a.test", &[&format!("b{number:02}@b.test"), "c@c.test"], TEXT).await;
    }
    within(LIMIT, gate.reached()).await;
    gate.open();
    let messages = within(LIMIT, peer.wait_for(MESSAGES)).await;
    assert!(within(LIMIT, engine.shut_down()).await);
    assert_eq!(peer.accepted().len(), MESSAGES, "none twice");
    // Each thread tells what it delivered, and of no message before it is in the queue.
    let (mut queued, mut delivered) = (HashSet::new(), Vec::new());
    for seen in world.recorder.seen() {
        match seen {
            Seen::Queued(id) => drop(queued.insert(id)),
            Seen::Attempted(account) => {
                assert!(queued.contains(&account.envelope.id), "{:?}", account.envelope.id);
                delivered.push(account.envelope.id);
            }
            other => panic!("{other:?}"),
        }
    }
    delivered.sort();
    delivered.dedup();
    assert_eq!((queued.len(), delivered.len()), (MESSAGES, MESSAGES));
    let mut firsts: Vec<_> = messages.iter().map(|message| message.recipients[0].clone()).collect();
    firsts.sort();
    assert_eq!(firsts, (0..MESSAGES).map(|number| format!("b{number:02}@b.test")).collect::<Vec<_>>());
    assert!(peer.connections() > 1 && peer.connections() <= 20, "{} connections", peer.connections());
}

#[actix_rt::test]
async fn what_goes_to_one_destination_one_after_the_other_finds_its_idle_connection() {
    let peer = Peer::builder().start().await.expect("starts");
    let mut world = World::new(&peer.nexthop(), TlsLevel::May);
    world.settings.queue.delivery_threads = Some(THREADS);
    let engine = world.start().await;
    for number in 1..=8 {
        world.submit(&engine, "a@a.test", &["b@b.test"], TEXT).await;
        within(LIMIT, peer.wait_for(number)).await;
        // The connection is idle once its delivery is written down.
        let idle = async {
            while engine.readings().connections().idle == 0 {
                tokio::task::yield_now().await;
            }
        };
        within(LIMIT, idle).await;
    }
    assert_eq!(peer.connections(), 1);
    assert!(within(LIMIT, engine.shut_down()).await);
}

#[actix_rt::test]
async fn a_restart_finds_what_several_threads_left() {
    let peer = Peer::builder().on(Step::Greeting, "421 4.3.2 not now").start().await.expect("starts");
    let mut world = World::new(&peer.nexthop(), TlsLevel::May);
    world.settings.queue.delivery_threads = Some(THREADS);
    let engine = world.start().await;
    for number in 0..5 {
        world.submit(&engine, "a@a.test", &[&format!("b{number}@b.test")], TEXT).await;
    }
    assert!(within(LIMIT, engine.shut_down()).await);
    let willing = Peer::builder().start().await.expect("starts");
    let mut policy = (*world.settings.policy).clone();
    policy.relayhost = vec![willing.nexthop().parse().expect("a next hop")];
    world.settings.policy = std::sync::Arc::new(policy);
    world.settings.queue.delivery_threads = Some(0);
    let engine = world.start().await;
    let messages = within(LIMIT, willing.wait_for(5)).await;
    assert_eq!(messages.len(), 5);
    assert!(within(LIMIT, engine.shut_down()).await);
}
