//! Where the mail of a recipient goes (transport(5), postconf(5) `transport_maps`, `default_transport`, `relay_transport` and `relayhost`).

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};

use waxseal_types::{Domain, EnhancedStatus, Mailbox, NextHop, Protocol, Service, Target};

use crate::{
    Origin, PolicyError, Settings, Step, TableAnswer, Tables, Transport,
    lookup::{Search, both_forms, parents},
    words::{COMMA_SPACE, words_at},
};

/// What happens to a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What to do.
    pub kind: RouteKind,
    /// The entry that says so; `None`: the recipient's domain, or `relayhost`.
    pub origin: Option<Origin>,
}

/// The kinds of transport that a route can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteKind {
    /// `smtp:`, `relay:`, `lmtp:`, and what else `master.cf` has of the kind.
    Deliver {
        /// What is spoken, and by whose settings.
        service: Service,
        /// To whom. It is also the key of the TLS policy.
        nexthop: NextHop,
        /// Tried in turn when the first one fails, each under its own policy.
        alternatives: Vec<NextHop>,
    },
    /// `error:`: the mail bounces with this text.
    Error(EnhancedStatus, String),
    /// `retry:`: it is deferred with this text.
    Retry(EnhancedStatus, String),
    /// `discard:`: it is thrown away; the text is for the log.
    Discard(String),
}

/// Finds the route of one recipient.
///
/// Keys, each asked of all tables before the next one: `user+ext@domain`, `user@domain`, `domain`, its parents with a leading dot,
/// `*`; a domain with U-labels also by its A-labels. Without an entry the mail goes by `default_transport`, or by `relay_transport` where `relay_domains`
/// have the domain, to `relayhost` or else to the recipient's domain. What an entry leaves empty: without transport, that of
/// mail without entry; with a transport, but without next hop, the recipient's domain.
#[derive(Debug)]
pub struct RouteLookup<'a> {
    settings: &'a Settings,
    recipient: Mailbox,
    /// Whether the domain is one of `relay_domains`; `None` while their tables are asked.
    relay: Option<bool>,
    relay_search: Search<'a>,
    search: Search<'a>,
    done: Option<Result<Route, PolicyError>>,
}

impl<'a> RouteLookup<'a> {
    /// The lookup for `recipient`.
    #[must_use]
    pub fn new(settings: &'a Settings, recipient: &Mailbox) -> Self {
        // Keys are a dozen small texts; without a table nobody asks for them.
        let asked = !settings.transport_maps.is_empty();
        let search =
            Search::new(&settings.transport_maps, if asked { keys(settings, recipient) } else { Vec::new() });
        let (relay, keys) = relay_class(settings, recipient);
        let relay_search = Search::new(&settings.relay_domains.tables, keys);
        let mut lookup =
            Self { settings, recipient: recipient.clone(), relay, relay_search, search, done: None };
        lookup.advance();
        lookup
    }

    /// What is needed next, or the result.
    pub fn step(&self) -> Step<'_, Route> {
        if let Some(result) = &self.done {
            return Step::Done(result.clone());
        }
        let search = if self.relay.is_none() { &self.relay_search } else { &self.search };
        match search.current() {
            Some((table, key)) => Step::NeedKey { table, key },
            None => Step::Done(self.default_route()),
        }
    }

    /// The answer to the last [`Step::NeedKey`].
    pub fn answer(&mut self, answer: TableAnswer) {
        let relay = self.relay.is_none();
        let search = if relay { &mut self.relay_search } else { &mut self.search };
        let Some((table, _)) = search.current() else { return };
        match answer {
            TableAnswer::Found { .. } if relay => self.relay = Some(true),
            TableAnswer::Found { value, origin } => {
                let route = from_entry(self.settings, &self.recipient, self.is_relay(), &value);
                self.done = Some(match route {
                    Ok(kind) => Ok(Route { kind, origin: Some(origin) }),
                    Err(reason) => Err(PolicyError::route(reason, Some(origin))),
                });
            }
            TableAnswer::TempFail(reason) => {
                let reason = format!("table {table} lookup error: {reason}");
                self.done = Some(Err(PolicyError::route(reason, None)));
            }
            TableAnswer::Absent => search.advance(),
        }
        self.advance();
    }

    /// To the next search, or to the end, where one has come to its end.
    fn advance(&mut self) {
        if self.relay.is_none() && self.relay_search.current().is_none() {
            self.relay = Some(false);
        }
        if self.done.is_none() && self.relay.is_some() && self.search.current().is_none() {
            self.done = Some(self.default_route());
        }
    }

    fn is_relay(&self) -> bool {
        self.relay == Some(true)
    }

    fn default_route(&self) -> Result<Route, PolicyError> {
        let kind = default_route(self.settings, &self.recipient, self.is_relay());
        kind.map(|kind| Route { kind, origin: None }).map_err(|reason| PolicyError::route(reason, None))
    }
}

