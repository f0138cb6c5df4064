//! The policy changes while mail is under way to a destination (design §5.9): the servers' logs say what went when.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use waxseal_policy::TableName;
use waxseal_queue::Outcome;
use waxseal_testbed::{Act, Certificate, Gate, Peer, Step, within};
use waxseal_tests::{Changing, Entries, LIMIT, World};
use waxseal_types::TlsLevel;

const TEXT: &str = "Subject: x\n\nx\n";

fn certificate() -> Certificate {
    Certificate::self_signed(&["mx.test"]).issue().expect("a certificate")
}

fn digest(certificate: &Certificate) -> String {
    Sha256::digest(certificate.der()).iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":")
}

/// A world whose one destination has the policy of this table.
fn world(peer: &Peer, entry: &str) -> (World, Arc<Changing>) {
    let mut world = World::new(&peer.nexthop(), TlsLevel::DaneOnly);
    let table = Arc::new(Changing::new(&[&format!("{} {entry}", peer.nexthop())]));
    let mut policy = (*world.settings.policy).clone();
    policy.smtp.policy_maps = vec![TableName::new(Entries::NAME)];
    world.settings.policy = Arc::new(policy);
    world.settings.tables = Arc::clone(&table) as Arc<dyn waxseal_policy::Tables>;
    (world, table)
}

/// How many MAIL commands there were.
fn mails(peer: &Peer) -> usize {
    peer.commands().iter().filter(|command| command.starts_with("MAIL")).count()
}

/// The policy was read, the connection stands before its verdict, and then the pin is revoked.
#[actix_rt::test]
async fn a_pin_that_is_revoked_during_the_handshake_lets_no_mail_through() {
    for (before, after) in [("pinned", "other pin"), ("encrypt", "other pin"), ("may", "dane-only")] {
        let certificate = certificate();
        let (pin, other) = (digest(&certificate), "AB:".repeat(31) + "AB");
        let entry = |name: &str| match name {
            "pinned" => format!("fingerprint match={pin}"),
            "other pin" => format!("fingerprint match={other}"),
            level => level.to_owned(),
        };
        let gate = Gate::new();
        let held = Act::Hold(gate.clone(), Box::new(Act::from("220 2.0.0 go ahead")));
        let peer =
            Peer::builder().starttls(certificate).on(Step::StartTls, held).start().await.expect("starts");
        let (world, table) = world(&peer, &entry(before));
        let engine = world.start().await;
        world.submit(&engine, "a@a.test", &["b@b.test"], TEXT).await;
        within(LIMIT, gate.reached()).await;
        table.replace(&[&format!("{} {}", peer.nexthop(), entry(after))]);
        gate.open();
        let account = within(LIMIT, world.recorder.attempt(|_| true)).await;
        assert!(
            matches!(account.results[0].outcome, Outcome::Deferred(_)),
            "{before} -> {after}: {:?}",
            account.results
        );
        assert_eq!(mails(&peer), 0, "{before} -> {after}: {:?}", peer.commands());
        assert!(engine.shut_down().await);
    }
}

/// Many messages on reused connections: the first ones go, then the pin is revoked, and from that moment on nothing does.
/// `WAXSEAL_MESSAGES=1000` for the full size.
#[actix_rt::test]
async fn a_revoked_pin_holds_at_once_for_all_messages_under_way() {
    let messages = std::env::var("WAXSEAL_MESSAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let certificate = certificate();
    let pin = format!("fingerprint match={}", digest(&certificate));
    let wrong = format!("fingerprint match={}", "AB:".repeat(31) + "AB");
    let gate = Gate::new();
    let held = Act::Hold(gate.clone(), Box::new(Act::from("250 2.0.0 taken")));
    // Without PIPELINING a MAIL is only on the wire when it has its turn: what comes after the change can be counted.
    let builder = Peer::builder().starttls(certificate).on(Step::Dot, held);
    let peer = builder.without("PIPELINING").start().await.expect("starts");
    let (mut world, table) = world(&peer, &pin);
    // What is deferred stays so for this test.
    world.settings.queue.minimal_backoff = LIMIT * 10;
    world.settings.queue.maximal_backoff = LIMIT * 10;
    let engine = world.start().await;
    for number in 0..messages {
        world.submit(&engine, "a@a.test", &[&format!("b{number}@b.test")], TEXT).await;
    }
    // So many are before their final reply; all others wait for a connection.
    for _ in 0..world.settings.queue.initial_destination_concurrency {
        within(LIMIT, gate.reached()).await;
    }
    table.replace(&[&format!("{} {wrong}", peer.nexthop())]);
    let begun = mails(&peer);
    gate.open();
    within(LIMIT, peer.wait_for(begun)).await;
    let deferred =
        |account: &waxseal_queue::Account| matches!(account.results[0].outcome, Outcome::Deferred(_));
    within(LIMIT, world.recorder.attempt(deferred)).await;
    assert!(engine.shut_down().await);
    let after = mails(&peer);
    assert!(begun < messages, "all had begun: nothing is shown");
    assert_eq!((after, peer.accepted().len()), (begun, begun), "MAIL after the pin was revoked");

    // With the pin back the rest goes, each once.
    table.replace(&[&format!("{} {pin}", peer.nexthop())]);
    world.settings.queue.minimal_backoff = std::time::Duration::from_millis(200);
    let engine = world.start().await;
    world.submit(&engine, "a@a.test", &["last@b.test"], TEXT).await;
    within(LIMIT, peer.wait_for(begun + 1)).await;
    assert!(engine.shut_down().await);
}

/// What changed allows the message, too: it goes at once, and does not wait for a back-off.
#[actix_rt::test]
async fn a_message_stopped_by_a_change_is_planned_anew_at_once() {
    let certificate = certificate();
    let pin = format!("fingerprint match={}", digest(&certificate));
    let gate = Gate::new();
    let held = Act::Hold(gate.clone(), Box::new(Act::from("220 2.0.0 go ahead")));
    let peer = Peer::builder().starttls(certificate).on(Step::StartTls, held).start().await.expect("starts");
    let (mut world, table) = world(&peer, "encrypt");
    world.settings.queue.minimal_backoff = LIMIT * 10;
    world.settings.queue.maximal_backoff = LIMIT * 10;
    let engine = world.start().await;
    world.submit(&engine, "a@a.test", &["b@b.test"], TEXT).await;
    within(LIMIT, gate.reached()).await;
    table.replace(&[&format!("{} {pin}", peer.nexthop())]);
    gate.open();
    let account = within(LIMIT, world.recorder.attempt(|_| true)).await;
    assert!(matches!(account.results[0].outcome, Outcome::Delivered { .. }), "{:?}", account.results);
    let levels: Vec<TlsLevel> = account.policies.iter().map(|policy| policy.level).collect();
    assert_eq!((account.attempt, levels), (1, vec![TlsLevel::Encrypt, TlsLevel::Fingerprint]));
    assert_eq!(mails(&peer), 1);
    assert!(engine.shut_down().await);
}
