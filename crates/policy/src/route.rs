//! Where the mail of a recipient goes (transport(5), postconf(5) `transport_maps` and `relayhost`).

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};

use waxseal_types::{Domain, EnhancedStatus, Mailbox, NextHop, Protocol, Target};

use crate::{
    Origin, PolicyError, Settings, Step, TableAnswer, Tables,
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
    /// `smtp:`, `relay:` and `lmtp:`.
    Deliver {
        /// What is spoken.
        protocol: Protocol,
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
/// `*`; a domain with U-labels also by its A-labels. Without an entry the mail goes to `relayhost`, or else to the recipient's domain. What an entry leaves empty: without transport, that of
/// mail without entry; with a transport, but without next hop, the recipient's domain.
#[derive(Debug)]
pub struct RouteLookup<'a> {
    settings: &'a Settings,
    recipient: Mailbox,
    search: Search<'a>,
    done: Option<Result<Route, PolicyError>>,
}

impl<'a> RouteLookup<'a> {
    /// The lookup for `recipient`.
    #[must_use]
    pub fn new(settings: &'a Settings, recipient: &Mailbox) -> Self {
        // Keys are a dozen small texts; without a table nobody asks for them.
        let asked = !settings.transport_maps.is_empty();
        let keys = if asked { keys(settings, recipient) } else { Vec::new() };
        let search = Search::new(&settings.transport_maps, keys);
        let mut lookup = Self { settings, recipient: recipient.clone(), search, done: None };
        lookup.end_without_entry();
        lookup
    }

    /// What is needed next, or the result.
    pub fn step(&self) -> Step<'_, Route> {
        match (&self.done, self.search.current()) {
            (Some(result), _) => Step::Done(result.clone()),
            (None, Some((table, key))) => Step::NeedKey { table, key },
            (None, None) => Step::Done(default_route(self.settings, &self.recipient)),
        }
    }

    /// The answer to the last [`Step::NeedKey`].
    pub fn answer(&mut self, answer: TableAnswer) {
        let Some((table, _)) = self.search.current() else { return };
        match answer {
            TableAnswer::Found { value, origin } => {
                let route = from_entry(self.settings, &self.recipient, &value);
                self.done = Some(match route {
                    Ok(kind) => Ok(Route { kind, origin: Some(origin) }),
                    Err(reason) => Err(PolicyError::route(reason, Some(origin))),
                });
            }
            TableAnswer::TempFail(reason) => {
                self.done =
                    Some(Err(PolicyError::route(format!("table {table} lookup error: {reason}"), None)));
            }
            TableAnswer::Absent => {
                self.search.advance();
                self.end_without_entry();
            }
        }
    }

    fn end_without_entry(&mut self) {
        if self.search.current().is_none() {
            self.done = Some(default_route(self.settings, &self.recipient));
        }
    }
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

/// Without an entry.
fn default_route(settings: &Settings, recipient: &Mailbox) -> Result<Route, PolicyError> {
    let (nexthop, alternatives) = match settings.relayhost.split_first() {
        Some((first, rest)) => (first.clone(), rest.to_vec()),
        None => {
            (own_domain(settings, recipient).map_err(|reason| PolicyError::route(reason, None))?, Vec::new())
        }
    };
    Ok(Route { kind: RouteKind::Deliver { protocol: Protocol::Smtp, nexthop, alternatives }, origin: None })
}

/// An entry `transport:nexthop`; the error is a phrase for the operator.
fn from_entry(settings: &Settings, recipient: &Mailbox, value: &str) -> Result<RouteKind, String> {
    let value = value.trim();
    let (transport, nexthop) = value.split_once(':').unwrap_or((value, ""));
    let (transport, nexthop) = (transport.trim(), nexthop.trim());
    match transport {
        "" if nexthop.is_empty() => {
            default_route(settings, recipient).map(|route| route.kind).map_err(|e| e.reason)
        }
        "" | "smtp" | "relay" => deliver(settings, recipient, Protocol::Smtp, nexthop),
        "lmtp" => deliver(settings, recipient, Protocol::Lmtp, nexthop),
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
        other => Err(format!("transport {other:?} is none of smtp, relay, lmtp, error, retry and discard")),
    }
}

fn deliver(
    settings: &Settings,
    recipient: &Mailbox,
    protocol: Protocol,
    nexthop: &str,
) -> Result<RouteKind, String> {
    let mut hops = Vec::new();
    for word in words_at(nexthop, COMMA_SPACE) {
        let hop: NextHop = word.parse().map_err(|error| format!("bad next hop {word:?}: {error}"))?;
        if protocol == Protocol::Smtp && matches!(hop.target(), Target::Unix(_)) {
            return Err(format!("bad next hop {word:?}: SMTP does not go over unix-domain sockets"));
        }
        hops.push(hop);
    }
    if hops.is_empty() {
        hops.push(own_domain(settings, recipient)?);
    }
    let nexthop = hops.remove(0);
    Ok(RouteKind::Deliver { protocol, nexthop, alternatives: hops })
}

/// `5.1.1 no such user`: a leading status code replaces `default` (error(8)).
fn status_and_text(text: &str, default: EnhancedStatus, fallback: &str) -> (EnhancedStatus, String) {
    let (status, text) = EnhancedStatus::split_from(text).unwrap_or((default, text));
    (status, if text.is_empty() { fallback.to_owned() } else { text.to_owned() })
}
