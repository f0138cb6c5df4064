//! The system calls of the real binary on 500 messages: written, then synced, and only then answered 250.

use std::{collections::BTreeMap, ffi::OsStr, path::Path};

use waxseal_testbed::Client;

use crate::daemon::{self, Daemon};

const MESSAGES: usize = 500;
const CLIENTS: usize = 5;
/// Marks that stand in the text of a message and in nothing else.
const MARKER: &str = "marker-";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs strace, and the right to trace a child"]
async fn every_250_comes_after_the_sync_of_its_message() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    // Nobody listens there: all of it stays in the queue.
    let config = daemon::config(folder.path(), "[127.0.0.1]:9");
    let calls = "trace=write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,fsync,fdatasync,sync_file_range";
    let head = ["strace", "-f", "-qq", "-y", "-s", "65536", "-e", calls, "-o"].map(OsStr::new);
    let head: Vec<&OsStr> = head.into_iter().chain([trace.as_os_str()]).collect();
    let daemon = Daemon::start_below(&head, folder.path(), &config).await;
    let replies = submit_all(&daemon).await;
    // strace passes its own SIGTERM on to nobody: the tracee is told.
    daemon.signal("TERM", child_of(daemon.id())).await;
    daemon.ended().await;
    let trace = std::fs::read_to_string(trace).expect("a trace");
    let log = Log::read(&trace, &folder.path().join("spool"));
    for (marker, reply) in &replies {
        log.check(marker, reply);
    }
    println!(
        "{} messages: each written, synced, answered, in this order; {} syncs",
        replies.len(),
        log.syncs.len()
    );
    assert_eq!(replies.len(), MESSAGES);
}

/// Markers with the replies they got.
async fn submit_all(daemon: &Daemon) -> BTreeMap<String, String> {
    let server = daemon.smtp();
    let submit = |client: usize| async move {
        let mut connection = Client::connect(server).await.expect("it listens");
        let mut replies = Vec::new();
        for number in 0..MESSAGES / CLIENTS {
            let marker = format!("{MARKER}{client}-{number}-");
            let text = format!("Subject: x\n\n{marker}\n");
            let reply = connection.submit("a@a.test", &["b@b.test"], &text).await.expect("it answers");
            assert!(reply.starts_with("250 "), "{reply}");
            replies.push((marker, reply));
        }
        replies
    };
    let clients: Vec<_> = (0..CLIENTS).map(|client| tokio::spawn(submit(client))).collect();
    let mut all = BTreeMap::new();
    for client in clients {
        all.extend(client.await.expect("no client panics"));
    }
    all
}

/// The child of strace that is the program.
fn child_of(process: u32) -> u32 {
    let path = format!("/proc/{process}/task/{process}/children");
    let children = std::fs::read_to_string(path).expect("strace runs");
    children.split_whitespace().next().and_then(|id| id.parse().ok()).expect("strace has a child")
}

/// What the trace says, by line number. A call that others interrupt has two lines, where it begins and where it ends.
struct Log {
    /// Ends of the writes to the spool.
    writes: Vec<(usize, String)>,
    /// Begin and end of each successful sync of a file of the spool.
    syncs: Vec<(usize, usize)>,
    /// Begins of the writes to sockets.
    answers: Vec<(usize, String)>,
}

impl Log {
    fn read(trace: &str, spool: &Path) -> Self {
        let spool = format!("<{}/", spool.display());
        let mut log = Self { writes: Vec::new(), syncs: Vec::new(), answers: Vec::new() };
        let mut begun: BTreeMap<&str, (usize, String)> = BTreeMap::new();
        for (number, line) in trace.lines().enumerate() {
            let Some((process, call)) = line.split_once(' ') else { continue };
            let call = call.trim_start();
            if call.starts_with("<... ") {
                if let Some((begin, head)) = begun.remove(process) {
                    log.note((begin, number), &format!("{head}{call}"), &spool);
                }
            } else if let Some(head) = call.strip_suffix("<unfinished ...>") {
                begun.insert(process, (number, head.to_owned()));
            } else {
                log.note((number, number), call, &spool);
            }
        }
        log
    }

    fn note(&mut self, (begin, end): (usize, usize), call: &str, spool: &str) {
        let name = call.split('(').next().unwrap_or_default();
        let failed = call.rsplit('=').next().is_none_or(|result| result.trim_start().starts_with('-'));
        match name {
            "fsync" | "fdatasync" if call.contains(spool) && !failed => self.syncs.push((begin, end)),
            "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" if call.contains(spool) => {
                self.writes.push((end, call.to_owned()));
            }
            "write" | "writev" | "sendto" | "sendmsg"
                if call.contains("<socket:") || call.contains("<TCP:") =>
            {
                self.answers.push((begin, call.to_owned()));
            }
            _ => {}
        }
    }

    fn check(&self, marker: &str, reply: &str) {
        let written = self.writes.iter().find(|(_, call)| call.contains(marker));
        let (written, _) = written.unwrap_or_else(|| unreachable!("{marker} was never written to the spool"));
        let answered = self.answers.iter().find(|(_, call)| call.contains(reply));
        let (answered, _) = answered.unwrap_or_else(|| unreachable!("no answer {reply:?} in the trace"));
        let synced = self.syncs.iter().find(|(begin, _)| begin > written);
        let (_, synced) = synced.unwrap_or_else(|| unreachable!("no sync after {marker} was written"));
        assert!(
            written < synced && synced < answered,
            "{marker}: written at line {written}, synced at {synced}, answered {reply:?} at {answered}"
        );
    }
}
