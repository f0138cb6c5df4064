//! An intake on loopback, a client that speaks to it, and a spool in memory.

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
use waxseal_intake::{Error, Intake, Neighbours, Settings};
use waxseal_smtp::server;
use waxseal_spool::{Accept, Gate, Gathering, Inflow, Later, Refusal};
use waxseal_types::{Envelope, QueueId};

/// Longer than any test takes; only a test that fails waits for it.
const DEADLINE: Duration = Duration::from_secs(3600);

/// Runs a test as an arbiter would.
pub(crate) fn local<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test)
}

pub(crate) fn settings() -> Settings {
    let protocol = server::Settings { hostname: "mx.example".into(), ..server::Settings::default() };
    Settings { listen: vec!["127.0.0.1:0".parse().unwrap()], protocol, ..Settings::default() }
}

/// Takes messages into memory, at once or when it is told to.
pub(crate) struct Memory {
    gate: Gate,
    state: Mutex<State>,
    released: watch::Sender<bool>,
    requests: watch::Sender<usize>,
    taken: Arc<Mutex<Vec<(Envelope, Bytes)>>>,
    /// Large texts that are coming in, and the longest piece of any.
    inflows: watch::Sender<Inflows>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inflows {
    pub(crate) begun: usize,
    pub(crate) open: usize,
    pub(crate) longest: usize,
}

#[derive(Default)]
struct State {
    /// Large texts are taken in pieces; from the second on, with this refusal.
    pieces: Option<Result<(), Refusal>>,
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
            inflows: watch::Sender::default(),
        }
    }
}

impl Memory {
    /// Commits take until [`Memory::release`].
    pub(crate) fn hold(&self) {
        self.released.send_replace(false);
    }

    pub(crate) fn release(&self) {
        self.released.send_replace(true);
    }

    /// The next commit fails.
    pub(crate) fn fail(&self, refusal: Refusal) {
        self.state.lock().unwrap().fail = Some(refusal);
    }

    /// Large texts are taken in pieces from now on; all but the first piece as `how` says.
    pub(crate) fn take_pieces(&self, how: Result<(), Refusal>) {
        self.state.lock().unwrap().pieces = Some(how);
    }

    pub(crate) fn inflows(&self) -> Inflows {
        *self.inflows.borrow()
    }

    /// Until so many inflows were begun and all have ended.
    pub(crate) async fn inflows_ended(&self, begun: usize) -> Inflows {
        let mut inflows = self.inflows.subscribe();
        *inflows.wait_for(|inflows| inflows.begun == begun && inflows.open == 0).await.unwrap()
    }

    pub(crate) fn not_ready(&self, refusal: Option<Refusal>) {
        self.state.lock().unwrap().ready = refusal;
    }

    /// Until so many commits have been asked for.
    pub(crate) async fn requested(&self, count: usize) {
        self.requests.subscribe().wait_for(|requests| *requests >= count).await.unwrap();
    }

    pub(crate) fn requests(&self) -> usize {
        *self.requests.borrow()
    }

