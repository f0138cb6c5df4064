//! What TLS costs: handshakes a second, CPU for each, and memory for an idle connection, of the intake and of any other server beside it.
//!
//! `cargo run --release -p waxseal-intake --example handshakes -- CHAIN_FILE [ADDRESS PID]`. The server is a process of its own; ADDRESS is another
//! server that offers STARTTLS with the same chain file, and PID its first process, whose descendants are counted, too. Linux only.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Instant,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::task::LocalSet;
use waxseal_intake::{Cidr, Intake, Level, RelayRule, Settings};
use waxseal_spool::{Accept, Gate, Gathering, Refusal};
use waxseal_types::{Envelope, QueueId};

const CLIENTS: usize = 8;
const EACH: usize = 250;
const IDLE: usize = 1000;

type Sealed = StreamOwned<ClientConnection, TcpStream>;

struct Nowhere(Gate);

impl Accept for Nowhere {
    fn ready(&self) -> Result<(), Refusal> {
        Ok(())
    }
    fn next_id(&self) -> QueueId {
        self.0.next_id()
    }
    fn gathering(&self) -> Gathering {
        self.0.gathering()
    }
    fn accept(
        &self,
        _: Envelope,
        _: bytes::Bytes,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>> {
        Box::pin(async { Err(Refusal::FULL) })
    }
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &*arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        ["--serve", chain] => serve(chain.into()),
        [chain] => compare(chain, None),
        [chain, address, pid] => compare(chain, Some((address, pid))),
        _ => Err(io::Error::other("handshakes CHAIN_FILE [ADDRESS PID]")),
    }
}

/// The intake, in this process.
fn serve(chain: PathBuf) -> io::Result<()> {
    let mut settings =
        Settings { listen: vec!["127.0.0.1:0".parse().map_err(io::Error::other)?], ..Settings::default() };
    settings.connection_limit = 4 * IDLE;
    settings.relay_from = Cidr::LOOPBACK.to_vec();
    settings.relay_rules = RelayRule::DEFAULT.to_vec();
    settings.tls.level = Level::May;
    settings.tls.files.chain_files = vec![chain];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let intake = Arc::new(Intake::bind(settings).map_err(io::Error::other)?);
        println!("{}", intake.local_addrs()[0]);
        intake.serve(Arc::new(Nowhere(Gate::default()))).await.map_err(io::Error::other)
    })
}

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(chain: &str) -> io::Result<Self> {
        let own = std::env::current_exe()?;
        let mut child = Command::new(own).args(["--serve", chain]).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.trim().parse().map_err(io::Error::other)?;
        Ok(Self { child, address })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn compare(chain: &str, other: Option<(&str, &str)>) -> io::Result<()> {
    let ours = Server::start(chain)?;
    for round in 1..=3 {
        let (per_second, cpu) = handshakes(ours.address, ours.child.id())?;
        println!("round {round}: intake {per_second:.0} handshakes/s, {cpu:.0} us of CPU each");
        if let Some((address, pid)) = other {
            let (address, pid) =
                (address.parse().map_err(io::Error::other)?, pid.parse().map_err(io::Error::other)?);
            let (their_rate, their_cpu) = handshakes(address, pid)?;
            println!("round {round}: other  {their_rate:.0} handshakes/s, {their_cpu:.0} us of CPU each");
            println!(
                "round {round}: {:.2} times the rate, {:.2} times less CPU",
                per_second / their_rate,
                their_cpu / cpu
            );
        }
    }
    let fresh = Server::start(chain)?;
    let before = resident(fresh.child.id())?;
    let held = (0..IDLE).map(|_| connect(fresh.address)).collect::<io::Result<Vec<_>>>()?;
    let after = resident(fresh.child.id())?;
    println!(
        "{IDLE} idle TLS connections: {:.1} kB each",
        (after - before) as f64 / 1000.0 / held.len() as f64
    );
    Ok(())
}

/// Handshakes a second, and microseconds of the server's CPU for each.
fn handshakes(address: SocketAddr, pid: u32) -> io::Result<(f64, f64)> {
    connect(address)?;
    let (start, before) = (Instant::now(), cpu(pid)?);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| thread::spawn(move || (0..EACH).try_for_each(|_| quit(connect(address)?))))
        .collect();
    for client in clients {
        client.join().map_err(|_| io::Error::other("a client died"))??;
    }
    let (seconds, spent) = (start.elapsed().as_secs_f64(), cpu(pid)? - before);
    let count = (CLIENTS * EACH) as f64;
    Ok((count / seconds, spent * 1e6 / count))
}

/// STARTTLS, a full handshake, EHLO within TLS.
fn connect(address: SocketAddr) -> io::Result<Sealed> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    reply(&mut stream)?;
    stream.write_all(b"EHLO client.example\r\n")?;
    reply(&mut stream)?;
    stream.write_all(b"STARTTLS\r\n")?;
    reply(&mut stream)?;
    let name = ServerName::try_from("mx.example").map_err(io::Error::other)?;
    let connection = ClientConnection::new(config()?, name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    stream.write_all(b"EHLO client.example\r\n")?;
    reply(&mut stream)?;
    Ok(stream)
}

fn quit(mut stream: Sealed) -> io::Result<()> {
    stream.write_all(b"QUIT\r\n")?;
    reply(&mut stream)
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

/// Seconds of CPU of a process and of all its descendants, those that ended included.
fn cpu(pid: u32) -> io::Result<f64> {
    // proc_pid_stat(5): clock ticks, a hundred a second.
    const TICKS: f64 = 100.0;
    let fields = |pid: &str| -> io::Result<Vec<u64>> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        Ok(rest.split_whitespace().skip(1).map(|word| word.parse().unwrap_or(0)).collect())
    };
    let own = fields(&pid.to_string())?;
    let mut ticks: u64 = own[10..14].iter().sum();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_child = name.parse::<u32>().is_ok() && fields(&name).is_ok_and(|f| f[0] == u64::from(pid));
        if is_child {
            ticks += fields(&name).map_or(0, |f| f[10..14].iter().sum());
        }
    }
    Ok(ticks as f64 / TICKS)
}

fn resident(pid: u32) -> io::Result<u64> {
    let mut text = String::new();
    std::fs::File::open(format!("/proc/{pid}/statm"))?.read_to_string(&mut text)?;
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
    Ok(pages * 4096)
}

fn config() -> io::Result<Arc<ClientConfig>> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The client's own work is not what is measured.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
