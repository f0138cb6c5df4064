//! An intake on loopback, a client that speaks to it, and a spool in memory.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream},
    net::TcpStream,
    sync::watch,
    task::{JoinHandle, LocalSet, spawn_local},
};
use waxseal_intake::{Error, Intake, Settings};
use waxseal_smtp::server;
use waxseal_spool::{Accept, Gate, Gathering, Refusal};
use waxseal_types::{Envelope, QueueId};

/// Longer than any test takes; only a test that fails waits for it.
const DEADLINE: Duration = Duration::from_secs(3600);

/// Runs a test as an arbiter would.
pub fn local<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test)
}

pub fn settings() -> Settings {
    let protocol = server::Settings { hostname: "mx.example".into(), ..server::Settings::default() };
    Settings { listen: vec!["127.0.0.1:0".parse().unwrap()], protocol, ..Settings::default() }
}

/// Takes messages into memory, at once or when it is told to.
pub struct Memory {
    gate: Gate,
    state: Mutex<State>,
    released: watch::Sender<bool>,
    requests: watch::Sender<usize>,
    taken: Arc<Mutex<Vec<(Envelope, Bytes)>>>,
}

#[derive(Default)]
struct State {
    ready: Option<Refusal>,
    fail: Option<Refusal>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            gate: Gate::default(),
            state: Mutex::default(),
            released: watch::Sender::new(true),
            requests: watch::Sender::new(0),
            taken: Arc::default(),
        }
    }
}

impl Memory {
    /// Commits take until [`Memory::release`].
    pub fn hold(&self) {
        self.released.send_replace(false);
    }

    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// The next commit fails.
    pub fn fail(&self, refusal: Refusal) {
        self.state.lock().unwrap().fail = Some(refusal);
    }

    pub fn not_ready(&self, refusal: Option<Refusal>) {
        self.state.lock().unwrap().ready = refusal;
    }

    /// Until so many commits have been asked for.
    pub async fn requested(&self, count: usize) {
        self.requests.subscribe().wait_for(|requests| *requests >= count).await.unwrap();
    }

    pub fn requests(&self) -> usize {
        *self.requests.borrow()
    }

    pub fn taken(&self) -> Vec<(Envelope, Bytes)> {
        self.taken.lock().unwrap().clone()
    }
}

impl Accept for Memory {
    fn ready(&self) -> Result<(), Refusal> {
        self.state.lock().unwrap().ready.map_or(Ok(()), Err)
    }

    fn next_id(&self) -> QueueId {
        self.gate.next_id()
    }

    fn gathering(&self) -> Gathering {
        self.gate.gathering()
    }

    fn accept(
        &self,
        envelope: Envelope,
        body: Bytes,
    ) -> Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>> {
        let (fail, taken) = (self.state.lock().unwrap().fail.take(), Arc::clone(&self.taken));
        let mut released = self.released.subscribe();
        self.requests.send_modify(|requests| *requests += 1);
        Box::pin(async move {
            let _ = released.wait_for(|released| *released).await;
            if let Some(refusal) = fail {
                return Err(refusal);
            }
            taken.lock().unwrap().push((envelope, body));
            Ok(())
        })
    }
}

pub struct Server {
    pub intake: Arc<Intake>,
    pub memory: Arc<Memory>,
    pub serving: JoinHandle<Result<(), Error>>,
}

impl Server {
    pub fn start(settings: Settings) -> Self {
        Self::with(settings, Arc::default())
    }

    pub fn with(settings: Settings, memory: Arc<Memory>) -> Self {
        let intake = Arc::new(Intake::bind(settings).unwrap());
        let serving = spawn_local(Arc::clone(&intake).serve(Arc::clone(&memory) as Arc<dyn Accept>));
        Self { intake, memory, serving }
    }

    pub fn serve(&self) -> JoinHandle<Result<(), Error>> {
        spawn_local(Arc::clone(&self.intake).serve(Arc::clone(&self.memory) as Arc<dyn Accept>))
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.intake.local_addrs()[0]).await.unwrap()
    }

    /// A client without a network in between, for tests that move the clock: tokio's goes on while octets are on their way through the kernel.
    pub async fn near_client(&self) -> Client<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let accept = Arc::clone(&self.memory) as Arc<dyn Accept>;
        spawn_local(Arc::clone(&self.intake).attend(theirs, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), accept));
        let mut client = Client::new(ours);
        client.hello().await;
        client
    }

    /// A client that has said EHLO.
    pub async fn client(&self) -> Client<TcpStream> {
        let mut client = Client::new(self.connect().await);
        client.hello().await;
        client
    }
}

pub struct Client<S>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn new(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    pub async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The last line of a reply.
    pub async fn reply(&mut self) -> String {
        let mut line = String::new();
        while line.as_bytes().get(3) != Some(&b' ') {
            line.clear();
            let read =
                tokio::time::timeout(DEADLINE, self.0.read_line(&mut line)).await.expect("a reply in time");
            assert!(read.unwrap() > 0, "the connection ended");
        }
        line.trim_end().into()
    }

    pub async fn codes(&mut self, count: usize) -> Vec<u16> {
        let mut codes = Vec::new();
        for _ in 0..count {
            codes.push(self.reply().await[..3].parse().unwrap());
        }
        codes
    }

    pub async fn hello(&mut self) {
        assert_eq!(self.codes(1).await, [220]);
        self.say("EHLO client.example\r\n").await;
        assert_eq!(self.codes(1).await, [250]);
    }

    /// From MAIL to 354.
    pub async fn begin(&mut self) {
        self.say("MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n").await;
        assert_eq!(self.codes(3).await, [250, 250, 354]);
    }

    /// Whether the server has closed the connection.
    pub async fn ended(&mut self) -> bool {
        matches!(self.0.fill_buf().await, Ok(rest) if rest.is_empty())
    }

    /// Whether nothing has been said, once all other tasks have had their turn.
    pub async fn silent(&mut self) -> bool {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        tokio::select! {
            biased;
            _ = self.0.fill_buf() => false,
            () = tokio::task::yield_now() => true,
        }
    }
}
