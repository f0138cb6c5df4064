//! What is told about a delivery: events through rotation and a full disk, traces to a collector.

use std::{fs, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use waxseal_testbed::{Authority, Client, Peer, within};

use crate::daemon::{self, Daemon, LIMIT};

const TEXT: &str = "Subject: x\n\nx\n";

async fn submit(daemon: &Daemon, to: &str) {
    let mut client = Client::connect(daemon.smtp()).await.expect("it listens");
    let reply = client.submit("a@a.test", &[to], TEXT).await.expect("it answers");
    assert!(reply.starts_with("250 "), "{reply}");
}

#[tokio::test]
async fn events_go_on_in_a_new_file_after_rotation() {
    let folder = tempfile::tempdir().expect("a folder");
    let peer = Peer::builder().start().await.expect("starts");
    let daemon = Daemon::start(folder.path(), &daemon::config(folder.path(), &peer.nexthop())).await;
    submit(&daemon, "before@b.test").await;
    within(LIMIT, peer.wait_for(1)).await;
    let (file, old) = (daemon::events_file(folder.path()), folder.path().join("events.old"));
    fs::rename(&file, &old).expect("the folder is ours");
    daemon.signal("HUP", daemon.id()).await;
    let reopened = async {
        while !file.exists() {
            // Another process makes it; there is nothing to be woken by.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    within(LIMIT, reopened).await;
    submit(&daemon, "after@b.test").await;
    within(LIMIT, peer.wait_for(2)).await;
    assert_eq!(daemon.terminate().await.status.code(), Some(0));
    let (old, new) = (fs::read_to_string(old).expect("a file"), fs::read_to_string(file).expect("a file"));
    assert!(old.contains("before@b.test") && !old.contains("after@b.test"), "{old}");
    assert!(new.contains("after@b.test") && new.contains("\"delivered\""), "{new}");
}

#[tokio::test]
async fn mail_goes_on_while_events_cannot_be_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let peer = Peer::builder().start().await.expect("starts");
    let config = daemon::config(folder.path(), &peer.nexthop());
    // Every write to this file fails for want of space (full(4)).
    let config = config.replace(&daemon::events_file(folder.path()).display().to_string(), "/dev/full");
    let daemon = Daemon::start(folder.path(), &config).await;
    for number in 0..3 {
        submit(&daemon, &format!("b{number}@b.test")).await;
    }
    within(LIMIT, peer.wait_for(3)).await;
    let end = daemon.terminate().await;
    assert_eq!(end.status.code(), Some(0), "{}", end.log);
    assert!(end.log.contains("delivery events cannot be written"), "an alert:\n{}", end.log);
}

/// Takes what is posted to it, as an OpenTelemetry collector does on OTLP/HTTP.
async fn collect(listener: TcpListener, bodies: Arc<watch::Sender<Vec<u8>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, Arc::clone(&bodies)));
    }
}

async fn answer(stream: TcpStream, bodies: Arc<watch::Sender<Vec<u8>>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        bodies.send_modify(|all| all.extend_from_slice(&body));
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await?;
    }
}

#[tokio::test]
async fn a_message_leaves_a_trace_with_a_span_for_each_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("Test CA").expect("an authority");
    let certificate = authority.leaf(&["mx.example.test"]).issue().expect("a leaf");
    let peer = Peer::builder().starttls(certificate).start().await.expect("starts");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = listener.local_addr().expect("an address");
    let (bodies, mut collected) = watch::channel(Vec::new());
    tokio::spawn(collect(listener, Arc::new(bodies)));
    let mut config = daemon::config(folder.path(), &peer.nexthop());
    config.push_str(&format!("[telemetry]\notlp_endpoint = \"http://{endpoint}\"\n"));
    let daemon = Daemon::start(folder.path(), &config).await;
    submit(&daemon, "b@b.test").await;
    within(LIMIT, peer.wait_for(1)).await;
    let end = daemon.terminate().await;
    assert_eq!(end.status.code(), Some(0), "{}", end.log);

    // Span names stand in the message as they are.
    let has = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
    let spans = ["intake", "queue", "attempt", "policy", "connect", "tls", "transaction"];
    let all = |bytes: &Vec<u8>| spans.iter().all(|word| has(bytes, word));
    let found =
        within(LIMIT, collected.wait_for(all)).await.map(|bytes| bytes.clone()).expect("the collector lives");

    // The trace is the one that the delivery event names.
    let events = fs::read_to_string(daemon::events_file(folder.path())).expect("events were written");
    let line =
        events.lines().find(|line| line.contains("\"event\":\"delivered\"")).expect("it was delivered");
    let id =
        line.split("\"trace_id\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a trace id");
    let id: Vec<u8> = (0..id.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&id[at..at + 2], 16).expect("hexadecimal"))
        .collect();
    assert!(id.len() == 16 && found.windows(16).any(|window| window == id), "no trace {id:02x?}");
}
