//! How much of us a server, a destination or a client may have.

use std::{sync::Arc, time::Duration};

use waxseal_policy::TableName;
use waxseal_queue::{Outcome, TransportLimits};
use waxseal_queue_manager::Engine;
use waxseal_testbed::{Act, Builder, Gate, Peer, Step, within};
use waxseal_tests::{Entries, LIMIT, Seen, World};
use waxseal_types::{Service, TlsLevel};

const TEXT: &str = "Subject: x\n\nx\n";

/// A server that keeps the first message waiting for its last reply.
fn waiting(gate: &Gate) -> Builder {
    let held = Act::Hold(gate.clone(), Box::new("250 2.0.0 ok".into()));
    // One message at a time on a connection, so that each delivery wants one of its own.
    let peer = Peer::builder().without("PIPELINING").without("CHUNKING");
    peer.on_each(Step::Dot, [held, "250 2.0.0 ok".into()]).then().on(Step::Dot, "250 2.0.0 ok")
}

fn with_table(world: &mut World, lines: &[&str]) {
    world.settings.tables = Arc::new(Entries::new(lines));
}

/// Nothing was deferred for what happened.
fn all_went_well(world: &World) -> bool {
    world.recorder.seen().iter().all(|seen| match seen {
        Seen::Attempted(account) => {
            account.results.iter().all(|result| matches!(result.outcome, Outcome::Delivered { .. }))
        }
        Seen::Dead | Seen::Settled { .. } | Seen::Died(_) => false,
        Seen::Queued(_) | Seen::Other => true,
    })
}

async fn until(engine: &Engine, reached: impl Fn(&Engine) -> bool) {
    let wait = async {
        while !reached(engine) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within(LIMIT, wait).await;
}

#[actix_rt::test]
async fn who_finds_an_address_full_waits_and_is_not_deferred() {
    for threads in [0, 2] {
        let gate = Gate::new();
        let (first, second) =
            (waiting(&gate).start().await.expect("starts"), Peer::builder().start().await.expect("starts"));
        // Two destinations at one address.
        let routes =
            [&*format!("one.test smtp:{}", first.nexthop()), &*format!("two.test smtp:{}", second.nexthop())];
        let mut world = World::new(&first.nexthop(), TlsLevel::May).routes(&routes);
        world.settings.transport.address_connection_limit = 1;
        world.settings.queue.delivery_threads = Some(threads);
        let engine = world.start().await;
        world.submit(&engine, "a@a.test", &["b@one.test"], TEXT).await;
        within(LIMIT, gate.reached()).await;
        world.submit(&engine, "a@a.test", &["b@two.test"], TEXT).await;
        until(&engine, |engine| engine.readings().connections().crowded_address > 0).await;
        assert_eq!(second.connections(), 0);
        gate.open();
        within(LIMIT, second.wait_for(1)).await;
        assert!(within(LIMIT, engine.shut_down()).await);
        assert!(all_went_well(&world), "{:?}", world.recorder.seen());
    }
}

#[actix_rt::test]
async fn a_table_says_how_many_connections_a_destination_gets() {
    for (entry, most) in [("* concurrency=2", 2), ("* initial=1", 20)] {
        let gate = Gate::new();
        let peer = waiting(&gate).start().await.expect("starts");
        let mut world = World::new(&peer.nexthop(), TlsLevel::May);
        with_table(&mut world, &[entry]);
        world.settings.queue.destination_limits = vec![TableName::new(Entries::NAME)];
        let engine = world.start().await;
        for number in 0..20 {
            world.submit(&engine, "a@a.test", &[&format!("b{number}@b.test")], TEXT).await;
        }
        within(LIMIT, gate.reached()).await;
        gate.open();
        within(LIMIT, peer.wait_for(20)).await;
        assert!(within(LIMIT, engine.shut_down()).await);
        assert!(peer.connections() <= most, "{entry}: {} connections", peer.connections());
        assert!(all_went_well(&world));
    }
}

#[actix_rt::test]
async fn recipients_of_a_transaction_are_limited_by_the_table_then_by_the_transport_then_for_all() {
    // What the table says, what the transport has, and the most that may come in one transaction: seven recipients are in it.
    let rows = [
        (None, None, 7),
        (None, Some(2), 2),
        (Some("* concurrency=9"), Some(2), 2),
        (Some("* recipients=3"), Some(2), 3),
        (Some("* recipients=3"), None, 3),
    ];
    for (entry, transport, most) in rows {
        let peer = Peer::builder().start().await.expect("starts");
        let mut world = World::new(&peer.nexthop(), TlsLevel::May);
        if let Some(entry) = entry {
            with_table(&mut world, &[entry]);
            world.settings.queue.destination_limits = vec![TableName::new(Entries::NAME)];
        }
        if let Some(recipients) = transport {
            let limits = TransportLimits { recipients, ..world.settings.queue.limits_of_all() };
            world.settings.queue.transport_limits.insert(Service::SMTP, limits);
        }
        let engine = world.start().await;
        let to: Vec<String> = (0..7).map(|number| format!("b{number}@b.test")).collect();
        world.submit(&engine, "a@a.test", &to.iter().map(String::as_str).collect::<Vec<_>>(), TEXT).await;
        let transactions = within(LIMIT, peer.wait_for(7_usize.div_ceil(most))).await;
        assert!(within(LIMIT, engine.shut_down()).await);
        let mut sizes: Vec<usize> = transactions.iter().map(|message| message.recipients.len()).collect();
        sizes.sort_unstable();
        assert_eq!(
            (sizes.iter().sum(), sizes.last()),
            (7, Some(&most)),
            "{entry:?} {transport:?}: {sizes:?}"
        );
        assert!(all_went_well(&world));
    }
}

#[actix_rt::test]
async fn a_table_of_limits_that_cannot_be_asked_gives_one_connection_at_a_time_and_stops_nobody() {
    let gate = Gate::new();
    let peer = waiting(&gate).start().await.expect("starts");
    let mut world = World::new(&peer.nexthop(), TlsLevel::May);
    world.settings.queue.destination_limits = vec![TableName::new("inline:missing")];
    let engine = world.start().await;
    for number in 0..8 {
        world.submit(&engine, "a@a.test", &[&format!("b{number}@b.test")], TEXT).await;
    }
    within(LIMIT, gate.reached()).await;
    assert_eq!(peer.connections(), 1);
    gate.open();
    within(LIMIT, peer.wait_for(8)).await;
    assert!(within(LIMIT, engine.shut_down()).await);
    assert!(all_went_well(&world));
}

#[actix_rt::test]
async fn a_client_has_no_more_under_way_than_its_quota() {
    let gate = Gate::new();
    let peer = waiting(&gate).start().await.expect("starts");
    let mut world = World::new(&peer.nexthop(), TlsLevel::May);
    with_table(&mut world, &["* active=1"]);
    world.settings.queue.client_quotas = vec![TableName::new(Entries::NAME)];
    let engine = world.start().await;
    for number in 0..6 {
        world.submit(&engine, "a@a.test", &[&format!("b{number}@b.test")], TEXT).await;
    }
    within(LIMIT, gate.reached()).await;
    assert_eq!(peer.connections(), 1, "the others wait behind the first");
    gate.open();
    within(LIMIT, peer.wait_for(6)).await;
    assert!(within(LIMIT, engine.shut_down()).await);
    assert!(all_went_well(&world));
}