/// Whether the recipient's domain is one of `relay_domains`, or which keys tell. Nobody has to know where both classes have the same transport.
fn relay_class(settings: &Settings, recipient: &Mailbox) -> (Option<bool>, Vec<String>) {
    let same = |text: &str| match text.split_once(':').unwrap_or((text, "")) {
        (name, hop) if hop.trim().is_empty() => settings.transports.get(name.trim()).cloned(),
        _ => None,
    };
    let (default, relay) = (&settings.default_transport, &settings.relay_transport);
    let indifferent =
        default == relay || same(default).is_some_and(|transport| same(relay) == Some(transport));
    let Some(text) = domain_of(settings, recipient).filter(|_| !indifferent) else {
        return (Some(false), Vec::new());
    };
    let Ok(domain) = Domain::new(&text) else { return (Some(false), Vec::new()) };
    if settings.relay_domains.names_cover(&domain) {
        return (Some(true), Vec::new());
    }
    // postconf(5), parent_domain_matches_subdomains: relay_domains are asked for parents without a dot.
    let mut keys = both_forms(&text, &domain);
    keys.extend(parents(&text, &domain).iter().map(|parent| parent.trim_start_matches('.').to_owned()));
    (None, keys)
}

/// Runs a lookup over `tables`.
///
/// # Errors
/// As [`RouteLookup`]: no usable route, so that mail has to wait.
pub async fn find_route(
    settings: &Settings,
    tables: &dyn Tables,
    recipient: &Mailbox,
) -> Result<Route, PolicyError> {
    let mut lookup = RouteLookup::new(settings, recipient);
    loop {
        let answer = match lookup.step() {
            Step::Done(result) => return result,
            Step::NeedKey { table, key } => tables.find(table, key).await,
        };
        lookup.answer(answer);
    }
}

/// The keys of a recipient, in order. Mail for a bare `postmaster` is ours, hence under our own name.
fn keys(settings: &Settings, recipient: &Mailbox) -> Vec<String> {
    let local = recipient.local_part();
    let mut keys = Vec::new();
    if let Some(text) = domain_of(settings, recipient) {
        let name = Domain::new(&text).ok();
        let forms = name.as_ref().map_or_else(|| alloc::vec![text.clone()], |name| both_forms(&text, name));
        keys.extend(forms.iter().map(|domain| format!("{local}@{domain}")));
        if let Some(user) = without_extension(local, &settings.recipient_delimiter) {
            keys.extend(forms.iter().map(|domain| format!("{user}@{domain}")));
        }
        keys.extend(forms);
        keys.extend(name.map(|name| parents(&text, &name)).unwrap_or_default());
    }
    keys.push("*".to_owned());
    keys
}

/// The recipient's domain in lower case, without a trailing dot.
fn domain_of(settings: &Settings, recipient: &Mailbox) -> Option<String> {
    match recipient.domain() {
        Some(domain) => Some(domain.trim_end_matches('.').to_lowercase()),
        None => settings.hostname.as_ref().map(|name| name.as_str().to_owned()),
    }
}

/// The local part without its extension, where it has one. Some local parts are never split, as in Postfix.
fn without_extension<'a>(local: &'a str, delimiters: &str) -> Option<&'a str> {
    let whole = ["postmaster", "mailer-daemon", "double-bounce"];
    if local.starts_with('"') || whole.iter().any(|name| name.eq_ignore_ascii_case(local)) {
        return None;
    }
    let at = local.find(|c| delimiters.contains(c))?;
    // `owner-list` and `list-request` are names of their own where `-` is a delimiter.
    let lower = local.to_ascii_lowercase();
    let list = local[at..].starts_with('-') && (lower.starts_with("owner-") || lower.ends_with("-request"));
    if at == 0 || list { None } else { Some(&local[..at]) }
}

/// The recipient's own domain as a next hop.
fn own_domain(settings: &Settings, recipient: &Mailbox) -> Result<NextHop, String> {
    let domain = domain_of(settings, recipient).ok_or("the recipient has no domain, and we have no name")?;
    domain.parse().map_err(|error| format!("the recipient's domain {domain:?} is no next hop: {error}"))
}

/// Without an entry: postconf(5), `default_transport` and `relay_transport`; a next hop in them comes before `relayhost`, and that before the domain.
fn default_route(settings: &Settings, recipient: &Mailbox, relay: bool) -> Result<RouteKind, String> {
    let (transport, nexthop) = default_transport(settings, relay);
    if !nexthop.is_empty() || settings.relayhost.is_empty() {
        return by_transport(settings, recipient, transport, nexthop);
    }
    match settings.transports.get(transport) {
        Some(Transport::Deliver(service)) => deliver(settings, service, settings.relayhost.clone()),
        Some(Transport::Refused(_)) | None => by_transport(settings, recipient, transport, ""),
    }
}

