//! `waxseal explain`: the delivery plan itself, stopped where MAIL would be sent; or the story of a message (`story`).

mod running;

use std::{sync::Arc, time::SystemTime};

use serde_json::json;
use waxseal_config::Config;
use waxseal_dns::{DnssecHealth, Resolver};
use waxseal_policy::Tables;
use waxseal_queue::{Destination, Direct, Outset, Rehearsed, Way, rehearse};
use waxseal_transport::Connector;
use waxseal_trust::Store;
use waxseal_types::UnixTime;

use crate::{
    conclude, health,
    narrate::{self, row},
    settings::ConfigFiles,
    story,
    terminal::{Printable, Status, Terminal, complain},
};

/// Tells how mail for an address or a next hop would go, by the same plan that delivers it; or what became of a message, and why.
///
/// For an address or next hop, routes, policies and DNS are looked up, and the mail host is called, up to the point where the message would be sent.
/// For a queue id, the ledger and the queue are read.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 when mail could be sent, 1 when it would wait or bounce.\n\nExample:\n  \
                  waxseal explain --config /etc/postfix/main.cf somebody@example.com\n  waxseal explain 3kBzR8sqWl"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    config: ConfigFiles,
    /// Calls nobody: stops before the first connection.
    #[arg(long)]
    no_connect: bool,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    /// somebody@example.com; a next hop: example.com, [mx.example.com]:587, also with its transport: relay:example.com; or a queue id
    #[arg(value_name = "ADDRESS|NEXTHOP|QUEUE_ID")]
    target: String,
}

pub(crate) fn run(arguments: &Arguments, terminal: &mut Terminal) -> Status {
    let config = match arguments.config.load() {
        Ok(config) => config,
        Err(problems) => {
            complain(problems);
            return Status::Configuration;
        }
    };
    if let Some(id) = story::message(&arguments.target) {
        return story::tell(&config, id, arguments.json, terminal);
    }
    let asked = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Trouble::Ours(error.to_string()))
        .and_then(|runtime| runtime.block_on(ask(&config, arguments)));
    match asked {
        Ok(Asked::Ends(reason)) => {
            if arguments.json {
                terminal.json(&json!({ "route": null, "reason": reason }));
            } else {
                row(terminal, "route", &[reason]);
            }
            Status::No
        }
        Ok(Asked::Goes(way, found)) => told(arguments, (&way, config.hostname.as_str()), &found, terminal),
        Err(Trouble::Theirs(error)) => {
            complain(format_args!("{}: {error}", Printable(&arguments.target)));
            Status::Usage
        }
        Err(Trouble::Ours(error)) => {
            complain(error);
            Status::Configuration
        }
    }
}

/// What came of the question.
enum Asked {
    /// Mail goes nowhere, for this reason.
    Ends(String),
    /// It goes somewhere.
    Goes(Way, Box<Found>),
}

/// What was found out.
struct Found {
    /// What the plan did.
    rehearsed: Rehearsed,
    /// What the resolver can do, where the plan asked it anything.
    dnssec: Option<DnssecHealth>,
    /// What is otherwise in the queue-manager that runs.
    running: Option<String>,
}

/// Why there is no answer.
enum Trouble {
    /// The target is neither an address nor a next hop.
    Theirs(String),
    /// What is configured cannot be used.
    Ours(String),
}

async fn ask(config: &Config, arguments: &Arguments) -> Result<Asked, Trouble> {
    let services = services(config).map_err(Trouble::Ours)?;
    let way = match Outset::of(&services, &arguments.target).await.map_err(Trouble::Theirs)? {
        Outset::Ends(reason) => return Ok(Asked::Ends(reason)),
        Outset::Goes(way) => way,
    };
    let settings = Arc::new(config.queue.clone());
    let rehearsed = rehearse(&services, &settings, &way, !arguments.no_connect, now).await;
    let was_asked = services.resolver.statistics().misses > 0;
    let dnssec = if was_asked { health::probe(&config.dns).await } else { None };
    let running = running::other_policy(config, &services, &way).await;
    Ok(Asked::Goes(way, Box::new(Found { rehearsed, dnssec, running })))
}

fn services(config: &Config) -> Result<Direct, String> {
    Ok(Direct {
        resolver: Resolver::new(config.dns.clone()).map_err(|error| error.to_string())?,
        policy: Arc::clone(&config.policy),
        tables: Arc::clone(&config.tables) as Arc<dyn Tables>,
        store: Arc::new(Store::open(config.trust.clone()).map_err(|error| error.to_string())?.0),
        connector: Connector::new(config.transport.clone()).map_err(|error| error.to_string())?,
    })
}

fn now() -> UnixTime {
    let micros = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
    UnixTime::from_micros(u64::try_from(micros).unwrap_or_default())
}

fn told(arguments: &Arguments, about: (&Way, &str), found: &Found, terminal: &mut Terminal) -> Status {
    let (way, hostname) = about;
    let Found { rehearsed, dnssec, running } = found;
    let status = if rehearsed.is_good() { Status::Done } else { Status::No };
    if arguments.json {
        let mut value = rehearsed.to_json(way, hostname);
        value["dnssec"] = json!(dnssec.as_ref().map(DnssecHealth::as_str));
        if let Some(running) = running {
            value["running"] = json!(running);
        }
        terminal.json(&value);
        return status;
    }
    let source = way.origin.as_ref().map(|origin| format!(", from {origin}")).unwrap_or_default();
    let Destination { service, nexthop } = &way.destination;
    row(terminal, "route", &[format!("{service} to {nexthop}{source}")]);
    if let Some(running) = running {
        row(terminal, "running", std::slice::from_ref(running));
    }
    if let Some(blind) = dnssec.as_ref().filter(|health| health.is_blind()) {
        row(terminal, "dnssec", &[blind.to_string()]);
    }
    if rehearsed.calls.is_empty() {
        narrate::tell(&rehearsed.account, terminal);
        if rehearsed.is_good() {
            row(terminal, "mail", &["would be sent over this connection".to_owned()]);
        }
        conclude::tell_live(rehearsed, hostname, terminal);
    } else {
        narrate::tell_until_connection(&rehearsed.account, terminal);
        rehearsed.calls.iter().for_each(|call| row(terminal, "connection", std::slice::from_ref(call)));
        conclude::tell_stakes(&rehearsed.account, terminal);
    }
    status
}
