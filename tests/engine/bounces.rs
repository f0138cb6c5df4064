//! What the sender hears (RFC 3464).

use std::time::Duration;

use waxseal_queue::{Settled, actor::Suspend};
use waxseal_testbed::{Client, Peer, within};
use waxseal_tests::{LIMIT, Seen, World};
use waxseal_types::TlsLevel;

const TEXT: &str = "Message-ID: <one@a.test>\nSubject: the matter\n\nsome text\n";

#[actix_rt::test]
async fn a_refused_message_comes_back_with_the_servers_words() {
    let bad = Peer::builder().reply_to_rcpt("550 5.1.1 no such user here").start().await.expect("starts");
    let home = Peer::builder().start().await.expect("starts");
    let world =
        World::new(&bad.nexthop(), TlsLevel::May).routes(&[&format!("a.test smtp:{}", home.nexthop())]);
    let engine = world.start().await;
    world.submit(&engine, "a@a.test", &["b@b.test", "c@b.test"], TEXT).await;
    let bounces = within(LIMIT, home.wait_for(1)).await;
    let bounce = &bounces[0];
    assert_eq!((bounce.sender.as_str(), &bounce.recipients[..]), ("", &["a@a.test".to_owned()][..]));
    let kind = bounce.header("Content-Type").expect("a report has a type");
    assert!(kind.contains("multipart/report") && kind.contains("delivery-status"), "{kind}");
    assert!(bounce.header("Auto-Submitted").is_some_and(|value| value.starts_with("auto-")), "RFC 3834 §5");
    let text = bounce.text();
    for words in [
        "Reporting-MTA: dns; queue.test",
        "Final-Recipient: rfc822; b@b.test",
        "Final-Recipient: rfc822; c@b.test",
        "Action: failed",
        "Status: 5.1.1",
        "no such user here",
        "Subject: the matter",
        "<one@a.test>",
    ] {
        assert!(text.contains(words), "no {words:?} in:\n{text}");
    }
    assert_eq!(text.matches("Final-Recipient").count(), 2, "one notification tells of both");
    assert!(engine.shut_down().await);
    assert_eq!(home.accepted().len(), 1);
}

#[actix_rt::test]
async fn a_null_sender_is_never_told() {
    let bad = Peer::builder().reply_to_mail("550 5.7.1 no").start().await.expect("starts");
    let world = World::new(&bad.nexthop(), TlsLevel::May);
    let engine = world.start().await;
    world.submit(&engine, "", &["b@b.test"], TEXT).await;
    within(LIMIT, world.recorder.attempt(|_| true)).await;
    // Were there a notification, it would be queued by the time that the queue has nothing left to do.
    assert!(engine.shut_down().await);
    let engine = world.start().await;
    assert!(engine.shut_down().await);
    let queued = world.recorder.seen().iter().filter(|seen| matches!(seen, Seen::Queued(_))).count();
    assert_eq!((queued, bad.connections()), (1, 1));
}

#[actix_rt::test]
async fn a_message_that_waited_too_long_expires_with_the_last_reason() {
    let bad = Peer::builder().greeting("421 4.3.2 never ready").start().await.expect("starts");
    let home = Peer::builder().start().await.expect("starts");
    let mut world =
        World::new(&bad.nexthop(), TlsLevel::May).routes(&[&format!("a.test smtp:{}", home.nexthop())]);
    world.settings.queue.maximal_lifetime = Duration::from_millis(500);
    let engine = world.start().await;
    world.submit(&engine, "a@a.test", &["b@b.test"], TEXT).await;
    let bounces = within(LIMIT, home.wait_for(1)).await;
    let text = bounces[0].text();
    for words in ["Status: 5.4.7", "Action: failed", "never ready"] {
        assert!(text.contains(words), "no {words:?} in:\n{text}");
    }
    let expired = |seen: &Seen| matches!(seen, Seen::Settled { how: Settled::Expired, .. }).then_some(());
    within(LIMIT, world.recorder.wait(expired)).await;
    assert!(engine.shut_down().await);
}

