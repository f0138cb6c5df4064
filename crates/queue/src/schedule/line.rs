//! One destination's line: its waiting jobs, its window, and whether it is dead.

use std::time::Duration;

use waxseal_types::UnixTime;

use super::share::Share;
use crate::DestinationLimits;

/// Fresh mail goes before retries, so that a storm of retries delays nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Fresh,
    Retry,
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) fresh: Share,
    pub(super) retries: Share,
    /// A pause: that of `destination_rate_delay`, or that of somebody who found too many connections.
    pub(super) not_before: UnixTime,
    /// Connections that deliveries hold: what the window counts.
    pub(super) active: u32,
    /// Deliveries to it that are slow (see `places`).
    pub(super) slow: u32,
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

/// What a table says of a destination.
#[derive(Debug)]
pub(super) struct Own {
    /// `None` while nobody has answered.
    pub(super) limits: Option<DestinationLimits>,
    /// The state of the tables that were asked.
    pub(super) generation: u64,
}

/// The settings that the schedule needs.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) window: f64,
    pub(super) initial: f64,
    pub(super) minimal_backoff: Duration,
    pub(super) maximal_backoff: Duration,
    pub(super) rate_delay: Duration,
}

impl Line {
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
    pub(super) fn limit(&self, limits: &Limits) -> f64 {
        self.own().and_then(|own| own.concurrency).map_or(limits.window, f64::from)
    }

    /// The connections it begins with.
    pub(super) fn initial(&self, limits: &Limits) -> f64 {
        self.own().and_then(|own| own.initial).map_or(limits.initial, f64::from).min(self.limit(limits))
    }

    pub(super) fn rate_delay(&self, limits: &Limits) -> Duration {
        self.own().and_then(|own| own.rate_delay).unwrap_or(limits.rate_delay)
    }

    pub(super) fn may_begin(&self, now: UnixTime, limits: &Limits) -> bool {
        let asking = self.own.as_ref().is_some_and(|own| own.limits.is_none());
        if self.suspended || asking {
            return false;
        }
        if self.not_before > now {
            return false;
        }
        // postconf(5) default_destination_rate_delay: with one, the limit of concurrency is 1.
        if !self.rate_delay(limits).is_zero() && self.active > 0 {
            return false;
        }
        match self.dead_until {
            Some(until) => until <= now && !self.probing && self.active == 0,
            None => f64::from(self.active) < self.window.floor().max(1.0),
        }
    }

    /// Positive feedback, postconf(5) `default_destination_concurrency_positive_feedback = 1`.
    pub(super) fn alive(&mut self, limits: &Limits) {
        if self.dead_until.take().is_some() {
            self.window = self.initial(limits);
        }
        self.failed_cohorts = 0.0;
        self.backoff = limits.minimal_backoff;
        // The window opens only as far as it is used.
        if f64::from(self.active + 1) >= self.window.floor() {
            self.window = (self.window + 1.0).min(self.limit(limits));
        }
    }

    /// The server said that it is too much: half of it, and no word on whether it is alive but that it is.
    pub(super) fn busy(&mut self, limits: &Limits) {
        self.alive(limits);
        let used = self.window.min(f64::from(self.active + 1));
        self.window = (used / 2.0).floor().max(1.0);
    }

    /// Negative feedback 1 and a failed-cohort limit of 1 (postconf(5)). True when the destination is dead now.
    pub(super) fn failed(&mut self, limits: &Limits, probe: bool, now: UnixTime) -> bool {
        self.failed_cohorts += 1.0 / self.window.max(1.0);
        self.window = (self.window - 1.0).max(1.0);
        // What was begun before the destination died adds nothing to its sentence.
        let dies = if self.dead_until.is_some() { probe } else { self.failed_cohorts >= 1.0 };
        if !dies {
            return false;
        }
        self.dead_until = Some(now + self.backoff);
        self.backoff = (self.backoff * 2).min(limits.maximal_backoff);
        self.failed_cohorts = 0.0;
        true
    }
}
