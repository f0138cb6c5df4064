//! Who is left of a message? The one place that knows how far each message in the queue has come. Pure.
//!
//! A message is split into parts, one for each destination. An attempt at a part ends in an [`Account`]; what follows
//! from it (marks for the spool, a retry, a notification) is worked out here and carried out by the queue manager.

mod delays;
mod orders;
mod part;
mod rest;
mod results;
mod unrouted;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use waxseal_spool::{Progress, RecipientResult, RecipientState};
use waxseal_types::{Envelope, QueueId, UnixTime};

use crate::{
    Account, Destination, Job, Settings,
    account::Failure,
    bounce::{Action, Report},
};

pub use delays::Delay;
use delays::delayed;
pub use orders::{Place, Remains};
pub use part::Part;
use rest::Dormitory;
pub use rest::{Lying, Way};
use results::{settled, stored};
pub use unrouted::Unrouted;

/// How many octets of texts stay in memory until they are delivered (design §6); the others are read back from the spool.
const FRESH_LIMIT: usize = 16 << 20;

/// All messages of one core.
#[derive(Debug, Default)]
pub struct Owner {
    /// Those of which there is more to know than when they are due.
    messages: BTreeMap<QueueId, Message>,
    /// The others.
    resting: Dormitory,
    /// Octets of texts at hand.
    held: usize,
    /// How many parts operators hold, for each destination.
    holds: HashMap<Destination, usize>,
    /// How many texts were not kept because too many were.
    pub beyond_memory: u64,
}

/// A message's envelope and text at hand, so that they need not be read back.
pub type Fresh = (Arc<Envelope>, Bytes);

/// What follows when the recipients of a part have other routes.
#[derive(Debug, Default)]
pub struct Replaced {
    /// To be scheduled.
    pub jobs: Vec<(Destination, Job, UnixTime)>,
    /// Where nothing is left of the message: what its sender is to be told.
    pub told: Option<Vec<Report>>,
}

/// One message.
#[derive(Debug)]
pub struct Message {
    /// Kept while the first attempts are under way; read back from the spool later.
    pub fresh: Option<Fresh>,
    /// By number; a part that is settled is `None`.
    pub parts: Vec<Option<Part>>,
    /// What the sender has to be told and has not been.
    reports: Vec<Report>,
    /// Since when the oldest of them waits for others.
    gathering: Option<UnixTime>,
    /// Recipients of whose delay the sender is told, or was: once each.
    warned: Vec<usize>,
}

/// What follows from the end of an attempt.
#[derive(Debug, Default)]
pub struct Effects {
    /// Marks for the spool; none where the message leaves it.
    pub results: Vec<RecipientResult>,
    /// The part is tried again then.
    pub retry: Option<(Job, UnixTime)>,
    /// Recipients that are too old, with what was last said of them.
    pub expired: Vec<(usize, Failure)>,
    /// Nothing is left of the message: it leaves the spool.
    pub finished: bool,
    /// The sender is to be told now.
    pub reports: Vec<Report>,
    /// The sender is to be told then, if nothing else tells before.
    pub gather_until: Option<UnixTime>,
}

impl Owner {
    /// Takes a message with its parts. `fresh` is its text where it need not be read back.
    pub fn admit(
        &mut self,
        id: QueueId,
        fresh: Option<Fresh>,
        parts: Vec<Part>,
        reports: (Vec<Report>, UnixTime),
    ) {
        let (reports, now) = reports;
        let parts: Vec<_> = parts.into_iter().map(Some).collect();
        let gathering = (!reports.is_empty()).then_some(now);
        // A destination that is dead must not fill the memory with what waits for it.
        let brought = fresh.is_some();
        let fresh = fresh.filter(|(_, body)| self.held + body.len() <= FRESH_LIMIT);
        self.beyond_memory += u64::from(brought && fresh.is_none());
        self.held += fresh.as_ref().map_or(0, |(_, body)| body.len());
        self.forget(id);
        for part in parts.iter().flatten().filter(|part| part.held) {
            *self.holds.entry(part.destination.clone()).or_default() += 1;
        }
        self.messages.insert(id, Message { fresh, parts, reports, gathering, warned: Vec::new() });
        self.lay(id);
    }

    /// Takes a message that only waits.
    pub fn take_lying(&mut self, lying: &Lying) {
        self.forget(lying.id);
        if lying.is_held() {
            *self.holds.entry(lying.way.destination.clone()).or_default() += 1;
        }
        self.resting.take(lying);
    }