    /// How many messages are said to be on their way. The gate shows it to people only.
    pub(crate) fn gathering_now(&self) -> usize {
        let text = format!("{:?}", self.gate);
        let (_, rest) = text.split_once("gathering: ").unwrap();
        rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap()].parse().unwrap()
    }

    pub(crate) fn taken(&self) -> Vec<(Envelope, Bytes)> {
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

    fn inflow(&self, _: QueueId) -> Later<Option<Box<dyn Inflow>>> {
        let how = self.state.lock().unwrap().pieces;
        let pieces = how.map(|how| {
            self.inflows.send_modify(|inflows| {
                inflows.begun += 1;
                inflows.open += 1;
            });
            let (inflows, taken) = (self.inflows.clone(), Arc::clone(&self.taken));
            Box::new(Pieces { text: Vec::new(), how, result: Ok(()), inflows, taken }) as Box<dyn Inflow>
        });
        Box::pin(std::future::ready(pieces))
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

/// A large text on its way into [`Memory`].
struct Pieces {
    text: Vec<u8>,
    how: Result<(), Refusal>,
    result: Result<(), Refusal>,
    inflows: watch::Sender<Inflows>,
    taken: Arc<Mutex<Vec<(Envelope, Bytes)>>>,
}

impl Inflow for Pieces {
    fn write(&mut self, piece: Bytes) -> Later<Result<(), Refusal>> {
        if !self.text.is_empty() {
            self.result = self.result.and(self.how);
        }
        self.text.extend_from_slice(&piece);
        self.inflows.send_modify(|inflows| inflows.longest = inflows.longest.max(piece.len()));
        Box::pin(std::future::ready(self.result))
    }

    fn accept(self: Box<Self>, envelope: Envelope) -> Later<Result<(), Refusal>> {
        if self.result.is_ok() {
            self.taken.lock().unwrap().push((envelope, self.text.clone().into()));
        }
        Box::pin(std::future::ready(self.result))
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.inflows.send_modify(|inflows| inflows.open -= 1);
    }
}

pub(crate) struct Server {
    pub(crate) intake: Arc<Intake>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) serving: JoinHandle<Result<(), Error>>,
}

impl Server {
    pub(crate) fn start(settings: Settings) -> Self {
        Self::with(settings, Arc::default())
    }

    pub(crate) fn with(settings: Settings, memory: Arc<Memory>) -> Self {
        Self::beside(settings, memory, Neighbours::default())
    }

    pub(crate) fn beside(settings: Settings, memory: Arc<Memory>, neighbours: Neighbours) -> Self {
        let intake = Arc::new(Intake::bind_with(settings, neighbours).unwrap());
        let serving = spawn_local(Arc::clone(&intake).serve(Arc::clone(&memory) as Arc<dyn Accept>));
        Self { intake, memory, serving }
    }

    pub(crate) fn serve(&self) -> JoinHandle<Result<(), Error>> {
        spawn_local(Arc::clone(&self.intake).serve(Arc::clone(&self.memory) as Arc<dyn Accept>))
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.intake.local_addrs()[0]).await.unwrap()
    }

    /// A client without a network in between, for tests that move the clock: tokio's goes on while octets are on their way through the kernel.
    pub(crate) async fn near_client(&self) -> Client<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let accept = Arc::clone(&self.memory) as Arc<dyn Accept>;
        spawn_local(Arc::clone(&self.intake).attend(theirs, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), accept));
        let mut client = Client::new(ours);
        client.hello().await;
        client
    }

    /// A client that has said EHLO.
    pub(crate) async fn client(&self) -> Client<TcpStream> {
        let mut client = Client::new(self.connect().await);
        client.hello().await;
        client
    }
}

pub(crate) struct Client<S>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    pub(crate) fn into_inner(self) -> S {
        assert!(self.0.buffer().is_empty(), "nothing was said that was not read");
        self.0.into_inner()
    }

    pub(crate) fn raw(&mut self) -> &mut S {
        self.0.get_mut()
    }

    /// All lines of a reply.
    pub(crate) async fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).await.unwrap() > 0, "the connection ended");
            let last = line.as_bytes().get(3) == Some(&b' ');
            lines.push(line.trim_end().to_owned());
            if last {
                return lines;
            }
        }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The last line of a reply.
    pub(crate) async fn reply(&mut self) -> String {
        let mut line = String::new();
        while line.as_bytes().get(3) != Some(&b' ') {
            line.clear();
            let read =
                tokio::time::timeout(DEADLINE, self.0.read_line(&mut line)).await.expect("a reply in time");
            assert!(read.unwrap() > 0, "the connection ended");
        }
        line.trim_end().into()
    }

    pub(crate) async fn codes(&mut self, count: usize) -> Vec<u16> {
        let mut codes = Vec::new();
        for _ in 0..count {
            codes.push(self.reply().await[..3].parse().unwrap());
        }
        codes
    }

    pub(crate) async fn hello(&mut self) {
        assert_eq!(self.codes(1).await, [220]);
        self.say("EHLO client.example\r\n").await;
        assert_eq!(self.codes(1).await, [250]);
    }

    /// From MAIL to 354.
    pub(crate) async fn begin(&mut self) {
        self.say("MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n").await;
        assert_eq!(self.codes(3).await, [250, 250, 354]);
    }

    /// Whether the server has closed the connection.
    pub(crate) async fn ended(&mut self) -> bool {
        matches!(self.0.fill_buf().await, Ok(rest) if rest.is_empty())
    }

    /// Whether nothing has been said, once all other tasks have had their turn.
    pub(crate) async fn silent(&mut self) -> bool {
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
