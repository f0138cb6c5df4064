//! How mail would go: routes, and then the very plan that delivers, stopped where MAIL would be sent. `waxseal explain` and the admin API ask here.

use std::{cell::RefCell, sync::Arc};

use bytes::Bytes;
use serde_json::{Value, json};
use waxseal_policy::{PolicyError, Route, RouteKind, find_route, find_service, parse_hop};
use waxseal_transport::{OpenRequest, Session, TlsUse};
use waxseal_types::{Envelope, Mailbox, NextHop, QueueId, Recipient, UnixTime};

use crate::{
    Account, Answer, Ask, Destination, Direct, Order, Plan, RecipientResult, Services, Settings, advice,
    drive,
};

/// Where mail goes, before DNS is asked.
#[derive(Debug, Clone)]
pub struct Way {
    /// For whom.
    pub recipient: Mailbox,
    /// Where to.
    pub destination: Destination,
    /// Next hops that are tried when it cannot be reached.
    pub alternatives: Vec<NextHop>,
    /// The entry of a table that says so.
    pub origin: Option<String>,
}

/// What routing comes to.
#[derive(Debug, Clone)]
pub enum Outset {
    /// Mail is on its way.
    Goes(Way),
    /// It is not, for this reason.
    Ends(String),
}

impl Outset {
    /// The route for an address; or, for anything else, the next hop that it is, by the service that mail goes there by, or by that which is named
    /// (`relay:example.com`).
    ///
    /// # Errors
    /// It is neither; in words.
    pub async fn of(services: &Direct, target: &str) -> Result<Self, String> {
        if !target.contains('@') {
            let (service, nexthop) = parse_hop(&services.policy, target)?;
            let recipient = Mailbox::new("postmaster").map_err(|error| error.to_string())?;
            let Some(service) = service else {
                let found = find_service(&services.policy, &*services.tables, &nexthop).await;
                return Ok(Self::routed(recipient, found));
            };
            let destination = Destination { service, nexthop };
            return Ok(Self::Goes(Way { recipient, destination, alternatives: Vec::new(), origin: None }));
        }
        let recipient = Mailbox::new(target).map_err(|error| error.to_string())?;
        let found = find_route(&services.policy, &*services.tables, &recipient).await;
        Ok(Self::routed(recipient, found))
    }

    fn routed(recipient: Mailbox, found: Result<Route, PolicyError>) -> Self {
        let Route { kind, origin } = match found {
            Ok(route) => route,
            Err(error) => return Self::Ends(format!("waits with {}: {error}", error.status())),
        };
        let origin = origin.map(|origin| format!("{origin}, key {:?}", &*origin.key));
        let by = || origin.as_ref().map(|origin| format!(" (from {origin})")).unwrap_or_default();
        match kind {
            RouteKind::Deliver { service, nexthop, alternatives } => {
                let destination = Destination { service, nexthop };
                Self::Goes(Way { recipient, destination, alternatives, origin })
            }
            RouteKind::Error(status, text) => Self::Ends(format!("bounces with {status} {text}{}", by())),
            RouteKind::Retry(status, text) => Self::Ends(format!("waits with {status} {text}{}", by())),
            RouteKind::Discard(text) => Self::Ends(format!("is thrown away{}: {text}", by())),
        }
    }
}

/// What the plan did.
#[derive(Debug)]
pub struct Rehearsed {
    /// What was asked and answered.
    pub account: Box<Account>,
    /// Calls that were not made, since nobody was to be called.
    pub calls: Vec<String>,
}

impl Rehearsed {
    /// Whether mail could be sent, as far as was looked. A rehearsal that came to that point settles nobody.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.calls.is_empty() || self.account.results.is_empty()
    }

    /// Why mail could not be sent; `None` also where nobody was to be called: what was not tried did not fail.
    #[must_use]
    pub fn failed(&self) -> Option<&RecipientResult> {
        self.account.results.first().filter(|_| self.calls.is_empty())
    }

    /// All of it (docs/explain.md); `hostname` is our own name, for the letter.
    #[must_use]
    pub fn to_json(&self, way: &Way, hostname: &str) -> Value {
        let (account, called) = (&self.account, self.calls.is_empty());
        let mut value = account.to_json();
        if !called {
            value["results"] = json!([]);
            value["connections"] = json!([]);
        }
        value["route"] = json!({
            "nexthop": way.destination.nexthop.as_str(),
            "protocol": way.destination.service.protocol().as_str(),
            "service": way.destination.service.as_str(),
            "source": way.origin,
        });
        value["calls"] = json!(self.calls);
        value["ok"] = json!(self.is_good());
        let level = advice::level(account, self.failed());
        value["conclusion"] = json!({
            "verdict": called.then(|| advice::verdict(account, self.failed())),
            "demanded": level.map(advice::demanded),
            "if_it_fails": level.map(advice::stakes),
            "letter": self.failed().and_then(|result| advice::letter(account, result, hostname)),
        });
        value
    }
}

/// Services that call nobody unless they are told to, and keep whom they would have called.
struct Rehearsal<'a> {
    services: &'a Direct,
    connect: bool,
    calls: RefCell<Vec<String>>,
}

impl Services for Rehearsal<'_> {
    async fn answer(&self, ask: Ask, session: &mut Option<Session>) -> Answer {
        if let (false, Ask::Open(request)) = (self.connect, &ask) {
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

/// Runs the plan for mail on its way; servers are called only with `connect`.
pub async fn rehearse(
    services: &Direct,
    settings: &Arc<Settings>,
    way: &Way,
    connect: bool,
    clock: impl Fn() -> UnixTime,
) -> Rehearsed {
    let now = clock();
    let order = Order {
        destination: way.destination.clone(),
        alternatives: way.alternatives.clone(),
        envelope: Arc::new(envelope(&way.recipient, now)),
        recipients: vec![0],
        body: Bytes::new().into(),
        attempt: 1,
        seed: now.as_micros(),
        rehearsal: true,
    };
    let plan = Plan::new(Arc::clone(settings), order, now);
    let rehearsal = Rehearsal { services, connect, calls: RefCell::default() };
    let (account, _) = drive(plan, &rehearsal, clock).await;
    Rehearsed { account, calls: rehearsal.calls.into_inner() }
}

/// Of a message that there is not.
fn envelope(recipient: &Mailbox, now: UnixTime) -> Envelope {
    Envelope {
        recipients: vec![Recipient { mailbox: recipient.clone(), notify: None, original: None }],
        // RFC 6531 §3.4: an address with other characters than ASCII needs it.
        smtputf8: !recipient.is_ascii(),
        ..Envelope::empty(QueueId::from_u64(now.as_micros()), now, "local")
    }
}
