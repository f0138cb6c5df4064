//! The control socket in the spool's folder: one JSON object a line in, one or more a line out.

use std::{io, path::Path};

use actix::Addr;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
};
use waxseal_queue::{
    actor::{Act, Look, QueueManager, Show, ShownMessage},
    levers::{Command, Entry, Selection, State, Tally},
};
use waxseal_types::QueueId;

/// Its name in the spool's folder, which is closed to other users.
pub const CONTROL_SOCKET: &str = "control.sock";

/// The longest request.
const REQUEST_LIMIT: u64 = 4096;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    cmd: String,
    queue_id: Option<String>,
}

#[derive(Debug, Serialize)]
struct Listed {
    queue_id: String,
    size: u64,
    arrived: String,
    sender: String,
    recipients: Vec<String>,
    destination: String,
    attempts: u32,
    active: bool,
    next_attempt: String,
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct Shown {
    queue_id: String,
    size: u64,
    arrived: String,
    sender: String,
    client: String,
    message_id: Option<String>,
    recipients: Vec<ShownRecipient>,
    header: String,
}

#[derive(Debug, Serialize)]
struct ShownRecipient {
    recipient: String,
    state: String,
    attempts: u32,
    next_attempt: String,
    reason: Option<String>,
}

/// Listens in `folder` and answers until the task is dropped.
///
/// # Errors
/// The socket cannot be made.
pub(crate) fn serve(folder: &Path, manager: Addr<QueueManager>) -> io::Result<()> {
    let path = folder.join(CONTROL_SOCKET);
    // The spool is locked, so a socket that is there belongs to a process that is gone.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path)?;
    actix_rt::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let manager = manager.clone();
            actix_rt::spawn(async move {
                if let Err(error) = attend(stream, manager).await {
                    tracing::debug!("control connection: {error}");
                }
            });
        }
    });
    Ok(())
}

async fn attend(stream: UnixStream, manager: Addr<QueueManager>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    loop {
        let mut line = String::new();
        let length = (&mut lines).take(REQUEST_LIMIT).read_line(&mut line).await?;
        if length == 0 {
            return Ok(());
        }
        let answer = match serde_json::from_str::<Request>(&line) {
            Ok(request) => answer(&request, &manager).await,
            Err(error) => failure(&format!("not a request: {error}")),
        };
        write.write_all(answer.as_bytes()).await?;
    }
}

fn failure(text: &str) -> String {
    line(&serde_json::json!({ "error": text }))
}

fn line(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string(value).unwrap_or_else(|_| "{}".into());
    text.push('\n');
    text
}

async fn answer(request: &Request, manager: &Addr<QueueManager>) -> String {
    let id = match request.queue_id.as_deref().map(str::parse::<QueueId>).transpose() {
        Ok(id) => id,
        Err(error) => return failure(&error.to_string()),
    };
    match (request.cmd.as_str(), id) {
        ("list", None) => list(manager).await,
        ("show", Some(id)) => match manager.send(Show(id)).await {
            Ok(Some(message)) => line(&shown(&message)),
            Ok(None) | Err(_) => failure("no such message"),
        },
        ("remove", Some(id)) => match act(Some(id), Command::Remove, manager).await {
            Some(Tally { refused: 1.., .. }) => failure("too late"),
            Some(Tally { messages: 1.., .. }) => line(&serde_json::json!({ "removed": true })),
            Some(_) | None => failure("no such message"),
        },
        ("retry", which) => match act(which, Command::Retry, manager).await {
            Some(tally) => line(&serde_json::json!({ "count": tally.parts })),
            None => failure("the queue manager does not answer"),
        },
        _ => failure("unknown command; there are list, show, remove and retry"),
    }
}

async fn act(which: Option<QueueId>, command: Command, manager: &Addr<QueueManager>) -> Option<Tally> {
    let selection = Selection { ids: which.map(|id| [id].into()), ..Selection::default() };
    manager.send(Act { selection, command, dry_run: false }).await.ok()
}

async fn list(manager: &Addr<QueueManager>) -> String {
    let mut text = String::new();
    let (mut count, mut after) = (0u64, None);
    loop {
        let look = Look { selection: Selection::default(), after, limit: 256 };
        let Ok(slice) = manager.send(look).await else { return failure("the queue manager does not answer") };
        for entry in slice.entries {
            // A message may have been delivered since.
            if let Ok(Some(message)) = manager.send(Show(entry.id)).await {
                text.push_str(&line(&listed(&entry, &message)));
                count += 1;
            }
        }
        after = slice.next;
        if after.is_none() {
            text.push_str(&line(&serde_json::json!({ "end": true, "count": count })));
            return text;
        }
    }
}

fn listed(entry: &Entry, message: &ShownMessage) -> Listed {
    let envelope = &message.stored.envelope;
    let recipient =
        |index: &usize| envelope.recipients.get(*index).map(|recipient| recipient.mailbox.to_string());
    let last =
        |index: &usize| message.stored.states.get(*index)?.last.as_ref().map(|last| last.reason.to_string());
    Listed {
        queue_id: entry.id.to_string(),
        size: envelope.size,
        arrived: envelope.arrived.rfc3339().to_string(),
        sender: envelope.sender.as_ref().map_or_else(String::new, ToString::to_string),
        recipients: entry.recipients.iter().filter_map(recipient).collect(),
        destination: entry.destination.nexthop.to_string(),
        attempts: entry.attempts,
        active: entry.state == State::Active,
        next_attempt: entry.due.rfc3339().to_string(),
        reason: entry.recipients.iter().find_map(last),
    }
}

fn shown(message: &ShownMessage) -> Shown {
    let envelope = &message.stored.envelope;
    let body = &message.stored.body;
    let header = body.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(body.len());
    let recipients =
        envelope.recipients.iter().zip(&message.stored.states).map(|(recipient, progress)| ShownRecipient {
            recipient: recipient.mailbox.to_string(),
            state: format!("{:?}", progress.state).to_lowercase(),
            attempts: progress.attempts,
            next_attempt: progress.next_attempt.rfc3339().to_string(),
            reason: progress.last.as_ref().map(|last| last.reason.to_string()),
        });
    Shown {
        queue_id: envelope.id.to_string(),
        size: envelope.size,
        arrived: envelope.arrived.rfc3339().to_string(),
        sender: envelope.sender.as_ref().map_or_else(String::new, ToString::to_string),
        client: envelope.client.to_string(),
        message_id: envelope.message_id.as_ref().map(ToString::to_string),
        recipients: recipients.collect(),
        header: String::from_utf8_lossy(&body[..header.min(64 << 10)]).into_owned(),
    }
}
