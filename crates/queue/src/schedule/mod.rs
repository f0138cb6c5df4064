//! When is which job delivered? Pure: `now` is an argument, and the next wake-up is an answer.
//!
//! Jobs wait in one of two places: in the line of their destination when they are due, or in one ordered list of due
//! times. Destinations with waiting jobs take turns, within each the clients that submitted them, fresh mail before retries, and each has a
//! window of connections with Postfix's feedback (SCHEDULER_README, "Concurrency scheduling"). A destination whose
//! connections fail is dead for a back-off time; then one probe decides.

mod census;
mod job;
mod later;
mod levers;
mod line;
mod places;
mod prompt;
mod quotas;
mod returns;
mod share;
mod waits;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use waxseal_types::{NextHop, Service, UnixTime};

use self::{
    later::Later,
    line::{Class, Limits, Line},
    places::Places,
    prompt::{Behind, Prompt},
    quotas::Quotas,
};
use crate::Settings;

pub use self::census::{Census, DestinationCount};
pub use self::job::{Destination, Feedback, Job, Start, client_number};

/// The schedule of all destinations of one core.
#[derive(Debug)]
pub struct Schedule {
    names: HashMap<Destination, u32>,
    destinations: Vec<Destination>,
    lines: Vec<Line>,
    turns: [VecDeque<u32>; 2],
    due: Later,
    sleepers: BTreeMap<(UnixTime, u32), ()>,
    free: Vec<u32>,
    /// Destinations whose full windows held something back in the last polls.
    held: Vec<u32>,
    places: Places,
    prompt: Prompt,
    behind: Behind,
    quotas: Quotas,
    /// Nothing begins.
    paused: bool,
    suspended: HashSet<NextHop>,
    /// Polls that gave nothing because too many were under way.
    held_back: u64,
    /// The time of the last poll.
    polled: UnixTime,
    limits: Arc<Limits>,
    /// Those of transports with limits of their own.
    transports: BTreeMap<Service, Arc<Limits>>,
}

