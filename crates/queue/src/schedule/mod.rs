//! When is which job delivered? Pure: `now` is an argument, and the next wake-up is an answer.
//!
//! Jobs wait in one of two places: in the line of their destination when they are due, or in one ordered list of due
//! times. Destinations with waiting jobs take turns, fresh mail before retries, and each has a window of
//! deliveries under way with Postfix's feedback (SCHEDULER_README, "Concurrency scheduling"). A destination whose
//! connections fail is dead for a back-off time; then one probe decides.

mod line;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use waxseal_types::{NextHop, Protocol, QueueId, UnixTime};

use self::line::{Class, Limits, Line};
use crate::Settings;

/// Where a job goes: what is scheduled as one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// How it is spoken to.
    pub protocol: Protocol,
    /// The next hop as looked up.
    pub nexthop: NextHop,
}

/// One message for one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The message.
    pub id: QueueId,
    /// Its part for this destination, counted by the owner of the message.
    pub part: u32,
    /// Attempts so far.
    pub attempts: u32,
}

/// What an attempt taught about its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feedback {
    /// A server of it talked to us, whatever it said to this message.
    Alive,
    /// No server of it could be reached, or none got through its handshake.
    Dead,
    /// Nothing: the attempt ended before any connection, by a fault of ours or of DNS.
    None,
}

/// The schedule of all destinations of one core.
#[derive(Debug)]
pub struct Schedule {
    names: HashMap<Destination, u32>,
    destinations: Vec<Destination>,
    lines: Vec<Line>,
    turns: [VecDeque<u32>; 2],
    due: BTreeMap<(UnixTime, u64), (u32, Job)>,
    sleepers: BTreeMap<(UnixTime, u32), ()>,
    free: Vec<u32>,
    sequence: u64,
    active: u32,
    active_retries: u32,
    limits: Limits,
}

/// A delivery to begin now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// What.
    pub job: Job,
    /// Where to.
    pub destination: Destination,
    retry: bool,
}

