//! By whose settings mail goes to a next hop that somebody names: `explain`, and operators who send mail elsewhere.

use alloc::{format, string::String, vec::Vec};

use waxseal_types::{Mailbox, NextHop, Protocol, Service, Target};

use crate::{PolicyError, Route, RouteKind, Settings, Tables, Transport, find_route};

/// No mail has such a recipient (RFC 6761 §6.4), so that its route is that of mail which no entry speaks of.
const NOBODY: &str = "postmaster@waxseal.invalid";

/// A next hop as somebody writes it: alone, or with its transport as a table has it (transport(5)): `relay:example.com`, `lmtp:unix:/run/lmtp`, and what else
/// `master.cf` has. Without a transport there is no service, except for sockets of this machine: whoever listens there speaks LMTP.
///
/// # Errors
/// What is wrong with it, for whoever wrote it.
pub fn parse_hop(settings: &Settings, text: &str) -> Result<(Option<Service>, NextHop), String> {
    let nexthop = |text: &str| text.trim().parse::<NextHop>().map_err(|error| format!("{text:?}: {error}"));
    let port = |rest: &str| !rest.is_empty() && rest.bytes().all(|octet| octet.is_ascii_digit());
    // A port makes `relay:25` a host.
    let named = text.split_once(':').filter(|(_, rest)| !port(rest));
    let service = match named.and_then(|(name, _)| settings.transports.get(name.trim())) {
        Some(Transport::Deliver(service)) => service.clone(),
        Some(Transport::Refused(reason)) => return Err(reason.clone()),
        None => {
            let nexthop = nexthop(text)?;
            let socket = matches!(nexthop.target(), Target::Unix(_));
            return Ok((socket.then_some(Service::LMTP), nexthop));
        }
    };
    let nexthop = nexthop(named.map_or("", |(_, rest)| rest))?;
    match (nexthop.target(), service.protocol()) {
        (Target::Unix(_), Protocol::Smtp) => {
            Err(format!("{text:?}: SMTP does not go over unix-domain sockets"))
        }
        _ => Ok((Some(service), nexthop)),
    }
}

/// How mail comes to a next hop: the route that leads there, with its service.
///
/// Routes belong to recipients. So it is asked where mail for the next hop's own domain goes, and where mail goes that no entry speaks of; where neither
/// leads there, some other recipient's may, and the service is that of mail which no entry speaks of.
///
/// # Errors
/// A table failed: mail waits, and which way it would go is not known.
pub async fn find_service(
    settings: &Settings,
    tables: &dyn Tables,
    nexthop: &NextHop,
) -> Result<Route, PolicyError> {
    let own = nexthop.domain().map(|domain| format!("postmaster@{domain}"));
    let recipients = own.as_deref().into_iter().chain([NOBODY]);
    let mut service = None;
    for recipient in recipients.filter_map(|text| Mailbox::new(text).ok()) {
        let route = find_route(settings, tables, &recipient).await?;
        let RouteKind::Deliver { service: found, nexthop: to, .. } = &route.kind else { continue };
        if to == nexthop {
            return Ok(route);
        }
        let leads_home = to.domain().is_some_and(|to| recipient.domain() == Some(to.as_str()));
        if leads_home && found.protocol() == Protocol::Smtp {
            service.get_or_insert_with(|| found.clone());
        }
    }
    let service = service.unwrap_or(Service::SMTP);
    let kind = RouteKind::Deliver { service, nexthop: nexthop.clone(), alternatives: Vec::new() };
    Ok(Route { kind, origin: None })
}
