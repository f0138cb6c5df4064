//! The two doors, and what stands behind them.

use std::{
    any::Any,
    fs, io,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    dev::{Extensions, ServerHandle},
    middleware::from_fn,
    rt::net::{TcpStream, UnixStream},
    web,
};
use tokio::sync::Semaphore;
use waxseal_types::UnixTime;

use crate::{
    Audit, Desk, Error, Posture, Settings, Token, TurnedAway,
    guard::{Guard, Peer, guard},
    routes, words,
};

/// The socket's name in the spool's folder, which is closed to other users.
pub const SOCKET: &str = "control.sock";

/// Connections to one door at a time.
const CONNECTIONS: usize = 128;
/// A request's head must have come by then.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a connection is kept for another request.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// The longest request body; a bulk action with ten thousand ids has 130 kB.
pub(crate) const BODY_LIMIT: usize = 256 << 10;
/// Listings that are streamed at a time; they may last as long as their readers want.
const STREAMS: usize = 16;
/// Live explanations at a time: each calls servers.
const EXPLANATIONS: usize = 2;

/// What all requests share.
pub struct Office {
    pub(crate) desk: Arc<dyn Desk>,
    pub(crate) guard: Guard,
    pub(crate) audit: Arc<Audit>,
    pub(crate) posture: Arc<Posture>,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) explanations: Semaphore,
    pub(crate) turned_away: Arc<TurnedAway>,
    pub(crate) since: UnixTime,
}

impl std::fmt::Debug for Office {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Office").finish_non_exhaustive()
    }
}

impl Office {
    /// Reads the token's file anew; where that fails, the old token stays in force.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn reload(&self) -> Result<(), Error> {
        self.guard.reload()
    }
}

/// The doors before anybody attends to them: bound while the process still may.
#[derive(Debug)]
pub struct Bound {
    listener: Option<TcpListener>,
    token: Option<Token>,
    file: Option<PathBuf>,
}

impl Bound {
    /// Binds the address, where there is one, and reads the token. What the operator should know is told beside it.
    ///
    /// # Errors
    /// The address cannot be bound, is open to the network without a token, or the token is none.
    pub fn bind(settings: &Settings) -> Result<(Self, Option<Error>), Error> {
        let Settings { address, wanted, token_file } = settings.clone();
        let token = token_file.as_deref().map(Token::read).transpose()?;
        if let Some(address) = address.filter(|address| !address.ip().is_loopback() && token.is_none()) {
            return Err(Error::OpenToTheNetwork(address.to_string()));
        }
        let fault =
            |cause| Error::Listen { address: address.map(|a| a.to_string()).unwrap_or_default(), cause };
        let (listener, notice) = match address.map(TcpListener::bind).transpose().map_err(fault) {
            Ok(listener) => (listener, None),
            Err(error) if wanted => return Err(error),
            Err(error) => (None, Some(error)),
        };
        Ok((Self { listener, token, file: token_file }, notice))
    }

    /// Where the page is.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.listener.as_ref()?.local_addr().ok()
    }

    /// Opens both doors; `folder` is the spool's. It must run within an actix `System`.
    ///
    /// # Errors
    /// The socket in `folder` cannot be made, or no thread can be started.
    pub fn serve(
        self,
        folder: &Path,
        desk: Arc<dyn Desk>,
        posture: Arc<Posture>,
        turned_away: Arc<TurnedAway>,
    ) -> Result<Running, Error> {
        let address = self.local_addr();
        let office = web::Data::new(Office {
            desk,
            guard: Guard::new(self.token, self.file),
            audit: Arc::new(Audit::new(folder.join("audit.jsonl"))),
            posture,
            streams: Arc::new(Semaphore::new(STREAMS)),
            explanations: Semaphore::new(EXPLANATIONS),
            turned_away,
            since: words::now(),
        });
        // Each door has its own limits, so that nobody on the network can shut out the operator of this machine.
        let mut handles = vec![attend(&office, Door::Socket(socket(folder).map_err(Error::Socket)?))?];
        if let Some(listener) = self.listener {
            handles.push(attend(&office, Door::Tcp(listener))?);
        }
        Ok(Running { handles, address, office })
    }
}

/// The spool is locked, so a socket that is there belongs to a process that is gone.
fn socket(folder: &Path) -> io::Result<UnixListener> {
    let path = folder.join(SOCKET);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path)?;
    // The folder is closed already; the socket is, too, whatever the umask was.
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

enum Door {
    Socket(UnixListener),
    Tcp(TcpListener),
}

fn attend(office: &web::Data<Office>, door: Door) -> Result<ServerHandle, Error> {
    let office = office.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(office.clone())
            .app_data(web::PayloadConfig::new(BODY_LIMIT))
            .wrap(from_fn(guard))
            .configure(routes::configure)
    });
    // One thread for a door: it waits for the queue and for readers, and computes nothing.
    let server = server
        .workers(1)
        .max_connections(CONNECTIONS)
        .client_request_timeout(HEAD_TIME)
        .client_disconnect_timeout(Duration::from_secs(2))
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(1)
        .disable_signals()
        .on_connect(note_peer);
    let server = match door {
        Door::Socket(listener) => server.listen_uds(listener),
        Door::Tcp(listener) => server.listen(listener),
    };
    let server = server.map_err(Error::Socket)?.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(handle)
}

fn note_peer(connection: &dyn Any, data: &mut Extensions) {
    if let Some(stream) = connection.downcast_ref::<UnixStream>() {
        if let Ok(credentials) = stream.peer_cred() {
            data.insert(Peer::Local { uid: credentials.uid() });
        }
    } else if let Some(stream) = connection.downcast_ref::<TcpStream>()
        && let Ok(address) = stream.peer_addr()
    {
        data.insert(Peer::Net(address.ip()));
    }
}

/// Doors that are attended to.
#[derive(Debug)]
pub struct Running {
    handles: Vec<ServerHandle>,
    address: Option<SocketAddr>,
    office: web::Data<Office>,
}

impl Running {
    /// Where the page is.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// What all requests share.
    #[must_use]
    pub fn office(&self) -> &Office {
        &self.office
    }

    /// Closes the doors. Answers under way have a second.
    pub async fn stop(&self) {
        for handle in &self.handles {
            handle.stop(true).await;
        }
    }
}
