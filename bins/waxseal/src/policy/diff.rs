//! `waxseal policy diff`: what a change of configuration or tables would change for which destination.

use std::{
    collections::BTreeMap,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use waxseal_config::Config;
use waxseal_policy::{Comparison, Direction, Origin, PolicyError, TableName, TlsPolicy, compare, findings};
use waxseal_types::{NextHop, Protocol, Service};

use crate::{
    lookup::{self, Lookups},
    queue,
    settings::ConfigFiles,
    terminal::{Printable, Status, Terminal, complain, count},
};

/// Longest list of destinations.
const LIST_LIMIT: u64 = 64 * 1024 * 1024;

/// Compares two configurations, or two policy tables, and tells for which destinations something would change.
///
/// A FILE named *.toml or *.cf is a configuration; any other one is a policy table, a text file or type:name, which takes the place of
/// the configured ones. With no list of destinations all keys of both sides are tried, and the default; what cannot be listed is said.
/// Policies of next hops are compared: whether mail takes another route is not.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0, or 1 where anything gets weaker.\n\nExample:\n  \
                        waxseal policy diff --old /etc/postfix/main.cf --new main.cf.new.cf\n  \
                        waxseal policy diff --base /etc/waxseal/waxseal.toml --old /etc/waxseal/tls_policy --new tls_policy.new --from-queue")]
pub(crate) struct Arguments {
    /// The files of the one side.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    old: Vec<PathBuf>,
    /// The files of the other side.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    new: Vec<PathBuf>,
    /// Configuration files of both sides, below their own.
    #[arg(long, value_name = "FILE")]
    base: Vec<PathBuf>,
    /// Next hops to compare, one a line; - is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "from_queue")]
    domains: Option<PathBuf>,
    /// Compares the destinations of what waits in the queue now.
    #[arg(long)]
    from_queue: bool,
    /// The spool folder for --from-queue; by default that of the new configuration.
    #[arg(long, value_name = "DIR", requires = "from_queue")]
    spool: Option<PathBuf>,
    /// Compares the parameters of LMTP instead of those of SMTP.
    #[arg(long)]
    lmtp: bool,
    /// Compares those of this transport alone; by default all services of master.cf that speak the protocol are compared.
    #[arg(long, value_name = "NAME", conflicts_with = "lmtp")]
    transport: Option<String>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// Why there is nothing to compare.
struct Fault(Status, String);

pub(crate) fn run(arguments: &Arguments, terminal: &mut Terminal) -> Status {
    match report(arguments) {
        Ok(report) => {
            if arguments.json {
                terminal.json(&report.to_json());
            } else {
                report.tell(terminal);
            }
            if report.count(Direction::Weaker) > 0 { Status::No } else { Status::Done }
        }
        Err(Fault(status, text)) => {
            complain(text);
            status
        }
    }
}

fn report(arguments: &Arguments) -> Result<Report, Fault> {
    let (old, new) = (load(&arguments.base, &arguments.old)?, load(&arguments.base, &arguments.new)?);
    let protocol = if arguments.lmtp { Protocol::Lmtp } else { Protocol::Smtp };
    let mut report = Report::default();
    let given = match (&arguments.domains, arguments.from_queue) {
        (Some(file), _) => Some(listed(file)?.into_iter().map(|hop| (hop, None)).collect()),
        (None, true) => Some(queued(arguments.spool.as_deref().unwrap_or(&new.spool.path))?),
        (None, false) => None,
    };
    let names = match &arguments.transport {
        Some(name) => vec![Some(name.clone())],
        None => transports([&old, &new], protocol),
    };
    for name in names {
        let service = |config| {
            let found = lookup::service(config, name.as_deref(), arguments.lmtp);
            // One that is not there has no policy: its mail waits.
            found.unwrap_or_else(|_| Service::named(protocol, name.as_deref().unwrap_or_default()))
        };
        let sides = [(&old, service(&old)), (&new, service(&new))];
        let hops = given.clone().unwrap_or_else(|| report.every(&sides));
        report.compare(&sides, name.as_deref(), hops)?;
        let routes = |(config, service): &(&Config, Service)| {
            let relays = config.policy.client(service).map(|client| client.fallback_relay.clone());
            (config.policy.relayhost.clone(), relays.unwrap_or_default())
        };
        report.routes_differ |= routes(&sides[0]) != routes(&sides[1]);
    }
    Ok(report)
}

fn lookups<'a>((config, service): &(&'a Config, Service)) -> Result<Lookups<'a>, Fault> {
    Lookups::new(config, service.clone()).map_err(|error| Fault(Status::TryAgain, error.to_string()))
}

