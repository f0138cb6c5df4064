//! Jobs that wait for their time: 24 octets each, however many.
//!
//! They are kept by the second in which they come due, unsorted; a second is put in order when it is the next one. So to take a job in costs the same
//! among a million as among ten, and no room is left between them, as a tree leaves it.

use std::collections::BTreeMap;

use waxseal_types::{QueueId, UnixTime};

use super::Job;

/// Bits of the microseconds within one of our seconds, which are a little longer than others.
const MICROS: u32 = 20;
/// Bits of the attempts.
const ATTEMPTS: u32 = 20;
/// So many jobs in one piece of memory; a power of two, as a vector grows by these.
const PIECE: usize = 128;

/// A job, packed.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    id: u64,
    /// From the lowest bit on: microseconds, attempts, part.
    packed: u64,
    number: u32,
    client: u32,
}

const fn low(bits: u32) -> u64 {
    (1 << bits) - 1
}

impl Waiting {
    fn new(due: UnixTime, number: u32, job: &Job) -> Self {
        let attempts = u64::from(job.attempts.min(Job::MOST_ATTEMPTS));
        let packed =
            due.as_micros() & low(MICROS) | attempts << MICROS | u64::from(job.part) << (MICROS + ATTEMPTS);
        Self { id: job.id.as_u64(), packed, number, client: job.client }
    }

    const fn micros(&self) -> u64 {
        self.packed & low(MICROS)
    }

    const fn part(&self) -> u32 {
        // 24 bits are left of it.
        (self.packed >> (MICROS + ATTEMPTS)) as u32
    }

    const fn job(&self) -> Job {
        // 20 bits.
        let attempts = ((self.packed >> MICROS) & low(ATTEMPTS)) as u32;
        Job { id: QueueId::from_u64(self.id), part: self.part(), attempts, client: self.client }
    }
}

/// What comes due in one second: pieces that are full, but for the last.
#[derive(Debug, Default)]
struct Second(Vec<Vec<Waiting>>);

impl Second {
    fn push(&mut self, waiting: Waiting) {
        match self.0.last_mut() {
            Some(last) if last.len() < PIECE => last.push(waiting),
            Some(_) | None => self.0.push(vec![waiting]),
        }
    }

    fn take(&mut self, which: impl Fn(&Waiting) -> bool) -> Option<Waiting> {
        let piece = self.0.iter().position(|piece| piece.iter().any(&which))?;
        let place = self.0[piece].iter().position(which)?;
        let last = self.0.last_mut()?.pop()?;
        if self.0.last().is_some_and(Vec::is_empty) {
            self.0.pop();
        }
        // It was the last one, or the last one takes its place.
        match self.0.get_mut(piece).and_then(|piece| piece.get_mut(place)) {
            Some(slot) => Some(std::mem::replace(slot, last)),
            None => Some(last),
        }
    }

    /// The last one is the next one.
    fn in_order(self) -> Vec<Waiting> {
        let mut all = self.0.concat();
        all.sort_unstable_by_key(|waiting| std::cmp::Reverse((waiting.micros(), waiting.id)));
        all
    }
}

/// How far somebody has counted who does so in turns: the second, and the place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark(u64, usize);

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Later {
    /// The next second, in order; empty only if all is.
    next: Vec<Waiting>,
    /// Which that is.
    second: u64,
    seconds: BTreeMap<u64, Second>,
    len: usize,
}

impl Later {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// When the next one is due.
    pub(super) fn next_time(&self) -> Option<UnixTime> {
        self.next.last().map(|waiting| UnixTime::from_micros(self.second << MICROS | waiting.micros()))
    }

    pub(super) fn insert(&mut self, due: UnixTime, number: u32, job: &Job) {
        let (second, waiting) = (due.as_micros() >> MICROS, Waiting::new(due, number, job));
        self.len += 1;
        if !self.next.is_empty() && second > self.second {
            self.seconds.entry(second).or_default().push(waiting);
            return;
        }
        if second != self.second && !self.next.is_empty() {
            // Earlier than all others.
            let later = self.seconds.entry(self.second).or_default();
            std::mem::take(&mut self.next).into_iter().for_each(|waiting| later.push(waiting));
        }
        self.second = second;
        let key = (waiting.micros(), waiting.id);
        let place = self.next.partition_point(|other| (other.micros(), other.id) > key);
        self.next.insert(place, waiting);
    }

    /// The next one, if it is due, and the number that it came with.
    pub(super) fn pop(&mut self, now: UnixTime) -> Option<(u32, Job)> {
        if self.next_time()? > now {
            return None;
        }
        let waiting = self.next.pop()?;
        self.len -= 1;
        self.refill();
        Some((waiting.number, waiting.job()))
    }

    fn refill(&mut self) {
        if self.next.is_empty() {
            self.next = Vec::new();
            if let Some((second, waiting)) = self.seconds.pop_first() {
                (self.second, self.next) = (second, waiting.in_order());
            }
        }
    }

