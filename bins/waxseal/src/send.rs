//! `waxseal send`: one message into the queue, or to any server that takes it.

use std::{
    fs,
    hash::{BuildHasher as _, RandomState},
    io::{self, IsTerminal as _, Read as _},
    net::{SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
    time::SystemTime,
};

use bytes::Bytes;
use serde_json::json;
use waxseal_smtp::Settled;
use waxseal_types::{Mailbox, UnixTime};

use crate::{
    letter::{self, Sheet},
    submit::{self, SubmitError},
    terminal::{Printable, Status, Terminal, complain},
};

/// Hands one message to a server by SMTP: by default to the queue-manager of this machine.
///
/// The message is read from FILE or standard input; at a terminal without FILE a short test text is sent. Date, Message-ID, From and To are
/// added where they are missing, and line ends become CRLF.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 when it was taken for all recipients, 1 when it was refused, 75 when it may be taken later.\n\nExample:\n  \
                  waxseal send --from you@example.org --to somebody@example.net letter.txt"
)]
pub(crate) struct Arguments {
    /// The envelope sender; <> is the null one, to which nobody answers.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_sender)]
    from: Sender,
    /// A recipient; may be given several times.
    #[arg(long, value_name = "ADDRESS", required = true)]
    to: Vec<Mailbox>,
    /// Where to: host and port.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2525")]
    server: String,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    /// The message, header and text; - is standard input.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// `None` is the null reverse-path.
#[derive(Debug, Clone)]
struct Sender(Option<Mailbox>);

fn parse_sender(text: &str) -> Result<Sender, waxseal_types::InvalidMailbox> {
    match text {
        "" | "<>" => Ok(Sender(None)),
        text => Mailbox::new(text).map(|mailbox| Sender(Some(mailbox))),
    }
}

pub(crate) fn run(arguments: &Arguments, terminal: &mut Terminal) -> Status {
    let text = match read(arguments.file.as_ref()) {
        Ok(text) => text,
        Err(error) => {
            let name =
                arguments.file.as_ref().map_or("standard input".into(), |file| file.display().to_string());
            complain(format_args!("{name}: {error}"));
            return Status::Usage;
        }
    };
    let servers = match resolve(&arguments.server) {
        Ok(servers) => servers,
        Err(error) => {
            complain(format_args!("--server {}: {error}", Printable(&arguments.server)));
            return Status::TryAgain;
        }
    };
    match post(&servers, arguments.from.0.as_ref(), &arguments.to, &text) {
        Ok(settled) => report(arguments, &settled, terminal),
        Err(error) => {
            complain(&error);
            let refused = matches!(&error, SubmitError::Io { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused);
            if refused {
                complain(
                    "is queue-manager running there? `queue-manager` without arguments listens on 127.0.0.1:2525",
                );
            }
            if error.is_transient() { Status::TryAgain } else { Status::No }
        }
    }
}

/// Completes a message and hands it over.
pub(crate) fn post(
    servers: &[SocketAddr],
    sender: Option<&Mailbox>,
    recipients: &[Mailbox],
    text: &[u8],
) -> Result<Vec<(usize, Settled)>, SubmitError> {
    let micros = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
    let now = UnixTime::from_micros(u64::try_from(micros).unwrap_or_default());
    let unique = RandomState::new().hash_one(std::process::id());
    let text = letter::complete(text, &Sheet { sender, recipients, now, unique });
    let envelope = submit::envelope(sender.cloned(), recipients, &text, now);
    submit::submit(servers, envelope, Bytes::from(text))
}

fn read(file: Option<&PathBuf>) -> io::Result<Vec<u8>> {
    match file {
        Some(path) if path.as_os_str() != "-" => return fs::read(path),
        None if io::stdin().is_terminal() => return Ok(letter::TEST_TEXT.into()),
        Some(_) | None => {}
    }
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text)?;
    Ok(text)
}

fn resolve(server: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(server.to_socket_addrs()?.collect())
}

fn report(arguments: &Arguments, settled: &[(usize, Settled)], terminal: &mut Terminal) -> Status {
    let mut status = Status::Done;
    let mut list = Vec::new();
    for (index, end) in settled {
        let recipient = arguments.to.get(*index).map(ToString::to_string).unwrap_or_default();
        let (taken, words) = match end {
            Settled::Delivered(reply) => (true, reply.to_string()),
            Settled::Rejected { stage, reply } => {
                status = match status {
                    // Whatever is no clear refusal may be taken later.
                    Status::Done if !reply.is_permanent() => Status::TryAgain,
                    _ if reply.is_permanent() => Status::No,
                    other => other,
                };
                (false, format!("{reply} (while {stage})"))
            }
            Settled::Unsupported(reason) => {
                status = Status::No;
                (false, reason.to_string())
            }
        };
        if !arguments.json {
            terminal.line(format_args!(
                "{recipient}: {} by {}: {}",
                if taken { "taken" } else { "refused" },
                arguments.server,
                Printable(&words)
            ));
        }
        list.push(json!({ "recipient": recipient, "taken": taken, "reply": words }));
    }
    // A recipient of whom nothing was said was not taken.
    if settled.len() < arguments.to.len() && status == Status::Done {
        status = Status::TryAgain;
    }
    if arguments.json {
        terminal.json(&json!({ "server": arguments.server, "recipients": list }));
    }
    status
}
