//! What operators do to the queue while it runs, and what of it outlives a restart.

use waxseal_queue::{
    Destination, Outcome, Settled,
    actor::{Act, AskLevers, AskStandings, Look, Suspend, Switch},
    levers::{Command, Selection, State, Tally},
};
use waxseal_queue_manager::Engine;
use waxseal_testbed::{Act as PeerAct, Gate, Peer, Step, within};
use waxseal_tests::{LIMIT, Seen, World};
use waxseal_types::{NextHop, Service, TlsLevel};

const TEXT: &str = "Subject: x\n\nx\n";

async fn act(engine: &Engine, selection: Selection, command: Command) -> Tally {
    within(LIMIT, engine.manager().send(Act { selection, command, dry_run: false }))
        .await
        .expect("it answers")
}

async fn count(engine: &Engine, selection: Selection, command: Command) -> Tally {
    within(LIMIT, engine.manager().send(Act { selection, command, dry_run: true })).await.expect("it answers")
}

/// Parts in that state; after a restart, once all of them are there again.
async fn waiting(engine: &Engine, state: State) -> usize {
    let selection = Selection { state: Some(state), ..Selection::default() };
    count(engine, Selection::default(), Command::Retry).await;
    let look = Look { selection, after: None, limit: usize::MAX };
    within(LIMIT, engine.manager().send(look)).await.expect("it answers").entries.len()
}

async fn switch(engine: &Engine, wanted: Switch) {
    within(LIMIT, engine.manager().send(wanted)).await.expect("it answers");
}

async fn suspend(engine: &Engine, nexthop: &str, closed: bool) {
    let nexthop: NextHop = nexthop.parse().expect("a next hop");
    within(LIMIT, engine.manager().send(Suspend { nexthop, closed })).await.expect("it answers");
}

fn queued(world: &World) -> usize {
    world.recorder.seen().iter().filter(|seen| matches!(seen, Seen::Queued(_))).count()
}

/// Submits a message and waits until the queue has it: the 250 comes when it is on disk.
async fn submit(world: &World, engine: &Engine, from: &str, to: &[&str]) {
    let before = queued(world);
    world.submit(engine, from, to, TEXT).await;
    within(LIMIT, world.recorder.wait(|_| (queued(world) > before).then_some(()))).await;
}

fn all() -> Selection {
    Selection::default()
}

fn to(recipient: &str) -> Selection {
    Selection { recipient: Some(recipient.to_owned()), ..all() }
}

const fn done(messages: usize, parts: usize, refused: usize) -> Tally {
    Tally { messages, parts, refused }
}

/// An engine whose mail waits for `peer`, since all is deferred.
async fn paused(peer: &Peer) -> (World, Engine) {
    let world = World::new(&peer.nexthop(), TlsLevel::May);
    let engine = world.start().await;
    switch(&engine, Switch { defer_all: Some(true), soft_bounce: None }).await;
    (world, engine)
}

#[actix_rt::test]
async fn what_is_held_stays_over_a_restart_until_it_is_released() {
    let peer = Peer::builder().start().await.expect("starts");
    let (world, engine) = paused(&peer).await;
    for number in 0..4 {
        submit(&world, &engine, "a@a.test", &[&format!("b{number}@b.test")]).await;
    }
    assert_eq!(act(&engine, to("B1@b.test"), Command::Hold).await, done(1, 1, 0));
    assert_eq!(act(&engine, all(), Command::Retry).await, done(3, 3, 1), "what is held stays so");
    assert!(engine.shut_down().await);
    let engine = world.start().await;
    let arrived = within(LIMIT, peer.wait_for(3)).await;
    assert!(arrived.iter().all(|message| message.recipients != ["b1@b.test"]));
    assert_eq!(waiting(&engine, State::Held).await, 1);
    let standing = within(LIMIT, engine.manager().send(AskStandings(Vec::new()))).await.expect("it answers");
    assert_eq!(standing.iter().map(|one| one.held).collect::<Vec<_>>(), [1]);
    assert_eq!(act(&engine, all(), Command::Release).await.messages, 1);
    assert_eq!(within(LIMIT, peer.wait_for(4)).await[3].recipients, ["b1@b.test"]);
    assert!(engine.shut_down().await);
    let engine = world.start().await;
    assert_eq!(waiting(&engine, State::Held).await + waiting(&engine, State::Waiting).await, 0);
    assert!(engine.shut_down().await);
}

