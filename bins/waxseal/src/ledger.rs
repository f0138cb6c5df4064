//! `waxseal ledger`: what became of mail, and why, as far back as the ledger reaches.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use clap::{Subcommand, ValueEnum};
use serde_json::json;
use waxseal_ledger::{Ended, Entry, Happening, Ledger, Query};
use waxseal_queue::{Outcome, advice};
use waxseal_types::{QueueId, TlsLevel, TlsStatus, UnixTime};

use crate::{
    settings::ConfigFiles,
    story,
    terminal::{Printable, Status, Terminal, complain, count},
};

/// Searches the ledger of deliveries, newest first: what went where, over what, and why.
///
/// All conditions must hold. It may be read while queue-manager runs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 where something was found, 1 where nothing was, 75 where there is no ledger.\n\n\
                  Example:\n  waxseal ledger --since 7d --tls none          # what went in clear this week, and why\n  \
                  waxseal ledger --status deferred --domain example.com --limit 20"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    place: Place,
    /// Prints JSON, one object a line (docs/explain.md).
    #[arg(long)]
    json: bool,
    /// At most so many entries.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// Not before: 2026-11-22, 2026-11-22T06:00:00Z, or so long ago: 90m, 12h, 7d.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<UnixTime>,
    /// Before.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<UnixTime>,
    /// Of this message.
    #[arg(long, value_name = "QUEUE_ID")]
    queue_id: Option<QueueId>,
    /// With this Message-ID.
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
    /// From this address; "" is the null sender.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// To this address.
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// To this domain, or by it.
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// By this host: its name or address.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// With this end.
    #[arg(long, value_enum, value_name = "END")]
    status: Option<End>,
    /// Over a connection of this security; "none" is what went in clear.
    #[arg(long, value_enum, value_name = "STATUS")]
    tls: Option<Tls>,
    /// At this level in effect: none, may, encrypt, dane, dane-only, fingerprint, verify, secure.
    #[arg(long, value_name = "LEVEL")]
    level: Option<TlsLevel>,
}

