//! `waxseal destinations`, `suspend`, `resume`, `reload`: the queue as a whole.

use serde_json::{Value, json};

use crate::{
    api::{DoorArguments, Fault, Request},
    queue::{ended, number, text, time},
    terminal::{Printable, Status, Terminal, count},
};

/// Lists the destinations that something waits for, the fullest first: how much, since when, and what is in the way.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  waxseal destinations --spool /var/spool/waxseal")]
pub(crate) struct Arguments {
    #[command(flatten)]
    door: DoorArguments,
    /// Prints JSON, one object a line.
    #[arg(long)]
    json: bool,
    /// At most so many.
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

/// A next hop that is closed or opened.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    #[command(flatten)]
    door: DoorArguments,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    /// As `waxseal destinations` shows it.
    #[arg(value_name = "DESTINATION")]
    destination: String,
}

/// What reloads.
#[derive(Debug, clap::Args)]
pub(crate) struct Reload {
    #[command(flatten)]
    door: DoorArguments,
    /// Has the intake take the certificates that its files hold, although TLSA records that clients may hold do not fit them: DANE senders
    /// defer their mail then.
    #[arg(long)]
    switch_certificates: bool,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, terminal: &mut Terminal) -> Status {
    let door = match arguments.door.door() {
        Ok(door) => door,
        Err(status) => return status,
    };
    let mut list = || -> Result<Status, Fault> {
        let answer = door.value(Request::Get(&format!("/api/v1/destinations?limit={}", arguments.limit)))?;
        let all = answer.get("destinations").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if all.is_empty() && !arguments.json {
            terminal.line("Nothing waits for any destination.");
        }
        for one in all {
            if arguments.json {
                terminal.json(one);
            } else {
                destination(one, terminal);
            }
        }
        Ok(Status::Done)
    };
    ended(list())
}

fn destination(one: &Value, terminal: &mut Terminal) {
    let flag = |key: &str| one.get(key).and_then(Value::as_bool) == Some(true);
    let mut words = format!("{} waiting, {} active", number(one, "waiting"), number(one, "active"));
    if number(one, "held") > 0 {
        words += &format!(", {} held", number(one, "held"));
    }
    if one.get("oldest").is_some_and(Value::is_string) {
        words += &format!(", the oldest since {}", time(one, "oldest"));
    }
    terminal.line(format_args!("{}: {words}", text(one, "destination")));
    if flag("suspended") {
        terminal.line("    suspended");
    }
    if one.get("dead_until").is_some_and(Value::is_string) {
        terminal.line(format_args!("    cannot be reached; next try at {}", time(one, "dead_until")));
    }
    if one.get("reason").is_some_and(Value::is_string) {
        terminal.line(format_args!("    {}", text(one, "reason")));
    }
}

/// Closes a destination, or opens it.
pub(crate) fn close(arguments: &One, closed: bool, terminal: &mut Terminal) -> Status {
    let door = match arguments.door.door() {
        Ok(door) => door,
        Err(status) => return status,
    };
    let path = if closed { "/api/v1/destinations/suspend" } else { "/api/v1/destinations/resume" };
    let body = json!({ "destination": arguments.destination });
    let done = door.value(Request::Post(path, &body)).map(|done| {
        if arguments.json {
            terminal.json(&done);
        } else {
            let word = if closed { "suspended" } else { "open" };
            let messages = usize::try_from(number(&done, "messages")).unwrap_or(usize::MAX);
            let name = Printable(&arguments.destination);
            terminal.line(format_args!("{name} is {word}; {} for it", count(messages, "message")));
        }
        Status::Done
    });
    ended(done)
}

/// Has the daemon read its tables, certificates and trust stores anew.
pub(crate) fn reload(arguments: &Reload, terminal: &mut Terminal) -> Status {
    let door = match arguments.door.door() {
        Ok(door) => door,
        Err(status) => return status,
    };
    let path = if arguments.switch_certificates {
        "/api/v1/reload?switch_certificates=true"
    } else {
        "/api/v1/reload"
    };
    let done = door.value(Request::Post(path, &json!({}))).map(|answer| {
        let notices = answer.get("notices").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if arguments.json {
            terminal.json(&answer);
        } else {
            notices.iter().filter_map(Value::as_str).for_each(|notice| terminal.line(Printable(notice)));
            if notices.is_empty() {
                terminal.line(
                    "Tables, certificates and trust stores were read anew; nothing is wrong with them.",
                );
            }
        }
        if notices.is_empty() { Status::Done } else { Status::No }
    });
    ended(done)
}
