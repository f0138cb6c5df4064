//! Counting the queue: how much waits for whom, and since when.
//!
//! A queue of a million messages is counted in turns of some thousand, between which deliveries go on; so it is the count of a queue that moves. Nothing
//! is kept for it while nobody asks.

use std::{collections::HashMap, time::Duration};

use waxseal_types::UnixTime;

use super::{Destination, Job, Schedule, later::Mark, share::Share};

/// Jobs looked at in one turn: less than a millisecond.
const TURN: usize = 8192;

/// How much waits, and since when. Begun with [`Census::new`], and filled by [`Schedule::count`].
#[derive(Debug, Clone)]
pub struct Census {
    now: UnixTime,
    /// Destinations whose lines have been counted.
    lines: usize,
    /// How far those are counted that wait for their time.
    mark: Mark,
    complete: bool,
    counts: HashMap<Destination, DestinationCount>,
    /// Age of the oldest job that no attempt was made at.
    pub oldest_untried: Option<Duration>,
    /// Age of the oldest job.
    pub oldest: Option<Duration>,
    /// Deliveries under way, which are not among the others.
    pub active: u32,
    /// Deliveries that operators hold, which are not among the others either.
    pub held: usize,
    /// How often something waited only because too many were under way.
    pub held_back: u64,
    /// How often something waited only because its client had as much under way as it may.
    pub quota_held: u64,
    /// Texts that were not kept in memory because too many were.
    pub beyond_memory: u64,
}

/// How much waits for one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DestinationCount {
    /// Up to each of [`Census::AGES`], and beyond.
    pub by_age: [u64; Census::AGES.len() + 1],
    /// Deliveries under way, which are not among the others.
    pub active: u32,
    /// Age of the oldest one that waits.
    pub oldest: Option<Duration>,
    /// Whether it is given a rest.
    pub dead: bool,
}

impl DestinationCount {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_age.iter().sum()
    }
}

impl Census {
    /// Upper bounds of the classes of age, of the message.
    pub const AGES: [Duration; 6] = [
        Duration::from_secs(60),
        Duration::from_secs(600),
        Duration::from_secs(3600),
        Duration::from_secs(6 * 3600),
        Duration::from_secs(86_400),
        Duration::from_secs(5 * 86_400),
    ];

    /// Of nothing yet; ages are those at `now`.
    #[must_use]
    pub fn new(now: UnixTime) -> Self {
        Self {
            now,
            lines: 0,
            mark: Mark::default(),
            complete: false,
            counts: HashMap::new(),
            oldest_untried: None,
            oldest: None,
            active: 0,
            held: 0,
            held_back: 0,
            quota_held: 0,
            beyond_memory: 0,
        }
    }

    /// Whether everything has been counted.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// Each destination that something waits for or goes to, or that is given a rest.
    pub fn destinations(&self) -> impl Iterator<Item = (&Destination, &DestinationCount)> {
        self.counts.iter()
    }

    /// Everything that waits.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().map(DestinationCount::total).sum()
    }

    fn of(&mut self, destination: &Destination) -> &mut DestinationCount {
        // A name is a pointer to its text: to clone it costs little.
        self.counts.entry(destination.clone()).or_default()
    }

    fn age(&self, job: &Job) -> Duration {
        // Ids are times of arrival.
        self.now.since(UnixTime::from_micros(job.id.as_u64()))
    }

    fn note(&mut self, destination: &Destination, job: &Job) {
        let age = self.age(job);
        self.oldest = self.oldest.max(Some(age));
        if job.attempts == 0 {
            self.oldest_untried = self.oldest_untried.max(Some(age));
        }
        let of = self.of(destination);
        of.by_age[class(age)] += 1;
        of.oldest = of.oldest.max(Some(age));
    }

    fn share(&mut self, destination: &Destination, share: &Share) -> usize {
        let mut jobs = 0;
        for job in share.iter() {
            self.note(destination, job);
            jobs += 1;
        }
        jobs
    }
}

fn class(age: Duration) -> usize {
    Census::AGES.partition_point(|bound| *bound < age)
}

