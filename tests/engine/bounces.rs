//! What the sender hears (RFC 3464).

use std::time::Duration;

use waxseal_queue::Settled;
use waxseal_testbed::{Peer, within};
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
