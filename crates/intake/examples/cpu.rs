//! CPU of the intake for each 10 kB message: over loopback, 40 pipelining sessions, a spool that takes everything at once.
//!
//! `cargo run --release -p waxseal-intake --example cpu`. Linux only: it reads what the kernel says of the server's own thread.

use std::{
    future::Future,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    pin::Pin,
    sync::{Arc, mpsc},
    thread,
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use tokio::task::LocalSet;
use waxseal_intake::{Intake, Settings};
use waxseal_smtp::server::{self, Hello, Host, Session, Step, Transaction};
use waxseal_spool::{Accept, Gate, Gathering, Refusal};
use waxseal_types::{Envelope, QueueId, Recipient};

const SESSIONS: usize = 40;
const MESSAGES: usize = 1000;
const SIZE: usize = 10_000;

struct Anything(Gate);

impl Accept for Anything {
    fn ready(&self) -> Result<(), Refusal> {
        Ok(())
    }
    fn next_id(&self) -> QueueId {
        self.0.next_id()
    }
    fn gathering(&self) -> Gathering {
        self.0.gathering()
    }
    fn accept(&self, _: Envelope, _: Bytes) -> Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>> {
        Box::pin(async { Ok(()) })
    }
}

impl Host for Anything {
    fn mail(&mut self, _: &Transaction) -> Result<(), server::Refusal> {
        Ok(())
    }
    fn recipient(&mut self, _: &Transaction, _: &Recipient) -> Result<(), server::Refusal> {
        Ok(())
    }
    fn text(&mut self, _: &Hello, _: &Transaction, _: &mut BytesMut) -> Result<(), server::Refusal> {
        Ok(())
    }
}

fn main() {
    machine();
    loopback();
}

fn head() -> String {
    "MAIL FROM:<sender@a.example> SIZE=10000\r\nRCPT TO:<recipient@b.example>\r\nDATA\r\n".into()
}

fn text() -> String {
    let header = "From: a@a.example\r\nTo: b@b.example\r\nSubject: cpu\r\nMessage-ID: <1@a.example>\r\n\r\n";
    let line = "x".repeat(76) + "\r\n";
    header.to_owned() + &line.repeat((SIZE - header.len()) / line.len()) + ".\r\n"
}

/// The protocol alone, without a socket.
fn machine() {
    let (mut session, mut host) = (Session::new(Arc::default()), Anything(Gate::default()));
    session.advance(&mut BytesMut::from("EHLO x\r\n"), &mut host);
    let (head, text) = (head(), text());
    let mut input = BytesMut::with_capacity(1 << 14);
    let start = cpu();
    for _ in 0..SESSIONS * MESSAGES {
        input.extend_from_slice(head.as_bytes());
        assert!(matches!(session.advance(&mut input, &mut host), Step::Read));
        input.extend_from_slice(text.as_bytes());
        assert!(matches!(session.advance(&mut input, &mut host), Step::Message(_)));
        session.settle(Ok(host.0.next_id()));
        session.output().clear();
    }
    report("machine", start);
}

/// All of it.
fn loopback() {
    let (address, bound) = mpsc::channel();
    let serving = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, async {
            let settings =
                Settings { listen: vec!["127.0.0.1:0".parse().expect("an address")], ..Settings::default() };
            let intake = Arc::new(Intake::bind(settings).expect("a free port"));
            address.send((intake.local_addrs()[0], Arc::clone(&intake))).expect("main is there");
            let start = cpu();
            intake.serve(Arc::new(Anything(Gate::default()))).await.expect("listeners that live");
            report("loopback", start);
        });
    });
    let (address, intake) = bound.recv().expect("the server is there");
    let start = Instant::now();
    let clients: Vec<_> = (0..SESSIONS).map(|_| thread::spawn(move || client(address))).collect();
    clients.into_iter().for_each(|client| client.join().expect("a client that ends"));
    println!("loopback: {:.0} messages/s", (SESSIONS * MESSAGES) as f64 / start.elapsed().as_secs_f64());
    intake.shut_down();
    serving.join().expect("a server that ends");
}

fn client(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("a TCP socket");
    let (head, text) = (head(), text());
    let mut say = |what: &str, lines: usize| {
        stream.write_all(what.as_bytes()).expect("a server that reads");
        let mut seen = 0;
        let mut buffer = [0; 1024];
        while seen < lines {
            let read = stream.read(&mut buffer).expect("a reply");
            assert!(read > 0, "the server left");
            seen += buffer[..read]
                .windows(4)
                .filter(|w| w[3] == b' ' && w[..3].iter().all(u8::is_ascii_digit))
                .count();
        }
    };
    say("", 1);
    say("EHLO x\r\n", 1);
    for _ in 0..MESSAGES {
        say(&head, 3);
        say(&text, 1);
    }
    say("QUIT\r\n", 1);
}

/// Nanoseconds that this thread has been on a CPU.
fn cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    text.split(' ').next().and_then(|n| n.parse().ok()).expect("a number")
}

fn report(what: &str, start: u64) {
    println!(
        "{what}: {:.2} us of CPU for each message",
        (cpu() - start) as f64 / 1000.0 / (SESSIONS * MESSAGES) as f64
    );
}