#[actix_rt::test]
async fn messages_are_chosen_by_sender_recipient_domain_and_reason_and_only_those_recipients_are_removed() {
    let peer = Peer::builder().reply_to_rcpt("450 4.2.0 mailbox is busy").start().await.expect("starts");
    let mut world = World::new(&peer.nexthop(), TlsLevel::May);
    world.settings.queue.minimal_backoff = std::time::Duration::from_secs(3600);
    world.settings.queue.maximal_backoff = std::time::Duration::from_secs(3600);
    let engine = world.start().await;
    submit(&world, &engine, "a@a.test", &["b@b.test", "c@c.test"]).await;
    submit(&world, &engine, "z@a.test", &["b@b.test"]).await;
    submit(&world, &engine, "", &["d@b.test"]).await;
    // What a server said counts when it is written down.
    let busy = Selection { reason: Some("BUSY".into()), ..all() };
    within(LIMIT, async { while count(&engine, busy.clone(), Command::Remove).await.messages < 3 {} }).await;
    let selections = [
        (Selection { sender: Some("Z@a.test".into()), ..all() }, 1),
        (Selection { sender: Some(String::new()), ..all() }, 1),
        (to("b@b.test"), 2),
        (Selection { domain: Some("b.test".into()), ..all() }, 3),
        (Selection { domain: Some("c.test".into()), ..all() }, 1),
        (Selection { reason: Some("quota".into()), ..all() }, 0),
        (Selection { nexthop: Some("other.test".parse().expect("a next hop")), ..all() }, 0),
        (Selection { older_than: Some(LIMIT * 10), ..all() }, 0),
        (Selection { younger_than: Some(LIMIT * 10), ..all() }, 3),
    ];
    for (selection, expected) in selections {
        let tally = count(&engine, selection.clone(), Command::Remove).await;
        assert_eq!(tally.messages, expected, "{selection:?}");
    }
    assert_eq!(waiting(&engine, State::Waiting).await, 3, "a dry run changes nothing");
    assert_eq!(act(&engine, to("b@b.test"), Command::Remove).await, done(2, 2, 0));
    assert_eq!(waiting(&engine, State::Waiting).await, 2);
    let seen = world.recorder.seen();
    let removed = seen.iter().filter(|seen| {
        matches!(seen, Seen::Settled { how: Settled::Removed, why, .. } if why.contains("by an operator"))
    });
    assert_eq!(removed.count(), 2);
    assert!(engine.shut_down().await);
    let engine = world.start().await;
    assert_eq!(waiting(&engine, State::Waiting).await, 2, "c@c.test and d@b.test are left");
    assert_eq!(count(&engine, to("b@b.test"), Command::Remove).await, done(0, 0, 0));
    assert!(engine.shut_down().await);
}

#[actix_rt::test]
async fn a_message_that_is_given_up_comes_back_with_the_operators_words() {
    let peer = Peer::builder().start().await.expect("starts");
    let home = Peer::builder().start().await.expect("starts");
    let world = World::new(&peer.nexthop(), TlsLevel::May);
    let world = world.routes(&[&format!("a.test smtp:{}", home.nexthop())]);
    let engine = world.start().await;
    suspend(&engine, &peer.nexthop(), true).await;
    submit(&world, &engine, "a@a.test", &["b@b.test", "c@b.test"]).await;
    let command = Command::Bounce("this domain is closed".into());
    assert_eq!(act(&engine, all(), command).await, done(1, 1, 0));
    let bounce = &within(LIMIT, home.wait_for(1)).await[0];
    assert_eq!(bounce.text().matches("Final-Recipient").count(), 2);
    assert!(bounce.text().contains("this domain is closed"), "{}", bounce.text());
    assert!(engine.shut_down().await);
    assert_eq!(peer.connections(), 0);
}

