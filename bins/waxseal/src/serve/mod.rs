//! `waxseal serve-policy`: a socketmap server, so that an existing Postfix takes its TLS policies from Waxseal.

mod answer;
mod listen;
mod socketmap;

use std::{io, process, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};
use waxseal_config::{Config, Severity};

use self::{
    answer::Oracle,
    listen::{Listener, Place, Stream},
    socketmap::{BUFFER_LIMIT, Reply},
};
use crate::{
    settings::ConfigFiles,
    terminal::{Printable, Status, complain},
};

/// Postfix runs 100 clients by default (default_process_limit), each with one connection; more wait to be accepted.
const CONNECTIONS: usize = 256;

/// A client that asks nothing is closed after this; Postfix closes after 10 seconds by itself.
const IDLE: Duration = Duration::from_secs(300);

/// A request that began, and a reply that is to be read, may take this long.
const EXCHANGE: Duration = Duration::from_secs(10);

/// Questions that came before the end are answered; nobody waits longer for it.
const GRACE: Duration = Duration::from_secs(5);

/// Answers the smtp_tls_policy_maps lookups of an existing Postfix from Waxseal's policy engine, over Postfix's socketmap protocol.
///
/// In Postfix's main.cf: smtp_tls_policy_maps = socketmap:unix:/run/waxseal/policy:smtp (and lmtp_tls_policy_maps with :lmtp). Every
/// next hop gets an answer, the configuration's level where no table has an entry; what fails is a temporary error, so that
/// Postfix defers. Nothing in the protocol proves who asks or who answers: use a unix-domain socket in a folder of your own.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "It runs in the foreground, prints `ready`, looks at its tables every second and ends with SIGTERM.\n\n\
                  Exit status: 0, 75 where it cannot listen, 78 for a wrong configuration.\n\nExample:\n  \
                  waxseal serve-policy --config /etc/waxseal/waxseal.toml --listen unix:/var/spool/postfix/private/waxseal\n  \
                  postmap -q example.com socketmap:unix:/var/spool/postfix/private/waxseal:smtp"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    config: ConfigFiles,
    /// unix:/path, or inet:host:port on loopback.
    #[arg(long, value_name = "PLACE")]
    listen: Place,
    /// Who may ask over a unix-domain socket: its permissions, in octal. Postfix asks as its own user.
    #[arg(long, value_name = "MODE", default_value = "660", value_parser = octal)]
    mode: u32,
    /// Allows addresses other than loopback, where anybody on the way can change the answers.
    #[arg(long)]
    trust_network: bool,
}

fn octal(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| "write permissions as in chmod(1), such as 660".to_owned())
}

pub(crate) fn run(arguments: &Arguments) -> Status {
    if let (Place::Inet(address), false) = (&arguments.listen, arguments.trust_network)
        && !address.ip().is_loopback()
    {
        complain(format_args!(
            "{address} is no loopback address: whoever can change what goes over the network could lower every policy; --trust-network allows it"
        ));
        return Status::Usage;
    }
    let config = match arguments.config.load() {
        Ok(config) => Arc::new(config),
        Err(problems) => {
            complain(problems);
            return Status::Configuration;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(serve(arguments, config))) {
        Ok(()) => Status::Done,
        Err(error) => {
            complain(format_args!("{}: {error}", arguments.listen));
            Status::TryAgain
        }
    }
}

/// Until a signal ends it.
async fn serve(arguments: &Arguments, config: Arc<Config>) -> io::Result<()> {
    let (mut term, mut int, mut hup) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?);
    let listener = Listener::bind(&arguments.listen, arguments.mode).await?;
    let warnings = config.warnings.iter().map(ToString::to_string);
    for line in warnings.chain(answer::left_out(&config)) {
        complain(Printable(&line));
    }
    complain(format_args!("ready: policies are told on {} (process {})", listener.place()?, process::id()));
    let (oracle, permits) = (Oracle::new(Arc::clone(&config)), Arc::new(Semaphore::new(CONNECTIONS)));
    let (end, ending) = watch::channel(false);
    let mut clients = JoinSet::new();
    let mut look = tokio::time::interval(Duration::from_secs(1));
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = term.recv() => break,
            _ = int.recv() => break,
            _ = look.tick() => refresh(&config).await,
            _ = hup.recv() => refresh(&config).await,
            accepted = accept(&listener, &permits) => match accepted {
                Ok((stream, permit)) => {
                    let (oracle, ending) = (oracle.clone(), ending.clone());
                    clients.spawn(async move {
                        // A client that went away, or talks nonsense, is its own loss.
                        let _ = attend(stream, &oracle, ending).await;
                        drop(permit);
                    });
                }
                // Out of descriptors, mostly; clients that end give some back.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(_) = clients.join_next() => {}
        }
    }
    drop(listener);
    let _ = end.send(true);
    let _ = timeout(GRACE, async { while clients.join_next().await.is_some() {} }).await;
    Ok(())
}

type Permit = tokio::sync::OwnedSemaphorePermit;

async fn accept(listener: &Listener, permits: &Arc<Semaphore>) -> io::Result<(Box<dyn Stream>, Permit)> {
    let permit = Arc::clone(permits).acquire_owned().await.map_err(io::Error::other)?;
    Ok((listener.accept().await?, permit))
}

/// Files are read, so not where connections are served.
async fn refresh(config: &Arc<Config>) {
    let tables = Arc::clone(&config.tables);
    let looked = tokio::task::spawn_blocking(move || tables.refresh_all(std::time::SystemTime::now())).await;
    for alert in looked.unwrap_or_default() {
        let severity = match alert.severity {
            Severity::Reloaded => "",
            Severity::Stale => "warning: ",
            Severity::Failed => "error: ",
        };
        complain(Printable(&format!("{severity}{}: {}", alert.table, alert.text)));
    }
}

/// One client, until it leaves, errs, stays silent, or the server ends.
async fn attend(
    mut stream: Box<dyn Stream>,
    oracle: &Oracle,
    mut ending: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER_LIMIT);
    loop {
        let request = tokio::select! {
            request = next(&mut stream, &mut buffer) => request,
            _ = ending.wait_for(|end| *end) => return Ok(()),
        };
        let (reply, last) = match request {
            Ok(Some(request)) => (oracle.answer(&request).await, false),
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                (Reply::Permanent(error.to_string()), true)
            }
            Err(error) => return Err(error),
        };
        let frame = reply.frame();
        timeout(EXCHANGE, async {
            stream.write_all(frame.as_bytes()).await?;
            stream.flush().await
        })
        .await??;
        if last {
            return Ok(());
        }
    }
}

/// The next request; what came behind it stays in the buffer. `None` where the client has left.
async fn next(stream: &mut Box<dyn Stream>, buffer: &mut Vec<u8>) -> io::Result<Option<socketmap::Request>> {
    let begin = tokio::time::Instant::now();
    let mut deadline = begin + if buffer.is_empty() { IDLE } else { EXCHANGE };
    loop {
        let parsed =
            socketmap::parse(buffer).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if let Some((request, end)) = parsed {
            buffer.drain(..end);
            return Ok(Some(request));
        }
        let mut chunk = [0; 1024];
        let read = tokio::time::timeout_at(deadline, stream.read(&mut chunk)).await??;
        if read == 0 {
            return Ok(None);
        }
        if buffer.is_empty() {
            deadline = tokio::time::Instant::now() + EXCHANGE;
        }
        buffer.extend_from_slice(&chunk[..read]);
    }
}
