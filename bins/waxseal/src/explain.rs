//! `waxseal explain`: the delivery plan itself, stopped where MAIL would be sent; or the story of a message (`story`).

use std::{cell::RefCell, sync::Arc, time::SystemTime};

use bytes::Bytes;
use serde_json::{Value, json};
use waxseal_config::Config;
use waxseal_dns::{DnssecHealth, Resolver};
use waxseal_policy::{Route, RouteKind, RouteLookup, Step, Tables};
use waxseal_queue::{Account, Answer, Ask, Destination, Direct, Order, Plan, Services, drive};
use waxseal_transport::{Connector, OpenRequest, Session, TlsUse};
use waxseal_trust::Store;
use waxseal_types::{Mailbox, NextHop, Service, UnixTime};

use crate::{
    conclude, health,
    narrate::{self, row},
    settings::ConfigFiles,
    story, submit,
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
    /// somebody@example.com; a next hop: example.com, [mx.example.com]:587, ...; or a queue id
    #[arg(value_name = "ADDRESS|NEXTHOP|QUEUE_ID")]
    target: String,
}

/// Where it goes, before anybody is asked.
struct Way {
    recipient: Mailbox,
    service: Service,
    nexthop: NextHop,
    alternatives: Vec<NextHop>,
    /// The entry of a transport table that says so.
    origin: Option<String>,
}

/// What is known without asking anybody.
enum Outset {
    /// Mail is on its way.
    Goes(Way),
    /// It is not, for this reason.
    Ends(String),
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
    let way = match outset(&config, &arguments.target) {
        Err(error) => {
            complain(format_args!("{}: {error}", Printable(&arguments.target)));
            return Status::Usage;
        }
        Ok(Outset::Ends(reason)) => {
            if arguments.json {
                terminal.json(&json!({ "route": null, "reason": reason }));
            } else {
                row(terminal, "route", &[reason]);
            }
            return Status::No;
        }
        Ok(Outset::Goes(way)) => way,
    };
    let rehearsed = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(rehearse(&config, &way, arguments.no_connect)));
    match rehearsed {
        Ok(rehearsed) => told(arguments, (&way, config.hostname.as_str()), &rehearsed, terminal),
        Err(error) => {
            complain(error);
            Status::Configuration
        }
    }
}

fn outset(config: &Config, target: &str) -> Result<Outset, Box<dyn std::error::Error>> {
    if !target.contains('@') {
        let nexthop: NextHop = target.parse()?;
        let recipient = Mailbox::new("postmaster")?;
        return Ok(Outset::Goes(Way {
            recipient,
            service: Service::SMTP,
            nexthop,
            alternatives: Vec::new(),
            origin: None,
        }));
    }
    let recipient = Mailbox::new(target)?;
    let mut lookup = RouteLookup::new(&config.policy, &recipient);
    let found = loop {
        let answer = match lookup.step() {
            Step::Done(result) => break result,
            Step::NeedKey { table, key } => config.tables.lookup(table, key),
        };
        lookup.answer(answer);
    };
    Ok(match found {
        Err(error) => Outset::Ends(format!("waits with {}: {error}", error.status())),
        Ok(Route { kind, origin }) => {
            let from = origin.as_ref().map(|origin| format!("{origin}, key {:?}", &*origin.key));
            let by = || from.as_ref().map(|from| format!(" (from {from})")).unwrap_or_default();
            match kind {
                RouteKind::Deliver { service, nexthop, alternatives } => {
                    Outset::Goes(Way { recipient, service, nexthop, alternatives, origin: from })
                }
                RouteKind::Error(status, text) => {
                    Outset::Ends(format!("bounces with {status} {text}{}", by()))
                }
                RouteKind::Retry(status, text) => Outset::Ends(format!("waits with {status} {text}{}", by())),
                RouteKind::Discard(text) => Outset::Ends(format!("is thrown away{}: {text}", by())),
            }
        }
    })
}

/// Services that call nobody when told so, and keep whom they would have called.
struct Rehearsal {
    services: Direct,
    no_connect: bool,
    calls: RefCell<Vec<String>>,
}

impl Services for Rehearsal {
    async fn answer(&self, ask: Ask, session: &mut Option<Session>) -> Answer {
        if let (true, Ask::Open(request)) = (self.no_connect, &ask) {
            self.calls.borrow_mut().push(call(request));
            return Answer::Unavailable("transport");
        }
        self.services.answer(ask, session).await
    }
}