/// The main service, and all with settings of their own on either side.
fn transports(sides: [&Config; 2], protocol: Protocol) -> Vec<Option<String>> {
    let services = sides.into_iter().flat_map(|config| config.policy.services.keys());
    let names = services.filter(|service| service.protocol() == protocol).map(|service| service.name());
    let names: std::collections::BTreeSet<Option<&str>> = names.chain([None]).collect();
    names.into_iter().map(|name| name.map(str::to_owned)).collect()
}

/// Configuration files as they are; other files take the place of the policy tables.
fn load(base: &[PathBuf], files: &[PathBuf]) -> Result<Config, Fault> {
    let is_config =
        |file: &&PathBuf| matches!(file.extension().and_then(|e| e.to_str()), Some("toml" | "cf"));
    let configs = base.iter().chain(files.iter().filter(is_config)).cloned().collect();
    let mut names = Vec::new();
    for file in files.iter().filter(|file| !is_config(file)) {
        names.push(table_name(file).map_err(|text| Fault(Status::Usage, text))?);
    }
    let files = ConfigFiles { files: configs };
    let names = (!names.is_empty()).then(|| names.join(","));
    let tables = ["TLS", "LMTP_TLS"].map(|section| format!("WAXSEAL_{section}__POLICY_MAPS"));
    let over = names.iter().flat_map(|names| tables.iter().map(|key| (key.clone(), names.clone())));
    files.load_with(over.collect()).map_err(|problems| Fault(Status::Configuration, problems.to_string()))
}

/// A text file is a table of the simplest kind.
fn table_name(file: &Path) -> Result<String, String> {
    let text = file.to_str().ok_or_else(|| format!("{} is not UTF-8", file.display()))?;
    let named = text.split_once(':').is_some_and(|(kind, _)| !kind.contains(['/', '.']));
    let name = if named {
        text.to_owned()
    } else {
        let path = std::path::absolute(file).map_err(|error| format!("{}: {error}", file.display()))?;
        if !path.is_file() {
            return Err(format!("{} is no file", file.display()));
        }
        format!("texthash:{}", path.display())
    };
    // It becomes a word of a list.
    if name.contains(',') {
        Err(format!("a comma in {name:?}: name the table in a configuration file"))
    } else {
        Ok(name)
    }
}

/// The next hops in a file, once each.
fn listed(file: &Path) -> Result<Vec<NextHop>, Fault> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin().take(LIST_LIMIT).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(LIST_LIMIT).read_to_string(&mut text))
    };
    read.map_err(|error| Fault(Status::TryAgain, format!("{}: {error}", file.display())))?;
    let mut hops = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let word = line.trim();
        if word.is_empty() || word.starts_with('#') {
            continue;
        }
        let hop: NextHop = word
            .parse()
            .map_err(|error| Fault(Status::Usage, format!("{}:{}: {error}", file.display(), number + 1)))?;
        hops.push(hop);
    }
    hops.sort_unstable();
    hops.dedup();
    Ok(hops)
}

type Hops = Vec<(NextHop, Option<String>)>;

fn queued(spool: &Path) -> Result<Hops, Fault> {
    let names = queue::destinations(spool).map_err(|error| Fault(Status::TryAgain, error))?;
    Ok(names.iter().filter_map(|name| Some((name.parse().ok()?, None))).collect())
}

/// One destination.
struct Line {
    hop: NextHop,
    /// The service, where it is not the main one.
    transport: Option<String>,
    /// The key that it is an example of.
    stands_for: Option<String>,
    sources: (String, String),
    comparison: Comparison,
}

#[derive(Default)]
struct Report {
    lines: Vec<Line>,
    /// Entries and tables of which no destination could be made.
    not_compared: Vec<String>,
    routes_differ: bool,
}

/// Types of tables whose entries can be listed.
const LISTED: [&str; 11] =
    ["texthash", "hash", "btree", "lmdb", "cdb", "inline", "static", "regexp", "pcre", "cidr", "fail"];

impl Report {
    fn compare(
        &mut self,
        sides: &[(&Config, Service); 2],
        name: Option<&str>,
        hops: Hops,
    ) -> Result<(), Fault> {
        let (before, after) = (lookups(&sides[0])?, lookups(&sides[1])?);
        for (hop, stands_for) in hops {
            let (was, is) = (before.traced(&hop).0, after.traced(&hop).0);
            let source = |found: &Result<TlsPolicy, PolicyError>| match found {
                Ok(policy) => policy.source.to_string(),
                Err(error) => error.origin.as_ref().map_or_else(|| "a table".to_owned(), ToString::to_string),
            };
            let (sources, transport) = ((source(&was), source(&is)), name.map(str::to_owned));
            let comparison = compare(&was, &is);
            self.lines.push(Line { hop, transport, stands_for, sources, comparison });
        }
        Ok(())
    }

