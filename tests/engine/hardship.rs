//! The machine or its surroundings fail in part: other mail goes on where that is safe, nothing is lost, nobody runs wild.

use std::{sync::Arc, time::Duration};

use waxseal_queue::Outcome;
use waxseal_spool::SimDisk;
use waxseal_testbed::{Act, Client, Gate, Peer, Step, within};
use waxseal_tests::{LIMIT, World};
use waxseal_types::TlsLevel;

const TEXT: &str = "Subject: x\n\nx\n";

/// A server that takes a message for this recipient at the second try.
async fn later(recipient: &str) -> Peer {
    let peer = Peer::builder().reply_to_recipient(recipient, "450 4.2.0 later").then();
    peer.reply_to_recipient(recipient, "250 2.1.5 now").start().await.expect("starts")
}

fn on(disk: &SimDisk, peer: &Peer) -> World {
    let mut world = World::new(&peer.nexthop(), TlsLevel::May);
    world.settings.storage = Some(Arc::new(disk.clone()));
    world.settings.queue.reuse_clear = false;
    world
}

async fn held_sync(disk: &SimDisk) {
    let disk = disk.clone();
    within(LIMIT, tokio::task::spawn_blocking(move || disk.await_held_sync())).await.expect("no panic");
}

#[actix_rt::test]
async fn while_a_sync_takes_its_time_nobody_hears_250_and_old_mail_is_delivered() {
    let (disk, peer) = (SimDisk::new(1), later("old@b.test").await);
    let world = on(&disk, &peer);
    let engine = world.start().await;
    world.submit(&engine, "a@a.test", &["old@b.test"], TEXT).await;
    within(LIMIT, world.recorder.attempt(|_| true)).await;
    disk.hold_syncs(true);
    let address = engine.addresses()[0];
    let new = actix_rt::spawn(async move {
        let mut client = Client::connect(address).await.expect("the intake is there");
        client.submit("a@a.test", &["new@b.test"], TEXT).await.expect("it answers")
    });
    held_sync(&disk).await;
    let delivered = within(LIMIT, peer.wait_for(1)).await;
    assert_eq!(delivered[0].recipients, ["old@b.test"]);
    assert!(!new.is_finished(), "250 before the sync");
    disk.hold_syncs(false);
    assert!(within(LIMIT, new).await.expect("no panic").starts_with("250 "));
    within(LIMIT, peer.wait_for(2)).await;
    assert!(engine.shut_down().await);
    let engine = world.start().await;
    assert!(engine.shut_down().await);
    assert_eq!(peer.accepted().len(), 2, "nothing comes back");
}

#[actix_rt::test]
async fn a_sync_that_never_returns_refuses_new_mail_and_loses_none() {
    let (disk, peer) = (SimDisk::new(2), later("old@b.test").await);
    let mut world = on(&disk, &peer);
    (world.settings.spool.slow, world.settings.spool.stale) =
        (Duration::from_millis(100), Duration::from_millis(300));
    let engine = world.start().await;
    world.submit(&engine, "a@a.test", &["old@b.test"], TEXT).await;
    within(LIMIT, world.recorder.attempt(|_| true)).await;
    disk.hold_syncs(true);
    let reply = world.offer(&engine, "a@a.test", &["given.up@b.test"], TEXT).await;
    assert!(reply.starts_with("451 "), "{reply}");
    let reply = world.offer(&engine, "a@a.test", &["refused@b.test"], TEXT).await;
    assert!(reply.starts_with("452 ") || reply.starts_with("451 "), "{reply}");
    within(LIMIT, peer.wait_for(1)).await;
    // The machine is switched off in the end: what was promised is there, what was not is not.
    let after = disk.crash();
    disk.hold_syncs(false);
    assert!(engine.shut_down().await);
    let world = on(&after, &peer);
    let engine = world.start().await;
    world.submit(&engine, "a@a.test", &["next@b.test"], TEXT).await;
    within(LIMIT, peer.wait_until(|events| format!("{events:?}").contains("next@b.test"))).await;
    assert!(engine.shut_down().await);
    let mut recipients: Vec<_> = peer.accepted().into_iter().flat_map(|message| message.recipients).collect();
    recipients.sort();
    recipients.dedup();
    // The old one may come twice, and what was given up may come: neither the mark nor the sync was ever known to have ended.
    recipients.retain(|recipient| recipient != "given.up@b.test");
    assert_eq!(recipients, ["next@b.test", "old@b.test"]);
}

#[actix_rt::test]
async fn while_no_resolver_answers_other_mail_goes_and_nobody_asks_without_a_pause() {
    let peer = Peer::builder().start().await.expect("starts");
    let here = format!("here.test smtp:{}", peer.nexthop());
    let world = World::new(&peer.nexthop(), TlsLevel::May).routes(&[&here, "there.test smtp:there.test"]);
    let engine = world.start().await;
    for number in 0..5 {
        world.submit(&engine, "a@a.test", &[&format!("b{number}@there.test")], TEXT).await;
    }
    let account = within(LIMIT, world.recorder.attempt(|_| true)).await;
    assert!(matches!(account.results[0].outcome, Outcome::Deferred(_)), "{:?}", account.results);
    for number in 0..5 {
        world.submit(&engine, "a@a.test", &[&format!("b{number}@here.test")], TEXT).await;
    }
    assert_eq!(within(LIMIT, peer.wait_for(5)).await.len(), 5);
    let (before, began) = (world.recorder.seen().len(), std::time::Instant::now());
    within(LIMIT, world.recorder.attempt(|account| account.attempt >= 3)).await;
    // Five messages, each after 200 ms and more.
    let rounds = 1 + began.elapsed().as_millis() as usize / 200;
    assert!(world.recorder.seen().len() - before <= 10 * rounds + 10, "it runs wild");
    assert!(engine.shut_down().await);
}

#[actix_rt::test]
async fn a_destination_with_nine_tenths_of_the_queue_leaves_the_others_their_turn() {
    let gate = Gate::new();
    let held = Act::Hold(gate.clone(), Box::new("250 2.0.0 ok".into()));
    let large = Peer::builder().without("PIPELINING").without("CHUNKING").on(Step::Dot, held).start().await;
    let (large, small) = (large.expect("starts"), Peer::builder().start().await.expect("starts"));
    let routes =
        [&*format!("large.test smtp:{}", large.nexthop()), &*format!("small.test smtp:{}", small.nexthop())];
    let world = World::new(&small.nexthop(), TlsLevel::May).routes(&routes);
    let engine = world.start().await;
    let mut client = Client::connect(engine.addresses()[0]).await.expect("the intake is there");
    for number in 0..100 {
        let to = format!("b{number}@{}.test", if number % 10 == 9 { "small" } else { "large" });
        let reply = within(LIMIT, client.submit("a@a.test", &[&to], TEXT)).await.expect("it answers");
        assert!(reply.starts_with("250 "), "{reply}");
    }
    assert_eq!(within(LIMIT, small.wait_for(10)).await.len(), 10);
    assert!(large.accepted().len() <= 20, "no more than its window: all others wait for their replies");
    gate.open();
    within(LIMIT, large.wait_for(90)).await;
    assert!(engine.shut_down().await);
    assert_eq!((large.accepted().len(), small.accepted().len()), (90, 10));
}
