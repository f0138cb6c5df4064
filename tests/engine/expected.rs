//! A message that comes alone: its delivery gets ready while the disk writes it, and nothing comes of that before it is durable.

use std::{sync::Arc, time::Duration};

use actix_rt::task::JoinHandle;
use waxseal_queue_manager::Engine;
use waxseal_spool::SimDisk;
use waxseal_testbed::{Act, Client, Gate, Peer, Step, within};
use waxseal_tests::{LIMIT, Seen, World};
use waxseal_types::TlsLevel;

const TEXT: &str = "Subject: x\n\nx\n";

fn on(disk: &SimDisk, peer: &Peer) -> World {
    let mut world = World::new(&peer.nexthop(), TlsLevel::May);
    world.settings.storage = Some(Arc::new(disk.clone()));
    world
}

fn submit(engine: &Engine, to: &'static str) -> JoinHandle<String> {
    let address = engine.addresses()[0];
    actix_rt::spawn(async move {
        let mut client = Client::connect(address).await.expect("the intake is there");
        client.submit("a@a.test", &[to], TEXT).await.expect("it answers")
    })
}

async fn heard(peer: &Peer, command: &str) {
    within(LIMIT, peer.wait_until(|events| format!("{events:?}").contains(command))).await;
    // Time for what must not follow.
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// What was told, in short.
fn told(world: &World) -> Vec<String> {
    let word = |seen: &Seen| match seen {
        Seen::Queued(_) => "queued".to_owned(),
        Seen::Attempted(account) if account.is_delivered() => "delivered".into(),
        Seen::Attempted(_) => "attempted".into(),
        other => format!("{other:?}"),
    };
    world.recorder.seen().iter().map(word).collect()
}

#[actix_rt::test]
async fn its_commands_leave_while_the_disk_writes_and_its_text_when_that_has_ended() {
    // On the manager's thread, and on others.
    for threads in [0, 2] {
        let peer = Peer::builder().keywords(["PIPELINING"]);
        let (disk, peer) = (SimDisk::new(11), peer.start().await.expect("starts"));
        let mut world = on(&disk, &peer);
        world.settings.queue.delivery_threads = Some(threads);
        let engine = world.start().await;
        disk.hold_syncs(true);
        let client = submit(&engine, "new@b.test");
        heard(&peer, "DATA").await;
        assert_eq!((peer.accepted().len(), told(&world)), (0, vec![]), "before it is durable");
        assert!(!client.is_finished(), "250 before the sync");
        disk.hold_syncs(false);
        assert!(within(LIMIT, client).await.expect("no panic").starts_with("250 "));
        assert_eq!(within(LIMIT, peer.wait_for(1)).await[0].recipients, ["new@b.test"]);
        within(LIMIT, world.recorder.attempt(|_| true)).await;
        assert_eq!(told(&world), ["queued", "delivered"]);
        // The end of it has reached the disk as well.
        assert!(engine.shut_down().await);
        let engine = world.start().await;
        assert!(engine.shut_down().await);
        assert_eq!(peer.accepted().len(), 1, "nothing comes back");
    }
}

#[actix_rt::test]
async fn a_refusal_counts_when_the_message_is_durable() {
    // A chunk would be owed to the server whether it wants it or not; after DATA nothing is.
    let peer = Peer::builder().keywords(["PIPELINING"]).reply_to_recipient("new@b.test", "550 5.1.1 nobody");
    let (disk, peer) = (SimDisk::new(12), peer.start().await.expect("starts"));
    let world = on(&disk, &peer);
    let engine = world.start().await;
    disk.hold_syncs(true);
    let client = submit(&engine, "new@b.test");
    heard(&peer, "RCPT").await;
    assert_eq!(told(&world), [""; 0], "before it is durable");
    disk.hold_syncs(false);
    assert!(within(LIMIT, client).await.expect("no panic").starts_with("250 "));
    within(LIMIT, world.recorder.attempt(|_| true)).await;
    assert_eq!(told(&world)[..2], ["queued", "attempted"]);
    // Its sender hears of it.
    assert_eq!(within(LIMIT, peer.wait_for(1)).await[0].recipients, ["a@a.test"]);
    assert!(engine.shut_down().await);
}

#[actix_rt::test]
async fn a_message_that_was_given_up_was_never_here() {
    for at in ["MAIL", "DATA", "BDAT"] {
        let gate = Gate::new();
        let peer = match at {
            "MAIL" => {
                Peer::builder().on(Step::Mail, Act::Hold(gate.clone(), Box::new("250 2.1.0 ok".into())))
            }
            "DATA" => Peer::builder().keywords(["PIPELINING"]),
            _ => Peer::builder(),
        };
        let (disk, peer) = (SimDisk::new(13), peer.start().await.expect("starts"));
        let mut world = on(&disk, &peer);
        (world.settings.spool.slow, world.settings.spool.stale) =
            (Duration::from_millis(100), Duration::from_millis(300));
        let engine = world.start().await;
        disk.hold_syncs(true);
        let client = submit(&engine, "given.up@b.test");
        heard(&peer, at).await;
        assert!(within(LIMIT, client).await.expect("no panic").starts_with("451 "));
        disk.hold_syncs(false);
        gate.open();
        heard(&peer, "Closed").await;
        assert_eq!((peer.accepted().len(), told(&world)), (0, vec![]));
        // Other mail goes on, and what was given up does not come with it.
        let taken = within(LIMIT, async {
            loop {
                let reply = world.offer(&engine, "a@a.test", &["next@b.test"], TEXT).await;
                if reply.starts_with("250 ") {
                    return reply;
                }
            }
        });
        taken.await;
        assert_eq!(within(LIMIT, peer.wait_for(1)).await[0].recipients, ["next@b.test"]);
        assert!(engine.shut_down().await);
        let engine = world.start().await;
        assert!(engine.shut_down().await);
        assert_eq!(peer.accepted().len(), 1, "what was given up stays away after a restart");
    }
}

#[actix_rt::test]
async fn a_write_that_fails_takes_the_delivery_back() {
    let (disk, peer) = (SimDisk::new(14), Peer::builder().start().await.expect("starts"));
    let world = on(&disk, &peer);
    let engine = world.start().await;
    disk.fail_calls(disk.calls() + 1..=u64::MAX, std::io::ErrorKind::Other);
    let reply = world.offer(&engine, "a@a.test", &["lost@b.test"], TEXT).await;
    assert!(reply.starts_with("451 ") || reply.starts_with("452 "), "{reply}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((peer.accepted().len(), told(&world)), (0, vec![]));
    engine.shut_down().await;
}

#[actix_rt::test]
async fn what_was_given_up_before_its_turn_never_begins() {
    let gate = Gate::new();
    let peer = Peer::builder().keywords([]).on_each(
        Step::Dot,
        [Act::Hold(gate.clone(), Box::new("250 2.0.0 taken".into())), "250 2.0.0 taken".into()],
    );
    let (disk, peer) = (SimDisk::new(15), peer.start().await.expect("starts"));
    let mut world = on(&disk, &peer);
    world.settings.queue.initial_destination_concurrency = 1;
    world.settings.queue.destination_concurrency_limit = 1;
    (world.settings.spool.slow, world.settings.spool.stale) =
        (Duration::from_millis(100), Duration::from_millis(300));
    let engine = world.start().await;
    world.submit(&engine, "a@a.test", &["first@b.test"], TEXT).await;
    within(LIMIT, gate.reached()).await;
    disk.hold_syncs(true);
    let reply = world.offer(&engine, "a@a.test", &["given.up@b.test"], TEXT).await;
    assert!(reply.starts_with("451 "), "{reply}");
    disk.hold_syncs(false);
    gate.open();
    within(LIMIT, peer.wait_for(1)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(peer.accepted().len(), 1, "its turn came, and it was not there");
    assert_eq!(told(&world), ["queued", "delivered"]);
    assert!(engine.shut_down().await);
}
