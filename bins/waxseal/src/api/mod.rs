//! A running queue-manager, asked over its admin API: by the socket in its spool folder, or over `listen.admin`.

mod wire;

use std::{
    fmt, fs,
    io::{self, BufRead, BufReader, Read as _, Write},
    net::{TcpStream, ToSocketAddrs as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

use serde_json::Value;
use waxseal_queue_manager::CONTROL_SOCKET;

use crate::{
    settings::ConfigFiles,
    terminal::{Status, complain},
};

/// An explanation that calls servers is the longest; it ends within two minutes.
const PATIENCE: Duration = Duration::from_secs(150);
/// The longest answer that is read as one value.
const VALUE_LIMIT: u64 = 64 << 20;

/// Where the running queue-manager is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct DoorArguments {
    /// The spool folder, whose socket is used; by default that of the configuration.
    #[arg(long, value_name = "DIR", global = true, conflicts_with = "admin")]
    spool: Option<PathBuf>,
    /// Its listen.admin instead, such as 127.0.0.1:8025.
    #[arg(long, value_name = "HOST:PORT", global = true)]
    admin: Option<String>,
    /// The file with the token for --admin.
    #[arg(long, value_name = "FILE", global = true, requires = "admin")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigFiles,
}

impl DoorArguments {
    /// The door, or the status of a configuration that names none.
    pub(crate) fn door(&self) -> Result<Door, Status> {
        if let Some(address) = &self.admin {
            let token = match &self.token_file {
                None => None,
                Some(path) => {
                    let text = fs::read_to_string(path).map_err(|error| {
                        complain(format_args!("{}: {error}", path.display()));
                        Status::Configuration
                    })?;
                    Some(text.lines().next().unwrap_or_default().trim().to_owned())
                }
            };
            return Ok(Door(Way::Tcp { address: address.clone(), token }));
        }
        let folder = match &self.spool {
            Some(folder) => folder.clone(),
            None => match self.config.load() {
                Ok(config) => config.spool.path,
                Err(problems) => {
                    complain(problems);
                    return Err(Status::Configuration);
                }
            },
        };
        Ok(Door::of_spool(folder))
    }
}

/// Where a queue-manager is asked.
#[derive(Debug)]
pub(crate) struct Door(Way);

#[derive(Debug)]
enum Way {
    Socket(PathBuf),
    Tcp { address: String, token: Option<String> },
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Way::Socket(path) => write!(f, "{}", path.display()),
            Way::Tcp { address, .. } => f.write_str(address),
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Fault {
    /// What the command ends with.
    pub(crate) status: Status,
    text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Fault {
    fn broken(error: &io::Error) -> Self {
        Self { status: Status::TryAgain, text: format!("the answer broke off: {error}") }
    }
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Request<'a> {
    Get(&'a str),
    Post(&'a str, &'a Value),
}

impl Door {
    pub(crate) fn of_spool(folder: PathBuf) -> Self {
        Self(Way::Socket(folder.join(CONTROL_SOCKET)))
    }

    fn connect(&self) -> io::Result<(Box<dyn io::Read>, Box<dyn Write>)> {
        match &self.0 {
            Way::Socket(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok((Box::new(stream.try_clone()?), Box::new(stream)))
            }
            Way::Tcp { address, .. } => {
                let address = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
                let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok((Box::new(stream.try_clone()?), Box::new(stream)))
            }
        }
    }

    /// Asks; the answer is one that says yes.
    pub(crate) fn ask(&self, request: Request<'_>) -> Result<Answer, Fault> {
        let unreachable = |error: io::Error| {
            let hint = match (&self.0, error.kind()) {
                (Way::Socket(_), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                    "; no queue-manager runs on this spool: --spool or --config name another one"
                }
                _ => "",
            };
            Fault { status: Status::TryAgain, text: format!("{self}: {error}{hint}") }
        };
        let (read, mut write) = self.connect().map_err(unreachable)?;
        let (host, token) = match &self.0 {
            Way::Socket(_) => ("localhost", None),
            Way::Tcp { address, token } => (address.as_str(), token.as_deref()),
        };
        let text = wire::request(request, host, token);
        // A server that refuses may close before it has read all; what it says counts.
        let written = write.write_all(&text).and_then(|()| write.flush());
        let answer = wire::answer(read);
        let (code, body) = match (answer, written) {
            (Ok(answer), _) => answer,
            (Err(_), Err(error)) | (Err(error), Ok(())) => return Err(unreachable(error)),
        };
        let answer = Answer(BufReader::new(body));
        if code == 200 { Ok(answer) } else { Err(refused(code, answer)) }
    }

    /// Asks for one value.
    pub(crate) fn value(&self, request: Request<'_>) -> Result<Value, Fault> {
        self.ask(request)?.value()
    }
}

/// What the status of HTTP comes to for a command.
fn refused(code: u16, answer: Answer) -> Fault {
    let status = match code {
        400 | 413 => Status::Usage,
        401 | 403 | 421 => Status::Configuration,
        404 => Status::No,
        _ => Status::TryAgain,
    };
    let detail = answer.value().ok().and_then(|value| Some(value.get("detail")?.as_str()?.to_owned()));
    Fault { status, text: detail.unwrap_or_else(|| format!("refused with {code}")) }
}

/// An answer, read as it comes.
pub(crate) struct Answer(BufReader<Box<dyn io::Read>>);

impl Answer {
    pub(crate) fn value(self) -> Result<Value, Fault> {
        serde_json::from_reader(self.0.take(VALUE_LIMIT)).map_err(|error| Fault::broken(&error.into()))
    }

    /// One JSON value a line.
    pub(crate) fn values(self) -> impl Iterator<Item = Result<Value, Fault>> {
        self.0.lines().map(|line| {
            let line = line.map_err(|error| Fault::broken(&error))?;
            serde_json::from_str(&line).map_err(|error| Fault::broken(&error.into()))
        })
    }

    /// All of it, as it is.
    pub(crate) fn copy_to(mut self, to: &mut dyn Write) -> io::Result<u64> {
        io::copy(&mut self.0, to)
    }
}

/// A text as it may stand in a path or behind a question mark (RFC 3986 §2.3).
pub(crate) fn escaped(text: &str) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                // Writing to memory does not fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
