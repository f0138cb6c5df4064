//! One destination's line: its waiting jobs, its window, and whether it is dead.

use std::{sync::Arc, time::Duration};

use waxseal_types::UnixTime;

use super::share::Share;
use crate::{DestinationLimits, TransportLimits};

/// Fresh mail goes before retries, so that a storm of retries delays nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Fresh,
    Retry,
}

#[derive(Debug)]
pub(super) struct Line {
    /// What its transport has.
    pub(super) limits: Arc<Limits>,
    pub(super) fresh: Share,
    pub(super) retries: Share,
    /// A pause: that of `destination_rate_delay`, or that of somebody who found too many connections.
    pub(super) not_before: UnixTime,
    /// Until then a connection that was kept is likely to be at hand.
    pub(super) warm_until: UnixTime,
    /// Connections that deliveries hold: what the window counts.
    pub(super) active: u32,
    /// Deliveries to it that are slow (see `places`).
    pub(super) slow: u32,
    /// The last of them that ended was not slow, and none has become so since.
    pub(super) prompt: bool,
    /// Whether it stands among those that wait for room of their kind.
    pub(super) behind: bool,
    /// Deliveries, several of which may share a connection.
    pub(super) under_way: u32,
    /// Jobs of it that wait for their time.
    pub(super) waiting: u32,
    pub(super) window: f64,
    pub(super) failed_cohorts: f64,
    /// Dead until then; the next failure doubles `backoff`.
    pub(super) dead_until: Option<UnixTime>,
    pub(super) backoff: Duration,
    pub(super) probing: bool,
    /// Whether it is named among those that were held back.
    pub(super) held: bool,
    /// An operator wants nothing to be delivered to it.
    pub(super) suspended: bool,
    /// What a table says of it, where there are such tables.
    pub(super) own: Option<Box<Own>>,
    /// Whether its number stands in the turn of each class.
    pub(super) queued: [bool; 2],
}

/// How long a connection is kept for the next message, postconf(5) `smtp_connection_cache_time_limit`; where that is set to something else, only the pace of
/// retries is a little off.
const KEPT: Duration = Duration::from_secs(2);

/// What a table says of a destination.
#[derive(Debug)]
pub(super) struct Own {
    /// `None` while nobody has answered.
    pub(super) limits: Option<DestinationLimits>,
    /// The state of the tables that were asked.
    pub(super) generation: u64,
}

/// The settings that the schedule needs.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) of: TransportLimits,
    pub(super) minimal_backoff: Duration,
    pub(super) maximal_backoff: Duration,
}

impl Limits {
    /// The connections that a destination begins with of which no table says anything.
    pub(super) fn initial(&self) -> f64 {
        f64::from(self.of.initial.min(self.of.concurrency).max(1))
    }
}

impl Line {
    /// A line of which nothing is known but what its transport has.
    pub(super) fn new(limits: Arc<Limits>) -> Self {
        Self {
            fresh: Share::default(),
            retries: Share::default(),
            not_before: UnixTime::default(),
            warm_until: UnixTime::default(),
            active: 0,
            slow: 0,
            prompt: false,
            behind: false,
            under_way: 0,
            waiting: 0,
            window: limits.initial(),
            failed_cohorts: 0.0,
            dead_until: None,
            backoff: limits.minimal_backoff,
            probing: false,
            held: false,
            suspended: false,
            own: None,
            queued: [false; 2],
            limits,
        }
    }

    pub(super) const fn jobs(&mut self, class: Class) -> &mut Share {
        match class {
            Class::Fresh => &mut self.fresh,
            Class::Retry => &mut self.retries,
        }
    }

    fn own(&self) -> Option<&DestinationLimits> {
        self.own.as_ref()?.limits.as_ref()
    }

    /// The most connections at once.
    pub(super) fn limit(&self) -> f64 {
        f64::from(self.own().and_then(|own| own.concurrency).unwrap_or(self.limits.of.concurrency).max(1))
    }

    /// The connections it begins with.
    pub(super) fn initial(&self) -> f64 {
        f64::from(self.own().and_then(|own| own.initial).unwrap_or(self.limits.of.initial).max(1))
            .min(self.limit())
    }

    pub(super) fn rate_delay(&self) -> Duration {
        self.own().and_then(|own| own.rate_delay).unwrap_or(self.limits.of.rate_delay)
    }

    /// The most recipients in one transaction.
    pub(super) fn recipients(&self) -> usize {
        let own = self.own().and_then(|own| usize::try_from(own.recipients?).ok());
        own.unwrap_or(self.limits.of.recipients).max(1)
    }