/// Where the ledger is.
#[derive(Debug, clap::Args)]
struct Place {
    /// The ledger's folder; by default that of the configuration.
    #[arg(long, value_name = "DIR", global = true)]
    path: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigFiles,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Writes stars over the local part of an address, wherever it stands in the ledger, in the words of servers as well.
    #[command(after_help = "Example:\n  waxseal ledger erase somebody@example.com")]
    Erase {
        /// The address.
        address: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum End {
    Delivered,
    Deferred,
    Bounced,
    Expired,
    Removed,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Tls {
    None,
    Untrusted,
    Trusted,
    Verified,
}

impl Arguments {
    fn query(&self) -> Query {
        Query {
            id: self.queue_id,
            message_id: self.message_id.clone(),
            sender: self.from.clone(),
            recipient: self.to.clone(),
            domain: self.domain.clone(),
            host: self.host.clone(),
            ended: self.status.map(|end| match end {
                End::Delivered => Ended::Delivered,
                End::Deferred => Ended::Deferred,
                End::Bounced => Ended::Bounced,
                End::Expired => Ended::Expired,
                End::Removed => Ended::Removed,
            }),
            tls: self.tls.map(|tls| match tls {
                Tls::None => TlsStatus::None,
                Tls::Untrusted => TlsStatus::Untrusted,
                Tls::Trusted => TlsStatus::Trusted,
                Tls::Verified => TlsStatus::Verified,
            }),
            level: self.level,
            since: self.since,
            until: self.until,
        }
    }
}

pub(crate) fn run(arguments: &Arguments, terminal: &mut Terminal) -> Status {
    let (folder, hostname) = match &arguments.place.path {
        Some(folder) => (folder.clone(), "this host".to_owned()),
        None => match arguments.place.config.load() {
            Ok(config) => match config.ledger {
                Some(ledger) => (ledger.path, config.hostname.as_str().to_owned()),
                None => {
                    complain("no ledger is kept: ledger.size is 0");
                    return Status::TryAgain;
                }
            },
            Err(problems) => {
                complain(problems);
                return Status::Configuration;
            }
        },
    };
    let done = Ledger::open(&folder).and_then(|ledger| match &arguments.action {
        Some(Action::Erase { address }) => erase(&ledger, address, arguments.json, terminal),
        None => search(&ledger, arguments, &hostname, terminal),
    });
    done.unwrap_or_else(|error| {
        complain(error);
        Status::TryAgain
    })
}

fn erase(
    ledger: &Ledger,
    address: &str,
    as_json: bool,
    terminal: &mut Terminal,
) -> Result<Status, waxseal_ledger::Error> {
    let erased = ledger.erase(address)?;
    if as_json {
        terminal.json(&json!({ "places": erased.places, "whole_records": erased.records, "unreadable_blocks": erased.unreadable }));
    } else {
        let places = count(usize::try_from(erased.places).unwrap_or(usize::MAX), "place");
        terminal.line(format_args!("erased in {places}"));
        if erased.records > 0 {
            terminal.line(format_args!("{} records had to go whole", erased.records));
        }
        if erased.unreadable > 0 {
            terminal.line(format_args!("{} damaged blocks could not be looked at", erased.unreadable));
        }
    }
    Ok(if erased.places > 0 { Status::Done } else { Status::No })
}

fn search(
    ledger: &Ledger,
    arguments: &Arguments,
    hostname: &str,
    terminal: &mut Terminal,
) -> Result<Status, waxseal_ledger::Error> {
    let mut found = 0;
    for entry in ledger.search(arguments.query())?.take(arguments.limit.unwrap_or(usize::MAX)) {
        found += 1;
        if arguments.json {
            terminal.json(&entry.to_json(hostname));
        } else {
            tell(&entry, terminal);
        }
    }
    if !arguments.json {
        let horizon = ledger.horizon()?;
        let back = |time: Option<UnixTime>| time.map_or_else(|| "nothing yet".to_owned(), story::time);
        terminal.line(format_args!(
            "{}; the ledger reaches back to {} (plain successes: {}).",
            count(found, "entry").replace("entrys", "entries"),
            back(horizon.kept.into_iter().chain(horizon.plain).min()),
            back(horizon.plain)
        ));
    }
    Ok(if found > 0 { Status::Done } else { Status::No })
}

/// A line for each recipient, and why.
fn tell(entry: &Entry, terminal: &mut Terminal) {
    let envelope = entry.envelope();
    let sender = envelope.sender.as_ref().map_or("<>", |sender| sender.as_str());
    for (index, word, failure) in entry.outcomes() {
        let recipient = envelope.recipients.get(index).map_or("", |recipient| recipient.mailbox.as_str());
        terminal.line(format_args!(
            "{}  {:<9}  {}  {} -> {}",
            story::time(entry.time),
            word,
            envelope.id,
            Printable(sender),
            Printable(recipient)
        ));
        if let Happening::Attempt { account, .. } = &entry.happening
            && let Some(result) = account.results.get(index)
            && let Some(connection) = advice::deciding(account, result)
        {
            let matched = match (&connection.matched, &result.outcome) {
                (_, Outcome::Delivered { .. }) if connection.status == TlsStatus::None => {
                    format!(" ({})", advice::why_clear(connection))
                }
                (Some(matched), _) => format!(" by {matched}"),
                (None, _) => String::new(),
            };
            let policy = account.policies.get(connection.policy);
            let source = policy.map(|policy| format!(", level {} from {}", connection.level, policy.source));
            let line = format!(
                "by {}, tls {}{matched}{}",
                advice::server(connection),
                connection.status,
                source.unwrap_or_default()
            );
            terminal.line(format_args!("    {}", Printable(&line)));
        }
        if let Some(failure) = failure {
            terminal.line(format_args!("    {} {}", failure.status, Printable(&failure.reason)));
        }
    }
}

/// A point in time, or how long ago.
fn moment(text: &str) -> Result<UnixTime, String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    moment_at(text, UnixTime::from_micros(u64::try_from(now.as_micros()).unwrap_or_default()))
}

fn moment_at(text: &str, now: UnixTime) -> Result<UnixTime, String> {
    let wrong = || format!("{text:?} is no time: write 2026-11-22, 2026-11-22T06:00:00Z, or 90m, 12h, 7d");
    if let Some((at, unit)) = text.char_indices().next_back().filter(|(_, unit)| unit.is_ascii_alphabetic())
        && let Ok(number) = text[..at].parse::<u64>()
    {
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => return Err(wrong()),
        };
        let ago = Duration::from_secs(number.saturating_mul(seconds)).as_micros();
        let ago = u64::try_from(ago).unwrap_or(u64::MAX);
        return Ok(UnixTime::from_micros(now.as_micros().saturating_sub(ago)));
    }
    let (date, time) = text.trim_end_matches('Z').split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let numbers =
        |text: &str, by: char| -> Option<Vec<u64>> { text.split(by).map(|part| part.parse().ok()).collect() };
    let (Some(date), Some(time)) = (numbers(date, '-'), numbers(time, ':')) else { return Err(wrong()) };
    let (&[year, month, day], &[hour, minute, second]) = (&date[..], &time[..]) else { return Err(wrong()) };
    let within = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (hour, minute, second) < (24, 60, 60)
        && minute < 60
        && second < 60;
    if !within {
        return Err(wrong());
    }
    // Days from 1970-01-01 in years that begin in March (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let shifted = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let era_year = shifted % 400;
    let days = shifted / 400 * 146_097 + era_year * 365 + era_year / 4 - era_year / 100 + of_year - 719_468;
    Ok(UnixTime::from_secs(days * 86_400 + hour * 3600 + minute * 60 + second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_points_or_ages() {
        let now = UnixTime::from_secs(1_795_249_800);
        let table = [
            ("2026-11-21", Some("2026-11-21T00:00:00.000000Z")),
            ("2026-11-21T08:30:00Z", Some("2026-11-21T08:30:00.000000Z")),
            ("2024-02-29 23:59:59", Some("2024-02-29T23:59:59.000000Z")),
            ("7d", Some("2026-11-14T08:30:00.000000Z")),
            ("90m", Some("2026-11-21T07:00:00.000000Z")),
            ("99999999999w", Some("1970-01-01T00:00:00.000000Z")),
            ("yesterday", None),
            ("2026-13-01", None),
            ("2026-11-21T25:00:00Z", None),
            ("2026-11-21T08:61:00Z", None),
            ("7x", None),
            ("", None),
        ];
        for (text, expected) in table {
            let time = moment_at(text, now).ok().map(|time| time.rfc3339().to_string());
            assert_eq!(time.as_deref(), expected, "{text}");
        }
    }
}
