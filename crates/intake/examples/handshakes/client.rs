//! Clients that do little besides the handshake.

use std::{
    io::{self, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, NamedGroup, StreamOwned,
    client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::ServerName,
    version::{TLS12, TLS13},
};
use waxseal_testbed::AnyServer;

/// So many that no server waits for clients: OpenSSL's flights meet delayed acknowledgements.
const CLIENTS: usize = 40;
/// Handshakes of each client.
pub(crate) const EACH: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Full,
    Resumed,
}

/// How clients shake hands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) version: Version,
    pub(crate) kind: Kind,
}

pub(crate) type Sealed = StreamOwned<ClientConnection, TcpStream>;

/// Clients with what each needs to shake hands as it should.
pub(crate) struct Crowd {
    address: SocketAddr,
    row: Row,
    each: usize,
    members: Vec<(Arc<ClientConfig>, Arc<Purse>)>,
}

impl Crowd {
    /// Those that shall resume get their tickets now. Not every server gives a new one for an old one, and a ticket is used once.
    pub(crate) fn gather(address: SocketAddr, row: Row, each: usize) -> io::Result<Self> {
        let member = |_| -> io::Result<_> {
            let purse = Arc::<Purse>::default();
            Ok((config(row, &purse)?, purse))
        };
        let members = (0..CLIENTS).map(member).collect::<io::Result<Vec<_>>>()?;
        let crowd = Self { address, row, each, members };
        if row.kind == Kind::Resumed {
            crowd.sessions(false)?;
        }
        crowd.members.iter().for_each(|(_, purse)| purse.is_open.store(true, Ordering::Relaxed));
        Ok(crowd)
    }

    /// Their sessions; how many.
    pub(crate) fn run(&self) -> io::Result<usize> {
        self.sessions(self.row.kind == Kind::Resumed)
    }

    fn sessions(&self, resumed: bool) -> io::Result<usize> {
        let (address, each) = (self.address, self.each);
        let client = |(config, _): &(Arc<ClientConfig>, _)| {
            let config = Arc::clone(config);
            thread::spawn(move || (0..each).try_for_each(|_| session(address, &config, resumed)))
        };
        let clients: Vec<_> = self.members.iter().map(client).collect();
        for client in clients {
            client.join().map_err(|_| io::Error::other("a client died"))??;
        }
        Ok(each * CLIENTS)
    }
}

fn session(address: SocketAddr, config: &Arc<ClientConfig>, resumed: bool) -> io::Result<()> {
    let mut stream = connect(address, config)?;
    let was = stream.conn.handshake_kind() == Some(HandshakeKind::Resumed);
    if was != resumed {
        return Err(io::Error::other(format!("resumed is {was}, and should be {resumed}")));
    }
    stream.write_all(b"QUIT\r\n")?;
    reply(&mut stream)
}

/// Sessions to resume, for one server. Closed, it only takes in.
#[derive(Debug, Default)]
pub(crate) struct Purse {
    is_open: AtomicBool,
    tls12: Mutex<Option<Tls12ClientSessionValue>>,
    tls13: Mutex<Tickets>,
}

#[derive(Default)]
struct Tickets(Vec<Tls13ClientSessionValue>);

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tickets", self.0.len())
    }
}

impl Purse {
    fn open<T>(&self, take: impl FnOnce() -> Option<T>) -> Option<T> {
        if self.is_open.load(Ordering::Relaxed) { take() } else { None }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientSessionStore for Purse {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }
    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        *lock(&self.tls12) = Some(value);
    }
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.open(|| lock(&self.tls12).clone())
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {}
    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        lock(&self.tls13).0.push(value);
    }
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.open(|| lock(&self.tls13).0.pop())
    }
}

/// Connections that stay.
pub(crate) fn hold(address: SocketAddr, row: Row, count: usize) -> io::Result<Vec<Sealed>> {
    let config = config(row, &Arc::default())?;
    (0..count).map(|_| connect(address, &config)).collect()
}

/// STARTTLS, a handshake, EHLO within TLS.
fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Sealed> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    reply(&mut stream)?;
    stream.write_all(b"EHLO client.example\r\n")?;
    reply(&mut stream)?;
    stream.write_all(b"STARTTLS\r\n")?;
    reply(&mut stream)?;
    let name = ServerName::try_from("mx.example").map_err(io::Error::other)?;
    let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    stream.write_all(b"EHLO client.example\r\n")?;
    reply(&mut stream)?;
    Ok(stream)
}

fn reply(stream: &mut impl io::Read) -> io::Result<()> {
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        seen.extend_from_slice(&buffer[..read]);
        let last = seen.split(|octet| *octet == b'\n').rfind(|line| !line.is_empty());
        if seen.ends_with(b"\n") && last.is_some_and(|line| line.get(3) == Some(&b' ')) {
            return if seen[0] == b'2' {
                Ok(())
            } else {
                Err(io::Error::other(seen.escape_ascii().to_string()))
            };
        }
    }
}

fn config(row: Row, purse: &Arc<Purse>) -> io::Result<Arc<ClientConfig>> {
    // X25519: OpenSSL 3.0 knows no hybrid, and both servers shall do the same. In TLS 1.2 a P-256 key wants its curve offered, too (RFC 8422 §5.1).
    let kx_groups = vec![aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1];
    let provider = CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() };
    let version = match row.version {
        Version::Tls12 => &TLS12,
        Version::Tls13 => &TLS13,
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer::default()))
        .with_no_client_auth();
    config.resumption = match row.kind {
        Kind::Full => Resumption::disabled(),
        Kind::Resumed => Resumption::store(Arc::clone(purse) as _),
    };
    Ok(Arc::new(config))
}