    /// Takes a job back; the number that it came with.
    pub(super) fn take(&mut self, job: &Job, due: UnixTime) -> Option<u32> {
        let (second, id, part) = (due.as_micros() >> MICROS, job.id.as_u64(), job.part);
        let same = |waiting: &Waiting| (waiting.id, waiting.part()) == (id, part);
        let taken = if second == self.second {
            let place = self.next.iter().position(same)?;
            let taken = self.next.remove(place);
            self.refill();
            taken
        } else {
            let waiting = self.seconds.get_mut(&second)?;
            let taken = waiting.take(same)?;
            if waiting.0.is_empty() {
                self.seconds.remove(&second);
            }
            taken
        };
        self.len -= 1;
        Some(taken.number)
    }

    /// All of them are due so much earlier.
    pub(super) fn shift(&mut self, micros: u64) {
        let before = std::mem::take(self);
        let first = (before.second, Second(vec![before.next]));
        for (second, waiting) in std::iter::once(first).chain(before.seconds) {
            for waiting in waiting.0.into_iter().flatten() {
                let due = (second << MICROS | waiting.micros()).saturating_sub(micros);
                self.insert(UnixTime::from_micros(due), waiting.number, &waiting.job());
            }
        }
    }

    /// Shows some of those behind `mark`, `room` at most; `None` when they were the last ones.
    pub(super) fn look(&self, mark: Mark, room: usize, mut each: impl FnMut(u32, &Job)) -> Option<Mark> {
        let mut left = room;
        let mut show = |all: &mut dyn Iterator<Item = &Waiting>, mark: &mut Mark| {
            for waiting in all.skip(mark.1).take(left) {
                each(waiting.number, &waiting.job());
                mark.1 += 1;
                left -= 1;
            }
            left == 0
        };
        let mut at = mark;
        if self.second >= at.0 {
            at = Mark(self.second, if at.0 == self.second { at.1 } else { 0 });
            if show(&mut self.next.iter(), &mut at) {
                return Some(at);
            }
        }
        for (second, waiting) in self.seconds.range(at.0..) {
            at = Mark(*second, if at.0 == *second { at.1 } else { 0 });
            if show(&mut waiting.0.iter().flatten(), &mut at) {
                return Some(at);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: u64) -> Job {
        Job { id: QueueId::from_u64(id), part: (id % 5) as u32, attempts: (id % 9) as u32, client: id as u32 }
    }

    /// Steps of a generator of numbers (Knuth, The Art of Computer Programming, volume 2, 3.3.4).
    fn numbers() -> impl FnMut() -> u64 {
        let mut state = 7u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> 33
        }
    }

    #[test]
    fn it_does_what_an_ordered_map_does() {
        let (mut later, mut map, mut number) = (Later::default(), BTreeMap::new(), numbers());
        let mut now = 1_795_249_800_000_000u64;
        for step in 0..30_000u64 {
            match number() % 7 {
                0..4 => {
                    let due = now + number() % 8_000_000;
                    later.insert(UnixTime::from_micros(due), step as u32, &job(step));
                    map.insert((due, step), step as u32);
                }
                4 if !map.is_empty() => {
                    let (due, id) = *map.keys().nth(number() as usize % map.len()).unwrap();
                    let taken = later.take(&job(id), UnixTime::from_micros(due));
                    assert_eq!(taken, map.remove(&(due, id)));
                    assert_eq!(later.take(&job(id), UnixTime::from_micros(due)), None);
                }
                _ => {
                    now += number() % 100_000;
                    while let Some((number, job_)) = later.pop(UnixTime::from_micros(now)) {
                        let ((due, id), expected) = map.pop_first().unwrap();
                        assert!(due <= now);
                        assert_eq!((number, job_), (expected, job(id)));
                    }
                }
            }
            assert_eq!(later.len(), map.len());
            let next = map.keys().next().map(|(due, _)| *due);
            assert_eq!(later.next_time().map(UnixTime::as_micros), next);
        }
    }

    #[test]
    fn all_are_shown_once_in_turns() {
        let mut later = Later::default();
        for id in 0..5000 {
            later.insert(UnixTime::from_micros(1000 + id * 7919), 3, &job(id));
        }
        let (mut seen, mut mark, mut turns) = (Vec::new(), Some(Mark::default()), 0);
        while let Some(from) = mark {
            mark = later.look(from, 700, |_, job| seen.push(job.id.as_u64()));
            turns += 1;
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..5000));
        assert_eq!(turns, 8);
    }

    #[test]
    fn a_job_takes_24_octets_and_little_is_wasted() {
        assert_eq!(size_of::<Waiting>(), 24);
        let mut later = Later::default();
        for id in 0..100_000u64 {
            later.insert(
                UnixTime::from_micros(id.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 60_000_000),
                0,
                &job(id),
            );
        }
        let octets: usize =
            later.seconds.values().flat_map(|second| &second.0).map(|piece| piece.capacity() * 24).sum();
        assert!(octets < 100_000 * 27, "{octets}");
    }
}
