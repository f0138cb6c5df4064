//! The ways of messages that were found in the spool, looked up where these are read and not on the manager's thread.

use std::{collections::HashMap, sync::Arc};

use futures_util::FutureExt as _;
use waxseal_policy::{Route, RouteKind, RouteLookup, Settings as PolicySettings, Step, Tables, find_route};
use waxseal_spool::Waiting;
use waxseal_types::Mailbox;

use super::manager::Common;
use crate::{
    Destination, Settings,
    owner::{Lying, Way},
};

/// Domains that are remembered; then all are looked up anew.
const MOST: usize = 16_384;

/// Where the messages of each domain go.
pub(super) struct Ways {
    policy: Arc<PolicySettings>,
    tables: Arc<dyn Tables>,
    settings: Arc<Settings>,
    /// By domain, where no table has a say; `None` where mail is not simply delivered.
    known: HashMap<Box<str>, Option<Arc<Way>>>,
    /// A table did not answer at once: they are asked by others, many at a time.
    slow: bool,
}

impl Ways {
    pub(super) fn new(common: &Common) -> Self {
        let (policy, tables) = (Arc::clone(&common.policy), Arc::clone(&common.tables));
        let settings = Arc::clone(&common.settings);
        Self { policy, tables, settings, known: HashMap::new(), slow: false }
    }

    /// The message as it rests, where all of its recipients go one way and nobody has to be waited for.
    pub(super) fn lying(&mut self, waiting: &Waiting) -> Option<Lying> {
        let (_, first) = waiting.recipients.first()?;
        let way = self.of(first)?;
        let several = waiting.recipients.len();
        let all = several <= self.settings.recipients_of_part(&way.destination.service)
            && waiting.recipients.iter().skip(1).all(|(_, other)| self.of(other).as_ref() == Some(&way));
        if all { Lying::of(waiting.clone(), way) } else { None }
    }

    fn of(&mut self, recipient: &Mailbox) -> Option<Arc<Way>> {
        let domain = recipient.domain()?;
        if let Some(way) = self.known.get(domain) {
            return way.clone();
        }
        match RouteLookup::new(&self.policy, recipient).step() {
            Step::Done(route) => {
                let way = route.ok().and_then(way);
                if self.known.len() >= MOST {
                    self.known.clear();
                }
                self.known.insert(domain.into(), way.clone());
                way
            }
            Step::NeedKey { .. } if self.slow => None,
            Step::NeedKey { .. } => {
                let asked = find_route(&self.policy, &*self.tables, recipient).now_or_never();
                self.slow = asked.is_none();
                asked?.ok().and_then(way)
            }
        }
    }
}

fn way(route: Route) -> Option<Arc<Way>> {
    match route.kind {
        RouteKind::Deliver { service, nexthop, alternatives } => {
            Some(Arc::new(Way { destination: Destination { service, nexthop }, alternatives }))
        }
        RouteKind::Error(..) | RouteKind::Retry(..) | RouteKind::Discard(_) => None,
    }
}
