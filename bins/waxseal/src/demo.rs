//! `waxseal demo`: the real engine in a world made for one message.

mod world;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::sync::mpsc;
use waxseal_queue::{Account, Event, Outcome, Sink};
use waxseal_queue_manager::{Engine, EngineSettings};
use waxseal_smtp::Settled;
use waxseal_types::Mailbox;

use crate::{
    narrate::{self, row},
    send,
    terminal::{Status, Terminal, complain},
};
use world::{DOMAIN, World};

/// Delivers one message through the real engine, in a world of its own, and tells what happened.
///
/// A DNS zone, a mail server with STARTTLS and a spool are made on this machine for the purpose, on loopback ports and in a temporary
/// folder, and are gone afterwards. It takes a second or so, needs no rights, and leaves the network alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 when the message was delivered.\n\nExample:\n  waxseal demo")]
pub(crate) struct Arguments {
    /// Prints the account of the delivery as one JSON object.
    #[arg(long)]
    json: bool,
}

/// The longest that a machine with better things to do may take.
const LIMIT: Duration = Duration::from_secs(60);

const TEXT: &[u8] = b"Subject: Sealed\n\nThis message went through waxseal demo.\n";

type Fault = Box<dyn std::error::Error>;

/// Hands on what the queue tells: each attempt's account, or why there was none.
struct Reporter(mpsc::UnboundedSender<Result<Account, String>>);

impl Sink for Reporter {
    fn event(&self, event: Event<'_>) {
        let news = match event {
            Event::Attempted { account, .. } => Ok(account.clone()),
            Event::Settled { failure, .. } => Err(format!("{} {}", failure.status, failure.reason)),
            Event::ServiceDied { service, .. } => Err(format!("the service {service} died")),
            // `Event` may grow; the demo waits for an end of its message.
            _ => return,
        };
        // Nobody listens any more once the first attempt was told.
        let _ = self.0.send(news);
    }
}

pub(crate) fn run(arguments: &Arguments, terminal: &mut Terminal) -> Status {
    let json = arguments.json;
    let played = actix::System::new().block_on(async {
        tokio::select! {
            played = tokio::time::timeout(LIMIT, play(json, terminal)) => played.map_err(|_| "nothing happened for a minute".into()).flatten(),
            // The world is taken down on the way out.
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        }
    });
    match played {
        Ok(true) => Status::Done,
        Ok(false) => Status::No,
        Err(error) => {
            complain(format_args!("demo: {error}"));
            Status::TryAgain
        }
    }
}

/// Whether the message was delivered.
async fn play(json: bool, terminal: &mut Terminal) -> Result<bool, Fault> {
    let begun = Instant::now();
    let world = World::make().await?;
    let config = world.config()?;
    let (sender, mut news) = mpsc::unbounded_channel();
    let engine = Engine::start(EngineSettings::from(&config), Arc::new(Reporter(sender))).await?;
    let server = *engine.addresses().first().ok_or("the engine listens nowhere")?;
    if !json {
        terminal.line("One message through the whole engine, on this machine alone.\n\nThe world, made for this run and gone with it");
        world.tell(terminal);
        row(
            terminal,
            "waxseal",
            &[format!("takes mail on {server}, spool in {}", config.spool.path.display())],
        );
    }
    let (from, to) = (Mailbox::new("you@example.org")?, Mailbox::new(&format!("somebody@{DOMAIN}"))?);
    let settled = tokio::task::spawn_blocking({
        let (from, to) = (from.clone(), to.clone());
        move || send::post(&[server], Some(&from), &[to], TEXT)
    });
    let taken = settled.await??;
    let [(_, Settled::Delivered(reply))] = taken.as_slice() else {
        return Err(format!("the message was not taken: {taken:?}").into());
    };
    if !json {
        terminal.line("\nThe message");
        row(terminal, "from, to", &[format!("{from}, {to}")]);
        row(
            terminal,
            "taken",
            &[format!("{reply}"), "which was said when it was safely on disk, and not before".into()],
        );
    }
    let account = news.recv().await.ok_or("the engine is gone")??;
    engine.shut_down().await;
    if json {
        terminal.json(&json!({ "account": account.to_json(), "seconds": begun.elapsed().as_secs_f64() }));
    } else {
        terminal.line("\nIts delivery, step by step");
        narrate::tell(&account, terminal);
        world.tell_received(terminal);
        terminal.line(format_args!("\nAll of it took {}.", waxseal_queue::milliseconds(begun.elapsed())));
    }
    Ok(account.results.iter().all(|result| matches!(result.outcome, Outcome::Delivered { .. }))
        && world.received())
}
