//! What level `dane` costs beyond `encrypt`, in CPU time of a whole engine for each message, at a warm cache.
//!
//! `cargo bench -p waxseal-tests --bench dane_cost [-- DOMAINS ROUNDS MESSAGES]`: that many signed domains with TLSA
//! records, each with a host and an address of its own; in each round each gets so many messages, at `encrypt` by one
//! engine and at `dane` by another, in alternating order: first with a new connection for each message (with resumed sessions), then with
//! connections that were kept. What counts is the median of the rounds' ratios. Mail servers, name server and client live in threads
//! whose CPU time is taken off.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a measurement fails loudly")]

use std::{
    env, fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, mpsc, oneshot};
use waxseal_dns::DnssecMode;
use waxseal_queue::{Event, Outcome, Sink};
use waxseal_queue_manager::Engine;
use waxseal_testbed::{
    Certificate, Client, Peer,
    dns::{DnsServer, Zone},
};
use waxseal_tests::World;
use waxseal_types::TlsLevel;

const CLIENTS: usize = 8;
/// How the names of threads begin that are not part of what is measured.
const OUTSIDE: &str = "outside-";

#[derive(Debug, Default)]
struct Counter {
    delivered: AtomicUsize,
    failed: AtomicUsize,
    news: Notify,
}

impl Sink for Counter {
    fn event(&self, event: Event<'_>) {
        let Event::Attempted { account, .. } = event else { return };
        for result in &account.results {
            match result.outcome {
                Outcome::Delivered { .. } => self.delivered.fetch_add(1, Ordering::Relaxed),
                _ => {
                    println!("not delivered: {:?}", result.outcome.failure());
                    self.failed.fetch_add(1, Ordering::Relaxed)
                }
            };
        }
        self.news.notify_one();
    }
}

/// A thread with a runtime of its own, outside of what is measured.
fn outside<T: Send + 'static, F: Future<Output = T>>(
    name: &str,
    work: impl FnOnce() -> F + Send + 'static,
) -> thread::JoinHandle<T> {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    thread::Builder::new().name(format!("{OUTSIDE}{name}")).spawn(move || runtime().block_on(work())).unwrap()
}

/// The servers of all domains: their port, the name server, and the root's key.
fn servers(domains: usize) -> (u16, std::net::SocketAddr, String, Arc<Peer>) {
    let (give, take) = std::sync::mpsc::channel();
    outside("servers", move || async move {
        let certificate = Certificate::self_signed(&["mx.test"]).issue().unwrap();
        let digest = Sha256::digest(certificate.public_key());
        let peer = Peer::builder().at(([0, 0, 0, 0], 0).into()).starttls(certificate);
        let peer = Arc::new(peer.start().await.unwrap());
        let port = peer.addr().port();
        let mut zone = Zone::new().ttl(86_400);
        for number in 0..domains {
            let (apex, host) = (format!("d{number}.test"), format!("mx.d{number}.test"));
            let address = [127, 1, (number / 250) as u8, (number % 250 + 1) as u8];
            zone = zone.secure(&apex).mx(&apex, 10, &host).a(&host, address);
            zone = zone.tlsa(&host, port, (3, 1, 1), &digest);
        }
        let dns = DnsServer::forwarder(zone).await.unwrap();
        give.send((port, dns.addr(), dns.trust_anchor(), peer)).unwrap();
        std::future::pending::<()>().await;
        drop(dns);
    });
    take.recv().unwrap()
}

struct Subject {
    name: &'static str,
    world: World,
    engine: Engine,
    counter: Arc<Counter>,
    submit: mpsc::UnboundedSender<(usize, oneshot::Sender<()>)>,
}

