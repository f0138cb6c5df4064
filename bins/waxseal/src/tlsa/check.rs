//! `waxseal tlsa check`: would mail arrive under DANE, now and in some days?

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use waxseal_config::Config;
use waxseal_survey::{Fault, Report, Surveyor, metrics};
use waxseal_types::{InvalidNextHop, NextHop, UnixTime};

use super::narrate;
use crate::{
    settings::ConfigFiles,
    terminal::{Printable, Status, Terminal, complain},
};

/// Looks at all mail hosts of a domain as senders with DANE do: DNSSEC, every address, RSA and ECDSA chains, every TLSA record.
///
/// For DNS the configuration counts, as for deliveries; of its policies nothing is asked. No mail is sent.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 where nothing would fail, 1 where something would, 75 where DNSSEC cannot be asked about from here.\n\
                  docs/tlsa.md has the findings, the JSON and the metrics; contrib/waxseal-tlsa-check.timer runs it every hour.\n\n\
                  Example:\n  waxseal tlsa check --days 7 example.com\n  waxseal tlsa check mx.example.com:25"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    config: ConfigFiles,
    /// It must hold for so long: certificates under usage 2 and signatures must not end before.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=3650))]
    days: u32,
    /// The port of a domain's hosts.
    #[arg(long, default_value_t = 25)]
    port: u16,
    /// Longest wait for each step of a connection.
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    /// Prints one JSON object for each target, one a line.
    #[arg(long)]
    json: bool,
    /// Writes metrics for the textfile collector of node_exporter.
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// example.com (its mail hosts), mx.example.com:25 or [mx.example.com] (that host)
    #[arg(value_name = "DOMAIN|HOST:PORT", required = true)]
    targets: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, terminal: &mut Terminal) -> Status {
    let targets: Result<Vec<NextHop>, _> = arguments
        .targets
        .iter()
        .map(|text| target(text).map_err(|error| format!("{}: {error}", Printable(text))))
        .collect();
    let targets = match targets {
        Ok(targets) => targets,
        Err(problem) => {
            complain(problem);
            return Status::Usage;
        }
    };
    let config = match arguments.config.load() {
        Ok(config) => config,
        Err(problems) => {
            complain(problems);
            return Status::Configuration;
        }
    };
    let looked = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(look(arguments, &config, &targets)));
    match looked {
        Ok(reports) => told(arguments, &reports, terminal),
        Err(error) => {
            complain(Printable(&error));
            Status::Configuration
        }
    }
}

/// `host:port` is that host; a name alone is a domain, whose MX records are asked for, and itself where it has none (RFC 5321 §5.1).
fn target(text: &str) -> Result<NextHop, InvalidNextHop> {
    match text.split_once(':') {
        Some((host, port)) if !text.starts_with('[') && !port.contains(':') => {
            format!("[{host}]:{port}").parse()
        }
        Some(_) | None => text.parse(),
    }
}

async fn look(arguments: &Arguments, config: &Config, targets: &[NextHop]) -> Result<Vec<Report>, String> {
    let longest = Duration::from_secs(arguments.timeout);
    let mut transport = config.transport.clone();
    for limit in
        [&mut transport.connect_timeout, &mut transport.helo_timeout, &mut transport.starttls_timeout]
    {
        *limit = (*limit).min(longest);
    }
    let surveyor = Surveyor::new(config.dns.clone(), &transport, config.queue.families)
        .map_err(|error| error.to_string())?;
    let mut reports = Vec::with_capacity(targets.len());
    for target in targets {
        let seen = surveyor.look(target, arguments.port, now).await.map_err(|error| error.to_string())?;
        reports.push(Report::new(seen, arguments.days));
    }
    Ok(reports)
}

fn now() -> UnixTime {
    let micros = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
    UnixTime::from_micros(u64::try_from(micros).unwrap_or_default())
}

fn told(arguments: &Arguments, reports: &[Report], terminal: &mut Terminal) -> Status {
    for report in reports {
        if arguments.json {
            terminal.json(&report.to_json());
        } else {
            narrate::tell(report, terminal);
        }
    }
    if let Some(path) = &arguments.metrics
        && let Err(error) = replace(path, &metrics(reports))
    {
        complain(format_args!("{}: {error}", path.display()));
        return Status::TryAgain;
    }
    let blind = |report: &Report| report.findings.iter().any(|finding| finding.fault == Fault::ResolverBlind);
    if reports.iter().any(blind) {
        Status::TryAgain
    } else if reports.iter().all(Report::is_healthy) {
        Status::Done
    } else {
        Status::No
    }
}

/// Whole under another name first: the collector must never read half of it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_domains_or_hosts() {
        for (text, expected) in [
            ("example.com", "example.com"),
            ("mx.example.com:2525", "[mx.example.com]:2525"),
            ("[mx.example.com]", "[mx.example.com]"),
            ("[192.0.2.1]:25", "[192.0.2.1]:25"),
        ] {
            assert_eq!(target(text).unwrap().as_str(), expected);
        }
        assert!(target("").is_err() && target("a b").is_err());
    }
}
