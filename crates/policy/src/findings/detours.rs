//! The ways around an entry: mail that goes elsewhere is under the policy of where it goes.

use alloc::{format, string::String, vec::Vec};

use waxseal_types::{Mailbox, NextHop, Service, Target};

use super::{Finding, Key, hop_of};
use crate::{
    Concern, Direction, Origin, PolicyError, Remark, Route, RouteKind, Settings, TlsPolicy, compare,
};

/// Who answers lookups meanwhile; whoever calls has the tables.
pub trait Ask {
    /// As [`crate::find_policy`].
    fn policy(&mut self, service: &Service, nexthop: &NextHop) -> Result<TlsPolicy, PolicyError>;

    /// As [`crate::find_route`].
    fn route(&mut self, recipient: &Mailbox) -> Result<Route, PolicyError>;
}

type Found = Result<TlsPolicy, PolicyError>;

/// Names every destination of the entries whose mail can go to somebody of whom less is demanded: by its route, or by the fallback relay.
#[must_use]
pub fn of_detours(
    settings: &Settings,
    service: &Service,
    entries: &[(String, Origin)],
    ask: &mut dyn Ask,
) -> Vec<Finding> {
    let Ok(client) = settings.client(service) else { return Vec::new() };
    let relays = &client.fallback_relay;
    let relays: Vec<(NextHop, Found)> =
        relays.iter().map(|hop| (hop.clone(), ask.policy(service, hop))).collect();
    let mut findings = Vec::new();
    let default = TlsPolicy::from_default(settings, client);
    for (relay, theirs) in &relays {
        let what = "a destination without entry";
        findings.extend(lowered(&default, theirs).map(|levels| to_relay(None, what, relay, &levels)));
    }
    // Every next hop comes to the first table that has it; what is hidden says nothing.
    let mut seen = alloc::collections::BTreeSet::new();
    for (value, origin) in entries {
        let Some(hop) = hop_of(&Key::of(origin)).filter(|hop| seen.insert(hop.clone())) else { continue };
        let ours = TlsPolicy::of_entry(settings, service, value, origin.clone());
        for (relay, theirs) in relays.iter().filter(|(relay, _)| *relay != hop) {
            findings.extend(
                lowered(&ours, theirs).map(|levels| to_relay(Some(origin), &origin.key, relay, &levels)),
            );
        }
        findings.extend(by_route((service, &relays), origin, &hop, &ours, ask));
    }
    findings
}

fn to_relay(origin: Option<&Origin>, what: &str, relay: &NextHop, levels: &str) -> Finding {
    let text =
        format!("where no host of {what} can be used its mail goes to the fallback relay {relay}: {levels}");
    Finding::new(origin, Remark::new(Concern::Lowered, text, remedy(relay)))
}

fn remedy(hop: &NextHop) -> String {
    format!("give {hop} an entry that demands as much")
}

/// Only a domain can be that of a recipient; another next hop is named by the route itself. The fallback relays, which are the last alternatives of each route, are
/// told of already.
fn by_route(
    (service, relays): (&Service, &[(NextHop, Found)]),
    origin: &Origin,
    hop: &NextHop,
    ours: &Found,
    ask: &mut dyn Ask,
) -> Vec<Finding> {
    let (Target::Mx(domain), None) = (hop.target(), hop.port()) else { return Vec::new() };
    let Ok(recipient) = Mailbox::new(&format!("postmaster@{domain}")) else { return Vec::new() };
    // A route that cannot be found defers; nothing goes anywhere.
    let Ok(Route { kind, origin: by }) = ask.route(&recipient) else { return Vec::new() };
    let RouteKind::Deliver { service: taken, nexthop, alternatives } = kind else { return Vec::new() };
    // What a service with settings of its own has for a domain counts only for mail that goes by it.
    if taken.protocol() != service.protocol() || (service.name().is_some() && taken != *service) {
        return Vec::new();
    }
    let by = by.map_or_else(|| "relayhost".into(), |by| format!("{by}"));
    let mut findings = Vec::new();
    for other in core::iter::once(&nexthop)
        .chain(&alternatives)
        .filter(|other| other.domain() != hop.domain() || taken != *service)
        .filter(|other| relays.iter().all(|(relay, _)| relay != *other))
    {
        if let Some(levels) = lowered(ours, &ask.policy(&taken, other)) {
            let whose = taken.name().map(|name| format!(" by service {name}")).unwrap_or_default();
            let text = format!("mail for {} goes to {other}{whose} ({by}): {levels}", origin.key);
            findings.push(Finding::new(Some(origin), Remark::new(Concern::Lowered, text, remedy(other))));
        }
    }
    findings
}

/// `secure here, may there`, where less is demanded there.
fn lowered(ours: &Found, theirs: &Found) -> Option<String> {
    let (Ok(here), Ok(there)) = (ours, theirs) else { return None };
    // Names, fingerprints and anchors are each server's own; only the kind of demand can be compared.
    (compare::guarantees(here, there) == Direction::Weaker)
        .then(|| format!("{} is demanded here, {} there ({})", here.level, there.level, there.source))
}
