//! `waxseal check`: everything that queue-manager would load, loaded; nothing is started.

use serde_json::{Value, json};
use waxseal_config::{Config, Place, Problem};
use waxseal_dns::{DnssecMode, Resolver};
use waxseal_transport::Connector;
use waxseal_trust::Store;

use crate::{
    findings,
    settings::ConfigFiles,
    terminal::{Printable, Status, Terminal, count},
};

/// Loads everything that queue-manager would load, and tells what is wrong with it.
///
/// Files, tables, certificates and trust stores are read; entries of policy and transport tables are checked one by one.
/// No address is listened on and no spool is opened, so it can be run beside a running queue-manager.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 when all is well, 78 when something is wrong.\n\nExample:\n  \
                  waxseal check --config /etc/postfix/main.cf --config /etc/waxseal/waxseal.toml")]
pub(crate) struct Arguments {
    #[command(flatten)]
    config: ConfigFiles,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Default)]
struct Findings {
    /// With these, queue-manager does not start.
    problems: Vec<Problem>,
    /// With these it starts, but mail for some destinations waits.
    entries: Vec<Problem>,
    warnings: Vec<String>,
    /// What the entries of policy tables give away, or mean less than in Postfix.
    tables: Vec<waxseal_policy::findings::Finding>,
}

pub(crate) fn run(arguments: &Arguments, terminal: &mut Terminal) -> Status {
    let mut findings = Findings::default();
    let config = match arguments.config.load() {
        Ok(config) => {
            findings.inspect(&config);
            Some(config)
        }
        Err(problems) => {
            findings.problems = problems.0;
            None
        }
    };
    if arguments.json {
        terminal.json(&findings.to_json());
    } else {
        findings.tell(&arguments.config, config.as_ref(), terminal);
    }
    if findings.problems.is_empty() && findings.entries.is_empty() {
        Status::Done
    } else {
        Status::Configuration
    }
}

impl Findings {
    /// What lies behind the configuration: resolver, trust stores, connector, the tables' entries.
    fn inspect(&mut self, config: &Config) {
        self.warnings.extend_from_slice(&config.warnings);
        match Resolver::new(config.dns.clone()) {
            Ok(resolver) => self.warnings.extend(resolver.notices()),
            Err(error) => self.problem("dns", &error),
        }
        match Store::open(config.trust.clone()) {
            Ok((_, notices)) => self.warnings.extend(notices.iter().map(ToString::to_string)),
            Err(error) => self.problem("tls", &error),
        }
        if let Err(error) = Connector::new(config.transport.clone()) {
            self.problem("transport", &error);
        }
        let path = &config.spool.path;
        if path.exists() && !path.is_dir() {
            let what = format!("{} is no folder", path.display());
            self.problems.push(Problem::new(
                Place::Default,
                "spool.path",
                what,
                "name a folder, or a path where one can be made",
            ));
        }
        self.entries = config.check_entries();
        self.tables = findings::of_config(config);
    }

    fn problem(&mut self, section: &str, error: &dyn std::error::Error) {
        self.problems.push(Problem::new(Place::Default, section, error.to_string(), ""));
    }

    fn tell(&self, files: &ConfigFiles, config: Option<&Config>, terminal: &mut Terminal) {
        terminal.line(format_args!("configuration  {}", files.names()));
        if let Some(config) = config {
            tell_summary(config, terminal);
        }
        let mut list = |title: String, lines: &[String]| {
            if !lines.is_empty() {
                terminal.line(format_args!("\n{title}:"));
                lines.iter().for_each(|line| terminal.line(format_args!("  {}", Printable(line))));
            }
        };
        let texts = |problems: &[Problem]| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        let tables: Vec<String> = self.tables.iter().map(ToString::to_string).collect();
        list(count(self.warnings.len(), "warning"), &self.warnings);
        list(format!("{} about TLS policies", count(tables.len(), "remark")), &tables);
        list(
            format!("{}, with which queue-manager does not start", count(self.problems.len(), "problem")),
            &texts(&self.problems),
        );
        list(
            format!(
                "{} of tables that cannot be used; mail that needs them would wait",
                count_entries(self.entries.len())
            ),
            &texts(&self.entries),
        );
        if self.problems.is_empty() && self.entries.is_empty() {
            terminal.line("\nAll is well: queue-manager would start with this.");
        }
    }

    fn to_json(&self) -> Value {
        let list = |problems: &[Problem]| problems.iter().map(problem_to_json).collect::<Vec<_>>();
        json!({
            "ok": self.problems.is_empty() && self.entries.is_empty(),
            "problems": list(&self.problems),
            "entries": list(&self.entries),
            "warnings": self.warnings,
            "findings": self.tables.iter().map(findings::to_json).collect::<Vec<_>>(),
        })
    }
}

fn count_entries(number: usize) -> String {
    if number == 1 { "1 entry".to_owned() } else { format!("{number} entries") }
}

fn problem_to_json(problem: &Problem) -> Value {
    let (file, line, variable) = match &problem.place {
        Place::Default => (None, None, None),
        Place::File { file, line } => (Some(file), (*line > 0).then_some(line), None),
        Place::Environment(name) => (None, None, Some(name)),
    };
    json!({
        "file": file.map(AsRef::<str>::as_ref),
        "line": line,
        "variable": variable.map(AsRef::<str>::as_ref),
        "key": problem.key,
        "what": problem.what,
        "remedy": problem.remedy,
    })
}

fn tell_summary(config: &Config, terminal: &mut Terminal) {
    let joined = |list: Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let mut field = |name: &str, value: &str| terminal.line(format_args!("{name:<15}{}", Printable(value)));
    field("hostname", config.hostname.as_str());
    field("intake", &joined(config.intake.listen.iter().map(ToString::to_string).collect()));
    field("spool", &config.spool.path.display().to_string());
    let servers = match config.dns.servers.as_slice() {
        [] => "the system's resolvers".to_owned(),
        servers => joined(servers.iter().map(ToString::to_string).collect()),
    };
    let dnssec = match config.dns.dnssec {
        DnssecMode::Validate => "DNSSEC validated here",
        DnssecMode::TrustAd => "DNSSEC as the resolver says (AD bit)",
        DnssecMode::Off => "without DNSSEC",
    };
    field("dns", &format!("{servers}; {dnssec}"));
    let client = &config.policy.smtp;
    field("tls level", &format!("{} where no table has an entry", client.level));
    let tables = |names: &[waxseal_policy::TableName]| {
        let entries = |name: &waxseal_policy::TableName| {
            format!("{name} ({})", count_entries(config.tables.entries(name).len()))
        };
        joined(names.iter().map(entries).collect())
    };
    field("tls policies", &tables(&client.policy_maps));
    field("routes", &tables(&config.policy.transport_maps));
    if !config.policy.relayhost.is_empty() {
        field("relayhost", &joined(config.policy.relayhost.iter().map(ToString::to_string).collect()));
    }
}
