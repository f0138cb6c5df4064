//! `waxseal check`: everything that queue-manager would load, loaded; nothing is started.

mod behind;
mod parameters;
mod summary;

use serde_json::{Value, json};
use waxseal_config::{Config, Gravity, Place, Problem};
use waxseal_dns::DnssecHealth;

use crate::{
    health,
    settings::ConfigFiles,
    terminal::{Printable, Status, Terminal, count},
};

/// Loads everything that queue-manager would load, and tells what is wrong with it.
///
/// Files, tables, certificates and trust stores are read, with every line and every entry of policy and transport tables; all that is wrong or odd is told at
/// once, with its file, line and key, the gravest first. No address is listened on and no spool is opened, so it can be run beside a running
/// queue-manager. The resolver is asked whether DNSSEC works, for DANE depends on it; that it does not is a warning.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 when there is no error, 78 when there is one; warnings and notices do not count.\n\nExample:\n  \
                  waxseal check --config /etc/postfix/main.cf --config /etc/waxseal/waxseal.toml\n  \
                  waxseal check --parameters | grep smtp_tls"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    config: ConfigFiles,
    /// Prints what becomes of each parameter of main.cf instead; with --config FILE, also those that the file sets.
    #[arg(long)]
    parameters: bool,
    /// Does not ask the resolver.
    #[arg(long)]
    no_probe: bool,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// Something that is wrong or odd.
struct Found {
    problem: Problem,
    /// In a word, where it is about a policy.
    concern: Option<&'static str>,
}

impl From<Problem> for Found {
    fn from(problem: Problem) -> Self {
        Self { problem, concern: None }
    }
}

pub(crate) fn run(arguments: &Arguments, terminal: &mut Terminal) -> Status {
    if arguments.parameters {
        return parameters::run(&arguments.config, arguments.json, terminal);
    }
    let (config, problems) = arguments.config.check();
    let mut found: Vec<Found> = problems.into_iter().map(Found::from).collect();
    if let Some(config) = &config {
        behind::inspect(config, &mut found);
    }
    // The state of the network is no mistake of the configuration: it is told, and changes no exit status.
    let dnssec = config.as_ref().filter(|_| !arguments.no_probe).and_then(|config| health::ask(&config.dns));
    found.extend(dnssec.as_ref().and_then(health::problem).map(Found::from));
    // The gravest first, and otherwise as they stand in the files.
    found.sort_by_key(|found| found.problem.gravity);
    if arguments.json {
        terminal.json(&to_json(config.is_some(), dnssec.as_ref(), &found));
    } else {
        let summary = config.as_ref().map(|config| (config, dnssec.as_ref()));
        tell(&arguments.config, summary, &found, terminal);
    }
    if number(&found, Gravity::Error) == 0 { Status::Done } else { Status::Configuration }
}

fn number(found: &[Found], gravity: Gravity) -> usize {
    found.iter().filter(|found| found.problem.gravity == gravity).count()
}

type Summary<'a> = Option<(&'a Config, Option<&'a DnssecHealth>)>;

fn tell(files: &ConfigFiles, summary: Summary<'_>, found: &[Found], terminal: &mut Terminal) {
    terminal.line(format_args!("configuration  {}", files.names()));
    if let Some((config, dnssec)) = summary {
        summary::tell(config, terminal);
        if let Some(health) = dnssec {
            terminal.line(format_args!("{:<15}{}", "dnssec", Printable(&health.to_string())));
        }
    }
    for gravity in [Gravity::Error, Gravity::Warning, Gravity::Notice] {
        let of_it: Vec<&Problem> =
            found.iter().map(|found| &found.problem).filter(|problem| problem.gravity == gravity).collect();
        if !of_it.is_empty() {
            terminal.line(format_args!("\n{}:", count(of_it.len(), gravity.as_str())));
            for problem in of_it {
                terminal.line(format_args!("  {}", Printable(&problem.to_string())));
            }
        }
    }
    terminal.line(match (summary, number(found, Gravity::Error)) {
        (Some(_), 0) if found.is_empty() => "\nAll is well: queue-manager would start with this.",
        (Some(_), 0) => "\nqueue-manager would start with this.",
        (Some(_), _) => "\nqueue-manager would start with this, but mail that comes to an error would wait.",
        (None, _) => "\nqueue-manager does not start with this.",
    });
}

fn to_json(starts: bool, dnssec: Option<&DnssecHealth>, found: &[Found]) -> Value {
    json!({
        "ok": number(found, Gravity::Error) == 0,
        "starts": starts,
        "dnssec": dnssec.map(DnssecHealth::as_str),
        "problems": found.iter().map(problem_to_json).collect::<Vec<_>>(),
    })
}

fn problem_to_json(Found { problem, concern }: &Found) -> Value {
    let (file, line, variable) = match &problem.place {
        Place::Default => (None, None, None),
        Place::File { file, line } => (Some(file), (*line > 0).then_some(line), None),
        Place::Environment(name) => (None, None, Some(name)),
    };
    json!({
        "severity": problem.gravity.as_str(),
        "concern": concern,
        "file": file.map(AsRef::<str>::as_ref),
        "line": line,
        "variable": variable.map(AsRef::<str>::as_ref),
        "key": problem.key,
        "what": problem.what,
        "remedy": problem.remedy,
    })
}