#[actix_rt::test]
async fn a_sender_is_warned_once_of_a_delay_also_after_a_restart() {
    let busy = Peer::builder().reply_to_rcpt("450 4.2.0 come again").start().await.expect("starts");
    let home = Peer::builder().start().await.expect("starts");
    let mut world =
        World::new(&busy.nexthop(), TlsLevel::May).routes(&[&format!("a.test smtp:{}", home.nexthop())]);
    world.settings.queue.delay_warning = Duration::from_millis(300);
    let engine = world.start().await;
    world.submit(&engine, "a@a.test", &["b@b.test"], TEXT).await;
    let warnings = within(LIMIT, home.wait_for(1)).await;
    let text = warnings[0].text();
    for words in [
        "Subject: Delayed Mail",
        "Action: delayed",
        "Status: 4.2.0",
        "Will-Retry-Until: ",
        "The next attempt is at ",
        "come again",
        "Demanded: encryption where the server offers it.",
    ] {
        assert!(text.contains(words), "no {words:?} in:\n{text}");
    }
    assert!(!text.contains("some text"), "the sender has it still");
    assert!(engine.shut_down().await);
    let before = busy.connections();
    let engine = world.start().await;
    let again = |seen: &[Seen]| {
        seen.iter().filter(|seen| matches!(seen, Seen::Attempted(account) if account.attempt > 1)).count()
    };
    let tried = again(&world.recorder.seen());
    // Two more attempts, each of which would have warned again.
    within(LIMIT, world.recorder.wait(|_| (again(&world.recorder.seen()) >= tried + 2).then_some(()))).await;
    assert!(engine.shut_down().await);
    assert!(busy.connections() > before);
    assert_eq!(home.accepted().len(), 1, "one warning in all");
}

#[actix_rt::test]
async fn a_sender_hears_of_a_delay_also_where_an_operator_suspended_the_destination() {
    let never = Peer::builder().start().await.expect("starts");
    let home = Peer::builder().start().await.expect("starts");
    let mut world =
        World::new(&never.nexthop(), TlsLevel::May).routes(&[&format!("a.test smtp:{}", home.nexthop())]);
    world.settings.queue.delay_warning = Duration::from_millis(300);
    let engine = world.start().await;
    let nexthop = never.nexthop().parse().expect("a next hop");
    within(LIMIT, engine.manager().send(Suspend { nexthop, closed: true })).await.expect("it answers");
    world.submit(&engine, "a@a.test", &["b@b.test", "c@b.test"], TEXT).await;
    let text = within(LIMIT, home.wait_for(1)).await[0].text();
    for words in [
        "Subject: Delayed Mail",
        "Action: delayed",
        "Status: 4.3.2",
        "Final-Recipient: rfc822; b@b.test",
        "Final-Recipient: rfc822; c@b.test",
        "Will-Retry-Until: ",
        "deliveries to this destination are suspended by an operator",
        "The administrator of this mail system can mend this.",
    ] {
        assert!(text.contains(words), "no {words:?} in:\n{text}");
    }
    assert!(engine.shut_down().await);
    // After a restart it waits as before, and nobody hears of it again: a second message is warned of, the first is not.
    let engine = world.start().await;
    let nexthop = never.nexthop().parse().expect("a next hop");
    within(LIMIT, engine.manager().send(Suspend { nexthop, closed: true })).await.expect("it answers");
    world.submit(&engine, "a@a.test", &["d@b.test"], TEXT).await;
    let second = within(LIMIT, home.wait_for(2)).await[1].text();
    assert!(second.contains("d@b.test") && !second.contains("b@b.test>"), "{second}");
    assert!(engine.shut_down().await);
}

#[actix_rt::test]
async fn a_sender_hears_of_a_delay_also_where_no_route_can_be_found() {
    let home = Peer::builder().start().await.expect("starts");
    let mut world = World::new("[127.0.0.1]:9", TlsLevel::May)
        .routes(&[&format!("a.test smtp:{}", home.nexthop()), "b.test nonsense:"]);
    let warning = Duration::from_secs(2);
    world.settings.queue.delay_warning = warning;
    let engine = world.start().await;
    world.submit(&engine, "a@a.test", &["b@b.test"], TEXT).await;
    let text = within(LIMIT, home.wait_for(1)).await[0].text();
    for words in [
        "Subject: Delayed Mail",
        "Action: delayed",
        "Final-Recipient: rfc822; b@b.test",
        "Will-Retry-Until: ",
        "The next attempt is at ",
        "This mail system cannot look up the way to this address just now.",
    ] {
        assert!(text.contains(words), "no {words:?} in:\n{text}");
    }
    assert!(engine.shut_down().await);
    // It has never had a route, so that it fails since it came: also for whoever reads the spool.
    let (_log, recovery) = waxseal_spool::open(world.settings.spool.clone()).expect("nobody has it any more");
    let waiting =
        recovery.map(|found| found.expect("it is sound")).find(|found| !found.states[0].state.is_final());
    let waiting = waiting.expect("it waits");
    let since = waiting.states[0].first_failure.expect("it fails");
    let late = since.since(waiting.envelope.arrived);
    assert!(waiting.states[0].warned && late < warning, "{late:?}");
}

