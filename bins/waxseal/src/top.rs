//! `waxseal top`: the queue, looked at again and again.

use std::{
    io::{IsTerminal as _, Write as _},
    time::Duration,
};

use serde_json::Value;

use crate::{
    api::{Door, DoorArguments, Fault, Request},
    queue::{ended, number, text, time},
    terminal::{Printable, Status, Terminal},
};

/// Destinations that are shown where nobody says how tall the terminal is.
const ROWS: usize = 15;
/// The ages of the columns, as the API has them.
const AGES: [&str; 7] = ["<1m", "<10m", "<1h", "<6h", "<1d", "<5d", ">5d"];

/// Shows the queue live: how much waits, for whom, since when, and what is in the way. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  waxseal top --interval 5\n  waxseal top --once --json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    door: DoorArguments,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=3600))]
    interval: u16,
    /// Looks once.
    #[arg(long)]
    once: bool,
    /// Prints JSON, one object a look.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, terminal: &mut Terminal) -> Status {
    let door = match arguments.door.door() {
        Ok(door) => door,
        Err(status) => return status,
    };
    let live = std::io::stdout().is_terminal() && !arguments.json && !arguments.once;
    loop {
        match look(&door, arguments.json, live, terminal) {
            Ok(()) if terminal.is_open() => {}
            Ok(()) => return Status::Done,
            Err(fault) => return ended(Err(fault)),
        }
        if arguments.once {
            return Status::Done;
        }
        std::thread::sleep(Duration::from_secs(arguments.interval.into()));
    }
}

fn look(door: &Door, json: bool, live: bool, terminal: &mut Terminal) -> Result<(), Fault> {
    let glance = door.value(Request::Get("/api/v1/overview"))?;
    if json {
        terminal.json(&glance);
        return Ok(());
    }
    if live {
        // ECMA-48 CUP and ED: to the corner, and what is below it goes.
        let _ = write!(std::io::stdout(), "\u{1b}[H\u{1b}[J");
    }
    page(&glance, terminal);
    Ok(())
}

fn page(glance: &Value, terminal: &mut Terminal) {
    let null = Value::Null;
    let queue = glance.get("queue").unwrap_or(&null);
    let ready = glance.get("ready").and_then(Value::as_bool) == Some(true);
    let state =
        if ready { "takes mail".to_owned() } else { format!("takes no mail: {}", text(glance, "trouble")) };
    terminal.line(format_args!("{}  {state}  {}", text(glance, "hostname"), time(glance, "time")));
    terminal.line(format_args!(
        "{} messages: {} waiting, {} active, {} held; {} destinations, {} stuck",
        number(queue, "messages"),
        number(queue, "waiting"),
        number(queue, "active"),
        number(queue, "held"),
        number(queue, "destinations"),
        number(queue, "stuck")
    ));
    for (key, words) in [
        ("defer_all", "nothing is delivered: defer-all is on"),
        ("soft_bounce", "nothing bounces: soft-bounce is on"),
    ] {
        if glance.pointer(&format!("/switches/{key}")).and_then(Value::as_bool) == Some(true) {
            terminal.line(words);
        }
    }
    let heads: String = AGES.iter().map(|age| format!("{age:>7}")).collect();
    terminal.line(format_args!("\n{:<36}{heads}  {:>7}", "destination", "active"));
    let destinations = glance.get("destinations").and_then(Value::as_array);
    for one in destinations.into_iter().flatten().take(ROWS) {
        let ages = one.get("ages").and_then(Value::as_array);
        let ages: String = ages
            .into_iter()
            .flatten()
            .map(|age| format!("{:>7}", age.as_u64().unwrap_or_default()))
            .collect();
        let name: String = text(one, "destination").to_string().chars().take(35).collect();
        let dead = one.get("dead_until").is_some_and(Value::is_string);
        let suspended = one.get("suspended").and_then(Value::as_bool) == Some(true);
        let mark = if suspended {
            "  suspended"
        } else if dead {
            "  unreachable"
        } else {
            ""
        };
        terminal.line(format_args!(
            "{:<36}{ages}  {:>7}{mark}",
            Printable(&name).to_string(),
            number(one, "active")
        ));
    }
}
