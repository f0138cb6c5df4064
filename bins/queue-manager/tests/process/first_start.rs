//! What an operator sees first: it starts, takes a message, delivers it, and ends when told to.

use waxseal_testbed::{Client, Peer, within};

use crate::daemon::{self, Daemon, LIMIT};

#[tokio::test]
async fn a_message_goes_through_and_the_events_tell_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let peer = Peer::builder().start().await.expect("starts");
    let daemon = Daemon::start(folder.path(), &daemon::config(folder.path(), &peer.nexthop())).await;
    let mut client = Client::connect(daemon.smtp()).await.expect("it listens");
    let text = "Message-ID: <one@a.test>\nSubject: one\n\n.hidden dot\n";
    let reply = client.submit("a@a.test", &["b@b.test"], text).await.expect("it answers");
    assert!(reply.starts_with("250 "), "{reply}");
    let messages = within(LIMIT, peer.wait_for(1)).await;
    assert_eq!(messages[0].sender, "a@a.test");
    assert_eq!(messages[0].recipients, ["b@b.test"]);
    assert!(messages[0].text().ends_with("Subject: one\r\n\r\n.hidden dot\r\n"), "{}", messages[0].text());
    let end = daemon.terminate().await;
    assert_eq!(end.status.code(), Some(0), "{}", end.log);
    let events = std::fs::read_to_string(daemon::events_file(folder.path())).expect("events were written");
    for (event, field) in [("queued", "<one@a.test>"), ("delivered", &peer.addr().port().to_string())] {
        let line = events.lines().find(|line| line.contains(&format!("\"event\":\"{event}\"")));
        assert!(line.is_some_and(|line| line.contains(field)), "no {event} with {field} in:\n{events}");
    }
}

#[tokio::test]
async fn a_message_that_waits_is_delivered_by_the_next_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut peer = Peer::builder().greeting("421 4.3.2 not now").start().await.expect("starts");
    let config = daemon::config(folder.path(), &peer.nexthop());
    let daemon = Daemon::start(folder.path(), &config).await;
    let mut client = Client::connect(daemon.smtp()).await.expect("it listens");
    let reply = client.submit("a@a.test", &["b@b.test"], "Subject: two\n\nx\n").await.expect("it answers");
    assert!(reply.starts_with("250 "), "{reply}");
    within(LIMIT, peer.wait_until(|events| !events.is_empty())).await;
    assert_eq!(daemon.terminate().await.status.code(), Some(0));
    let address = peer.addr();
    peer.stop().await;
    let peer = Peer::builder().at(address).start().await.expect("the port is free again");
    let _daemon = Daemon::start(folder.path(), &config).await;
    assert_eq!(within(LIMIT, peer.wait_for(1)).await[0].recipients, ["b@b.test"]);
}