fn default_transport(settings: &Settings, relay: bool) -> (&str, &str) {
    let text = if relay { &settings.relay_transport } else { &settings.default_transport };
    let (transport, nexthop) = text.split_once(':').unwrap_or((text, ""));
    (transport.trim(), nexthop.trim())
}

/// An entry `transport:nexthop`; the error is a phrase for the operator.
fn from_entry(
    settings: &Settings,
    recipient: &Mailbox,
    relay: bool,
    value: &str,
) -> Result<RouteKind, String> {
    let value = value.trim();
    let (transport, nexthop) = value.split_once(':').unwrap_or((value, ""));
    match (transport.trim(), nexthop.trim()) {
        ("", "") => default_route(settings, recipient, relay),
        ("", nexthop) => by_transport(settings, recipient, default_transport(settings, relay).0, nexthop),
        (transport, nexthop) => by_transport(settings, recipient, transport, nexthop),
    }
}

/// What a transport does with a next hop; an empty one is the recipient's domain.
fn by_transport(
    settings: &Settings,
    recipient: &Mailbox,
    transport: &str,
    nexthop: &str,
) -> Result<RouteKind, String> {
    match transport {
        "error" => {
            let (status, text) =
                status_and_text(nexthop, EnhancedStatus::permanent(0, 0), "mail for this address bounces");
            Ok(RouteKind::Error(status, text))
        }
        "retry" => {
            let (status, text) =
                status_and_text(nexthop, EnhancedStatus::transient(0, 0), "mail for this address waits");
            // It defers whatever class the text has.
            Ok(RouteKind::Retry(status.with_class(waxseal_types::StatusClass::Transient), text))
        }
        "discard" => Ok(RouteKind::Discard(nexthop.to_owned())),
        other => match settings.transports.get(other) {
            Some(Transport::Deliver(service)) if nexthop.is_empty() => {
                deliver(settings, service, alloc::vec![own_domain(settings, recipient)?])
            }
            Some(Transport::Deliver(service)) => deliver(settings, service, next_hops(nexthop)?),
            Some(Transport::Refused(reason)) => Err(reason.clone()),
            None => Err(unknown(settings, other)),
        },
    }
}

fn unknown(settings: &Settings, transport: &str) -> String {
    let known: Vec<&str> = settings.transports.keys().map(String::as_str).collect();
    // Postfix says "mail transport unavailable".
    format!("transport {transport:?} is none of {}, error, retry and discard", known.join(", "))
}

/// Whether `text`, the value of `default_transport` or `relay_transport`, can be carried out.
///
/// # Errors
/// What is wrong with it, for the operator.
pub fn check_transport(settings: &Settings, text: &str) -> Result<(), String> {
    let (transport, nexthop) = text.split_once(':').unwrap_or((text, ""));
    match (transport.trim(), settings.transports.get(transport.trim())) {
        ("error" | "retry" | "discard", _) => Ok(()),
        (_, Some(Transport::Deliver(service))) => {
            let hops = next_hops(nexthop)?;
            if hops.is_empty() { Ok(()) } else { deliver(settings, service, hops).map(|_| ()) }
        }
        (_, Some(Transport::Refused(reason))) => Err(reason.clone()),
        (transport, None) => Err(unknown(settings, transport)),
    }
}

fn next_hops(text: &str) -> Result<Vec<NextHop>, String> {
    let hop = |word: &str| word.parse().map_err(|error| format!("bad next hop {word:?}: {error}"));
    words_at(text, COMMA_SPACE).map(hop).collect()
}

/// To the first of `hops`; the others, and then the fallback relays (postconf(5), `smtp_fallback_relay`), are alternatives.
fn deliver(settings: &Settings, service: &Service, hops: Vec<NextHop>) -> Result<RouteKind, String> {
    let unix = |hop: &&NextHop| matches!(hop.target(), Target::Unix(_));
    if let Some(hop) = hops.iter().find(unix).filter(|_| service.protocol() == Protocol::Smtp) {
        return Err(format!("bad next hop \"{hop}\": SMTP does not go over unix-domain sockets"));
    }
    let mut hops = hops.into_iter();
    let nexthop = hops.next().ok_or("there is no next hop")?;
    let mut alternatives: Vec<NextHop> = hops.collect();
    // Postfix does not fall back from a unix-domain socket.
    if !unix(&&nexthop) {
        let client = settings.client(service).map_err(|error| error.reason)?;
        let relays = client.fallback_relay.iter();
        alternatives.extend(relays.filter(|relay| **relay != nexthop).cloned());
    }
    Ok(RouteKind::Deliver { service: service.clone(), nexthop, alternatives })
}

/// `5.1.1 no such user`: a leading status code replaces `default` (error(8)).
fn status_and_text(text: &str, default: EnhancedStatus, fallback: &str) -> (EnhancedStatus, String) {
    let (status, text) = EnhancedStatus::split_from(text).unwrap_or((default, text));
    (status, if text.is_empty() { fallback.to_owned() } else { text.to_owned() })
}