    /// The message, whether it rests or not.
    fn awake(&mut self, id: QueueId) -> Option<&mut Message> {
        if !self.messages.contains_key(&id) {
            let message = self.resting.wake(id)?;
            self.messages.insert(id, message);
        }
        self.messages.get_mut(&id)
    }

    /// A message that only waits takes less memory.
    fn lay(&mut self, id: QueueId) {
        self.resting.lay(id, &mut self.messages);
    }

    /// The recipients of a part have other routes by now: `parts` stand in its place.
    pub fn replace(&mut self, job: &Job, parts: Vec<Part>, reports: Vec<Report>, now: UnixTime) -> Replaced {
        let Some(message) = self.awake(job.id) else { return Replaced::default() };
        if let Some(slot) = message.parts.get_mut(job.part as usize) {
            *slot = None;
        }
        if !reports.is_empty() && message.gathering.is_none() {
            message.gathering = Some(now);
        }
        message.reports.extend(reports);
        let first = message.parts.len();
        let jobs = parts
            .iter()
            .enumerate()
            .map(|(n, part)| (part.destination.clone(), part.job(job.id, first + n), part.due))
            .collect();
        message.parts.extend(parts.into_iter().map(Some));
        if message.parts.iter().any(Option::is_some) {
            self.lay(job.id);
            return Replaced { jobs, told: None };
        }
        let reports = std::mem::take(&mut message.reports);
        self.forget(job.id);
        Replaced { jobs, told: Some(reports) }
    }

    /// A message that is no more.
    pub fn forget(&mut self, id: QueueId) {
        if let Some(message) = self.messages.remove(&id).or_else(|| self.resting.wake(id)) {
            self.held -= message.held();
            for part in message.parts.iter().flatten().filter(|part| part.held) {
                release(&mut self.holds, &part.destination);
            }
        }
    }

    /// Octets of texts that are kept in memory.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Whether a message is here.
    #[must_use]
    pub fn has(&self, id: QueueId) -> bool {
        self.messages.contains_key(&id) || self.resting.has(id)
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len() + self.resting.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An attempt begins: the part, unless the message is gone or the attempt is out of date.
    pub fn begin(&mut self, job: &Job) -> Option<(Part, Option<Fresh>)> {
        if self.resting.is_current(job) == Some(false) {
            return None;
        }
        let message = self.awake(job.id)?;
        let part = message.parts.get_mut(job.part as usize)?.as_mut()?;
        // What an operator held or tried anew since leaves orders behind that are out of date.
        if part.active || part.held || part.attempts != job.attempts {
            return None;
        }
        part.active = true;
        Some((part.clone(), message.fresh.clone()))
    }

    /// An attempt was begun and nothing was done: the part is as it was.
    pub fn withdraw(&mut self, job: &Job) {
        let part =
            self.messages.get_mut(&job.id).and_then(|message| message.parts.get_mut(job.part as usize));
        if let Some(Some(part)) = part {
            part.active = false;
        }
        self.lay(job.id);
    }

    /// An attempt could not even begin (its text cannot be read, a fault of ours): the part waits.
    pub fn postpone(&mut self, job: &Job, wait: Duration, now: UnixTime) -> Option<(Job, UnixTime)> {
        let part = self.awake(job.id)?.parts.get_mut(job.part as usize)?.as_mut()?;
        part.active = false;
        part.due = now + wait;
        self.lay(job.id);
        Some((job.clone(), now + wait))
    }

    /// An attempt has ended.
    pub fn finish(
        &mut self,
        job: &Job,
        account: &Account,
        times: (&Settings, Duration),
        now: UnixTime,
    ) -> Effects {
        let (settings, backoff) = times;
        let mut effects = Effects::default();
        let Some(message) = self.awake(job.id) else { return effects };
        let Some(slot) = message.parts.get_mut(job.part as usize) else { return effects };
        let Some(part) = slot.as_mut() else { return effects };
        part.active = false;
        part.attempts = (job.attempts + 1).min(Job::MOST_ATTEMPTS);
        let end_of_life = account.envelope.arrived + settings.lifetime(&account.envelope);
        let due = (now + backoff).min(end_of_life.max(now + Duration::from_secs(1)));
        let too_old = now >= end_of_life;
        for result in &account.results {
            let (state, mut report) = settled(account, result, too_old, now);
            if let (RecipientState::Expired, Some(failure)) = (state, result.outcome.failure()) {
                effects.expired.push((result.index, failure.clone()));
            }
            let about = |report: &Report| report.index == result.index && report.action == Action::Delayed;
            if state.is_final() {
                part.recipients.retain(|index| *index != result.index);
                // Who hears of the end need not hear of the delay.
                message.reports.retain(|report| !about(report));
            } else {
                part.first_failure = part.first_failure.or(Some(now));
                if !message.warned.contains(&result.index) {
                    report = delayed(account, result, settings, (now, due));
                    message.warned.extend(report.iter().map(|report| report.index));
                }
            }
            let reported = report.is_none() && !message.reports.iter().any(about);
            message.reports.extend(report);
            effects.results.push(RecipientResult {
                index: u32::try_from(result.index).unwrap_or(u32::MAX),
                progress: Progress {
                    state,
                    reported,
                    warned: !state.is_final() && message.warned.contains(&result.index),
                    attempts: part.attempts,
                    next_attempt: if state.is_final() { UnixTime::default() } else { due },
                    first_failure: part.first_failure,
                    last: None,
                },
            });
        }
        if part.recipients.is_empty() {
            *slot = None;
        } else {
            part.due = due;
            effects.retry = Some((Job { attempts: part.attempts, ..job.clone() }, due));
        }
        let before = message.held();
        message.close(&mut effects, settings, now);
        self.held -= before - message.held();
        if effects.finished {
            // Its end is all that is written of it.
            effects.results.clear();
            self.forget(job.id);
        } else {
            for (stored_as, result) in effects.results.iter_mut().zip(&account.results) {
                stored_as.progress.last = Some(stored(account, result, now));
            }
            self.lay(job.id);
        }
        effects
    }

    /// The gathering of reports about `id` has lasted long enough: what is to be told.
    pub fn gathered(&mut self, id: QueueId, settings: &Settings, now: UnixTime) -> Vec<Report> {
        let Some(message) = self.messages.get_mut(&id) else { return Vec::new() };
        if message.gathering.is_none_or(|since| now < since + settings.bounce_gather) {
            return Vec::new();
        }
        message.gathering = None;
        let reports = std::mem::take(&mut message.reports);
        self.lay(id);
        reports
    }
}

/// One part less of a destination is held.
fn release(holds: &mut HashMap<Destination, usize>, destination: &Destination) {
    if let Some(count) = holds.get_mut(destination) {
        *count -= 1;
        if *count == 0 {
            holds.remove(destination);
        }
    }
}

impl Message {
    fn held(&self) -> usize {
        self.fresh.as_ref().map_or(0, |(_, body)| body.len())
    }