/// Submits one message by hand, with parameters to MAIL and RCPT.
async fn submit_with(engine: &waxseal_queue_manager::Engine, mail: &str, rcpt: &str) {
    let talk = async {
        let mut client = Client::connect(engine.addresses()[0]).await?;
        for line in ["EHLO client.test", mail, rcpt] {
            let reply = client.ask(line).await?;
            assert!(reply.starts_with("250"), "{line}: {reply}");
        }
        let go_on = client.ask("DATA").await?;
        assert!(go_on.starts_with("354"), "{go_on}");
        client.ask("Subject: x\r\n\r\nx\r\n.").await
    };
    let reply = within(LIMIT, talk).await.expect("the intake answers");
    assert!(reply.starts_with("250 "), "{reply}");
}

#[actix_rt::test]
async fn rfc3461_5_2_2_success_is_reported_as_relayed_where_the_next_server_has_no_dsn() {
    let deaf = Peer::builder().without("DSN").start().await.expect("starts");
    let home = Peer::builder().start().await.expect("starts");
    let world =
        World::new(&deaf.nexthop(), TlsLevel::May).routes(&[&format!("a.test smtp:{}", home.nexthop())]);
    let engine = world.start().await;
    submit_with(
        &engine,
        "MAIL FROM:<a@a.test> ENVID=x+3D1",
        "RCPT TO:<b@b.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;B+40b.test",
    )
    .await;
    let reports = within(LIMIT, home.wait_for(1)).await;
    let text = reports[0].text();
    for words in
        ["Action: relayed", "Original-Envelope-Id: x=1", "Original-Recipient: rfc822; B@b.test", "Status: 2."]
    {
        assert!(text.contains(words), "no {words:?} in:\n{text}");
    }
    let sent = deaf.commands().join("\n");
    assert!(
        !sent.contains("NOTIFY") && !sent.contains("ENVID"),
        "no parameter for a server without DSN: {sent}"
    );
    assert!(engine.shut_down().await);
}

#[actix_rt::test]
async fn rfc3461_5_2_1_parameters_are_passed_on_unchanged_where_the_next_server_has_dsn() {
    let peer = Peer::builder().start().await.expect("starts");
    let world = World::new(&peer.nexthop(), TlsLevel::May);
    let engine = world.start().await;
    submit_with(
        &engine,
        "MAIL FROM:<a@a.test> RET=HDRS ENVID=x+3D1",
        "RCPT TO:<b@b.test> NOTIFY=SUCCESS ORCPT=rfc822;B+40b.test",
    )
    .await;
    within(LIMIT, peer.wait_for(1)).await;
    let sent = peer.commands().join("\n");
    for words in ["RET=HDRS", "ENVID=x+3D1", "NOTIFY=SUCCESS", "ORCPT=rfc822;B+40b.test"] {
        assert!(sent.contains(words), "no {words:?} in:\n{sent}");
    }
    assert!(engine.shut_down().await);
}

#[actix_rt::test]
async fn rfc6531_3_5_an_international_address_bounces_where_the_next_server_cannot() {
    let plain = Peer::builder().without("SMTPUTF8").start().await.expect("starts");
    let world = World::new(&plain.nexthop(), TlsLevel::May);
    let engine = world.start().await;
    submit_with(&engine, "MAIL FROM:<> SMTPUTF8", "RCPT TO:<用户@b.test>").await;
    let status = within(LIMIT, world.recorder.attempt(|account| !account.results.is_empty())).await;
    let failure = status.results[0].outcome.failure().expect("it cannot go").clone();
    assert_eq!(failure.status.to_string(), "5.6.7");
    assert!(plain.accepted().is_empty());
    assert!(engine.shut_down().await);
}
