//! Messages that only wait: 24 octets each and their ids, where one that is under way takes some five hundred.
//!
//! A message rests when all that is known of it fits: one part, with recipients that follow each other, and nothing that its sender is to be told. That
//! is nearly every message of a long queue. Whoever wants to change one wakes it; the owner lays it to rest again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use waxseal_spool::{Shelf, Waiting};
use waxseal_types::{NextHop, QueueId, UnixTime};

use super::{Message, Part, Place};
use crate::{Destination, Job, client_number, levers::Entry};

/// What `recipients` has beside their number.
const HELD: u16 = 1 << 15;
const PINNED: u16 = 1 << 14;
/// All of them know that they wait.
const WARNED: u16 = 1 << 13;
const COUNT: u16 = WARNED - 1;
/// A part's number, and how many numbers were given, have eight bits each.
const MOST_PARTS: usize = 255;

/// Where a part goes, and where else it may.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Way {
    /// Where to.
    pub destination: Destination,
    /// Next hops that are tried when it cannot be reached.
    pub alternatives: Vec<NextHop>,
}

/// A message that was found in the spool and has nothing to do but wait: it goes to rest at once.
#[derive(Debug, Clone)]
pub struct Lying {
    /// Which.
    pub id: QueueId,
    /// Where all of its recipients are.
    pub way: Arc<Way>,
    /// The client that submitted it.
    pub client: Arc<str>,
    rest: Rest,
}

impl Lying {
    /// `None` where a number is larger than there is room for, or where recipients between those that are left are settled.
    #[must_use]
    pub fn of(waiting: Waiting, way: Arc<Way>) -> Option<Self> {
        let Waiting { id, recipients, client, attempts, due, held, warned } = waiting;
        let (first, _) = *recipients.first()?;
        if !recipients.iter().zip(first..).all(|((index, _), next)| *index == next) {
            return None;
        }
        let marks = (held, false, warned);
        let numbers = (first as usize, recipients.len(), attempts.min(Job::MOST_ATTEMPTS));
        let rest = Rest { due, client: client_number(&client), ..Rest::with(numbers, marks)? };
        Some(Self { id, way, client, rest })
    }

    /// When its next attempt is due.
    #[must_use]
    pub const fn due(&self) -> UnixTime {
        self.rest.due
    }

    /// Whether an operator holds it.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.rest.recipients & HELD != 0
    }

    /// Its job for the schedule.
    #[must_use]
    pub fn job(&self) -> Job {
        let Rest { part, attempts, client, .. } = self.rest;
        Job { id: self.id, part: u32::from(part), attempts: u32::from(attempts), client }
    }

    /// The same, due at another time.
    #[must_use]
    pub const fn at(mut self, due: UnixTime) -> Self {
        self.rest.due = due;
        self
    }
}

/// One message that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rest {
    due: UnixTime,
    way: u32,
    client: u32,
    first: u16,
    recipients: u16,
    /// The number of the one that is left.
    part: u8,
    /// How many there were; numbers are not given twice.
    parts: u8,
    attempts: u16,
}

/// All messages that wait, and the ways that they go.
#[derive(Debug, Default)]
pub(super) struct Dormitory {
    beds: Shelf<Rest>,
    /// By number, with how many go that way.
    ways: Vec<Option<(Arc<Way>, u32)>>,
    numbers: HashMap<Arc<Way>, u32>,
    free: Vec<u32>,
}

impl Dormitory {
    pub(super) const fn len(&self) -> usize {
        self.beds.len()
    }

    pub(super) fn has(&self, id: QueueId) -> bool {
        self.beds.get(id.as_u64()).is_some()
    }

    /// Takes a message in, if it only waits; otherwise it is left where it is.
    pub(super) fn lay(&mut self, id: QueueId, awake: &mut BTreeMap<QueueId, Message>) {
        let Some(rest) = awake.get(&id).and_then(Rest::of) else { return };
        let part = awake.remove(&id).and_then(|message| message.parts.into_iter().flatten().next());
        let Some(part) = part else { return };
        let way =
            self.number(&Arc::new(Way { destination: part.destination, alternatives: part.alternatives }));
        self.beds.insert(id.as_u64(), Rest { way, ..rest });
    }

    /// Takes in a message that was never awake.
    pub(super) fn take(&mut self, lying: &Lying) {
        let way = self.number(&lying.way);
        self.beds.insert(lying.id.as_u64(), Rest { way, ..lying.rest });
    }

    /// The message as it was.
    pub(super) fn wake(&mut self, id: QueueId) -> Option<Message> {
        let message = self.sight(id)?;
        let rest = self.beds.remove(id.as_u64())?;
        self.leave(rest.way);
        Some(message)
    }