    /// Whether something is left; what the sender hears, and when.
    fn close(&mut self, effects: &mut Effects, settings: &Settings, now: UnixTime) {
        if self.parts.iter().all(Option::is_none) {
            effects.finished = true;
            effects.reports = std::mem::take(&mut self.reports);
        } else {
            // The text is needed again only when the message is due; it is on disk.
            if effects.retry.is_some()
                && !self.parts.iter().flatten().any(|part| part.active || part.attempts == 0)
            {
                self.fresh = None;
            }
            if !self.reports.is_empty() && self.gathering.is_none() {
                // Design §6: those that fail within 60 s together in one notification.
                self.gathering = Some(now);
                effects.gather_until = Some(now + settings.bounce_gather);
            }
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn fresh(id: u64, octets: usize) -> Option<Fresh> {
        let envelope = Envelope {
            size: octets as u64,
            ..Envelope::empty(QueueId::from_u64(id), UnixTime::from_secs(1), "test")
        };
        Some((Arc::new(envelope), vec![0; octets].into()))
    }

    #[test]
    fn texts_stay_in_memory_up_to_a_limit_in_all() {
        let mut owner = Owner::default();
        let now = UnixTime::from_secs(1);
        for id in 0..5 {
            let body = fresh(id, FRESH_LIMIT / 4);
            owner.admit(QueueId::from_u64(id), body, vec![Part::parked(0)], (Vec::new(), now));
        }
        let kept = |owner: &Owner| -> Vec<bool> {
            let message = |id| owner.messages.get(&QueueId::from_u64(id));
            (0..5).map(|id| message(id).is_some_and(|m| m.fresh.is_some())).collect()
        };
        assert_eq!(kept(&owner), [true, true, true, true, false], "the fifth is read back");
        let gone = owner.take_out((QueueId::from_u64(0), 0), 0, &[0], (Vec::new(), now));
        assert!(gone.is_some_and(|remains| remains.told.is_some()));
        assert_eq!(owner.held(), FRESH_LIMIT / 4 * 3);
        owner.admit(QueueId::from_u64(6), fresh(6, 10), Vec::new(), (Vec::new(), now));
        assert_eq!(owner.held(), FRESH_LIMIT / 4 * 3 + 10);
    }
}
