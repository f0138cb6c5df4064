//! Sockets that clients connect to.

use std::{
    io,
    net::SocketAddr,
    os::unix::{fs::FileTypeExt, net as unix},
    path::Path,
    sync::Arc,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, UnixListener},
    task::spawn_local,
    time::{Instant, sleep},
};
use waxseal_spool::Accept;

use crate::{Error, Level, ListenAddr, client::Client, counters::Counters, intake::Intake, session};

/// Connections that wait to be accepted. The system cuts it to its own limit.
const BACKLOG: i32 = 1024;

/// How long to wait when the system has no descriptor or memory left for a client: it will not have one at once.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Descriptors come and go while there are too few: it is one trouble, told so often at most.
const TOLD_EVERY: Duration = Duration::from_secs(300);

/// What an operator can do about it.
const REMEDY: &str =
    "raise the limit of open files (LimitNOFILE, ulimit -n), or lower listen.connection_limit";

/// A bound socket that no runtime knows yet.
#[derive(Debug)]
pub(crate) struct Bound {
    address: ListenAddr,
    mode: Mode,
    socket: Socket,
}

/// What TLS is at a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By STARTTLS, at this level.
    StartTls(Level),
    /// From the first octet on.
    Wrapped,
}

impl Mode {
    /// Whether there is no mail without TLS.
    pub(crate) const fn is_mandatory(self) -> bool {
        matches!(self, Self::StartTls(Level::Encrypt) | Self::Wrapped)
    }

    /// Whether there may be TLS.
    pub(crate) const fn has_tls(self) -> bool {
        !matches!(self, Self::StartTls(Level::None))
    }
}

/// A socket with its runtime.
pub(crate) struct Listener {
    socket: Accepting,
    mode: Mode,
}

enum Accepting {
    Inet(TcpListener),
    Unix(UnixListener),
}

impl Bound {
    pub(crate) fn new(address: &ListenAddr, mode: Mode) -> Result<Self, Error> {
        let bind = |source: io::Error| Error::Bind { address: address.clone(), source: Arc::new(source) };
        let socket = match address {
            ListenAddr::Inet(inet) => bind_inet(*inet).map_err(bind)?,
            ListenAddr::Unix(path) => {
                clear_stale(path)?;
                unix::UnixListener::bind(path).map_err(bind)?.into()
            }
        };
        socket.set_nonblocking(true).map_err(bind)?;
        Ok(Self { address: address.clone(), mode, socket })
    }

    pub(crate) const fn mode(&self) -> Mode {
        self.mode
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()?.as_socket()
    }

    /// The same socket for the current runtime.
    pub(crate) fn listen(&self) -> Result<Listener, Error> {
        let listen = || {
            let socket = self.socket.try_clone()?;
            io::Result::Ok(match self.address {
                ListenAddr::Inet(_) => Accepting::Inet(TcpListener::from_std(socket.into())?),
                ListenAddr::Unix(_) => Accepting::Unix(UnixListener::from_std(socket.into())?),
            })
            .map(|socket| Listener { socket, mode: self.mode })
        };
        listen().map_err(|source: io::Error| Error::Listener {
            address: self.address.clone(),
            source: Arc::new(source),
        })
    }
}

impl Drop for Bound {
    /// A socket file that nobody listens on is of no use to anyone.
    fn drop(&mut self) {
        if let ListenAddr::Unix(path) = &self.address {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn bind_inet(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]:25` and `0.0.0.0:25` are two listeners, as in Postfix.
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for old connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Removes the socket file of a process that is gone.
fn clear_stale(path: &Path) -> Result<(), Error> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(Error::NotASocket(path.into()));
    }
    match unix::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            // Should this fail, binding will, and will say so.
            let _ = std::fs::remove_file(path);
            Ok(())
        }
        Ok(_) | Err(_) => Err(Error::Taken(path.into())),
    }
}

impl Listener {
    /// Accepts clients for ever.
    pub(crate) async fn run(self, intake: Arc<Intake>, accept: Arc<dyn Accept>) {
        let mut told: Option<Instant> = None;
        loop {
            match self.next(&intake, &accept).await {
                Ok(()) => {}
                // accept(2): the client is gone already; the next one need not be.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
                        told = Some(Instant::now());
                        tracing::warn!(%error, "cannot accept connections; clients wait in the system's queue: {REMEDY}");
                    }
                    Counters::count(&intake.counters.exhausted);
                    sleep(EXHAUSTED).await;
                }
            }
        }
    }

    async fn next(&self, intake: &Arc<Intake>, accept: &Arc<dyn Accept>) -> io::Result<()> {
        let (intake, accept) = (Arc::clone(intake), Arc::clone(accept));
        let mode = self.mode;
        match &self.socket {
            Accepting::Inet(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Replies are written in one piece; waiting for more to send only delays them.
                let _ = stream.set_nodelay(true);
                let client = Client::inet(peer.ip(), &intake.settings);
                spawn_local(session::run(stream, (client, mode), intake, accept));
            }
            Accepting::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
                spawn_local(session::run(stream, (Client::local(uid), mode), intake, accept));
            }
        }
        Ok(())
    }
}
