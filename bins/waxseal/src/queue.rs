//! `waxseal queue`: what waits, over the control socket in the spool folder of a running queue-manager.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Subcommand;
use serde_json::{Value, json};
use waxseal_queue_manager::CONTROL_SOCKET;
use waxseal_types::QueueId;

use crate::{
    settings::ConfigFiles,
    terminal::{Printable, Status, Terminal, complain, count},
};

/// The manager answers from memory, or reads one message from disk.
const PATIENCE: Duration = Duration::from_secs(60);

/// Shows and changes the queue of a running queue-manager.
///
/// It is asked over a socket in its spool folder, which is open to its own user only.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0, 1 where there is no such message, 75 where no queue-manager runs on the spool.\n\nExample:\n  \
                  waxseal queue --spool /var/spool/waxseal list"
)]
pub(crate) struct Arguments {
    /// The spool folder; by default that of the configuration.
    #[arg(long, value_name = "DIR", global = true)]
    spool: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigFiles,
    /// Prints JSON, one object a line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists the messages that wait, with the reason why.
    #[command(after_help = "Example:\n  waxseal queue list")]
    List,
    /// Shows one message: its recipients, what became of each, and its header.
    #[command(after_help = "Example:\n  waxseal queue show 3kBzR8sqWl")]
    Show {
        /// As `queue list` shows it.
        #[arg(value_name = "QUEUE_ID")]
        id: QueueId,
    },
    /// Has a message, or all of them, tried again now.
    #[command(after_help = "Example:\n  waxseal queue retry 3kBzR8sqWl\n  waxseal queue retry --all")]
    Retry {
        /// As `queue list` shows it.
        #[arg(value_name = "QUEUE_ID", required_unless_present = "all")]
        id: Option<QueueId>,
        /// All messages.
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Takes a message out of the queue. Nobody is told; what is being delivered just now stays.
    #[command(after_help = "Example:\n  waxseal queue remove 3kBzR8sqWl")]
    Remove {
        /// As `queue list` shows it.
        #[arg(value_name = "QUEUE_ID")]
        id: QueueId,
    },
}

impl Action {
    fn request(&self) -> Value {
        match self {
            Self::List => json!({ "cmd": "list" }),
            Self::Show { id } => json!({ "cmd": "show", "queue_id": id.to_string() }),
            Self::Retry { id: Some(id), .. } => json!({ "cmd": "retry", "queue_id": id.to_string() }),
            Self::Retry { id: None, .. } => json!({ "cmd": "retry" }),
            Self::Remove { id } => json!({ "cmd": "remove", "queue_id": id.to_string() }),
        }
    }
}

pub(crate) fn run(arguments: &Arguments, terminal: &mut Terminal) -> Status {
    let folder = match &arguments.spool {
        Some(folder) => folder.clone(),
        None => match arguments.config.load() {
            Ok(config) => config.spool.path,
            Err(problems) => {
                complain(problems);
                return Status::Configuration;
            }
        },
    };
    let path = folder.join(CONTROL_SOCKET);
    match ask(&path, &arguments.action) {
        Ok(answers) => answered(arguments, &answers, terminal),
        Err(error) => {
            complain(format_args!("{}: {error}", path.display()));
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) {
                complain("no queue-manager runs on this spool; --spool or --config name another one");
            }
            Status::TryAgain
        }
    }
}

