//! Mixed load for as long as one likes: flat memory, a flat disk, no stall in the commit, nothing lost, nothing twice.
//!
//! Clients with and without TLS submit fresh mail, mail that is deferred at first, mail that is refused for good (and
//! comes back as a DSN), mail for several destinations, and big beside small; one destination has DANE, with signatures
//! validated in process. `SOAK_MINUTES` and `SOAK_RATE` (messages a second) make it longer and harder:
//!
//! ```text
//! SOAK_MINUTES=60 SOAK_RATE=100 cargo test --release -p waxseal-queue-manager --test process soak -- --ignored --nocapture
//! ```

use std::{
    collections::HashMap,
    env, fs,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use waxseal_testbed::{
    Authority, Client, Happening, Message, Peer, Step,
    dns::{DnsServer, Zone},
    within,
};

use crate::daemon::{self, Daemon};

const CLIENTS: usize = 8;
/// Every so many messages one is big.
const BIG_EVERY: usize = 100;
const BIG: usize = 3_000_000;
/// What a run must have to say that memory and disk are flat: the caches are full and segments are recycled by then.
const LONG: Duration = Duration::from_secs(20 * 60);
/// The retries that are due when the load ends come within this.
const DRAIN: Duration = Duration::from_secs(120);

/// Where mail of the world goes.
struct World {
    authority: Authority,
    names: DnsServer,
    /// DANE, TLS if offered, deferred at first, refused, and where the senders are.
    peers: [(&'static str, Peer); 5],
}

impl World {
    async fn new() -> Self {
        let authority = Authority::new("Soak CA").expect("an authority");
        let leaf = |name: &str| authority.leaf(&[name]).issue().expect("a leaf");
        let sealed = leaf("mx.dane.test");
        let key = sealed.public_key().to_vec();
        // A connection begins well, or the last retries, each with a connection of its own, would never end.
        let busy = (0..3000).map(|turn| if turn % 3 == 1 { "450 4.2.1 busy" } else { "250 2.1.5 ok" });
        let peers = [
            ("dane.test", Peer::builder().starttls(sealed)),
            ("may.test", Peer::builder().starttls(leaf("may.test"))),
            ("busy.test", Peer::builder().on_each(Step::Rcpt, busy)),
            ("gone.test", Peer::builder().reply_to_rcpt("550 5.1.1 no such user")),
            ("home.test", Peer::builder().starttls(leaf("home.test"))),
        ];
        let mut started = Vec::new();
        for (domain, peer) in peers {
            started.push((domain, peer.start().await.expect("starts")));
        }
        let peers: [_; 5] = started.try_into().expect("as many as before");
        let port = peers[0].1.addr().port();
        let zone = Zone::new().secure("dane.test").mx("dane.test", 10, "mx.dane.test");
        let zone = zone.a("mx.dane.test", [127, 0, 0, 1]).tlsa("mx.dane.test", port, (3, 1, 0), &key);
        let names = DnsServer::forwarder(zone).await.expect("starts");
        Self { authority, names, peers }
    }

    /// The configuration, with all it names written to `folder`.
    fn config(&self, folder: &Path) -> String {
        let leaf = self.authority.leaf(&["queue.test"]).issue().expect("a leaf");
        let chain = format!("{}{}{}", leaf.key_pem(), leaf.pem(), self.authority.intermediate_pem());
        let hop = |(domain, peer): &(&str, Peer)| match *domain {
            "dane.test" => format!("dane.test smtp:dane.test:{}\n", peer.addr().port()),
            other => format!("{other} smtp:{}\n", peer.nexthop()),
        };
        let routes: String = self.peers.iter().map(hop).collect();
        let files = [
            ("chain.pem", chain),
            ("routes", routes),
            ("levels", "dane.test dane-only\n".to_owned()),
            ("root.key", self.names.trust_anchor()),
        ];
        for (name, text) in files {
            fs::write(folder.join(name), text).expect("the folder is ours");
        }
        format!(
            r#"hostname = "queue.test"
[spool]
path = "{0}/spool"
[listen]
smtp = ["127.0.0.1:0"]
admin = "127.0.0.1:0"
[listen_tls]
chain_files = ["{0}/chain.pem"]
[dns]
servers = ["{1}"]
trust_anchor = "{0}/root.key"
[tls]
security_level = "may"
policy_maps = ["texthash:{0}/levels"]
[transport]
maps = ["texthash:{0}/routes"]
[queue]
minimal_backoff = "2s"
maximal_backoff = "5s"
[ledger]
size = "64 MiB"
"#,
            folder.display(),
            self.names.addr(),
        )
    }
}

/// What was promised and has not come yet: a recipient, or the sender of what must be refused; and when it was sent.
#[derive(Default)]
struct Books {
    owed: Mutex<HashMap<String, Instant>>,
    submitted: AtomicUsize,
    arrived: AtomicUsize,
    strangers: Mutex<Vec<String>>,
}

impl Books {
    fn owe(&self, addresses: &[String]) {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        owed.extend(addresses.iter().map(|address| (address.clone(), Instant::now())));
    }

    fn came(&self, message: &Message) {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        for recipient in &message.recipients {
            self.arrived.fetch_add(1, Ordering::Relaxed);
            if owed.remove(recipient).is_none() {
                self.strangers.lock().unwrap_or_else(PoisonError::into_inner).push(recipient.clone());
            }
        }
    }

    fn missing(&self) -> Vec<String> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    fn open(&self) -> usize {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
struct Sample {
    resident: f64,
    disk: f64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "as long as one likes"]
async fn mixed_load_leaves_memory_and_disk_flat_and_loses_nothing() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<f64>().expect("a number"));
    let length = Duration::from_secs_f64(60.0 * number("SOAK_MINUTES").unwrap_or(0.25));
    let rate = number("SOAK_RATE").unwrap_or(60.0);
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::new().await;
    let daemon = Daemon::start(folder.path(), &world.config(folder.path())).await;
    let books = Arc::new(Books::default());
    let until = Instant::now() + length;

    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let mut connection = Client::connect(daemon.smtp()).await.expect("it listens");
        if client % 2 == 0 {
            connection = connection.seal("queue.test", &world.authority).await.expect("a handshake");
        }
        let pace = Duration::from_secs_f64(CLIENTS as f64 / rate);
        clients.spawn(submit(connection, client, pace, until, Arc::clone(&books)));
    }
    let samples = watch(&daemon, folder.path(), &world, &books, until).await;
    within(DRAIN, clients.join_all()).await;
    let deadline = Instant::now() + DRAIN;
    while books.open() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.collect(&books);
    }
    let missing = books.missing();
    assert!(
        missing.is_empty(),
        "not delivered {DRAIN:?} behind the end: {missing:?}; the daemon said:\n{}",
        daemon.log()
    );

    let page = metrics(&daemon).await;
    let commits = value(&page, "waxseal_spool_commit_duration_seconds_count");
    let slow = commits - value(&page, "waxseal_spool_commit_duration_seconds_bucket{le=\"0.1\"}");
    println!(
        "{} messages in {length:?}, {} deliveries, {commits} commits, {slow} of them over 100 ms, {} segments reclaimed",
        books.submitted.load(Ordering::Relaxed),
        books.arrived.load(Ordering::Relaxed),
        value(&page, "waxseal_spool_housekeeping_total{operation=\"reclaimed\"}"),
    );
    let strangers = books.strangers.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(strangers.is_empty(), "came twice, or was never sent: {strangers:?}");
    assert_eq!(daemon.terminate().await.status.code(), Some(0));
    if length >= LONG {
        flat("memory", &samples, |sample| sample.resident, 1.1);
        flat("disk", &samples, |sample| sample.disk, 1.25);
        assert!(slow < 1.0, "{slow} commits took over 100 ms");
    }
}

/// One client: fresh mail for the most part.
async fn submit(mut client: Client, number: usize, pace: Duration, until: Instant, books: Arc<Books>) {
    let mut ticks = tokio::time::interval(pace);
    for turn in 0.. {
        ticks.tick().await;
        if Instant::now() >= until {
            return;
        }
        let name = format!("{number}x{turn}");
        let domains: &[&str] = match turn % 10 {
            0 | 1 | 6 => &["dane.test"],
            2 | 7 => &["may.test"],
            3 => &["busy.test"],
            4 => &["gone.test"],
            5 => &["dane.test", "may.test", "busy.test"],
            8 => &["may.test", "gone.test"],
            _ => &["dane.test", "home.test"],
        };
        let sender = format!("s{name}@home.test");
        let to: Vec<String> = domains.iter().map(|domain| format!("r{name}@{domain}")).collect();
        // Who is refused is told of to the sender.
        let owed: Vec<String> = to
            .iter()
            .map(|address| if address.ends_with("@gone.test") { sender.clone() } else { address.clone() })
            .collect();
        books.owe(&owed);
        let size = if turn % BIG_EVERY == BIG_EVERY - 1 { BIG } else { 200 + (turn * 37) % 20_000 };
        let text = format!(
            "Subject: {name}\n\n{}",
            "what fills a line of text in a letter of ours, mostly\n".repeat(size / 54)
        );
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        let reply = client.submit(&sender, &to, &text).await.expect("the intake answers");
        assert!(reply.starts_with("250 "), "{name}: {reply}");
        books.submitted.fetch_add(1, Ordering::Relaxed);
    }
}

impl World {
    fn collect(&self, books: &Books) {
        for (_, peer) in &self.peers {
            for event in peer.take() {
                if let Happening::Accepted(message) = event.what {
                    books.came(&message);
                }
            }
        }
        self.names.forget();
    }
}

/// A row about each fiftieth of the time, at least one a second.
async fn watch(daemon: &Daemon, folder: &Path, world: &World, books: &Books, until: Instant) -> Vec<Sample> {
    let (began, mut samples) = (Instant::now(), Vec::new());
    let step = ((until - began) / 50).clamp(Duration::from_secs(1), Duration::from_secs(60));
    let (mut ticks, mut next) = (tokio::time::interval(Duration::from_millis(250)), began + step);
    while Instant::now() < until {
        ticks.tick().await;
        world.collect(books);
        if Instant::now() < next {
            continue;
        }
        next += step;
        let page = metrics(daemon).await;
        let sample = Sample { resident: resident(daemon.id()), disk: occupied(folder) };
        println!(
            "{:>6.0} s {:>8} submitted {:>8} arrived {:>6} open {:>6.1} MB resident {:>7.1} MB on disk {:>4} in the spool",
            began.elapsed().as_secs_f64(),
            books.submitted.load(Ordering::Relaxed),
            books.arrived.load(Ordering::Relaxed),
            books.open(),
            sample.resident,
            sample.disk,
            value(&page, "waxseal_spool_messages"),
        );
        samples.push(sample);
    }
    samples
}

/// The last quarter of the run is no more than `most` times its second quarter.
fn flat(what: &str, samples: &[Sample], of: impl Fn(&Sample) -> f64, most: f64) {
    let quarter = samples.len() / 4;
    let mean = |part: &[Sample]| part.iter().map(&of).sum::<f64>() / part.len() as f64;
    let (before, behind) = (mean(&samples[quarter..2 * quarter]), mean(&samples[samples.len() - quarter..]));
    println!("{what}: {before:.1} MB in the second quarter, {behind:.1} MB in the last");
    assert!(behind <= before * most, "{what} grows: {before:.1} MB, then {behind:.1} MB");
}

/// Resident memory in MB (proc_pid_status(5)).
pub(crate) fn resident(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}

/// All files below, in MB. A file that goes meanwhile is none.
fn occupied(folder: &Path) -> f64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0.0 };
    let one = |entry: fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => occupied(&entry.path()),
        Ok(about) => about.len() as f64 / 1e6,
        Err(_) => 0.0,
    };
    entries.flatten().map(one).sum()
}

/// The Prometheus page.
async fn metrics(daemon: &Daemon) -> String {
    const BEFORE: &str = "the page and the API are at http://";
    let log = daemon.log();
    let address = log.split(BEFORE).nth(1).and_then(|rest| rest.split('/').next()).expect("it was told");
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let question = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    within(daemon::LIMIT, stream.read_to_end(&mut answer)).await.expect("it answers");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A value of that page; 0 where there is none yet.
fn value(page: &str, name: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.trim().parse().expect("a number"))
}
