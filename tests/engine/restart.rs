//! The queue outlives the process.

use waxseal_queue::Outcome;
use waxseal_testbed::{Act, Gate, Peer, Step, within};
use waxseal_tests::{LIMIT, World};
use waxseal_types::TlsLevel;

const TEXT: &str = "Subject: x\n\nx\n";

#[actix_rt::test]
async fn a_restart_takes_the_queue_up_again() {
    let mut peer = Peer::builder().greeting("421 4.3.2 not yet").start().await.expect("starts");
    let world = World::new(&peer.nexthop(), TlsLevel::May);
    let engine = world.start().await;
    for number in 0..5 {
        world.submit(&engine, "a@a.test", &[&format!("b{number}@b.test")], TEXT).await;
    }
    within(LIMIT, world.recorder.attempt(|_| true)).await;
    assert!(engine.shut_down().await);
    let address = peer.addr();
    peer.stop().await;
    let peer = Peer::builder().at(address).start().await.expect("the port is free again");
    let engine = world.start().await;
    let mut recipients: Vec<String> =
        within(LIMIT, peer.wait_for(5)).await.into_iter().flat_map(|message| message.recipients).collect();
    recipients.sort();
    assert_eq!(recipients, ["b0@b.test", "b1@b.test", "b2@b.test", "b3@b.test", "b4@b.test"]);
    assert!(engine.shut_down().await);
    let engine = world.start().await;
    assert!(engine.shut_down().await);
    assert_eq!(peer.accepted().len(), 5, "what was delivered does not come back to life");
}

#[actix_rt::test]
async fn recipients_that_are_settled_are_not_tried_again_after_a_restart() {
    let builder = Peer::builder().reply_to_recipient("later@b.test", "450 4.2.0 later").then();
    let peer = builder.reply_to_recipient("later@b.test", "250 2.1.5 now").start().await.expect("starts");
    let mut world = World::new(&peer.nexthop(), TlsLevel::May);
    world.settings.queue.reuse_clear = false;
    let engine = world.start().await;
    world.submit(&engine, "a@a.test", &["now@b.test", "later@b.test"], TEXT).await;
    within(LIMIT, peer.wait_for(1)).await;
    assert!(engine.shut_down().await);
    let engine = world.start().await;
    let messages = within(LIMIT, peer.wait_for(2)).await;
    assert_eq!(messages[0].recipients, ["now@b.test"]);
    assert_eq!(messages[1].recipients, ["later@b.test"]);
    assert!(engine.shut_down().await);
}

#[actix_rt::test]
async fn shutdown_waits_for_the_final_reply_it_is_owed() {
    let gate = Gate::new();
    let held = Act::Hold(gate.clone(), Box::new(Act::from("250 2.0.0 at last")));
    let peer = Peer::builder().on(Step::Dot, held).start().await.expect("starts");
    let world = World::new(&peer.nexthop(), TlsLevel::May);
    let engine = world.start().await;
    world.submit(&engine, "a@a.test", &["b@b.test"], TEXT).await;
    within(LIMIT, gate.reached()).await;
    let down = actix_rt::spawn(engine.shut_down());
    gate.open();
    assert!(within(LIMIT, down).await.expect("no panic"));
    let delivered = |outcome: &Outcome| matches!(outcome, Outcome::Delivered { .. });
    let account = within(LIMIT, world.recorder.attempt(|_| true)).await;
    assert!(account.results.iter().all(|result| delivered(&result.outcome)), "{:?}", account.results);
    let engine = world.start().await;
    assert!(engine.shut_down().await);
    assert_eq!(peer.accepted().len(), 1);
}

#[actix_rt::test]
async fn shutdown_does_not_wait_for_a_server_that_owes_nothing() {
    let silent = Peer::builder().on(Step::Greeting, Act::Hang).start().await.expect("starts");
    let mut world = World::new(&silent.nexthop(), TlsLevel::May);
    // Longer than the test may take: only an attempt that is dropped ends in time.
    world.settings.queue.shutdown_grace = LIMIT * 10;
    let engine = world.start().await;
    world.submit(&engine, "a@a.test", &["b@b.test"], TEXT).await;
    within(LIMIT, silent.wait_until(|events| !events.is_empty())).await;
    assert!(within(LIMIT, engine.shut_down()).await);
    // The message is as it was: at the next start it is delivered.
    let peer = Peer::builder().start().await.expect("starts");
    let mut policy = (*world.settings.policy).clone();
    policy.relayhost = vec![peer.nexthop().parse().expect("a next hop")];
    world.settings.policy = std::sync::Arc::new(policy);
    let engine = world.start().await;
    within(LIMIT, peer.wait_for(1)).await;
    assert!(engine.shut_down().await);
}