fn call(request: &OpenRequest) -> String {
    let host = request.host.as_ref().map_or("", |host| host.as_str());
    let tls = match &request.tls {
        TlsUse::Never => "in clear",
        TlsUse::IfOffered(_) => "TLS where it is offered",
        TlsUse::Required(_) => "TLS demanded",
        TlsUse::Implicit(_) => "TLS from the first octet",
    };
    format!("would be to {host}{}, {tls}", request.endpoint)
}

fn now() -> UnixTime {
    let micros = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
    UnixTime::from_micros(u64::try_from(micros).unwrap_or_default())
}

/// What the plan did.
struct Rehearsed {
    account: Account,
    /// Calls that were not made.
    calls: Vec<String>,
    /// What the resolver can do, where the plan asked it anything.
    dnssec: Option<DnssecHealth>,
}

async fn rehearse(config: &Config, way: &Way, no_connect: bool) -> Result<Rehearsed, String> {
    let services = Direct {
        resolver: Resolver::new(config.dns.clone()).map_err(|error| error.to_string())?,
        policy: Arc::clone(&config.policy),
        tables: Arc::clone(&config.tables) as Arc<dyn Tables>,
        store: Arc::new(Store::open(config.trust.clone()).map_err(|error| error.to_string())?.0),
        connector: Connector::new(config.transport.clone()).map_err(|error| error.to_string())?,
    };
    let order = Order {
        destination: Destination { service: way.service.clone(), nexthop: way.nexthop.clone() },
        alternatives: way.alternatives.clone(),
        envelope: Arc::new(submit::envelope(None, std::slice::from_ref(&way.recipient), b"", now())),
        recipients: vec![0],
        body: Bytes::new(),
        attempt: 1,
        seed: now().as_micros(),
        rehearsal: true,
    };
    let plan = Plan::new(Arc::new(config.queue.clone()), order, now());
    let rehearsal = Rehearsal { services, no_connect, calls: RefCell::default() };
    let (account, _) = drive(plan, &rehearsal, now).await;
    let was_asked = rehearsal.services.resolver.statistics().misses > 0;
    let dnssec = if was_asked { health::probe(&config.dns).await } else { None };
    Ok(Rehearsed { account: *account, calls: rehearsal.calls.into_inner(), dnssec })
}

/// A rehearsal that came to the point where mail would be sent settles nobody.
fn told(
    arguments: &Arguments,
    about: (&Way, &str),
    rehearsed: &Rehearsed,
    terminal: &mut Terminal,
) -> Status {
    let (way, hostname) = about;
    let Rehearsed { account, calls, dnssec } = rehearsed;
    let good = !calls.is_empty() || account.results.is_empty();
    if arguments.json {
        let mut value = narrate::to_json(account);
        if !calls.is_empty() {
            // What was not tried did not fail.
            value["results"] = Value::Array(Vec::new());
            value["connections"] = Value::Array(Vec::new());
        }
        value["route"] = json!({ "nexthop": way.nexthop.as_str(), "protocol": way.service.protocol().as_str(), "service": way.service.as_str(), "source": way.origin });
        value["calls"] = json!(calls);
        value["dnssec"] = json!(dnssec.as_ref().map(DnssecHealth::as_str));
        value["ok"] = json!(good);
        value["conclusion"] = conclude::live_to_json(account, calls.is_empty(), hostname);
        terminal.json(&value);
        return if good { Status::Done } else { Status::No };
    }
    let source = way.origin.as_ref().map(|origin| format!(", from {origin}")).unwrap_or_default();
    row(terminal, "route", &[format!("{} to {}{source}", way.service, way.nexthop)]);
    if let Some(blind) = dnssec.as_ref().filter(|health| health.is_blind()) {
        row(terminal, "dnssec", &[blind.to_string()]);
    }
    if calls.is_empty() {
        narrate::tell(account, terminal);
        if good {
            row(terminal, "mail", &["would be sent over this connection".to_owned()]);
        }
        conclude::tell_live(account, hostname, terminal);
    } else {
        narrate::tell_until_connection(account, terminal);
        calls.iter().for_each(|call| row(terminal, "connection", std::slice::from_ref(call)));
        conclude::tell_stakes(account, terminal);
    }
    if good { Status::Done } else { Status::No }
}
