//! The system gives no more.

use std::ffi::OsStr;

use tokio::net::TcpStream;
use waxseal_testbed::{Client, Peer, within};

use crate::daemon::{self, Daemon, LIMIT};

#[tokio::test]
async fn when_descriptors_run_out_clients_wait_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let peer = Peer::builder().start().await.expect("starts");
    let config = daemon::config(folder.path(), &peer.nexthop());
    let few: Vec<&OsStr> =
        ["sh", "-c", "ulimit -n 64 && exec \"$@\"", "sh"].into_iter().map(OsStr::new).collect();
    let daemon = Daemon::start_below(&few, folder.path(), &config).await;
    let mut first = Client::connect(daemon.smtp()).await.expect("it listens");
    let mut held = Vec::new();
    for _ in 0..80 {
        held.push(TcpStream::connect(daemon.smtp()).await.expect("the system takes the connection"));
    }
    daemon.said("cannot accept connections").await;
    // Whoever is inside is served, as far as that needs no descriptor; the message waits for one.
    let reply = within(LIMIT, first.submit("a@a.test", &["b@b.test"], "Subject: one\n\nx\n")).await;
    assert!(reply.expect("it answers").starts_with("250 "));
    drop(held);
    let mut second = within(LIMIT, Client::connect(daemon.smtp())).await.expect("it listens again");
    let reply = within(LIMIT, second.submit("a@a.test", &["b@b.test"], "Subject: two\n\nx\n")).await;
    assert!(reply.expect("it answers").starts_with("250 "));
    assert_eq!(within(LIMIT, peer.wait_for(2)).await.len(), 2);
    assert_eq!(daemon.terminate().await.status.code(), Some(0));
}