impl Subject {
    /// `kept`: how many idle connections the pool holds for as long as the measurement lasts; all are closed at once without it.
    async fn start(
        (name, level): (&'static str, TlsLevel),
        (port, dns): (u16, std::net::SocketAddr),
        anchor: &Path,
        kept: Option<usize>,
    ) -> Self {
        let mut world = World::new("unused.test", level);
        let mut policy = (*world.settings.policy).clone();
        policy.relayhost.clear();
        world.settings.policy = Arc::new(policy);
        world.settings.dns.servers = vec![dns];
        world.settings.dns.dnssec = DnssecMode::Validate;
        world.settings.dns.trust_anchor = Some(anchor.to_owned());
        world.settings.queue.port = port;
        world.settings.transport.max_idle = kept.unwrap_or(0);
        world.settings.transport.cache_time_limit = Duration::from_secs(300);
        let counter = Arc::new(Counter::default());
        let engine = Engine::start(world.settings.clone(), Arc::clone(&counter) as _).await.unwrap();
        let address = engine.addresses()[0];
        let (submit, mut orders) = mpsc::unbounded_channel::<(usize, oneshot::Sender<()>)>();
        outside("client", move || async move {
            while let Some((domains, done)) = orders.recv().await {
                let each = |first: usize| async move {
                    let mut client = Client::connect(address).await.unwrap();
                    for number in (first..domains).step_by(CLIENTS) {
                        let to = format!("u@d{number}.test");
                        let text = "Subject: x\n\nsome text\n";
                        let reply = client.submit("a@a.test", &[&to], text).await.unwrap();
                        assert!(reply.starts_with("250"), "{reply}");
                    }
                };
                futures(CLIENTS, each).await;
                let _ = done.send(());
            }
        });
        Self { name, world, engine, counter, submit }
    }

    /// One round: microseconds of CPU for each message.
    async fn round(&self, domains: usize, messages: usize) -> f64 {
        let goal = self.counter.delivered.load(Ordering::Relaxed) + domains * messages;
        let before = engine_cpu();
        for _ in 0..messages {
            let (done, taken) = oneshot::channel();
            self.submit.send((domains, done)).unwrap();
            taken.await.unwrap();
        }
        while self.counter.delivered.load(Ordering::Relaxed) < goal {
            assert_eq!(self.counter.failed.load(Ordering::Relaxed), 0, "{}", self.name);
            self.counter.news.notified().await;
        }
        engine_cpu().saturating_sub(before).as_secs_f64() * 1e6 / (domains * messages) as f64
    }
}

/// All of `each(0..count)` at once, on this thread.
async fn futures<F: Future<Output = ()>>(count: usize, each: impl Fn(usize) -> F) {
    let mut all: Vec<_> = (0..count).map(|number| Box::pin(each(number))).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|work| work.as_mut().poll(context).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// CPU time of this process, less that of threads outside (proc(5)).
fn engine_cpu() -> Duration {
    let mut sum = Duration::ZERO;
    for task in fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path()) {
        let (Ok(name), Ok(told)) =
            (fs::read_to_string(task.join("comm")), fs::read_to_string(task.join("schedstat")))
        else {
            continue;
        };
        if !name.starts_with(OUTSIDE) {
            sum += Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap());
        }
    }
    sum
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[actix_rt::main]
async fn main() {
    let numbers: Vec<usize> = env::args().filter_map(|word| word.parse().ok()).collect();
    let at = |place: usize, usual| numbers.get(place).copied().unwrap_or(usual);
    let (domains, rounds, messages) = (at(0, 2_000), at(1, 7), at(2, 1));
    let (port, dns, anchor, peer) = servers(domains);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    fs::write(&path, anchor).unwrap();
    for keep in [false, true] {
        let start = |name, level| Subject::start((name, level), (port, dns), &path, keep.then_some(domains));
        let subjects = [start("encrypt", TlsLevel::Encrypt).await, start("dane", TlsLevel::Dane).await];
        compare(&subjects, &peer, (domains, rounds, messages)).await;
        for subject in subjects {
            assert!(subject.engine.shut_down().await);
            drop(subject.world);
        }
    }
}

/// All rounds of `encrypt` and `dane`, with connections that are all made anew or all kept.
async fn compare(subjects: &[Subject; 2], peer: &Peer, (domains, rounds, messages): (usize, usize, usize)) {
    for subject in subjects {
        let began = Instant::now();
        let cost = subject.round(domains, messages).await;
        println!("{} cold: {cost:.0} µs a message, {:.1?}", subject.name, began.elapsed());
    }
    let mut ratios = Vec::new();
    for round in 0..rounds {
        let mut costs = [0.0; 2];
        for turn in [round % 2, 1 - round % 2] {
            let (subject, connections, began) = (&subjects[turn], peer.connections(), Instant::now());
            costs[turn] = subject.round(domains, messages).await;
            let (connections, took) = (peer.connections() - connections, began.elapsed());
            let (name, cost) = (subject.name, costs[turn]);
            println!("{name} warm: {cost:.0} µs a message, {connections} connections, {took:.1?}");
        }
        ratios.push(costs[1] / costs[0]);
    }
    let shown: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.3}")).collect();
    println!("dane / encrypt: {} (median {:.3})", shown.join(" "), median(ratios));
}
