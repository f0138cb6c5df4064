//! The system gives no more: descriptors.

use std::{ffi::OsStr, fs, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};
use waxseal_testbed::{Client, Peer, within};

use crate::daemon::{self, Daemon, LIMIT};

const TEXT: &str = "Subject: x\n\nx\n";

/// What the process has had of a processor, user and system, in the hundredths of a second of proc(5).
fn used(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    // Behind the name, which is in parentheses: the state is field 3, utime and stime are 14 and 15.
    let behind = stat.rsplit(") ").next().expect("it has a name");
    behind.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

/// How often a bound was met, by the metrics at the operators' socket.
async fn met(folder: &Path, bound: &str) -> u64 {
    let mut socket = UnixStream::connect(folder.join("spool/control.sock")).await.expect("it listens");
    let question = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    socket.write_all(question).await.expect("it reads");
    let mut page = String::new();
    within(LIMIT, socket.read_to_string(&mut page)).await.expect("it answers");
    let label = format!("bound=\"{bound}\"");
    let line = page.lines().find(|line| line.contains(&label)).expect("the bound is counted");
    line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).map_or(0, |value| value as u64)
}

#[tokio::test]
async fn when_descriptors_run_out_clients_and_mail_wait_and_nobody_is_deferred_or_runs_wild() {
    let folder = tempfile::tempdir().expect("a folder");
    let peer = Peer::builder().start().await.expect("starts");
    // Each message needs a connection of its own.
    let config = daemon::config(folder.path(), &peer.nexthop())
        .replace("[transport]\n", "[transport]\nconnection_cache = false\n");
    let few: Vec<&OsStr> =
        ["sh", "-c", "ulimit -n 64 && exec \"$@\"", "sh"].into_iter().map(OsStr::new).collect();
    let daemon = Daemon::start_below(&few, folder.path(), &config).await;
    let mut first = Client::connect(daemon.smtp()).await.expect("it listens");
    // The spool has its files from now on.
    let reply = within(LIMIT, first.submit("a@a.test", &["b@b.test"], TEXT)).await;
    assert!(reply.expect("it answers").starts_with("250 "));
    within(LIMIT, peer.wait_for(1)).await;
    let mut held = Vec::new();
    for _ in 0..80 {
        held.push(TcpStream::connect(daemon.smtp()).await.expect("the system takes the connection"));
    }
    daemon.said("cannot accept connections").await;
    // Whoever is inside is served, as far as that needs no descriptor; the first message that finds none waits for one.
    let mut taken = 1;
    while !daemon.log().contains("no connection can be opened") {
        let reply = within(LIMIT, first.submit("a@a.test", &["b@b.test"], TEXT)).await.expect("it answers");
        assert!(reply.starts_with("250 "), "{reply}");
        taken += 1;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    // Meanwhile it waits: both for clients and for servers. A loop without a pause would have all of a processor.
    let (before, began) = (used(daemon.id()), std::time::Instant::now());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (spent, elapsed) = (used(daemon.id()) - before, began.elapsed().as_millis() as u64 / 10);
    assert!(spent * 2 < elapsed, "{spent} of {elapsed} hundredths of a second");
    assert!(peer.accepted().len() < taken);
    drop(held);
    let mut second = within(LIMIT, Client::connect(daemon.smtp())).await.expect("it listens again");
    let reply = within(LIMIT, second.submit("a@a.test", &["b@b.test"], TEXT)).await;
    assert!(reply.expect("it answers").starts_with("250 "));
    assert_eq!(within(LIMIT, peer.wait_for(taken + 1)).await.len(), taken + 1);
    assert!(met(folder.path(), "intake.descriptors").await > 0);
    assert!(met(folder.path(), "connections.descriptors").await > 0);
    let end = daemon.terminate().await;
    assert_eq!(end.status.code(), Some(0), "{}", end.log);
    for once in ["cannot accept connections", "no connection can be opened"] {
        assert_eq!(end.log.matches(once).count(), 1, "{once} in {}", end.log);
    }
    assert!(end.log.contains("raise the limit"), "{}", end.log);
    let events = fs::read_to_string(daemon::events_file(folder.path())).expect("it was written");
    assert!(!events.contains("\"event\":\"deferred\""), "{events}");
}