impl Schedule {
    /// An empty schedule.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let limits = |of| {
            let (minimal_backoff, maximal_backoff) = (settings.minimal_backoff, settings.maximal_backoff);
            Arc::new(Limits { of, minimal_backoff, maximal_backoff })
        };
        let own = settings.transport_limits.iter();
        Self {
            names: HashMap::new(),
            destinations: Vec::new(),
            lines: Vec::new(),
            turns: [VecDeque::new(), VecDeque::new()],
            due: Later::default(),
            sleepers: BTreeMap::new(),
            free: Vec::new(),
            held: Vec::new(),
            places: Places::new(settings.active_limit, settings.threads_for_deliveries()),
            prompt: Prompt::default(),
            behind: Behind::default(),
            quotas: Quotas::default(),
            paused: settings.levers.defer_all,
            suspended: settings.levers.suspended.iter().cloned().collect(),
            held_back: 0,
            polled: UnixTime::default(),
            limits: limits(settings.limits_of_all()),
            transports: own.map(|(service, own)| (service.clone(), limits(*own))).collect(),
        }
    }

    /// Takes a job that is due at `due`; at once where that is not after `now`.
    pub fn add(&mut self, destination: &Destination, job: Job, due: UnixTime, now: UnixTime) {
        let number = self.number(destination);
        if due > now {
            self.due.insert(due, number, &job);
            if let Some(line) = self.lines.get_mut(number as usize) {
                line.waiting += 1;
            }
        } else {
            self.enqueue(number, job);
        }
    }

    /// The next delivery to begin, if the limits allow one.
    pub fn poll(&mut self, now: UnixTime) -> Option<Start> {
        if now < self.polled {
            self.clock_went_back(self.polled.since(now));
        }
        self.polled = now;
        self.wake(now);
        let waits = self.turns.iter().any(|turn| !turn.is_empty());
        if self.paused || !self.places.has_room() {
            self.held_back += u64::from(!self.paused && waits);
            return None;
        }
        loop {
            let start = self.take(Class::Fresh, now).or_else(|| self.take_retry(now));
            if start.is_some() {
                return start;
            }
            // A client has room again: what waited for that is looked at.
            let number = self.quotas.next_ready()?;
            self.turn(number);
        }
    }

    fn take_retry(&mut self, now: UnixTime) -> Option<Start> {
        let [fresh, retries] = &self.turns;
        if retries.is_empty()
            || !self.places.has_room_for_retry(!fresh.is_empty())
            || !self.places.take_token()
        {
            return None;
        }
        let start = self.take(Class::Retry, now);
        if start.is_none() {
            self.places.return_token();
        }
        start
    }

    /// One more job for a connection to `destination`, if one waits because its window is full. The window counts connections; how many
    /// deliveries a connection takes at once is for its lane to say.
    pub fn another(&mut self, destination: &Destination) -> Option<Start> {
        // Others may be waiting for room, too.
        if self.paused || !self.places.has_room() {
            return None;
        }
        let number = *self.names.get(destination)?;
        let retries = self.places.has_room_for_retry(!self.turns[Class::Fresh as usize].is_empty());
        let quotas = &self.quotas;
        let line = self
            .lines
            .get_mut(number as usize)
            .filter(|line| line.dead_until.is_none() && !line.suspended && line.rate_delay().is_zero())?;
        let may = |client| quotas.admits(client);
        let (job, retry) = match line.fresh.pop(may) {
            Some(job) => (job, false),
            None if retries && !line.retries.is_empty() && self.places.take_token() => {
                let Some(job) = line.retries.pop(may) else {
                    self.places.return_token();
                    return None;
                };
                (job, true)
            }
            None => return None,
        };
        line.under_way += 1;
        self.quotas.begin(job.client);
        let place = self.places.begin(number, retry);
        Some(Start { job, destination: destination.clone(), retry, rides: true, place })
    }

    /// Destinations whose windows have held something back since this was last asked: [`Schedule::another`] may have it.
    pub fn take_held(&mut self) -> Vec<Destination> {
        let held = std::mem::take(&mut self.held);
        let destination = |number: u32| {
            self.lines.get_mut(number as usize)?.held = false;
            self.destinations.get(number as usize).cloned()
        };
        held.into_iter().filter_map(destination).collect()
    }

    /// A delivery has ended.
    pub fn finished(&mut self, start: &Start, feedback: Feedback, now: UnixTime) {
        let number = self.number(&start.destination);
        let slow = self.places.end(start.place);
        self.quotas.end(start.job.client);
        self.let_in(slow);
        let Some(line) = self.lines.get_mut(number as usize) else { return };
        line.slow = line.slow.saturating_sub(u32::from(slow));
        if !slow && feedback != Feedback::None && !std::mem::replace(&mut line.prompt, true) {
            self.prompt.learn(&start.destination);
        }
        let probe = if start.rides { false } else { std::mem::take(&mut line.probing) };
        line.active = line.active.saturating_sub(u32::from(!start.rides));
        line.under_way = line.under_way.saturating_sub(1);
        match feedback {
            Feedback::Alive => line.alive(now),
            Feedback::Busy => line.busy(now),
            Feedback::Dead => {
                if line.failed(probe, now)
                    && let Some(until) = line.dead_until
                {
                    self.sleepers.insert((until, number), ());
                }
            }
            Feedback::None => {}
        }
        let delay = line.rate_delay();
        if !delay.is_zero() && feedback != Feedback::None {
            line.not_before = now + delay;
            self.sleepers.insert((line.not_before, number), ());
        }
        self.turn(number);
        self.retire(number, now);
    }

    /// When [`Schedule::poll`] may have something although nothing else happened.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<UnixTime> {
        let due = self.due.next_time();
        let sleeper = self.sleepers.keys().next().map(|(time, _)| *time);
        let place = self.places.next_change();
        due.into_iter().chain(sleeper).chain(place).min()
    }

    /// Deliveries under way.
    #[must_use]
    pub const fn active(&self) -> u32 {
        self.places.active()
    }

    /// Jobs that wait for their time.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.due.len()
    }

    /// Whether `destination` is dead at the moment, and until when.
    #[must_use]
    pub fn dead_until(&self, destination: &Destination) -> Option<UnixTime> {
        let number = self.names.get(destination)?;
        self.lines.get(*number as usize)?.dead_until
    }

    fn number(&mut self, destination: &Destination) -> u32 {
        if let Some(number) = self.names.get(destination) {
            return *number;
        }
        let line = Line {
            suspended: self.suspended.contains(&destination.nexthop),
            prompt: self.prompt.knows(destination),
            ..Line::new(self.limits_of(&destination.service))
        };
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

    fn limits_of(&self, service: &Service) -> Arc<Limits> {
        let own = if self.transports.is_empty() { None } else { self.transports.get(service) };
        Arc::clone(own.unwrap_or(&self.limits))
    }

    fn enqueue(&mut self, number: u32, job: Job) {
        let Some(line) = self.lines.get_mut(number as usize) else { return };
        if job.attempts == 0 {
            line.fresh.push(job)
        } else {
            line.retries.push(job)
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
        while let Some(number) = self.places.grow_slow(now) {
            if let Some(line) = self.lines.get_mut(number as usize) {
                line.slow += 1;
                if std::mem::take(&mut line.prompt) {
                    self.prompt.forget(&self.destinations[number as usize]);
                }
            }
        }
        while let Some((number, job)) = self.due.pop(now) {
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
        let idle = line.active == 0
            && line.under_way == 0
            && line.waiting == 0
            && line.fresh.is_empty()
            && line.retries.is_empty();
        let dead = line.dead_until.is_some_and(|until| until > now) || line.not_before > now;
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
                if !std::mem::replace(&mut line.held, true) {
                    self.held.push(number);
                }
                continue;
            }
            if self.behind.shuts_out(number, line, &self.places) {
                continue;
            }
            let quotas = &self.quotas;
            let Some(job) = line.jobs(class).pop(|client| quotas.admits(client)) else {
                if let Some(client) = line.jobs(class).first() {
                    self.quotas.wait(client, number);
                }
                continue;
            };
            self.quotas.begin(job.client);
            line.active += 1;
            line.under_way += 1;
            line.probing = line.dead_until.is_some();
            let retry = class == Class::Retry;
            if retry && line.warm_until <= now {
                self.places.charge_cold();
            }
            let place = self.places.begin(number, retry);
            self.turn(number);
            let destination = self.destinations[number as usize].clone();
            return Some(Start { job, destination, retry, rides: false, place });
        }
        None
    }
}

#[cfg(test)]
mod tests;
