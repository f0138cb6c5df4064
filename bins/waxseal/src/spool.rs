//! `waxseal spool`: the files themselves, for those who have to look at them, mend them or carry them elsewhere.

mod carry;
mod plain;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;
use waxseal_spool::{Damage, Error, RecordKind, Report, Snapshot, repair};

use crate::{
    settings::ConfigFiles,
    terminal::{Printable, Status, Terminal, complain, count},
};

/// Checks, shows, mends and carries the files of a spool.
///
/// verify, dump and export only read, and may be used while a queue-manager works with the spool; repair and import need it for themselves.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0, 1 where there is damage or something could not be taken, 75 where the spool is in use, 78 where it is \
                  none, or of another format.\n\nExample:\n  waxseal spool --spool /var/spool/waxseal verify"
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
    /// Reads every record and every text and checks every checksum.
    #[command(after_help = "Example:\n  waxseal spool verify")]
    Verify,
    /// Shows what is in the spool: the messages, or with --records every record of the log.
    #[command(after_help = "Example:\n  waxseal spool dump --json")]
    Dump {
        /// Every record, those of messages that have ended, too.
        #[arg(long)]
        records: bool,
    },
    /// Writes what lives beside damage anew and keeps the damaged files as *.bad.
    #[command(after_help = "Example:\n  systemctl stop queue-manager && waxseal spool repair")]
    Repair,
    /// Writes every message as two plain files, *.eml and *.json, into a folder that is made for it.
    #[command(after_help = "Example:\n  waxseal spool export /root/mail")]
    Export {
        /// The folder; it must not exist.
        #[arg(value_name = "FOLDER")]
        to: PathBuf,
    },
    /// Takes messages in that `export` has written. What the spool has already is left out.
    #[command(after_help = "Example:\n  waxseal spool --spool /var/spool/new import /root/mail")]
    Import {
        /// A folder with *.eml and *.json.
        #[arg(value_name = "FOLDER")]
        from: PathBuf,
    },
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
    let done = match &arguments.action {
        Action::Verify => verify(&folder, arguments.json, terminal),
        Action::Dump { records } => dump(&folder, *records, arguments.json, terminal),
        Action::Repair => mend(&folder, arguments.json, terminal),
        Action::Export { to } => carry::export(&folder, to, arguments.json, terminal),
        Action::Import { from } => carry::import(&folder, from, arguments.json, terminal),
    };
    done.unwrap_or_else(|error| {
        complain(Printable(&error.to_string()));
        match error {
            Error::Locked { .. } => Status::TryAgain,
            error if error.is_configuration() => Status::Configuration,
            _ => Status::TryAgain,
        }
    })
}

fn verify(folder: &std::path::Path, json: bool, terminal: &mut Terminal) -> Result<Status, Error> {
    let mut snapshot = Snapshot::open(folder, false)?;
    let beside = snapshot.check_bodies();
    let report = snapshot.report();
    tell(report, beside, json, terminal);
    Ok(if report.damage.is_empty() { Status::Done } else { Status::No })
}

fn tell(report: &Report, beside: u64, json: bool, terminal: &mut Terminal) {
    if json {
        terminal.json(&json!({
            "ok": report.damage.is_empty(),
            "messages": report.messages,
            "segments": report.segments,
            "octets": report.bytes,
            "octets_of_large_texts": beside,
            "torn": report.torn,
            "damage": report.damage.iter().map(damage_json).collect::<Vec<_>>(),
        }));
        return;
    }
    terminal.line(format_args!(
        "{} in {}, {} octets, and {beside} octets of large texts.",
        count(report.messages, "message"),
        count(report.segments, "segment"),
        report.bytes
    ));
    if report.torn > 0 {
        terminal.line(format_args!("{} octets of a last group that was never acknowledged.", report.torn));
    }
    for damage in &report.damage {
        let what = match (damage.id, damage.message) {
            (Some(id), true) => format!("message {id}"),
            (Some(id), false) => format!("results of message {id}"),
            (None, _) => "something that cannot be told".to_owned(),
        };
        terminal.line(format_args!(
            "Damage: {} octets at {} of {}: {what}",
            damage.length, damage.offset, damage.segment
        ));
    }
    if report.damage.is_empty() {
        terminal.line("No damage.");
    }
}

fn damage_json(damage: &Damage) -> serde_json::Value {
    json!({
        "file": damage.segment,
        "offset": damage.offset,
        "length": damage.length,
        "queue_id": damage.id.map(|id| id.to_string()),
        "message": damage.message,
    })
}

fn dump(
    folder: &std::path::Path,
    records: bool,
    json: bool,
    terminal: &mut Terminal,
) -> Result<Status, Error> {
    let snapshot = Snapshot::open(folder, records)?;
    if records {
        dump_records(&snapshot, json, terminal);
        return Ok(Status::Done);
    }
    let mut status = Status::Done;
    for message in snapshot.messages() {
        match message {
            Ok(message) if json => terminal.json(&plain::to_json(&message)),
            Ok(message) => {
                let envelope = &message.envelope;
                let sender = envelope.sender.as_ref().map_or("<>", |sender| sender.as_str());
                let sender = Printable(sender);
                terminal.line(format_args!("{}  {} octets  from {sender}", envelope.id, envelope.size));
                for (recipient, progress) in envelope.recipients.iter().zip(&message.states) {
                    terminal.line(format_args!(
                        "    to {}: {} after {}",
                        Printable(recipient.mailbox.as_str()),
                        plain::state(progress.state),
                        count(progress.attempts as usize, "attempt")
                    ));
                }
            }
            Err(error) => {
                complain(Printable(&error.to_string()));
                status = Status::No;
            }
        }
    }
    Ok(status)
}

fn dump_records(snapshot: &Snapshot, json: bool, terminal: &mut Terminal) {
    for record in snapshot.records() {
        let kind = match record.kind {
            RecordKind::Put => "PUT",
            RecordKind::Update => "UPDATE",
            RecordKind::Done => "DONE",
            RecordKind::Cancel => "CANCEL",
            RecordKind::PutUpdate => "PUT+UPDATE",
            RecordKind::PutDone => "PUT+DONE",
        };
        if json {
            terminal.json(&json!({
                "file": record.segment,
                "offset": record.offset,
                "length": record.length,
                "kind": kind,
                "queue_id": record.id.to_string(),
                "about": record.about.to_string(),
                "recipients": record.recipients,
            }));
        } else {
            terminal.line(format_args!(
                "{} {:>9} {:>9}  {kind:<10} {}{}",
                record.segment,
                record.offset,
                record.length,
                record.id,
                if record.about == record.id { String::new() } else { format!(" about {}", record.about) }
            ));
        }
    }
}

fn mend(folder: &std::path::Path, json: bool, terminal: &mut Terminal) -> Result<Status, Error> {
    // A folder that is none would be made.
    drop(Snapshot::open(folder, false)?);
    let done = repair(folder)?;
    if json {
        terminal.json(&json!({
            "damage": done.found.damage.iter().map(damage_json).collect::<Vec<_>>(),
            "moved": done.moved,
            "lost": done.lost.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "kept": done.kept,
        }));
    } else {
        tell(&done.found, 0, false, terminal);
        let moved = usize::try_from(done.moved).unwrap_or(usize::MAX);
        terminal.line(format_args!("{} written anew.", count(moved, "record")));
        for id in &done.lost {
            terminal.line(format_args!("Lost: message {id}"));
        }
        for name in &done.kept {
            terminal.line(format_args!("{name} has damage and is still needed for what else is in it."));
        }
    }
    Ok(if done.lost.is_empty() { Status::Done } else { Status::No })
}
