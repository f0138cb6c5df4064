//! What operators do to the parts of messages.

use waxseal_types::{QueueId, UnixTime};

use super::{Message, Owner, Part, release};
use crate::{
    Destination, Job,
    bounce::Report,
    levers::{Entry, State},
};

/// A part of a message.
pub type Place = (QueueId, u32);

/// What is left when recipients were taken out of a part.
#[derive(Debug)]
pub struct Remains {
    /// Where the part goes, or went.
    pub destination: Destination,
    /// Attempts that were made.
    pub attempts: u32,
    /// Where nothing is left of the message: what its sender is to be told.
    pub told: Option<Vec<Report>>,
    /// Its sender is to be told then, if nothing else tells before.
    pub gathers: bool,
}

impl Owner {
    /// Parts of the messages from the first to the last of `span`, behind `after`, oldest messages first.
    pub fn parts(
        &self,
        span: (QueueId, QueueId),
        after: Option<Place>,
    ) -> impl Iterator<Item = (Place, Entry)> {
        let (first, last) = span;
        let first = after.map_or(first, |(id, _)| id.max(first));
        let parts = self.parts_from(first).take_while(move |((id, _), _)| *id <= last);
        parts.filter(move |(place, _)| after.is_none_or(|after| *place > after))
    }

    fn parts_from(&self, from: QueueId) -> impl Iterator<Item = (Place, Entry)> {
        let entries = |(id, message): (&QueueId, &Message)| {
            let id = *id;
            let entry = move |(number, part): (u32, &Part)| ((id, number), part.entry((id, number)));
            message.numbered().map(entry).collect::<Vec<_>>()
        };
        let mut awake = self.messages.range(from..).flat_map(entries).peekable();
        let mut resting = self.resting.entries(from).peekable();
        let oldest = move || match (awake.peek(), resting.peek()) {
            (Some((one, _)), Some((other, _))) if one < other => awake.next(),
            (_, Some(_)) => resting.next(),
            (_, None) => awake.next(),
        };
        std::iter::from_fn(oldest)
    }

    /// The parts of one message.
    pub fn parts_of(&self, id: QueueId) -> impl Iterator<Item = Entry> {
        self.parts_from(id).take_while(move |(place, _)| place.0 == id).map(|(_, entry)| entry)
    }

    /// How many parts are held for a destination.
    #[must_use]
    pub fn holds(&self, destination: &Destination) -> usize {
        self.holds.get(destination).copied().unwrap_or_default()
    }

    /// All destinations with parts that are held, and how many these are.
    pub fn all_holds(&self) -> impl Iterator<Item = (&Destination, usize)> {
        self.holds.iter().map(|(destination, count)| (destination, *count))
    }

    /// Whether what the schedule has of a part is still to be done.
    #[must_use]
    pub fn is_current(&self, job: &Job) -> bool {
        if let Some(current) = self.resting.is_current(job) {
            return current;
        }
        let message = self.messages.get(&job.id);
        let part = message.and_then(|message| message.parts.get(job.part as usize)?.as_ref());
        part.is_some_and(|part| !part.active && !part.held && part.attempts == job.attempts)
    }

    /// A part that nothing is under way for, as it was when it was looked at.
    fn at_rest(&mut self, (id, number): Place, attempts: u32) -> Option<&mut Part> {
        let part = self.awake(id)?.parts.get_mut(number as usize)?.as_mut()?;
        (!part.active && part.attempts == attempts).then_some(part)
    }

    /// A part at rest is due now, at its destination or another one: as it was, and as it is.
    pub fn retry(
        &mut self,
        place: Place,
        attempts: u32,
        elsewhere: Option<&Destination>,
        now: UnixTime,
    ) -> Option<(Part, Part)> {
        let part = self.at_rest(place, attempts)?;
        let before = part.clone();
        if let Some(destination) = elsewhere {
            part.destination = destination.clone();
            part.alternatives = Vec::new();
            part.pinned = true;
        }
        part.due = now;
        let after = part.clone();
        self.lay(place.0);
        Some((before, after))
    }

    /// Holds a part at rest, or lets it go.
    pub fn hold(&mut self, place: Place, attempts: u32, held: bool) -> Option<Part> {
        let part = self.at_rest(place, attempts)?;
        let before = std::mem::replace(&mut part.held, held);
        let part = part.clone();
        match (before, held) {
            (false, true) => *self.holds.entry(part.destination.clone()).or_default() += 1,
            (true, false) => release(&mut self.holds, &part.destination),
            (true, true) | (false, false) => {}
        }
        self.lay(place.0);
        Some(part)
    }

    /// Takes recipients out of a part at rest; `reports` is what the sender is to hear of them.
    pub fn take_out(
        &mut self,
        place: Place,
        attempts: u32,
        recipients: &[usize],
        reports: (Vec<Report>, UnixTime),
    ) -> Option<Remains> {
        let part = self.at_rest(place, attempts)?;
        part.recipients.retain(|index| !recipients.contains(index));
        let (destination, held, emptied) = (part.destination.clone(), part.held, part.recipients.is_empty());
        let message = self.messages.get_mut(&place.0)?;
        if emptied {
            *message.parts.get_mut(place.1 as usize)? = None;
            if held {
                release(&mut self.holds, &destination);
            }
        }
        let (reports, now) = reports;
        let gathers = !reports.is_empty() && message.gathering.is_none();
        message.reports.extend(reports);
        let finished = message.parts.iter().all(Option::is_none);
        let told = finished.then(|| std::mem::take(&mut message.reports));
        if finished {
            self.forget(place.0);
        } else {
            if gathers {
                message.gathering = Some(now);
            }
            self.lay(place.0);
        }
        Some(Remains { destination, attempts, told, gathers: gathers && !finished })
    }
}

impl Message {
    /// Its parts that are not settled, with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, &Part)> {
        let numbered = self.parts.iter().enumerate();
        numbered.filter_map(|(number, part)| Some((u32::try_from(number).ok()?, part.as_ref()?)))
    }
}

impl Part {
    /// How far it is.
    #[must_use]
    pub const fn state(&self) -> State {
        match (self.active, self.held) {
            (true, _) => State::Active,
            (false, true) => State::Held,
            (false, false) => State::Waiting,
        }
    }

    /// It, for listings.
    #[must_use]
    pub fn entry(&self, (id, part): Place) -> Entry {
        Entry {
            id,
            part,
            destination: self.destination.clone(),
            recipients: self.recipients.clone(),
            attempts: self.attempts,
            state: self.state(),
            due: self.due,
        }
    }

    /// Puts those of `recipients` that an operator holds into parts of their own.
    pub fn hold_those(parts: &mut Vec<Self>, recipients: &[usize]) {
        let mut kept = Vec::new();
        for part in parts.iter_mut().filter(|_| !recipients.is_empty()) {
            let (held, free) = part.recipients.iter().partition(|index| recipients.contains(index));
            part.recipients = free;
            kept.push(Self { recipients: held, held: true, ..part.clone() });
        }
        parts.extend(kept);
        parts.retain(|part| !part.recipients.is_empty());
    }
}
