//! How much waits, for whom, and since when.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use waxseal_admin::{Ages, Destination, Overview, Refusal};
use waxseal_queue::{
    Census, DestinationCount,
    actor::{AskStandings, Count},
};
use waxseal_types::UnixTime;

use super::EngineDesk;
use crate::readings::now;

/// How long a count is good enough: pages and commands ask again and again.
const FRESH: Duration = Duration::from_millis(1500);
/// Destinations that are described; further ones are only counted.
const DESCRIBED: usize = 1000;

/// The last count. The lock is held while the queue is counted, so that whoever comes meanwhile gets the same one.
pub(crate) type Counted = tokio::sync::Mutex<Option<(Instant, Arc<Summary>)>>;

/// What a count comes to.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(super) overview: Overview,
    pub(super) destinations: Vec<Destination>,
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl EngineDesk {
    /// Counts in turns, between which deliveries go on.
    pub(super) async fn count(&self) -> Result<Arc<Summary>, Refusal> {
        let mut last = self.counted.lock().await;
        if let Some((_, summary)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(Arc::clone(summary));
        }
        let at = now();
        let mut census = Census::new(at);
        while !census.is_complete() {
            census = self.ask(Count(census)).await?;
        }
        let summary = Arc::new(self.summary(&census, at).await?);
        *last = Some((Instant::now(), Arc::clone(&summary)));
        Ok(summary)
    }

    async fn summary(&self, census: &Census, at: UnixTime) -> Result<Summary, Refusal> {
        let counts: HashMap<_, _> = census.destinations().collect();
        let busy = |count: &DestinationCount| count.total() + u64::from(count.active);
        let mut fullest: Vec<_> =
            counts.iter().map(|(destination, count)| (busy(count), *destination)).collect();
        fullest.sort_unstable_by(|a, b| b.cmp(a));
        let named = fullest.iter().take(DESCRIBED).map(|(_, destination)| (*destination).clone()).collect();
        let standings = self.ask(AskStandings(named)).await?;
        let since = |age: Duration| UnixTime::from_micros(at.as_micros().saturating_sub(micros(age)));
        let described = |standing: &waxseal_queue::actor::Standing| {
            let count = counts.get(&standing.destination);
            Destination {
                destination: standing.destination.nexthop.to_string(),
                protocol: standing.destination.service.protocol().as_str().to_owned(),
                service: standing.destination.service.to_string(),
                waiting: count.map_or(0, |count| size(count.total())),
                active: count.map_or(0, |count| size(count.active.into())),
                held: standing.held,
                oldest: count.and_then(|count| count.oldest).map(since),
                ages: Ages(count.map_or([0; 7], |count| count.by_age)),
                suspended: standing.suspended,
                dead_until: standing.dead_until.filter(|until| *until > at),
                reason: self.complaints.about(&standing.destination),
            }
        };
        let destinations: Vec<Destination> = standings.iter().map(described).collect();
        let mut ages = Ages::default();
        for count in counts.values() {
            ages.0.iter_mut().zip(count.by_age).for_each(|(sum, number)| *sum += number);
        }
        let held = destinations.iter().map(|one| one.held).sum();
        let (waiting, active) = (size(census.total()), size(census.active.into()));
        let stuck = |one: &&Destination| one.suspended || one.dead_until.is_some();
        let overview = Overview {
            messages: waiting + active + held,
            waiting,
            active,
            held,
            oldest: census.oldest.map(since),
            ages,
            destinations: counts.len(),
            stuck: destinations.iter().filter(stuck).count(),
        };
        Ok(Summary { overview, destinations })
    }
}

fn micros(age: Duration) -> u64 {
    u64::try_from(age.as_micros()).unwrap_or(u64::MAX)
}
