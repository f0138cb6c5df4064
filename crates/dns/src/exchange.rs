//! A question to the configured servers, one after the other: UDP first, TCP where the reply does not fit.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use hickory_proto::{
    op::Message,
    rr::{Name, RecordType},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sync::Semaphore,
    time::{Instant, timeout},
};

use crate::{
    counters::Counters,
    trouble::Trouble,
    wire::{self, Packet, Sent, Wanted},
};

/// Room for a datagram of a server that ignores the announced size.
const DATAGRAM: usize = 4096;
/// Packets that do not belong to the question before a server is given up: a flood of guesses is an attack
/// (RFC 5452 §9), and each costs time.
const MAX_FOREIGN: usize = 200;
/// Sockets open at once: below every usual limit on files, and more than a resolver answers at a time.
const MAX_IN_FLIGHT: usize = 512;
/// How long a server that did not answer is asked last.
const SHUNNED: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Exchange {
    servers: Vec<Server>,
    timeout: Duration,
    attempts: u32,
    started: Instant,
    in_flight: Semaphore,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    /// Milliseconds after `started`.
    shunned_until: AtomicU64,
}

/// An answer, NOERROR or NXDOMAIN, and who gave it.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) message: Message,
    pub(crate) server: SocketAddr,
}

impl Exchange {
    pub(crate) fn new(
        servers: &[SocketAddr],
        timeout: Duration,
        attempts: u32,
        counters: Arc<Counters>,
    ) -> Self {
        let servers =
            servers.iter().map(|&address| Server { address, shunned_until: AtomicU64::new(0) }).collect();
        Self {
            servers,
            timeout,
            attempts,
            started: Instant::now(),
            in_flight: Semaphore::new(MAX_IN_FLIGHT),
            counters,
        }
    }

    /// Asks until a server answers. A server whose reply is an error is not asked again; one that is silent is.
    pub(crate) async fn ask(
        &self,
        name: &Name,
        kind: RecordType,
        wanted: Wanted,
    ) -> Result<Answered, Trouble> {
        // The semaphore is never closed, so that failing to acquire cannot happen; saying so costs nothing.
        let _permit = match self.in_flight.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                self.counters.waited.fetch_add(1, Ordering::Relaxed);
                self.in_flight.acquire().await.map_err(|_| Trouble::server("the resolver is closing"))?
            }
        };
        let began = Instant::now();
        let mut refusals: Vec<Trouble> = Vec::new();
        let mut waiting = self.by_health();
        for _ in 0..self.attempts {
            let mut silent = Vec::new();
            for server in waiting {
                match self.ask_server(server, name, kind, wanted).await {
                    Ok(message) => return Ok(Answered { message, server: server.address }),
                    Err(Refusal::Silent) => silent.push(server),
                    Err(Refusal::Told(trouble)) => refusals.push(trouble),
                }
            }
            waiting = silent;
        }
        Err(self.sum_up(refusals, &waiting, began.elapsed()))
    }

    /// Servers that answered lately first, each group in the configured order.
    fn by_health(&self) -> Vec<&Server> {
        let now = self.millis();
        let mut order: Vec<&Server> = self.servers.iter().collect();
        order.sort_by_key(|server| server.shunned_until.load(Ordering::Relaxed) > now);
        order
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn ask_server(
        &self,
        server: &Server,
        name: &Name,
        kind: RecordType,
        wanted: Wanted,
    ) -> Result<Message, Refusal> {
        let sent = wire::question(name, kind, wanted).map_err(Refusal::Told)?;
        let mut outcome = self.limited(over_udp(server.address, &sent), server).await;
        self.counters.udp.fetch_add(1, Ordering::Relaxed);
        if matches!(outcome, Err(Refusal::Told(ref trouble)) if trouble.detail == TRUNCATED) {
            self.counters.tcp.fetch_add(1, Ordering::Relaxed);
            outcome = self.limited(over_tcp(server.address, &sent), server).await;
        }
        let message = outcome?;
        if wire::is_answer(message.metadata.response_code) {
            return Ok(message);
        }
        let word = wire::code_word(message.metadata.response_code);
        let hint = extended_error(&message).map(|hint| format!(" ({hint})")).unwrap_or_default();
        Err(Refusal::Told(Trouble::server(format!("{word} from {}{hint}", server.address))))
    }

    async fn limited(
        &self,
        work: impl Future<Output = Result<Message, Refusal>>,
        server: &Server,
    ) -> Result<Message, Refusal> {
        let outcome = timeout(self.timeout, work).await.unwrap_or(Err(Refusal::Silent));
        let shunned_until = match outcome {
            Ok(_) => 0,
            Err(Refusal::Silent) => {
                self.counters.timeouts.fetch_add(1, Ordering::Relaxed);
                self.millis().saturating_add(SHUNNED.as_millis() as u64)
            }
            Err(Refusal::Told(_)) => return outcome,
        };
        server.shunned_until.store(shunned_until, Ordering::Relaxed);
        outcome
    }

    fn sum_up(&self, mut refusals: Vec<Trouble>, silent: &[&Server], took: Duration) -> Trouble {
        if silent.is_empty() && refusals.len() == 1 {
            return refusals.remove(0);
        }
        let seconds = took.as_millis().div_ceil(100) as f64 / 10.0;
        let silence = match silent {
            [] => None,
            [one] => Some(format!("no answer from {} within {seconds} s", one.address)),
            several => Some(format!("timed out after {seconds} s ({} servers)", several.len())),
        };
        let Some(first) = refusals.first() else {
            return Trouble::timeout(silence.unwrap_or_else(|| "no server to ask".into()));
        };
        let failure = first.failure;
        let words: Vec<String> = refusals.into_iter().map(|trouble| trouble.detail).chain(silence).collect();
        Trouble::new(failure, words.join("; "))
    }
}