    /// The message as it was, which rests on.
    pub(super) fn sight(&self, id: QueueId) -> Option<Message> {
        let rest = self.beds.get(id.as_u64())?;
        let part = self.part(&rest)?;
        let warned = if rest.recipients & WARNED == 0 { Vec::new() } else { part.recipients.clone() };
        let mut parts = vec![None; usize::from(rest.parts)];
        *parts.get_mut(usize::from(rest.part))? = Some(part);
        Some(Message { fresh: None, parts, reports: Vec::new(), gathering: None, warned })
    }

    /// Whether what the schedule has of a part is still to be done; `None` if the message does not rest.
    pub(super) fn is_current(&self, job: &Job) -> Option<bool> {
        let rest = self.beds.get(job.id.as_u64())?;
        let same = u32::from(rest.part) == job.part && u32::from(rest.attempts) == job.attempts;
        Some(same && rest.recipients & HELD == 0)
    }

    /// The parts from `from` on, for listings.
    pub(super) fn entries(&self, from: QueueId) -> impl Iterator<Item = (Place, Entry)> {
        self.beds.iter_from(from.as_u64()).filter_map(|(id, rest)| {
            let place = (QueueId::from_u64(id), u32::from(rest.part));
            Some((place, self.part(&rest)?.entry(place)))
        })
    }

    fn part(&self, rest: &Rest) -> Option<Part> {
        let (way, _) = self.ways.get(rest.way as usize)?.as_ref()?;
        let first = usize::from(rest.first);
        Some(Part {
            destination: way.destination.clone(),
            alternatives: way.alternatives.clone(),
            recipients: (first..first + usize::from(rest.recipients & COUNT)).collect(),
            attempts: u32::from(rest.attempts),
            active: false,
            held: rest.recipients & HELD != 0,
            pinned: rest.recipients & PINNED != 0,
            due: rest.due,
            first_failure: None,
            client: rest.client,
        })
    }

