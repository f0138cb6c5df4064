//! `waxseal doctor`: is this machine fit to send mail, and what to do where it is not.
//!
//! `check` says whether the configuration is right; this command looks at what the configuration rests on. Each finding is a pure function of what was
//! seen, so that tests can show it things that no test machine has.

mod certificates;
mod clock;
mod disk;
mod outbound;
mod ports;
mod resolver;

use serde_json::{Value, json};
use waxseal_config::{Config, Gravity, Problem};

use crate::{
    health,
    settings::ConfigFiles,
    terminal::{Printable, Status, Terminal, count},
};

/// Looks at everything that sending mail rests on, and says what is wrong and what to do about it.
///
/// Configuration; resolver and DNSSEC; the clock; space and speed of the spool's disk, by writing a small file there; the addresses to listen on; certificates that
/// expire; and whether port 25 of other hosts can be reached, by greeting one server and leaving. It can be run beside a running queue-manager.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 when nothing is wrong, 1 when something is; warnings do not count.\n\nExample:\n  \
                  waxseal doctor --config /etc/waxseal/waxseal.toml\n  waxseal doctor --json | jq '.findings[] | select(.state != \"good\")'"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    config: ConfigFiles,
    /// Asks and calls nobody: no DNS, no connection to other hosts.
    #[arg(long)]
    offline: bool,
    /// The domain whose mail server is greeted, to see whether the way out is open. Default: the relay host, where there is one.
    #[arg(long, value_name = "DOMAIN", default_value = "gmail.com")]
    outbound: String,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// As it should be.
    Good,
    /// Mail goes, but somebody should look after it.
    Warning,
    /// Mail does not go, or is not safe.
    Bad,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What was looked at, in a word.
    area: &'static str,
    state: State,
    /// What was seen.
    what: String,
    /// What to do; empty where there is nothing to do.
    remedy: String,
}

impl Finding {
    pub(crate) fn good(area: &'static str, what: impl Into<String>) -> Self {
        Self { area, state: State::Good, what: what.into(), remedy: String::new() }
    }

    pub(crate) fn warning(area: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { area, state: State::Warning, what: what.into(), remedy: remedy.into() }
    }

    pub(crate) fn bad(area: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { area, state: State::Bad, what: what.into(), remedy: remedy.into() }
    }
}

pub(crate) fn run(arguments: &Arguments, terminal: &mut Terminal) -> Status {
    let (config, problems) = arguments.config.check();
    let mut found = configuration(config.is_some(), &problems);
    if let Some(config) = &config {
        examine(config, arguments, &mut found);
    }
    let fit = found.iter().all(|finding| finding.state < State::Bad);
    if arguments.json {
        terminal.json(&to_json(fit, &found));
    } else {
        tell(&found, terminal);
    }
    if fit { Status::Done } else { Status::No }
}

fn examine(config: &Config, arguments: &Arguments, found: &mut Vec<Finding>) {
    let health = (!arguments.offline).then(|| health::ask(&config.dns)).flatten();
    if let Some(health) = &health {
        found.push(resolver::judge(health, resolver::wants_dane(config)));
    }
    found.extend(clock::examine(&config.spool.path, health.as_ref()));
    found.extend(disk::examine(&config.spool, config.intake.protocol.message_size_limit));
    found.extend(ports::examine(config));
    found.extend(certificates::examine(&config.trust, clock::now()));
    found.extend(certificates::refused(&config.spool.path));
    if !arguments.offline {
        found.push(outbound::examine(config, &arguments.outbound));
    }
}

/// One finding for each problem, and one where there is none.
fn configuration(starts: bool, problems: &[Problem]) -> Vec<Finding> {
    let mut found = Vec::new();
    for problem in problems {
        let (what, remedy) = (problem.to_string(), "`waxseal check` tells more");
        match problem.gravity {
            Gravity::Error => found.push(Finding::bad("configuration", what, remedy)),
            Gravity::Warning => found.push(Finding::warning("configuration", what, remedy)),
            Gravity::Notice => {}
        }
    }
    if found.is_empty() && starts {
        found.push(Finding::good("configuration", "queue-manager starts with it"));
    }
    found
}

fn tell(found: &[Finding], terminal: &mut Terminal) {
    for finding in found {
        let mark = match finding.state {
            State::Good => "ok",
            State::Warning => "warning",
            State::Bad => "BAD",
        };
        terminal.line(format_args!("{:<8} {:<14} {}", mark, finding.area, Printable(&finding.what)));
        if !finding.remedy.is_empty() {
            terminal.line(format_args!("{:<23} to do: {}", "", Printable(&finding.remedy)));
        }
    }
    let number = |state| found.iter().filter(|finding| finding.state == state).count();
    terminal.line(match (number(State::Bad), number(State::Warning)) {
        (0, 0) => "\nAll is well.".to_owned(),
        (0, warnings) => format!("\nFit to send mail, with {}.", count(warnings, "warning")),
        (bad, _) => format!("\nNot well: {} to be mended.", count(bad, "thing")),
    });
}

fn to_json(fit: bool, found: &[Finding]) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "area": finding.area,
            "state": finding.state.as_str(),
            "what": finding.what,
            "remedy": finding.remedy,
        })
    };
    json!({ "ok": fit, "findings": found.iter().map(finding).collect::<Vec<_>>() })
}
