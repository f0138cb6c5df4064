//! Services that panic: restarted; mail waits meanwhile, is never lost and never sent weaker.

use std::collections::BTreeSet;

use waxseal_queue::actor::CrashService;
use waxseal_testbed::{Event, Happening, Peer, within};
use waxseal_tests::{LIMIT, Seen, World};
use waxseal_types::TlsLevel;

const TEXT: &str = "Subject: x\n\nx\n";

/// Crashes a service, submits a message right behind, and waits for its delivery under TLS.
async fn survives(service: &'static str) {
    for threads in [0, 2] {
        survives_on(threads, service).await;
    }
}

/// As there, with so many threads for deliveries.
async fn survives_on(threads: usize, service: &'static str) {
    let authority = waxseal_testbed::Authority::new("Test CA").expect("an authority");
    let certificate = authority.leaf(&["mx.example.test"]).issue().expect("a leaf");
    let peer = Peer::builder().starttls(certificate).start().await.expect("starts");
    let mut world = World::new(&peer.nexthop(), TlsLevel::Encrypt);
    world.settings.queue.delivery_threads = Some(threads);
    let engine = world.start().await;
    world.submit(&engine, "a@a.test", &["one@b.test"], TEXT).await;
    within(LIMIT, peer.wait_for(1)).await;
    engine.manager().send(CrashService(service)).await.expect("the manager lives");
    let died = |seen: &Seen| matches!(seen, Seen::Died(name) if *name == service).then_some(());
    within(LIMIT, world.recorder.wait(died)).await;
    world.submit(&engine, "a@a.test", &["two@b.test"], TEXT).await;
    let messages = within(LIMIT, peer.wait_for(2)).await;
    assert_eq!(messages[1].recipients, ["two@b.test"]);
    assert!(messages.iter().all(|message| message.tls.is_some()), "never weaker");
    assert!(engine.shut_down().await);
}

#[actix_rt::test]
async fn mail_goes_on_after_the_policy_service_crashed() {
    survives("policy").await;
}

#[actix_rt::test]
async fn mail_goes_on_after_the_dns_service_crashed() {
    survives("dns").await;
}

#[actix_rt::test]
async fn mail_goes_on_after_the_trust_service_crashed() {
    survives("trust").await;
}

#[actix_rt::test]
async fn mail_goes_on_after_the_verify_service_crashed() {
    survives("verify").await;
}

#[actix_rt::test]
async fn mail_goes_on_after_the_transport_service_crashed() {
    survives("transport").await;
}

#[actix_rt::test]
async fn mail_goes_on_after_a_thread_for_deliveries_lost_its_head() {
    survives_on(2, "quay").await;
}

#[actix_rt::test]
async fn what_was_on_its_way_to_a_thread_that_died_goes_another_way_at_once() {
    let peer = Peer::builder().start().await.expect("starts");
    let mut world = World::new(&peer.nexthop(), TlsLevel::May);
    world.settings.queue.delivery_threads = Some(2);
    let engine = world.start().await;
    for round in 0..3 {
        // Nobody waits for the notice of its death: what follows is sent to it, and would wait a minute if that were an attempt.
        engine.manager().send(CrashService("quay")).await.expect("the manager lives");
        world.submit(&engine, "a@a.test", &[&format!("b{round}@b.test")], TEXT).await;
        within(LIMIT, peer.wait_for(round + 1)).await;
    }
    assert!(engine.shut_down().await);
}

#[actix_rt::test]
async fn a_crash_of_the_spool_is_451_and_nothing_is_lost() {
    let peer = Peer::builder().start().await.expect("starts");
    let world = World::new(&peer.nexthop(), TlsLevel::May);
    let engine = world.start().await;
    let mut taken = 0;
    for round in 0..5 {
        engine.manager().send(CrashService("spool")).await.expect("the manager lives");
        // Whatever the answer is: 250 is a promise, and anything else is transient.
        loop {
            let to = format!("b{round}@b.test");
            let reply = world.offer(&engine, "a@a.test", &[&to], TEXT).await;
            assert!(reply.starts_with("250 ") || reply.starts_with("45"), "{reply}");
            if reply.starts_with("250 ") {
                taken += 1;
                break;
            }
        }
    }
    // What was delivered when the spool fell may come again, since its mark was lost; what was promised must come.
    let all = |events: &[Event]| {
        let accepted = events.iter().filter_map(|event| match &event.what {
            Happening::Accepted(message) => Some(message.recipients.clone()),
            _ => None,
        });
        accepted.collect::<BTreeSet<_>>().len() == taken
    };
    within(LIMIT, peer.wait_until(all)).await;
    assert!(engine.shut_down().await);
}

#[actix_rt::test]
async fn the_listener_is_back_after_the_intake_crashed() {
    for threads in [1, 3] {
        let peer = Peer::builder().start().await.expect("starts");
        let mut world = World::new(&peer.nexthop(), TlsLevel::May);
        world.settings.intake.threads = Some(threads);
        let engine = world.start().await;
        for round in 0..3 {
            let intake = engine.intake(round % threads).expect("it attends");
            let crashed = intake.send(waxseal_intake::actor::Crash).await;
            assert!(crashed.is_err(), "it is gone: {crashed:?}");
            let died = |seen: &Seen| matches!(seen, Seen::Died(name) if *name == "intake").then_some(());
            within(LIMIT, world.recorder.wait(died)).await;
            // The port stays bound: a client that comes meanwhile waits for its greeting and is not turned away.
            world.submit(&engine, "a@a.test", &[&format!("b{round}@b.test")], TEXT).await;
        }
        within(LIMIT, peer.wait_for(3)).await;
        assert!(engine.shut_down().await);
    }
}