/// Why one server gave no answer.
#[derive(Debug)]
enum Refusal {
    /// It said nothing: another attempt may help.
    Silent,
    /// It said something that is no answer, or cannot be reached: asking it again would not help.
    Told(Trouble),
}

/// The mark of a truncated reply on its way from [`over_udp`] to TCP.
const TRUNCATED: &str = "truncated";

async fn over_udp(server: SocketAddr, sent: &Sent) -> Result<Message, Refusal> {
    // The kernel draws the port at random; connecting makes it drop packets from anybody else (RFC 5452 §9.2).
    let any: SocketAddr =
        if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let unreachable = |problem: std::io::Error| {
        Refusal::Told(Trouble::timeout(format!("{server} cannot be reached: {problem}")))
    };
    let socket = UdpSocket::bind(any).await.map_err(unreachable)?;
    socket.connect(server).await.map_err(unreachable)?;
    socket.send(&sent.octets).await.map_err(unreachable)?;
    let mut buffer = vec![0; DATAGRAM];
    for _ in 0..MAX_FOREIGN {
        let length = socket.recv(&mut buffer).await.map_err(unreachable)?;
        match sent.read(buffer.get(..length).unwrap_or_default()) {
            Packet::Reply(message) => return Ok(*message),
            Packet::Truncated => return Err(Refusal::Told(Trouble::malformed(TRUNCATED))),
            Packet::Foreign => {}
            Packet::Broken(problem) => return Err(broken(server, &problem)),
        }
    }
    Err(broken(server, "too many packets that answer other questions"))
}

async fn over_tcp(server: SocketAddr, sent: &Sent) -> Result<Message, Refusal> {
    let lost = |problem: std::io::Error| {
        Refusal::Told(Trouble::timeout(format!("{server} truncates over UDP and fails over TCP: {problem}")))
    };
    let mut stream = TcpStream::connect(server).await.map_err(lost)?;
    let Ok(length) = u16::try_from(sent.octets.len()) else {
        return Err(Refusal::Told(Trouble::malformed("the question is too long")));
    };
    // RFC 7766 §8: length and message in one segment.
    let mut request = Vec::with_capacity(sent.octets.len() + 2);
    request.extend_from_slice(&length.to_be_bytes());
    request.extend_from_slice(&sent.octets);
    stream.write_all(&request).await.map_err(lost)?;
    let length = stream.read_u16().await.map_err(lost)?;
    let mut reply = vec![0; usize::from(length)];
    stream.read_exact(&mut reply).await.map_err(lost)?;
    match sent.read(&reply) {
        Packet::Reply(message) => Ok(*message),
        Packet::Truncated => Err(broken(server, "truncated over TCP")),
        Packet::Foreign => Err(broken(server, "the reply is to another question")),
        Packet::Broken(problem) => Err(broken(server, &problem)),
    }
}

fn broken(server: SocketAddr, problem: &str) -> Refusal {
    Refusal::Told(Trouble::malformed(format!("malformed reply from {server}: {problem}")))
}

/// RFC 8914 §4.8 and §4.9, in words.
pub(crate) const SIGNATURE_EXPIRED: &str = "signature expired";
pub(crate) const SIGNATURE_TO_COME: &str = "signature not yet valid";

/// RFC 8914: the resolver's own explanation. The registered meaning only; its free text stays outside.
fn extended_error(message: &Message) -> Option<&'static str> {
    use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
    const EXTENDED_ERROR: u16 = 15;
    let option = message.edns.as_ref()?.option(EdnsCode::from(EXTENDED_ERROR))?;
    let EdnsOption::Unknown(EXTENDED_ERROR, octets) = option else { return None };
    match u16::from_be_bytes([*octets.first()?, *octets.get(1)?]) {
        1 => Some("unsupported DNSKEY algorithm"),
        2 => Some("unsupported DS digest"),
        5 => Some("DNSSEC indeterminate"),
        6 => Some("DNSSEC bogus"),
        7 => Some(SIGNATURE_EXPIRED),
        8 => Some(SIGNATURE_TO_COME),
        9 => Some("DNSKEY missing"),
        10 => Some("signatures missing"),
        11 => Some("no zone key"),
        12 => Some("NSEC missing"),
        15 => Some("blocked"),
        17 => Some("filtered"),
        18 => Some("prohibited"),
        20 => Some("not authoritative"),
        22 => Some("no reachable authority"),
        23 => Some("network error at the resolver"),
        _ => None,
    }
}
