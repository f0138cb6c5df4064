//! A mail server that does what it was told and writes down what it saw.

mod gate;
mod record;
mod script;
mod session;
mod wire;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering},
};

use tokio::{
    net::{TcpListener, TcpSocket},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use crate::Error;
pub use crate::tls::{TlsSeen, TlsVersions};
pub use gate::Gate;
use record::Recorder;
pub use record::{Event, Happening, Message};
use script::Script;
pub use script::{Act, Builder, Handshake, Step};
use session::Session;

/// A running server. It ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub struct Peer {
    address: SocketAddr,
    recorder: Arc<Recorder>,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    /// A server that takes every message in clear; the builder changes that.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    async fn start(address: Option<SocketAddr>, scripts: Vec<Script>) -> Result<Self, Error> {
        let scripts = prepare(scripts)?;
        let listener = listen(address.unwrap_or((Ipv4Addr::LOCALHOST, 0).into()))?;
        let address = listener.local_addr()?;
        let recorder = Arc::new(Recorder::default());
        let task = tokio::spawn(serve(listener, scripts, Arc::clone(&recorder)));
        Ok(Self { address, recorder, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a next hop: `[127.0.0.1]:40123`.
    #[must_use]
    pub fn nexthop(&self) -> String {
        format!("[{}]:{}", self.address.ip(), self.address.port())
    }

    /// The messages it took.
    #[must_use]
    pub fn accepted(&self) -> Vec<Message> {
        self.recorder.accepted()
    }

    /// Everything that happened, in order.
    #[must_use]
    pub fn transcript(&self) -> Vec<Event> {
        self.recorder.events()
    }

    /// Everything that happened since the last call, which is forgotten with it: for a test so long that it could not
    /// keep it all.
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        self.recorder.take()
    }

    /// The commands of all connections, in order.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        let command = |event: Event| {
            let Happening::Command(line) = event.what else { return None };
            Some(line)
        };
        self.transcript().into_iter().filter_map(command).collect()
    }

    /// The handshakes that came to an end, in order.
    #[must_use]
    pub fn handshakes(&self) -> Vec<TlsSeen> {
        let seen = |event: Event| {
            let Happening::Tls(seen) = event.what else { return None };
            Some(seen)
        };
        self.transcript().into_iter().filter_map(seen).collect()
    }

    /// How many connections it saw.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.recorder.with(|events| events.iter().filter(|event| event.what == Happening::Connected).count())
    }

    /// How many events its transcript has.
    #[must_use]
    pub fn event_count(&self) -> usize {
        self.recorder.with(<[Event]>::len)
    }

    /// Waits until it has taken `n` messages, and gives them. Use it inside [`crate::within`].
    pub async fn wait_for(&self, n: usize) -> Vec<Message> {
        self.recorder.wait(|events| record::count_accepted(events) >= n).await;
        self.accepted()
    }

    /// Waits until `happened` is true of the transcript. Use it inside [`crate::within`].
    pub async fn wait_until(&self, happened: impl Fn(&[Event]) -> bool) {
        self.recorder.wait(happened).await;
    }

    /// Stops listening and ends all connections; the transcript stays readable.
    pub async fn stop(&mut self) {
        self.task.abort();
        // Cancellation is what was asked for.
        let _ = (&mut self.task).await;
    }
}

/// A script with its TLS ready.
#[derive(Clone)]
struct Prepared {
    script: Arc<Script>,
    acceptor: Option<TlsAcceptor>,
}

/// Scripts with equal TLS share a configuration, and so its session cache.
fn prepare(scripts: Vec<Script>) -> Result<Vec<Prepared>, Error> {
    let mut prepared: Vec<Prepared> = Vec::new();
    for script in scripts {
        let twin = prepared.iter().find(|other| other.script.tls == script.tls);
        let acceptor = match (twin, &script.tls) {
            (Some(twin), _) => twin.acceptor.clone(),
            (None, Some(tls)) => {
                let before = prepared.last().and_then(|before| before.acceptor.as_ref());
                Some(TlsAcceptor::from(tls.config(before.map(|before| before.config().as_ref()))?))
            }
            (None, None) => None,
        };
        prepared.push(Prepared { script: Arc::new(script), acceptor });
    }
    Ok(prepared)
}

/// A client that the system has no place for believes to be connected and waits for a greeting that never comes: thousands may come at once.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}

async fn serve(listener: TcpListener, scripts: Vec<Prepared>, recorder: Arc<Recorder>) {
    let (mut sessions, counter) = (JoinSet::new(), AtomicUsize::new(0));
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A listener that fails ends the peer: the test sees refused connections.
                let Ok((stream, _)) = accepted else { return };
                let number = counter.fetch_add(1, Ordering::Relaxed);
                let prepared = scripts[number.min(scripts.len() - 1)].clone();
                let recorder = Arc::clone(&recorder);
                sessions.spawn(async move {
                    recorder.note(number, Happening::Connected);
                    let end = Session::new(stream, prepared, number, Arc::clone(&recorder)).run().await;
                    recorder.note(number, Happening::Closed(end.err().map(|error: io::Error| error.to_string())));
                });
            }
            Some(_) = sessions.join_next() => {}
        }
    }
}
