//! Out of a spool as plain files, and in again.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use serde_json::json;
use waxseal_spool::{
    Error, Log, Progress, Put, RecipientResult, Recovered, Settings, Snapshot, Spool as _, Update, open,
};

use super::plain;
use crate::terminal::{Printable, Status, Terminal, complain, count};

/// Read and written at a time; a text up to this goes into the log itself.
const PIECE: usize = 256 << 10;

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Error + 'a {
    move |source| Error::Folder { doing, path: path.to_owned(), source: Arc::new(source) }
}

/// One thread is enough for one message after the other.
fn wait<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|source| Error::Io {
        doing: "start",
        name: "the runtime".to_owned(),
        source: Arc::new(source),
    })?;
    runtime.block_on(answer)
}

pub(super) fn export(folder: &Path, to: &Path, json: bool, terminal: &mut Terminal) -> Result<Status, Error> {
    let snapshot = Snapshot::open(folder, false)?;
    // Mail is nobody else's business.
    DirBuilder::new().mode(0o700).create(to).map_err(failed("create", to))?;
    let (mut written, mut not) = (0, 0);
    for message in snapshot.messages() {
        let done = message.and_then(|message| export_one(&snapshot, &message, to));
        match done {
            Ok(()) => written += 1,
            // It ended while we read.
            Err(Error::Unknown(_)) => {}
            Err(error @ (Error::Folder { .. } | Error::Full)) => return Err(error),
            Err(error) => {
                complain(Printable(&error.to_string()));
                not += 1;
            }
        }
    }
    let damage = snapshot.report().damage.len();
    if json {
        terminal.json(&json!({ "written": written, "unreadable": not, "damage": damage }));
    } else {
        terminal.line(format_args!("{} written to {}.", count(written, "message"), to.display()));
    }
    if damage > 0 {
        complain("the spool has damage: waxseal spool verify tells what");
    }
    Ok(if not + damage == 0 { Status::Done } else { Status::No })
}

fn export_one(snapshot: &Snapshot, message: &Recovered, to: &Path) -> Result<(), Error> {
    let name = message.envelope.id.to_string();
    let create = |path: &Path| {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        file.map_err(failed("create", path))
    };
    // The text first: where there is a *.json, its *.eml is whole.
    let path = to.join(format!("{name}.eml"));
    let mut file = create(&path)?;
    let mut streamed = snapshot.read(message.envelope.id)?;
    while let Some(piece) = wait(streamed.body.next_piece())? {
        file.write_all(&piece).map_err(failed("write", &path))?;
    }
    file.sync_all().map_err(failed("sync", &path))?;
    let path = to.join(format!("{name}.json"));
    let mut file = create(&path)?;
    let text = format!("{:#}\n", plain::to_json(message));
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed("write", &path))
}

pub(super) fn import(
    folder: &Path,
    from: &Path,
    json: bool,
    terminal: &mut Terminal,
) -> Result<Status, Error> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(from).map_err(failed("read", from))? {
        let path = entry.map_err(failed("read", from))?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            names.push(path);
        }
    }
    names.sort_unstable();
    let (log, recovery) = open(Settings { path: folder.to_owned(), ..Settings::default() })?;
    drop(recovery);
    let (mut taken, mut known, mut not) = (0, 0, 0);
    for path in &names {
        match import_one(&log, path) {
            Ok(()) => taken += 1,
            Err(Problem::Spool(Error::Duplicate(_))) => known += 1,
            Err(Problem::Spool(error @ (Error::Full | Error::Closed | Error::Stale))) => return Err(error),
            Err(Problem::Spool(error)) => {
                complain(format_args!("{}: {}", path.display(), Printable(&error.to_string())));
                not += 1;
            }
            Err(Problem::Plain(flaw)) => {
                complain(format_args!("{}: {}", path.display(), Printable(&flaw)));
                not += 1;
            }
        }
    }
    drop(log);
    if json {
        terminal.json(&json!({ "taken": taken, "known": known, "refused": not }));
    } else {
        terminal
            .line(format_args!("{} taken, {known} known already, {not} refused.", count(taken, "message")));
    }
    Ok(if not == 0 { Status::Done } else { Status::No })
}

enum Problem {
    /// The file's.
    Plain(plain::Flaw),
    Spool(Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Spool(error)
    }
}

fn import_one(log: &Log, path: &Path) -> Result<(), Problem> {
    let text = std::fs::read_to_string(path).map_err(|error| Problem::Plain(error.to_string()))?;
    let value = serde_json::from_str(&text).map_err(|error| Problem::Plain(error.to_string()))?;
    let Recovered { envelope, states } = plain::from_json(&value).map_err(Problem::Plain)?;
    let body = path.with_extension("eml");
    let told = |error: io::Error| Problem::Plain(format!("{}: {error}", body.display()));
    let mut envelope = envelope;
    // What counts is the text as it is now.
    envelope.leading_dots = has_leading_dots(&body).map_err(told)?;
    let mut file = File::open(&body).map_err(told)?;
    envelope.size = file.metadata().map_err(told)?.len();
    let id = envelope.id;
    if envelope.size <= PIECE as u64 {
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(told)?;
        wait(log.put(Put { envelope, body: text.into() }))?;
    } else {
        let mut writer = log.body_writer(id);
        let mut piece = vec![0; PIECE];
        loop {
            let got = file.read(&mut piece).map_err(told)?;
            if got == 0 {
                break;
            }
            wait(writer.write(Bytes::copy_from_slice(&piece[..got])))?;
        }
        wait(writer.put(envelope))?;
    }
    let told = states.into_iter().enumerate().filter(|(_, progress)| *progress != Progress::NEW);
    let results: Vec<_> =
        told.map(|(index, progress)| RecipientResult { index: index as u32, progress }).collect();
    if !results.is_empty() {
        wait(log.update(Update { id, results, dsn: None }))?;
    }
    Ok(())
}

/// Whether a line of the text starts with a dot (RFC 5321 §4.5.2).
fn has_leading_dots(path: &Path) -> io::Result<bool> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut at_start = true;
    loop {
        let octets = reader.fill_buf()?;
        if octets.is_empty() {
            return Ok(false);
        }
        for octet in octets {
            if at_start && *octet == b'.' {
                return Ok(true);
            }
            at_start = *octet == b'\n';
        }
        let length = octets.len();
        reader.consume(length);
    }
}
