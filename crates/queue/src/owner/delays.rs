//! Since when a message waits, and who has heard of it.

use waxseal_spool::Outcome;
use waxseal_types::{Envelope, QueueId, UnixTime};

use super::{Message, Owner, Place, results::stored};
use crate::{
    Account, Job, RecipientResult, Settings,
    bounce::{Action, Report},
};

impl Owner {
    /// Since when a part fails that an attempt is under way for, as the spool has it.
    pub fn fails_since(&mut self, job: &Job, since: Option<UnixTime>) {
        let part =
            self.messages.get_mut(&job.id).and_then(|message| message.parts.get_mut(job.part as usize));
        if let Some(Some(part)) = part {
            part.first_failure = part.first_failure.or(since);
        }
    }

    /// The sender of a message knows already that these recipients still wait.
    pub fn warned(&mut self, id: QueueId, recipients: Vec<usize>) {
        if !recipients.is_empty()
            && let Some(message) = self.awake(id)
        {
            message.warned = recipients;
            self.lay(id);
        }
    }

    /// What is known of a message, which rests on if it rests.
    fn sight<T>(&self, id: QueueId, look: impl FnOnce(&Message) -> T) -> Option<T> {
        match self.messages.get(&id) {
            Some(message) => Some(look(message)),
            None => self.resting.sight(id).as_ref().map(look),
        }
    }

    /// Recipients of whose delay the sender of a message knows.
    #[must_use]
    pub fn warned_of(&self, id: QueueId) -> Vec<usize> {
        self.sight(id, |message| message.warned.clone()).unwrap_or_default()
    }

    /// Recipients of a part that wait and of whose delay the sender has not heard.
    #[must_use]
    pub fn unwarned(&self, (id, number): Place) -> Vec<usize> {
        let unwarned = |message: &Message| {
            let part = message.parts.get(number as usize).and_then(Option::as_ref);
            let waits = part.filter(|part| !part.active && !part.held).into_iter();
            let recipients = waits.flat_map(|part| &part.recipients).copied();
            recipients.filter(|index| !message.warned.contains(index)).collect()
        };
        self.sight(id, unwarned).unwrap_or_default()
    }

    /// When a part is due that nothing is under way for, if it is as it was when it was looked at.
    #[must_use]
    pub fn due(&self, (id, number): Place, attempts: u32) -> Option<UnixTime> {
        let due = |message: &Message| {
            let part = message.parts.get(number as usize)?.as_ref()?;
            (!part.active && part.attempts == attempts).then_some(part.due)
        };
        self.sight(id, due)?
    }

    /// These recipients have waited for long: once each, their sender is to hear of it, or does not want to. Whether there is anything to gather from now on.
    pub fn warn(&mut self, id: QueueId, recipients: &[usize], reports: Vec<Report>, now: UnixTime) -> bool {
        let Some(message) = self.awake(id) else { return false };
        message.warned.extend(recipients);
        let begins = !reports.is_empty() && message.gathering.is_none();
        if begins {
            message.gathering = Some(now);
        }
        message.reports.extend(reports);
        self.lay(id);
        begins
    }
}

/// That a recipient still waits, where it has waited for as long as its sender is to be told after (postconf(5), `delay_warning_time`).
pub(super) fn delayed(
    account: &Account,
    result: &RecipientResult,
    settings: &Settings,
    times: (UnixTime, UnixTime),
) -> Option<Report> {
    let (now, due) = times;
    Delay::of(settings, &account.envelope, now)?.report(result.index, stored(account, result, now), due)
}

/// What the sender of a message that has waited for long hears.
pub struct Delay<'a> {
    envelope: &'a Envelope,
    retry_until: UnixTime,
}

impl<'a> Delay<'a> {
    /// Of a message, where it has waited for long enough.
    #[must_use]
    pub fn of(settings: &Settings, envelope: &'a Envelope, now: UnixTime) -> Option<Self> {
        let after = Some(settings.delay_warning).filter(|after| !after.is_zero())?;
        let retry_until = envelope.arrived + settings.lifetime(envelope);
        (now >= envelope.arrived + after).then_some(Self { envelope, retry_until })
    }

    /// About one recipient; `None` where the sender does not want to hear of it.
    #[must_use]
    pub fn report(&self, index: usize, said: Outcome, due: UnixTime) -> Option<Report> {
        let report = Report::new(self.envelope, index, Action::Delayed, said)?;
        Some(Report { next_attempt: Some(due), retry_until: Some(self.retry_until), ..report })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Part;
    use super::*;

    fn id(number: u64) -> QueueId {
        QueueId::from_u64(number)
    }

    /// Messages with two recipients each: the even ones rest, the odd ones have two parts and so do not.
    fn owner(ids: std::ops::Range<u64>) -> Owner {
        let mut owner = Owner::default();
        for number in ids {
            let parts = match number % 2 {
                0 => vec![Part { recipients: vec![0, 1], ..Part::parked(0) }],
                _ => vec![Part::parked(0), Part::parked(1)],
            };
            owner.admit(id(number), None, parts, (Vec::new(), UnixTime::from_secs(1)));
        }
        owner
    }

    #[test]
    fn a_listing_goes_on_where_it_stopped_whether_messages_rest_or_not() {
        let owner = owner(0..10);
        assert_eq!((owner.messages.len(), owner.resting.len()), (5, 5));
        let listed = |span, after| owner.parts(span, after).map(|(place, _)| place).collect::<Vec<_>>();
        let all = listed((id(0), id(u64::MAX)), None);
        assert_eq!(all.len(), 15);
        assert!(all.is_sorted());
        for (number, place) in all.iter().enumerate() {
            assert_eq!(listed((id(0), id(u64::MAX)), Some(*place)), all[number + 1..], "{place:?}");
        }
        assert_eq!(listed((id(3), id(4)), None), [(id(3), 0), (id(3), 1), (id(4), 0)]);
        assert_eq!(listed((id(3), id(4)), Some((id(3), 0))), [(id(3), 1), (id(4), 0)]);
        assert_eq!(listed((id(3), id(4)), Some((id(7), 0))), []);
        assert_eq!(listed((id(4), id(3)), None), [], "an empty span");
    }

    #[test]
    fn who_was_warned_is_known_of_messages_that_rest_also() {
        let now = UnixTime::from_secs(9);
        for number in [2, 3] {
            let (mut owner, place) = (owner(2..4), (id(number), 0));
            let resting = owner.resting.len();
            let recipients = owner.unwarned(place);
            assert_eq!(recipients, if number == 2 { vec![0, 1] } else { vec![0] });
            assert_eq!((owner.due(place, 0), owner.due(place, 1)), (Some(UnixTime::default()), None));
            assert_eq!(owner.resting.len(), resting, "nobody was woken");
            assert!(!owner.warn(id(number), &recipients, Vec::new(), now), "nobody wants to hear of it");
            assert_eq!((owner.unwarned(place), owner.warned_of(id(number))), (vec![], recipients));
            assert_eq!(owner.resting.len(), resting, "who only waits rests again");
        }
        assert!(owner(0..1).unwarned((id(7), 0)).is_empty());
    }
}
