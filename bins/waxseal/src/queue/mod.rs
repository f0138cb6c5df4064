//! `waxseal queue`: what waits, and what is to become of it.

mod select;
mod show;

use std::{io::Write as _, path::Path};

use clap::Subcommand;
use serde_json::{Value, json};
use waxseal_types::QueueId;

use self::select::{Filter, Which};
pub(crate) use self::show::{number, text, time};
use crate::{
    api::{Door, DoorArguments, Fault, Request},
    terminal::{Printable, Status, Terminal, complain, count},
};

/// Shows and changes the queue of a running queue-manager.
///
/// It is asked over a socket in its spool folder, which is open to its own user only; or over its listen.admin.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0, 1 where there is no such message, 75 where no queue-manager answers.\n\nExample:\n  \
                  waxseal queue --spool /var/spool/waxseal list --older-than 2h"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    door: DoorArguments,
    /// Prints JSON, one object a line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists the messages that wait, oldest first, with the reason why.
    #[command(after_help = "Example:\n  waxseal queue list --domain example.com --older-than 2h")]
    List {
        #[command(flatten)]
        filter: Filter,
    },
    /// Shows one message: its recipients, what became of each, and its header.
    #[command(
        after_help = "Example:\n  waxseal queue show 3kBzR8sqWl\n  waxseal queue show --raw 3kBzR8sqWl > letter.eml"
    )]
    Show {
        /// As `queue list` shows it.
        #[arg(value_name = "QUEUE_ID")]
        id: QueueId,
        /// Its text, as it was taken.
        #[arg(long)]
        raw: bool,
    },
    /// Has messages tried again now.
    #[command(
        after_help = "Example:\n  waxseal queue retry 3kBzR8sqWl\n  waxseal queue retry --destination example.com"
    )]
    Retry(Which),
    /// Has messages wait until they are released.
    #[command(after_help = "Example:\n  waxseal queue hold --sender news@example.org --dry-run")]
    Hold(Which),
    /// Lets messages go that were held.
    #[command(after_help = "Example:\n  waxseal queue release --all")]
    Release(Which),
    /// Takes messages out of the queue. Nobody is told; what is being delivered just now stays.
    #[command(after_help = "Example:\n  waxseal queue remove 3kBzR8sqWl")]
    Remove(Which),
    /// Gives messages up: their senders are told.
    #[command(
        after_help = "Example:\n  waxseal queue bounce --domain gone.example --reason 'The domain is gone.'"
    )]
    Bounce {
        #[command(flatten)]
        which: Which,
        /// What their senders are told.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Sends messages to another next hop.
    #[command(
        after_help = "Example:\n  waxseal queue reroute --destination example.com --to '[relay.example.net]:587'"
    )]
    Reroute {
        #[command(flatten)]
        which: Which,
        /// Where to.
        #[arg(long, value_name = "NEXTHOP")]
        to: String,
    },
}

pub(crate) fn run(arguments: &Arguments, terminal: &mut Terminal) -> Status {
    let door = match arguments.door.door() {
        Ok(door) => door,
        Err(status) => return status,
    };
    let json = arguments.json;
    let done = match &arguments.action {
        Action::List { filter } => list(&door, &filter.query(), json, terminal),
        Action::Show { id, raw: true } => raw(&door, *id),
        Action::Show { id, raw: false } => {
            door.value(Request::Get(&format!("/api/v1/messages/{id}"))).map(|message| {
                if json {
                    terminal.json(&message);
                } else {
                    show::message(&message, terminal);
                }
                Status::Done
            })
        }
        Action::Retry(which) => order(&door, which, which.order("retry"), json, terminal),
        Action::Hold(which) => order(&door, which, which.order("hold"), json, terminal),
        Action::Release(which) => order(&door, which, which.order("release"), json, terminal),
        Action::Remove(which) => order(&door, which, which.order("remove"), json, terminal),
        Action::Bounce { which, reason } => {
            let mut body = which.order("bounce");
            body["reason"] = json!(reason);
            order(&door, which, body, json, terminal)
        }
        Action::Reroute { which, to } => {
            let mut body = which.order("reroute");
            body["to"] = json!(to);
            order(&door, which, body, json, terminal)
        }
    };
    ended(done)
}