#[actix_rt::test]
async fn what_is_under_way_is_too_late_to_touch() {
    let gate = Gate::new();
    let held = PeerAct::Hold(gate.clone(), Box::new(PeerAct::from("250 2.0.0 at last")));
    let peer = Peer::builder().on(Step::Dot, held).start().await.expect("starts");
    let world = World::new(&peer.nexthop(), TlsLevel::May);
    let engine = world.start().await;
    submit(&world, &engine, "a@a.test", &["b@b.test"]).await;
    within(LIMIT, gate.reached()).await;
    for command in [Command::Hold, Command::Remove, Command::Bounce("no".into()), Command::Retry] {
        assert_eq!(act(&engine, all(), command.clone()).await, done(0, 0, 1), "{command:?}");
    }
    gate.open();
    within(LIMIT, peer.wait_for(1)).await;
    assert!(engine.shut_down().await);
}

#[actix_rt::test]
async fn a_destination_can_be_suspended_and_its_queue_sent_elsewhere() {
    let peer = Peer::builder().start().await.expect("starts");
    let other = Peer::builder().start().await.expect("starts");
    let world = World::new(&peer.nexthop(), TlsLevel::May);
    let engine = world.start().await;
    suspend(&engine, &peer.nexthop(), true).await;
    for number in 0..3 {
        submit(&world, &engine, "a@a.test", &[&format!("b{number}@b.test")]).await;
    }
    assert_eq!(waiting(&engine, State::Waiting).await, 3);
    let nexthop = other.nexthop().parse().expect("a next hop");
    let command = Command::Reroute(Destination { service: Service::SMTP, nexthop });
    assert_eq!(act(&engine, to("b1@b.test"), command).await, done(1, 1, 0));
    assert_eq!(within(LIMIT, other.wait_for(1)).await[0].recipients, ["b1@b.test"]);
    let levers = within(LIMIT, engine.manager().send(AskLevers)).await.expect("it answers");
    assert_eq!(levers.suspended.len(), 1);
    suspend(&engine, &peer.nexthop(), false).await;
    within(LIMIT, peer.wait_for(2)).await;
    assert!(engine.shut_down().await);
    assert_eq!((peer.accepted().len(), other.accepted().len()), (2, 1));
}

#[actix_rt::test]
async fn with_soft_bounce_a_refusal_waits_and_nobody_is_told() {
    let peer = Peer::builder().reply_to_rcpt("550 5.1.1 no such user").start().await.expect("starts");
    let world = World::new(&peer.nexthop(), TlsLevel::May);
    let engine = world.start().await;
    switch(&engine, Switch { soft_bounce: Some(true), defer_all: None }).await;
    submit(&world, &engine, "a@a.test", &["b@b.test"]).await;
    let account = within(LIMIT, world.recorder.attempt(|account| !account.results.is_empty())).await;
    let Outcome::Deferred(failure) = &account.results[0].outcome else { panic!("{:?}", account.results) };
    assert_eq!(failure.status.to_string(), "4.1.1");
    switch(&engine, Switch { soft_bounce: Some(false), defer_all: None }).await;
    let bounced = |account: &waxseal_queue::Account| {
        account.results.iter().any(|result| matches!(result.outcome, Outcome::Bounced(_)))
    };
    within(LIMIT, world.recorder.attempt(bounced)).await;
    assert!(engine.shut_down().await);
}

#[actix_rt::test]
async fn a_thousand_messages_are_retried_removed_and_counted_in_bulk() {
    let peer = Peer::builder().start().await.expect("starts");
    let (world, engine) = paused(&peer).await;
    for number in 0..1_000 {
        world.submit(&engine, "a@a.test", &[&format!("b{number}@b.test")], TEXT).await;
    }
    within(LIMIT, async {
        while queued(&world) < 1_000 {
            tokio::task::yield_now().await
        }
    })
    .await;
    assert_eq!(count(&engine, all(), Command::Remove).await, done(1_000, 1_000, 0));
    assert_eq!(act(&engine, all(), Command::Hold).await, done(1_000, 1_000, 0));
    assert_eq!(act(&engine, to("b7@b.test"), Command::Release).await, done(1, 1, 0));
    let held = Selection { state: Some(State::Held), ..all() };
    assert_eq!(act(&engine, held, Command::Remove).await, done(999, 999, 0));
    switch(&engine, Switch { defer_all: Some(false), soft_bounce: None }).await;
    assert_eq!(within(LIMIT, peer.wait_for(1)).await[0].recipients, ["b7@b.test"]);
    assert!(engine.shut_down().await);
    let engine = world.start().await;
    assert_eq!(waiting(&engine, State::Waiting).await + waiting(&engine, State::Held).await, 0);
    assert!(engine.shut_down().await);
}
