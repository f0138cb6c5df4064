//! Splits a message into parts by the routes of its recipients. Pure.

use waxseal_policy::{Route, RouteKind};
use waxseal_types::{NextHop, Service};

use crate::{Destination, Trouble, account::Failure};

/// What the routes of a message lead to.
#[derive(Debug, Default)]
pub struct Routed {
    /// Recipients by destination, no more than the limit in each.
    pub parts: Vec<RoutedPart>,
    /// Recipients that are refused for good (`error:`), with why.
    pub refused: Vec<(usize, Failure)>,
    /// Recipients that have to wait, with why: `retry:`, or a table that failed.
    pub parked: Vec<(usize, Failure)>,
    /// Recipients whose mail is thrown away (`discard:`), with the text for the log.
    pub discarded: Vec<(usize, String)>,
}

impl Routed {
    /// With what is refused waiting instead (postconf(5) `soft_bounce`).
    #[must_use]
    pub fn softened(mut self) -> Self {
        self.parked.extend(self.refused.drain(..).map(|(index, failure)| (index, failure.softened())));
        self
    }
}

/// Recipients with the same destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutedPart {
    /// Where to.
    pub destination: Destination,
    /// Next hops that are tried when it cannot be reached.
    pub alternatives: Vec<NextHop>,
    /// Indices of recipients.
    pub recipients: Vec<usize>,
}

/// Groups recipients by their routes; at most `limit` of its service in one part (postconf(5) transport_destination_recipient_limit).
#[must_use]
pub fn split(
    routes: impl IntoIterator<Item = (usize, Result<Route, Failure>)>,
    limit: impl Fn(&Service) -> usize,
) -> Routed {
    let mut routed = Routed::default();
    for (index, route) in routes {
        match route.map(|route| route.kind) {
            Ok(RouteKind::Deliver { service, nexthop, alternatives }) => {
                let destination = Destination { service, nexthop };
                let limit = limit(&destination.service).max(1);
                let room =
                    |part: &&mut RoutedPart| part.destination == destination && part.recipients.len() < limit;
                match routed.parts.iter_mut().rev().find(room) {
                    Some(part) => part.recipients.push(index),
                    None => {
                        routed.parts.push(RoutedPart { destination, alternatives, recipients: vec![index] })
                    }
                }
            }
            Ok(RouteKind::Error(status, reason)) => {
                let trouble = Trouble::Refused;
                routed.refused.push((index, Failure { status, reason, reply: None, trouble }));
            }
            Ok(RouteKind::Retry(status, reason)) => {
                let trouble = Trouble::Route;
                routed.parked.push((index, Failure { status, reason, reply: None, trouble }));
            }
            Ok(RouteKind::Discard(text)) => routed.discarded.push((index, text)),
            // A failing table parks the recipient (design §2).
            Err(failure) => routed.parked.push((index, failure)),
        }
    }
    routed
}