/// What is left to say of a command.
pub(crate) fn ended(done: Result<Status, Fault>) -> Status {
    done.unwrap_or_else(|fault| {
        complain(Printable(&fault.to_string()));
        fault.status
    })
}

/// The next hops for which something waits in the queue of a running queue-manager; or why nobody can say.
pub(crate) fn destinations(spool: &Path) -> Result<Vec<String>, String> {
    let door = Door::of_spool(spool.to_owned());
    let answer = door.ask(Request::Get("/api/v1/queue?format=ndjson")).map_err(|fault| fault.to_string())?;
    let mut names = std::collections::BTreeSet::new();
    for row in answer.values() {
        let row = row.map_err(|fault| fault.to_string())?;
        if let Some(error) = row.get("error").and_then(Value::as_str) {
            return Err(format!("{door}: {error}"));
        }
        names.extend(row.get("destination").and_then(Value::as_str).map(str::to_owned));
    }
    Ok(names.into_iter().collect())
}

/// What the queue-manager says of one message; `None` where none runs, or it does not know the message.
pub(crate) fn waiting(spool: &Path, id: QueueId) -> Option<Value> {
    Door::of_spool(spool.to_owned()).value(Request::Get(&format!("/api/v1/messages/{id}"))).ok()
}

/// Rows are shown as they come: a long queue needs no memory here.
fn list(door: &Door, query: &str, json: bool, terminal: &mut Terminal) -> Result<Status, Fault> {
    let mut listing = show::Listing::default();
    for row in door.ask(Request::Get(&format!("/api/v1/queue{query}")))?.values() {
        let row = row?;
        if let Some(error) = row.get("error").and_then(Value::as_str) {
            complain(Printable(error));
            return Ok(Status::TryAgain);
        }
        if json {
            terminal.json(&row);
        } else if row.get("end").is_none() {
            listing.row(&row, terminal);
        }
    }
    if !json {
        listing.end(terminal);
    }
    Ok(Status::Done)
}

fn raw(door: &Door, id: QueueId) -> Result<Status, Fault> {
    let answer = door.ask(Request::Get(&format!("/api/v1/messages/{id}/raw")))?;
    let mut out = std::io::stdout().lock();
    match answer.copy_to(&mut out).and_then(|_| out.flush()) {
        Ok(()) => Ok(Status::Done),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Status::Done),
        Err(error) => {
            complain(format_args!("the text broke off: {error}"));
            Ok(Status::TryAgain)
        }
    }
}

fn order(
    door: &Door,
    which: &Which,
    body: Value,
    json: bool,
    terminal: &mut Terminal,
) -> Result<Status, Fault> {
    if which.is_unclear() {
        complain("name messages, choose them by --sender, --destination and the like, or say --all");
        return Ok(Status::Usage);
    }
    let done = door.value(Request::Post("/api/v1/actions", &body))?;
    let number = |key: &str| {
        usize::try_from(done.get(key).and_then(Value::as_u64).unwrap_or_default()).unwrap_or(usize::MAX)
    };
    let (messages, refused) = (number("messages"), number("refused"));
    if json {
        terminal.json(&done);
    } else {
        let action = body.get("action").and_then(Value::as_str).unwrap_or_default();
        let would = if which.dry_run { "would be " } else { "" };
        let past = show::past(action);
        terminal.line(format_args!(
            "{} ({}) {would}{past}",
            count(messages, "message"),
            show::deliveries(&done)
        ));
        if refused > 0 {
            terminal.line(format_args!("{} too late: in delivery just now", count(refused, "message")));
        }
    }
    // To do nothing to all messages of an empty queue is done; to find none of those that were named is a no.
    Ok(if messages > 0 || which.all && refused == 0 { Status::Done } else { Status::No })
}