impl Schedule {
    /// Counts some thousand jobs on; `true` when all have been counted. A line is counted in one turn.
    pub fn count(&self, census: &mut Census) -> bool {
        census.active = self.places.active();
        census.quota_held = self.quotas.held_back();
        census.held_back = self.held_back;
        let mut jobs = 0;
        while jobs < TURN
            && let Some(line) = self.lines.get(census.lines)
        {
            let destination = &self.destinations[census.lines];
            census.lines += 1;
            jobs += 1;
            // A number that is free has an empty line under the name of who had it last.
            if line.dead_until.is_some_and(|until| until > census.now) && self.names.contains_key(destination)
            {
                census.of(destination).dead = true;
            }
            if line.under_way > 0 {
                census.of(destination).active = line.under_way;
            }
            jobs += census.share(destination, &line.fresh) + census.share(destination, &line.retries);
        }
        if jobs < TURN {
            self.count_waiting(census, TURN - jobs);
        }
        census.complete
    }

    fn count_waiting(&self, census: &mut Census, room: usize) {
        let behind = self.due.look(census.mark, room, |number, job| {
            if let Some(destination) = self.destinations.get(number as usize) {
                census.note(destination, job);
            }
        });
        census.complete = behind.is_none();
        census.mark = behind.unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use waxseal_types::{QueueId, Service};

    use super::*;
    use crate::{Feedback, Settings};

    fn destination(name: &str) -> Destination {
        Destination { service: Service::SMTP, nexthop: name.parse().unwrap() }
    }

    #[test]
    fn everything_is_counted_once_in_several_turns() {
        let now = UnixTime::from_secs(1_795_249_800);
        let ago = |seconds: u64| QueueId::from_u64(now.as_micros() - seconds * 1_000_000);
        let mut schedule = Schedule::new(&Settings::default());
        for number in 0..20_000u32 {
            let job = Job { id: ago(70), part: number, attempts: 1, client: 0 };
            schedule.add(&destination("later.example"), job, now + Duration::from_secs(60), now);
        }
        for (seconds, attempts) in [(1, 0), (3700, 1), (30, 0)] {
            let job = Job { id: ago(seconds), part: 0, attempts, client: 7 };
            schedule.add(&destination("now.example"), job, now, now);
        }
        let mut census = Census::new(now);
        let mut turns = 1;
        while !schedule.count(&mut census) {
            turns += 1;
        }
        assert!(turns > 2, "{turns}");
        assert_eq!(census.total(), 20_003);
        let counts: HashMap<_, _> =
            census.destinations().map(|(name, count)| (name.nexthop.to_string(), *count)).collect();
        assert_eq!(counts["later.example"].by_age, [0, 20_000, 0, 0, 0, 0, 0]);
        assert_eq!(counts["now.example"].by_age, [2, 0, 0, 1, 0, 0, 0]);
        assert_eq!(counts["now.example"].oldest, Some(Duration::from_secs(3700)));
        assert_eq!(counts["later.example"].oldest, Some(Duration::from_secs(70)));
        assert_eq!(census.oldest_untried, Some(Duration::from_secs(30)));
        assert_eq!(census.oldest, Some(Duration::from_secs(3700)));
    }

    #[test]
    fn what_is_under_way_is_counted_for_its_destination_whosever_connection_it_rides_on() {
        let now = UnixTime::from_secs(1_795_249_800);
        let mut schedule = Schedule::new(&Settings::default());
        let name = destination("now.example");
        for part in 0..8 {
            schedule.add(&name, Job { id: QueueId::from_u64(1), part, attempts: 0, client: 0 }, now, now);
        }
        let count = |schedule: &Schedule| {
            let mut census = Census::new(now);
            while !schedule.count(&mut census) {}
            census.destinations().map(|(_, count)| (count.active, count.total())).collect::<Vec<_>>()
        };
        let mut begun: Vec<_> = std::iter::from_fn(|| schedule.poll(now)).collect();
        assert_eq!(begun.len(), 5, "the window");
        begun.extend(schedule.another(&name));
        assert_eq!(count(&schedule), [(6, 2)]);
        for mut start in begun {
            start.leaves(false);
            schedule.finished(&start, Feedback::None, now);
        }
        assert_eq!(count(&schedule), [(0, 2)]);
    }
}