    fn number(&mut self, way: &Arc<Way>) -> u32 {
        if let Some(number) = self.numbers.get(way) {
            if let Some(Some((_, users))) = self.ways.get_mut(*number as usize) {
                *users += 1;
            }
            return *number;
        }
        let entry = Some((Arc::clone(way), 1));
        let number = match self.free.pop() {
            Some(number) => {
                self.ways[number as usize] = entry;
                number
            }
            None => {
                self.ways.push(entry);
                u32::try_from(self.ways.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.numbers.insert(Arc::clone(way), number);
        number
    }

    fn leave(&mut self, number: u32) {
        let Some(slot) = self.ways.get_mut(number as usize) else { return };
        let Some((way, users)) = slot else { return };
        *users -= 1;
        if *users == 0 {
            self.numbers.remove(way);
            *slot = None;
            self.free.push(number);
        }
    }
}

impl Rest {
    /// `None` where the message does not only wait, or where a number is larger than there is room for. The way is still to be filled in.
    fn of(message: &Message) -> Option<Self> {
        let Message { fresh, parts, reports, gathering, warned } = message;
        if fresh.is_some() || !reports.is_empty() || gathering.is_some() {
            return None;
        }
        let mut left = parts.iter().enumerate().filter_map(|(number, part)| Some((number, part.as_ref()?)));
        let ((number, part), None) = (left.next()?, left.next()) else { return None };
        let first = *part.recipients.first()?;
        let follow = part.recipients.iter().enumerate().all(|(n, index)| *index == first + n);
        let aware = part.recipients.iter().all(|index| warned.contains(index));
        // The others that knew are settled.
        if part.active || !follow || !(warned.is_empty() || aware) || parts.len() > MOST_PARTS {
            return None;
        }
        let marks = (part.held, part.pinned, !warned.is_empty());
        let rest = Self::with((first, part.recipients.len(), part.attempts), marks)?;
        Some(Self {
            due: part.due,
            client: part.client,
            part: u8::try_from(number).ok()?,
            parts: u8::try_from(parts.len()).ok()?,
            ..rest
        })
    }

    /// Of the only part of a message: its first recipient, how many, and attempts; whether it is held, pinned, and warned of.
    fn with(
        (first, count, attempts): (usize, usize, u32),
        (held, pinned, warned): (bool, bool, bool),
    ) -> Option<Self> {
        let flag = |set: bool, flag: u16| if set { flag } else { 0 };
        let count = u16::try_from(count).ok().filter(|count| *count <= COUNT)?;
        Some(Self {
            due: UnixTime::default(),
            way: 0,
            client: 0,
            first: u16::try_from(first).ok()?,
            recipients: count | flag(held, HELD) | flag(pinned, PINNED) | flag(warned, WARNED),
            part: 0,
            parts: 1,
            attempts: u16::try_from(attempts).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use waxseal_types::Service;

    use super::*;

    fn part(recipients: &[usize]) -> Part {
        let nexthop = "[mx.a.example]:587".parse().unwrap();
        let destination = Destination { service: Service::SMTP, nexthop };
        Part {
            destination,
            alternatives: vec!["b.example".parse().unwrap()],
            recipients: recipients.to_vec(),
            attempts: 3,
            active: false,
            held: false,
            pinned: false,
            due: UnixTime::from_micros(1_795_249_800_123_456),
            first_failure: None,
            client: 77,
        }
    }

    fn message(parts: Vec<Option<Part>>) -> Message {
        Message { fresh: None, parts, reports: Vec::new(), gathering: None, warned: Vec::new() }
    }

    #[test]
    fn whoever_wakes_is_who_lay_down() {
        let waits = [
            message(vec![Some(part(&[0]))]),
            message(vec![None, Some(part(&[4, 5, 6])), None]),
            message(vec![Some(Part { held: true, ..part(&[0]) })]),
            message(vec![Some(Part { pinned: true, alternatives: Vec::new(), ..part(&[0]) })]),
            Message { warned: vec![0, 1], ..message(vec![Some(part(&[0, 1]))]) },
        ];
        for waiting in waits {
            let mut dormitory = Dormitory::default();
            let id = QueueId::from_u64(9);
            let before = format!("{waiting:?}");
            let mut awake = BTreeMap::from([(id, waiting)]);
            dormitory.lay(id, &mut awake);
            assert!(awake.is_empty() && dormitory.has(id), "{before}");
            assert_eq!(format!("{:?}", dormitory.wake(id).unwrap()), before);
            assert_eq!((dormitory.len(), dormitory.numbers.len(), dormitory.free.len()), (0, 0, 1));
        }
    }

    #[test]
    fn who_was_found_waiting_is_who_had_lain_down() {
        let mailbox =
            |index: u32| (index, waxseal_types::Mailbox::new(&format!("u{index}@a.example")).unwrap());
        let waiting = |recipients: &[u32], held, warned| Waiting {
            id: QueueId::from_u64(9),
            recipients: recipients.iter().copied().map(mailbox).collect(),
            client: "client".into(),
            attempts: 3,
            due: part(&[0]).due,
            held,
            warned,
        };
        let Part { destination, alternatives, .. } = part(&[0]);
        let way = Arc::new(Way { destination, alternatives });
        for (recipients, held, warned) in
            [(&[0][..], false, false), (&[0], true, false), (&[4, 5], false, true)]
        {
            let lying = Lying::of(waiting(recipients, held, warned), Arc::clone(&way)).unwrap();
            assert_eq!((lying.is_held(), lying.job().attempts), (held, 3));
            let mut dormitory = Dormitory::default();
            dormitory.take(&lying);
            let recipients: Vec<_> = recipients.iter().map(|index| *index as usize).collect();
            let client = client_number("client");
            let before = Message {
                warned: if warned { recipients.clone() } else { Vec::new() },
                ..message(vec![Some(Part { held, client, ..part(&recipients) })])
            };
            assert_eq!(format!("{:?}", dormitory.wake(QueueId::from_u64(9)).unwrap()), format!("{before:?}"));
        }
        assert!(Lying::of(waiting(&[0, 2], false, false), way).is_none());
    }

    #[test]
    fn whoever_has_more_to_remember_stays_awake() {
        let busy = [
            message(vec![Some(part(&[0])), Some(part(&[1]))]),
            message(vec![Some(part(&[0, 2]))]),
            message(vec![Some(Part { active: true, ..part(&[0]) })]),
            message(vec![Some(Part { attempts: 70_000, ..part(&[0]) })]),
            message(vec![None; 300].into_iter().chain([Some(part(&[0]))]).collect()),
            Message { gathering: Some(UnixTime::from_secs(1)), ..message(vec![Some(part(&[0]))]) },
            Message { warned: vec![0], ..message(vec![Some(part(&[0, 1]))]) },
        ];
        for busy in busy {
            let (mut dormitory, id) = (Dormitory::default(), QueueId::from_u64(9));
            let mut awake = BTreeMap::from([(id, busy)]);
            dormitory.lay(id, &mut awake);
            assert_eq!((awake.len(), dormitory.len()), (1, 0), "{awake:?}");
        }
    }

    #[test]
    fn a_message_that_waits_takes_little_memory() {
        assert_eq!(size_of::<Rest>(), 24);
    }
}