/// The next hops for which something waits in the queue of a running queue-manager; or why nobody can say.
pub(crate) fn destinations(spool: &Path) -> Result<Vec<String>, String> {
    let path = spool.join(CONTROL_SOCKET);
    let answers = ask(&path, &Action::List).map_err(|error| format!("{}: {error}", path.display()))?;
    if let Some(error) = answers.last().and_then(|last| last.get("error")).and_then(Value::as_str) {
        return Err(format!("{}: {error}", path.display()));
    }
    let name = |answer: &Value| answer.get("destination").and_then(Value::as_str).map(str::to_owned);
    let mut names: Vec<String> = answers.iter().filter_map(name).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// One request; the answer is one line, or for `list` all up to the one that says it is the last.
fn ask(path: &Path, action: &Action) -> io::Result<Vec<Value>> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{}\n", action.request()).as_bytes())?;
    let mut answers = Vec::new();
    for line in BufReader::new(stream).lines() {
        let answer: Value = serde_json::from_str(&line?)?;
        let more =
            matches!(action, Action::List) && answer.get("end").is_none() && answer.get("error").is_none();
        answers.push(answer);
        if !more {
            return Ok(answers);
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn answered(arguments: &Arguments, answers: &[Value], terminal: &mut Terminal) -> Status {
    let Some((last, messages)) = answers.split_last() else { return Status::TryAgain };
    if let Some(error) = last.get("error") {
        if arguments.json {
            terminal.json(last);
        } else {
            complain(Printable(error.as_str().unwrap_or("refused")));
        }
        return Status::No;
    }
    let none = matches!(arguments.action, Action::Retry { .. })
        && last.get("count").and_then(Value::as_u64) == Some(0);
    match &arguments.action {
        _ if arguments.json => answers.iter().for_each(|answer| terminal.json(answer)),
        Action::List => list(messages, terminal),
        Action::Show { .. } => show(last, terminal),
        Action::Retry { .. } => {
            let number = last.get("count").and_then(Value::as_u64).unwrap_or_default();
            let thing = if number == 1 { "delivery is" } else { "deliveries are" };
            terminal.line(format_args!("{number} {thing} tried again now"));
        }
        Action::Remove { id } => terminal.line(format_args!("{id} is removed")),
    }
    if none && matches!(arguments.action, Action::Retry { id: Some(_), .. }) {
        Status::No
    } else {
        Status::Done
    }
}

/// A text of an answer, safe for the terminal.
fn text<'a>(value: &'a Value, key: &str) -> Printable<'a> {
    Printable(value.get(key).and_then(Value::as_str).unwrap_or_default())
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// To the second, which is what a person compares with a watch.
fn time(value: &Value, key: &str) -> String {
    let time = text(value, key).to_string();
    time.split('.').next().map(|seconds| format!("{}Z", seconds.replace('T', " "))).unwrap_or(time)
}

fn sender(value: &Value) -> String {
    let sender = text(value, "sender").to_string();
    if sender.is_empty() { "<>".to_owned() } else { sender }
}

fn list(messages: &[Value], terminal: &mut Terminal) {
    if messages.is_empty() {
        terminal.line("The queue is empty.");
        return;
    }
    for message in messages {
        terminal.line(format_args!(
            "{}  {}  {} octets  from {}",
            text(message, "queue_id"),
            time(message, "arrived"),
            number(message, "size"),
            sender(message)
        ));
        let attempts = number(message, "attempts");
        let when = match message.get("active").and_then(Value::as_bool) {
            Some(true) => "in delivery now".to_owned(),
            Some(false) | None => format!("next at {}", time(message, "next_attempt")),
        };
        terminal.line(format_args!(
            "    for {}: {}, {when}",
            text(message, "destination"),
            count(usize::try_from(attempts).unwrap_or(usize::MAX), "attempt")
        ));
        let recipients = message.get("recipients").and_then(Value::as_array);
        for recipient in recipients.into_iter().flatten().filter_map(Value::as_str) {
            terminal.line(format_args!("      to {}", Printable(recipient)));
        }
        if message.get("reason").is_some_and(|reason| !reason.is_null()) {
            terminal.line(format_args!("      {}", text(message, "reason")));
        }
    }
    // A message with several destinations has an entry for each.
    let mut ids: Vec<&str> =
        messages.iter().filter_map(|message| message.get("queue_id")?.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    terminal.line(format_args!("{}.", count(ids.len(), "message")));
}

fn show(message: &Value, terminal: &mut Terminal) {
    terminal.line(format_args!("{}  {} octets", text(message, "queue_id"), number(message, "size")));
    terminal.line(format_args!("  arrived  {} from {}", time(message, "arrived"), text(message, "client")));
    terminal.line(format_args!("  sender   {}", sender(message)));
    let recipients = message.get("recipients").and_then(Value::as_array);
    for recipient in recipients.into_iter().flatten() {
        let attempts = usize::try_from(number(recipient, "attempts")).unwrap_or(usize::MAX);
        terminal.line(format_args!(
            "  to       {}: {} after {}, next at {}",
            text(recipient, "recipient"),
            text(recipient, "state"),
            count(attempts, "attempt"),
            time(recipient, "next_attempt")
        ));
        if recipient.get("reason").is_some_and(|reason| !reason.is_null()) {
            terminal.line(format_args!("           {}", text(recipient, "reason")));
        }
    }
    let header = message.get("header").and_then(Value::as_str).unwrap_or_default().replace("\r\n", "\n");
    terminal.line("");
    header.lines().for_each(|line| terminal.line(format_args!("  {}", Printable(line))));
}