impl Schedule {
    /// An empty schedule.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            names: HashMap::new(),
            destinations: Vec::new(),
            lines: Vec::new(),
            turns: [VecDeque::new(), VecDeque::new()],
            due: BTreeMap::new(),
            sleepers: BTreeMap::new(),
            free: Vec::new(),
            sequence: 0,
            active: 0,
            active_retries: 0,
            limits: Limits {
                active: settings.active_limit.max(1),
                window: f64::from(settings.destination_concurrency_limit.max(1)),
                initial: f64::from(settings.initial_destination_concurrency.max(1)),
                minimal_backoff: settings.minimal_backoff,
                maximal_backoff: settings.maximal_backoff,
            },
        }
    }

    /// Takes a job that is due at `due`; at once where that is not after `now`.
    pub fn add(&mut self, destination: &Destination, job: Job, due: UnixTime, now: UnixTime) {
        let number = self.number(destination);
        if due > now {
            self.sequence += 1;
            self.due.insert((due, self.sequence), (number, job));
            if let Some(line) = self.lines.get_mut(number as usize) {
                line.waiting += 1;
            }
        } else {
            self.enqueue(number, job);
        }
    }

    /// The next delivery to begin, if the limits allow one.
    pub fn poll(&mut self, now: UnixTime) -> Option<Start> {
        self.wake(now);
        if self.active >= self.limits.active {
            return None;
        }
        let fresh_waits = !self.turns[Class::Fresh as usize].is_empty();
        self.take(Class::Fresh, now).or_else(|| {
            // While fresh mail waits for its windows, retries may fill half of the machine.
            let room = if fresh_waits { self.limits.active / 2 } else { self.limits.active };
            if self.active_retries < room.max(1) { self.take(Class::Retry, now) } else { None }
        })
    }

    /// A delivery has ended.
    pub fn finished(&mut self, start: &Start, feedback: Feedback, now: UnixTime) {
        self.active = self.active.saturating_sub(1);
        if start.retry {
            self.active_retries = self.active_retries.saturating_sub(1);
        }
        let number = self.number(&start.destination);
        let limits = self.limits.clone();
        let Some(line) = self.lines.get_mut(number as usize) else { return };
        line.active = line.active.saturating_sub(1);
        let probe = std::mem::take(&mut line.probing);
        match feedback {
            Feedback::Alive => line.alive(&limits),
            Feedback::Dead => {
                if line.failed(&limits, probe, now)
                    && let Some(until) = line.dead_until
                {
                    self.sleepers.insert((until, number), ());
                }
            }
            Feedback::None => {}
        }
        self.turn(number);
        self.retire(number, now);
    }

    /// When [`Schedule::poll`] may have something although nothing else happened.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<UnixTime> {
        let due = self.due.keys().next().map(|(time, _)| *time);
        let sleeper = self.sleepers.keys().next().map(|(time, _)| *time);
        match (due, sleeper) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Makes everything due that waits for its time and satisfies `which`; a dead destination of it is probed at once.
    pub fn expedite(&mut self, which: impl Fn(QueueId) -> bool) -> usize {
        let chosen: Vec<_> =
            self.due.iter().filter(|(_, (_, job))| which(job.id)).map(|(key, _)| *key).collect();
        for key in &chosen {
            if let Some((number, job)) = self.due.remove(key) {
                if let Some(line) = self.lines.get_mut(number as usize) {
                    line.dead_until = None;
                    line.waiting = line.waiting.saturating_sub(1);
                }
                self.enqueue(number, job);
            }
        }
        chosen.len()
    }

    /// Deliveries under way.
    #[must_use]
    pub const fn active(&self) -> u32 {
        self.active
    }

    /// Jobs that wait for their time.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.due.len()
    }

    /// Whether `destination` is dead at the moment, and until when.
    #[must_use]
    pub fn dead_until(&self, destination: &Destination) -> Option<UnixTime> {
        let number = self.names.get(destination)?;
        self.lines.get(*number as usize)?.dead_until
    }

    /// How long a job waits after its `attempts`-th failure: doubling from `minimal_backoff` to `maximal_backoff`.
    #[must_use]
    pub fn backoff(&self, attempts: u32) -> Duration {
        let doubled = self.limits.minimal_backoff.saturating_mul(1 << attempts.saturating_sub(1).min(20));
        doubled
            .min(self.limits.maximal_backoff)
            .max(self.limits.minimal_backoff.min(self.limits.maximal_backoff))
    }

    fn number(&mut self, destination: &Destination) -> u32 {
        if let Some(number) = self.names.get(destination) {
            return *number;
        }
        let line = self.new_line();
        if let Some(number) = self.free.pop() {
            self.names.insert(destination.clone(), number);
            self.destinations[number as usize] = destination.clone();
            self.lines[number as usize] = line;
            return number;
        }
        let number = u32::try_from(self.lines.len()).unwrap_or(u32::MAX);
        self.names.insert(destination.clone(), number);
        self.destinations.push(destination.clone());
        self.lines.push(line);
        number
    }

    fn new_line(&self) -> Line {
        Line {
            fresh: VecDeque::new(),
            retries: VecDeque::new(),
            active: 0,
            waiting: 0,
            window: self.limits.initial.min(self.limits.window),
            failed_cohorts: 0.0,
            dead_until: None,
            backoff: self.limits.minimal_backoff,
            probing: false,
            queued: [false; 2],
        }
    }

    fn enqueue(&mut self, number: u32, job: Job) {
        let Some(line) = self.lines.get_mut(number as usize) else { return };
        if job.attempts == 0 {
            line.fresh.push_back(job)
        } else {
            line.retries.push_back(job)
        }
        self.turn(number);
    }

    /// Puts a destination that has something to do, and may, in the turn of its classes.
    fn turn(&mut self, number: u32) {
        let Some(line) = self.lines.get_mut(number as usize) else { return };
        for class in [Class::Fresh, Class::Retry] {
            let waits = !line.jobs(class).is_empty();
            let slot = &mut line.queued[class as usize];
            if waits && !*slot {
                *slot = true;
                self.turns[class as usize].push_back(number);
            }
        }
    }

    fn wake(&mut self, now: UnixTime) {
        while let Some(entry) = self.due.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let (number, job) = entry.remove();
            if let Some(line) = self.lines.get_mut(number as usize) {
                line.waiting = line.waiting.saturating_sub(1);
            }
            self.enqueue(number, job);
        }
        while let Some(entry) = self.sleepers.first_entry() {
            let (time, number) = *entry.key();
            if time > now {
                break;
            }
            entry.remove();
            self.turn(number);
            self.retire(number, now);
        }
    }

    /// Forgets a destination that has nothing to do and nothing to remember; its number is used again.
    fn retire(&mut self, number: u32, now: UnixTime) {
        let Some(line) = self.lines.get(number as usize) else { return };
        let idle = line.active == 0 && line.waiting == 0 && line.fresh.is_empty() && line.retries.is_empty();
        let dead = line.dead_until.is_some_and(|until| until > now);
        // A number that stands in a turn is still in use; the turn drops it soon.
        if idle
            && !dead
            && line.queued == [false; 2]
            && self.names.remove(&self.destinations[number as usize]).is_some()
        {
            self.free.push(number);
        }
    }

    /// The next job of `class` whose destination may begin one. A destination that may not leaves the turn; what frees it brings
    /// it back, so that no poll looks at it in vain twice.
    fn take(&mut self, class: Class, now: UnixTime) -> Option<Start> {
        while let Some(number) = self.turns[class as usize].pop_front() {
            let Some(line) = self.lines.get_mut(number as usize) else { continue };
            line.queued[class as usize] = false;
            if !line.may_begin(now) {
                continue;
            }
            let Some(job) = line.jobs(class).pop_front() else { continue };
            line.active += 1;
            line.probing = line.dead_until.is_some();
            self.active += 1;
            let retry = class == Class::Retry;
            self.active_retries += u32::from(retry);
            self.turn(number);
            let destination = self.destinations[number as usize].clone();
            return Some(Start { job, destination, retry });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_000_000);

    fn settings() -> Settings {
        Settings { active_limit: 4, ..Settings::default() }
    }

    fn to(name: &str) -> Destination {
        Destination { protocol: Protocol::Smtp, nexthop: name.parse().unwrap() }
    }

    fn job(id: u64) -> Job {
        Job { id: QueueId::from_u64(id), part: 0, attempts: 0 }
    }

    fn begun(schedule: &mut Schedule, now: UnixTime) -> Vec<Start> {
        std::iter::from_fn(|| schedule.poll(now)).collect()
    }

    fn ids(starts: &[Start]) -> Vec<u64> {
        starts.iter().map(|s| s.job.id.as_u64()).collect()
    }

    #[test]
    fn destinations_take_turns() {
        let mut schedule = Schedule::new(&settings());
        for id in 0..3 {
            schedule.add(&to("a.example"), job(id), NOW, NOW);
        }
        schedule.add(&to("b.example"), job(10), NOW, NOW);
        assert_eq!(ids(&begun(&mut schedule, NOW)), [0, 10, 1, 2]);
    }

    #[test]
    fn a_window_opens_with_success_and_holds_the_rest_back() {
        let mut schedule =
            Schedule::new(&Settings { active_limit: 100, initial_destination_concurrency: 2, ..settings() });
        for id in 0..10 {
            schedule.add(&to("a.example"), job(id), NOW, NOW);
        }
        let first = begun(&mut schedule, NOW);
        assert_eq!(ids(&first), [0, 1]);
        schedule.finished(&first[0], Feedback::Alive, NOW);
        assert_eq!(ids(&begun(&mut schedule, NOW)), [2, 3], "one place freed, one added");
    }

    #[test]
    fn fresh_mail_goes_before_retries_which_get_half_at_most() {
        let mut schedule = Schedule::new(&Settings { initial_destination_concurrency: 1, ..settings() });
        for id in 0..4 {
            let due = Job { attempts: 1, ..job(id) };
            schedule.add(&to(&format!("r{id}.example")), due, NOW, NOW);
        }
        for id in 10..13 {
            schedule.add(&to("a.example"), job(id), NOW, NOW);
        }
        // a.example has a window of one: its other fresh jobs do not wait in the turn, they cannot begin anyway.
        let begun = ids(&begun(&mut schedule, NOW));
        assert_eq!(begun[0], 10);
        assert_eq!(begun.len(), 4);
    }

    #[test]
    fn a_dead_destination_waits_and_is_probed_once() {
        let mut schedule = Schedule::new(&Settings { initial_destination_concurrency: 1, ..settings() });
        for id in 0..3 {
            schedule.add(&to("dead.example"), job(id), NOW, NOW);
        }
        let first = begun(&mut schedule, NOW);
        assert_eq!(ids(&first), [0]);
        schedule.finished(&first[0], Feedback::Dead, NOW);
        assert_eq!(begun(&mut schedule, NOW), []);
        let until = schedule.next_wakeup().unwrap();
        assert_eq!(until, NOW + Duration::from_secs(300));
        let probe = begun(&mut schedule, until);
        assert_eq!(ids(&probe), [1]);
        schedule.finished(&probe[0], Feedback::Dead, until);
        assert_eq!(
            schedule.next_wakeup(),
            Some(until + Duration::from_secs(600)),
            "the second sentence is longer"
        );
        let later = until + Duration::from_secs(600);
        let probe = begun(&mut schedule, later);
        schedule.finished(&probe[0], Feedback::Alive, later);
        assert_eq!(begun(&mut schedule, later), [], "nothing left");
    }

    #[test]
    fn jobs_wait_for_their_time_without_being_looked_at() {
        let mut schedule = Schedule::new(&settings());
        let due = NOW + Duration::from_secs(300);
        schedule.add(&to("a.example"), Job { attempts: 1, ..job(1) }, due, NOW);
        assert_eq!(schedule.poll(NOW), None);
        assert_eq!(schedule.next_wakeup(), Some(due));
        assert_eq!(ids(&begun(&mut schedule, due)), [1]);
    }

    #[test]
    fn a_message_can_be_made_due_at_once() {
        let mut schedule = Schedule::new(&settings());
        schedule.add(&to("a.example"), Job { attempts: 3, ..job(1) }, NOW + Duration::from_secs(4000), NOW);
        assert_eq!(schedule.expedite(|id| id.as_u64() == 1), 1);
        assert_eq!(ids(&begun(&mut schedule, NOW)), [1]);
    }

    #[test]
    fn idle_destinations_are_forgotten() {
        let mut schedule = Schedule::new(&settings());
        for id in 0..1000 {
            schedule.add(&to(&format!("d{id}.example")), job(id), NOW, NOW);
            for start in begun(&mut schedule, NOW) {
                schedule.finished(&start, Feedback::Alive, NOW);
            }
        }
        assert!(schedule.lines.len() <= 2, "{} lines", schedule.lines.len());
    }

    #[test]
    fn back_off_doubles_up_to_its_limit() {
        let schedule = Schedule::new(&settings());
        let seconds: Vec<_> = (1..=6).map(|n| schedule.backoff(n).as_secs()).collect();
        assert_eq!(seconds, [300, 600, 1200, 2400, 4000, 4000]);
    }
}