    /// An example for each key of both sides, the relays, and a destination that has no entry.
    fn every(&mut self, sides: &[(&Config, Service); 2]) -> Hops {
        let mut hops: BTreeMap<NextHop, Option<String>> = BTreeMap::new();
        for (config, service) in sides {
            let Ok(client) = config.policy.client(service) else { continue };
            for table in &client.policy_maps {
                self.note_if_hidden(table);
                let origins: Vec<Origin> =
                    config.tables.entries(table).into_iter().map(|(_, origin)| origin).collect();
                let examples = findings::examples(&origins);
                hops.extend(examples.hops);
                let note = |origin: &Origin| {
                    format!("{origin}: {} (no example can be made of the pattern)", origin.key)
                };
                self.not_compared.extend(examples.without.iter().map(note));
            }
            hops.extend(
                config.policy.relayhost.iter().chain(&client.fallback_relay).map(|hop| (hop.clone(), None)),
            );
        }
        if let Ok(nobody) = "any.example.invalid".parse() {
            hops.entry(nobody).or_insert_with(|| Some("destinations without entry".to_owned()));
        }
        self.not_compared.sort_unstable();
        self.not_compared.dedup();
        hops.into_iter().collect()
    }

    fn note_if_hidden(&mut self, table: &TableName) {
        let name = table.as_str();
        let kind = name.strip_prefix("proxy:").unwrap_or(name).split(':').next().unwrap_or_default();
        if !LISTED.contains(&kind) {
            self.not_compared.push(format!(
                "{table}: the entries of such a table cannot be listed; name destinations with --domains"
            ));
        } else if matches!(kind, "regexp" | "pcre") {
            self.not_compared.push(format!("{table}: rules whose result depends on the key are not listed"));
        }
    }

    fn count(&self, direction: Direction) -> usize {
        self.lines.iter().filter(|line| line.comparison.direction == direction).count()
    }

    fn changed(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| !line.comparison.changes.is_empty())
    }

    fn tell(&self, terminal: &mut Terminal) {
        for line in self.changed() {
            let key = line.stands_for.as_ref().map(|key| format!(" (for {key})")).unwrap_or_default();
            let by = line.transport.as_ref().map(|name| format!(" by {name}")).unwrap_or_default();
            let title = format!("{}{by}{key}: {}", line.hop, line.comparison.direction.as_str());
            terminal.line(Printable(&title));
            for change in &line.comparison.changes {
                let text = format!("{} -> {} ({})", change.old, change.new, change.direction.as_str());
                terminal.line(format_args!("  {:<14}{}", change.aspect.as_str(), Printable(&text)));
            }
            let from = format!("{} -> {}", line.sources.0, line.sources.1);
            terminal.line(format_args!("  {:<14}{}", "from", Printable(&from)));
        }
        terminal.line(format_args!(
            "{} compared: {} weaker, {} different, {} stronger, {} the same.",
            count(self.lines.len(), "destination"),
            self.count(Direction::Weaker),
            self.count(Direction::Different),
            self.count(Direction::Stronger),
            self.count(Direction::Same)
        ));
        if self.routes_differ {
            terminal.line("relayhost or fallback_relay differ: mail may go to other next hops, which this does not compare.");
        }
        if !self.not_compared.is_empty() {
            terminal.line("Not compared:");
            self.not_compared.iter().for_each(|text| terminal.line(format_args!("  {}", Printable(text))));
        }
    }

    fn to_json(&self) -> Value {
        let line = |line: &Line| {
            let changes: Vec<Value> = line
                .comparison
                .changes
                .iter()
                .map(|change| {
                    json!({
                        "aspect": change.aspect.as_str(),
                        "old": change.old,
                        "new": change.new,
                        "direction": change.direction.as_str(),
                    })
                })
                .collect();
            json!({
                "nexthop": line.hop.as_str(),
                "transport": line.transport,
                "stands_for": line.stands_for,
                "direction": line.comparison.direction.as_str(),
                "old_source": line.sources.0,
                "new_source": line.sources.1,
                "changes": changes,
            })
        };
        json!({
            "weaker": self.count(Direction::Weaker),
            "different": self.count(Direction::Different),
            "stronger": self.count(Direction::Stronger),
            "same": self.count(Direction::Same),
            "destinations": self.changed().map(line).collect::<Vec<_>>(),
            "not_compared": self.not_compared,
            "routes_differ": self.routes_differ,
        })
    }
}