    pub(super) fn may_begin(&self, now: UnixTime) -> bool {
        let asking = self.own.as_ref().is_some_and(|own| own.limits.is_none());
        if self.suspended || asking {
            return false;
        }
        if self.not_before > now {
            return false;
        }
        // postconf(5) default_destination_rate_delay: with one, the limit of concurrency is 1.
        if !self.rate_delay().is_zero() && self.active > 0 {
            return false;
        }
        match self.dead_until {
            Some(until) => until <= now && !self.probing && self.active == 0,
            None => f64::from(self.active) < self.window.floor().max(1.0),
        }
    }

    /// Positive feedback, postconf(5) `transport_destination_concurrency_positive_feedback`.
    pub(super) fn alive(&mut self, now: UnixTime) {
        self.warm_until = now + KEPT;
        if self.dead_until.take().is_some() {
            self.window = self.initial();
        }
        self.failed_cohorts = 0.0;
        self.backoff = self.limits.minimal_backoff;
        // The window opens only as far as it is used.
        if f64::from(self.active + 1) >= self.window.floor() {
            self.window = (self.window + self.limits.of.positive.at(self.window)).min(self.limit());
        }
    }

    /// The server said that it is too much: half of it, and no word on whether it is alive but that it is.
    pub(super) fn busy(&mut self, now: UnixTime) {
        self.alive(now);
        let used = self.window.min(f64::from(self.active + 1));
        self.window = (used / 2.0).floor().max(1.0);
    }

    /// Negative feedback, and the limit of cohorts that fail: postconf(5) `transport_destination_concurrency_negative_feedback` and
    /// `transport_destination_concurrency_failed_cohort_limit`. True when the destination is dead now.
    pub(super) fn failed(&mut self, probe: bool, now: UnixTime) -> bool {
        self.failed_cohorts += 1.0 / self.window.floor().max(1.0);
        self.window = (self.window - self.limits.of.negative.at(self.window)).max(1.0);
        let cohorts = self.limits.of.failed_cohorts;
        // What was begun before the destination died adds nothing to its sentence.
        let dies = if self.dead_until.is_some() {
            probe
        } else {
            cohorts > 0 && self.failed_cohorts >= f64::from(cohorts)
        };
        if !dies {
            return false;
        }
        self.dead_until = Some(now + self.backoff);
        self.backoff = (self.backoff * 2).min(self.limits.maximal_backoff);
        self.failed_cohorts = 0.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    fn line(positive: &str, negative: &str, failed_cohorts: u32) -> Line {
        let (positive, negative) = (positive.parse().unwrap(), negative.parse().unwrap());
        let general = Settings::default().limits_of_all();
        let of =
            TransportLimits { positive, negative, failed_cohorts, concurrency: 20, initial: 4, ..general };
        let [minimal_backoff, maximal_backoff] = [300, 4000].map(Duration::from_secs);
        Line::new(Arc::new(Limits { of, minimal_backoff, maximal_backoff }))
    }

    /// SCHEDULER_README, "Concurrency feedback": how many results of a kind it takes until the window is so many connections.
    #[test]
    fn a_window_moves_as_its_feedback_says() {
        let now = UnixTime::default();
        let opens = [("1", 5, 1), ("0.5", 5, 2), ("1/concurrency", 5, 5), ("1/sqrt_concurrency", 5, 3)];
        for (amount, connections, expected) in opens {
            let mut line = line(amount, "1", 1);
            line.active = 20;
            let mut results = 0;
            while line.window.floor() < f64::from(connections) {
                line.alive(now);
                results += 1;
            }
            assert_eq!(results, expected, "{amount}");
        }
        let closes =
            [("1", 1, 3.0), ("0.5", 1, 3.0), ("0.5", 2, 3.0), ("1/concurrency", 1, 3.0), ("0", 3, 4.0)];
        for (amount, failures, expected) in closes {
            let mut line = line("1", amount, 0);
            (0..failures).for_each(|_| assert!(!line.failed(false, now)));
            assert!((line.window.floor() - expected).abs() < 1e-9, "{amount} x {failures}: {}", line.window);
        }
    }

    #[test]
    fn a_destination_dies_after_as_many_cohorts_as_its_transport_says() {
        let now = UnixTime::default();
        // Windows of 4, 3, 2 and 1: the first cohort is over at the third failure, since 1/4 + 1/3 + 1/2 is more than 1.
        for (cohorts, failures) in [(1, Some(3)), (2, Some(4)), (4, Some(6)), (0, None)] {
            let mut line = line("1", "1", cohorts);
            let died = (1..=50).find(|_| line.failed(false, now));
            assert_eq!(died, failures, "{cohorts} cohorts");
            assert_eq!(line.dead_until, failures.map(|_| now + Duration::from_secs(300)));
        }
    }
}
