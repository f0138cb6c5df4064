//! 200 times `kill -9`, each after the k-th observed event: nothing that was answered 250 is ever lost.
//!
//! Events are what the world outside can see: the 250s that clients get, and everything that happens at the receiving
//! server. A message may arrive twice only if its delivery and the end of the process were so close that the mark of
//! the delivery was not yet on disk; such duplicates are counted, and the gap is measured.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Notify, task::JoinSet};
use waxseal_testbed::{Client, Peer, within};

use crate::daemon::{self, Daemon};

const KILLS: usize = 200;
const CLIENTS: usize = 3;
/// Events before a kill: from 1 to this. A delivery makes about nine.
const MOST_EVENTS: u64 = 300;
const SEED: u64 = 0x5eed_0f3a_11ce_0001;
/// Marks are synced within 50 ms; the rest is what a busy machine takes.
const MARK_WINDOW: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(300);

/// What clients were promised.
#[derive(Default)]
struct Promises {
    acknowledged: Mutex<BTreeSet<String>>,
    count: AtomicUsize,
    news: Notify,
}

impl Promises {
    fn add(&self, marker: String) {
        self.acknowledged.lock().expect("nobody panics with it").insert(marker);
        self.count.fetch_add(1, Ordering::SeqCst);
        self.news.notify_waiters();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_accepted_message_is_lost_in_200_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let peer = Peer::builder().start().await.expect("starts");
    let config = daemon::config(folder.path(), &peer.nexthop());
    let promises = Arc::new(Promises::default());
    let (mut random, mut kills) = (SEED, Vec::new());
    let began = Instant::now();
    for round in 0..KILLS {
        let after = 1 + (next(&mut random) % MOST_EVENTS) as usize;
        kills.push(one_round(folder.path(), &config, &peer, &promises, (round, after)).await);
    }
    let daemon = Daemon::start(folder.path(), &config).await;
    let promised = promises.acknowledged.lock().expect("nobody panics with it").clone();
    within(LIMIT, all_arrived(&peer, &promised)).await;
    let (copies, widest) = duplicates(&peer, &kills);
    println!(
        "{KILLS} kills in {:?}: {} accepted, 0 lost, {copies} duplicates, the widest gap between a final 250 and the \
         kill that hid it {widest:?}",
        began.elapsed(),
        promised.len(),
    );
    assert!(promised.len() >= KILLS, "only {} messages: this shows nothing", promised.len());
    assert!(widest <= MARK_WINDOW, "a delivery was forgotten {widest:?} after its 250");
    assert_eq!(daemon.terminate().await.status.code(), Some(0));
}

/// Clients submit, the process delivers, and after so many events it is killed.
async fn one_round(
    folder: &Path,
    config: &str,
    peer: &Peer,
    promises: &Arc<Promises>,
    (round, after): (usize, usize),
) -> Kill {
    let daemon = Daemon::start(folder, config).await;
    let before = (promises.count.load(Ordering::SeqCst), peer.event_count());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let name = format!("r{round}c{client}");
        clients.spawn(submit_until_cut(daemon.smtp(), name, Arc::clone(promises)));
    }
    let seen = |events: usize| promises.count.load(Ordering::SeqCst) - before.0 + events - before.1 >= after;
    let enough = async {
        loop {
            let news = promises.news.notified();
            tokio::select! {
                () = peer.wait_until(|events| seen(events.len())) => return,
                () = news => {}
            }
        }
    };
    within(LIMIT, enough).await;
    daemon.kill_nine().await;
    let at = Instant::now();
    within(LIMIT, clients.join_all()).await;
    Kill { at, connections: peer.connections() }
}

/// The end of a process.
struct Kill {
    at: Instant,
    /// Connections that the peer had seen by then: all of its were among them.
    connections: usize,
}

async fn submit_until_cut(server: SocketAddr, name: String, promises: Arc<Promises>) {
    let Ok(mut client) = Client::connect(server).await else { return };
    for number in 0.. {
        let marker = format!("{name}n{number}");
        let text = format!("Subject: {marker}\n\n{}", "a line of text\n".repeat(number % 40));
        // Two recipients now and then: one transaction, one record of marks.
        let to: &[&str] = if number % 5 == 0 { &["b@b.test", "c@b.test"] } else { &["b@b.test"] };
        match client.submit("a@a.test", to, &text).await {
            Ok(reply) if reply.starts_with("250 ") => promises.add(marker),
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

async fn all_arrived(peer: &Peer, promised: &BTreeSet<String>) {
    loop {
        let messages = peer.accepted();
        let arrived: BTreeSet<String> =
            messages.iter().filter_map(|message| message.header("Subject")).collect();
        if promised.is_subset(&arrived) {
            return;
        }
        peer.wait_for(messages.len() + 1).await;
    }
}

/// How many deliveries were repeated, and the widest gap between one that was and the kill that made it forgotten.
fn duplicates(peer: &Peer, kills: &[Kill]) -> (usize, Duration) {
    let mut arrivals: BTreeMap<_, Vec<(usize, Instant)>> = BTreeMap::new();
    for message in peer.accepted() {
        let marker = message.header("Subject").expect("all of ours have one");
        let process = kills.partition_point(|kill| kill.connections <= message.connection);
        arrivals.entry((marker, message.recipients)).or_default().push((process, message.received));
    }
    let (mut copies, mut widest) = (0, Duration::ZERO);
    for (message, deliveries) in &arrivals {
        for pair in deliveries.windows(2) {
            let ((first, received), (second, _)) = (pair[0], pair[1]);
            assert!(first < second, "process {first} delivered {message:?} twice");
            copies += 1;
            widest = widest.max(kills[first].at.saturating_duration_since(received));
        }
    }
    (copies, widest)
}

/// splitmix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
