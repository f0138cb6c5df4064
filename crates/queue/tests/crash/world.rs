//! What is true whatever the program remembers: who was promised what, and what servers got.

use std::{collections::BTreeMap, time::Duration};

use waxseal_spool::Metrics;
use waxseal_types::UnixTime;

pub const LIFETIME: Duration = Duration::from_secs(4 * 3600);
pub const MAXIMAL_BACKOFF: Duration = Duration::from_secs(1200);

pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) ^ (self.0 >> 12)) % below
    }
}

/// What the runs came to, so that they are known to have tried something.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reached {
    pub recycled: u64,
    pub copied: u64,
    pub delivered: u64,
    pub notified: u64,
    /// Deliveries that a crash caused to be made again.
    pub repeated: u64,
}

impl Reached {
    pub fn note(&mut self, metrics: &Metrics) {
        self.recycled += metrics.recycled;
        self.copied += metrics.copied;
    }
}

impl std::iter::Sum for Reached {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, more| Self {
            recycled: sum.recycled + more.recycled,
            copied: sum.copied + more.copied,
            delivered: sum.delivered + more.delivered,
            notified: sum.notified + more.notified,
            repeated: sum.repeated + more.repeated,
        })
    }
}

/// One recipient.
#[derive(Debug, Default)]
pub struct Fate {
    /// 250s of servers.
    delivered: u32,
    /// Crashes that lay between a 250 and its durable mark.
    excused: u32,
    /// Refused for good, or too old.
    failed: bool,
    /// A delivery since the last crash, whose mark is not known to be durable.
    unmarked: bool,
    /// Its end is durable.
    settled: bool,
    /// An attempt is under way.
    active: bool,
    /// Not before then, as far as this life has been told.
    not_before: UnixTime,
    /// Notifications that are durable, or were.
    told: u32,
}

#[derive(Debug)]
pub struct Message {
    pub fates: Vec<Fate>,
    pub sender: bool,
    pub length: usize,
    /// The client heard 250, or the message was found in the spool.
    pub accepted: bool,
    /// All of it is over, and that is durable.
    done: bool,
    /// Of which message and recipients it tells.
    tells: Option<(u64, Vec<usize>)>,
}

#[derive(Debug)]
pub struct World {
    pub now: UnixTime,
    pub messages: BTreeMap<u64, Message>,
    pub reached: Reached,
    seed: u64,
    next: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let now = UnixTime::from_secs(1_795_249_800);
        Self { now, messages: BTreeMap::new(), reached: Reached::default(), seed, next: 0 }
    }

    pub fn new_message(
        &mut self,
        recipients: usize,
        sender: bool,
        length: usize,
        tells: Option<(u64, Vec<usize>)>,
    ) -> u64 {
        self.next += 1;
        let fates = (0..recipients).map(|_| Fate::default()).collect();
        let (accepted, done) = (false, false);
        self.messages.insert(self.next, Message { fates, sender, length, accepted, done, tells });
        self.next
    }

    pub fn next_id(&self) -> u64 {
        self.next + 1
    }

    fn fate(&mut self, id: u64, index: usize) -> &mut Fate {
        &mut self.messages.get_mut(&id).unwrap().fates[index]
    }

    /// The client heard 250, or a notification became durable.
    pub fn accept(&mut self, id: u64) {
        let message = self.messages.get_mut(&id).unwrap();
        if !std::mem::replace(&mut message.accepted, true)
            && let Some((about, recipients)) = message.tells.clone()
        {
            self.reached.notified += 1;
            recipients.into_iter().for_each(|index| self.fate(about, index).told += 1);
        }
    }

    /// I3 and I6: an attempt begins.
    pub fn begin(&mut self, id: u64, recipients: &[usize]) {
        let (now, seed) = (self.now, self.seed);
        assert!(self.messages[&id].accepted && !self.messages[&id].done, "seed {seed}: {id} is nobody's");
        for index in recipients {
            let fate = self.fate(id, *index);
            assert!(!fate.settled, "seed {seed}: {id}/{index} is settled and tried again");
            assert!(!std::mem::replace(&mut fate.active, true), "seed {seed}: {id}/{index} is tried twice");
            assert!(now >= fate.not_before, "seed {seed}: {id}/{index} is tried before its time");
        }
    }

    /// I4: a server took it.
    pub fn delivered(&mut self, id: u64, index: usize) {
        let seed = self.seed;
        let fate = self.fate(id, index);
        fate.delivered += 1;
        fate.unmarked = true;
        assert!(fate.delivered <= 1 + fate.excused, "seed {seed}: {id}/{index} is delivered again: {fate:?}");
        let repeated = fate.delivered > 1;
        self.reached.delivered += 1;
        self.reached.repeated += u64::from(repeated);
    }

    pub fn failed(&mut self, id: u64, index: usize) {
        self.fate(id, index).failed = true;
    }

    pub fn ended(&mut self, id: u64, index: usize, not_before: Option<UnixTime>) {
        let fate = self.fate(id, index);
        fate.active = false;
        fate.not_before = not_before.unwrap_or_default();
    }

    /// The end of a recipient is durable.
    pub fn settled(&mut self, id: u64, index: usize) {
        let fate = self.fate(id, index);
        (fate.settled, fate.unmarked) = (true, false);
    }

    /// The end of a message is durable.
    pub fn done(&mut self, id: u64) {
        let message = self.messages.get_mut(&id).unwrap();
        message.done = true;
        for fate in &mut message.fates {
            (fate.settled, fate.unmarked) = (true, false);
        }
    }

    /// What the program knew is gone.
    pub fn crash(&mut self, down: Duration) {
        self.now = self.now + down;
        for fate in self.messages.values_mut().flat_map(|message| &mut message.fates) {
            fate.excused += u32::from(std::mem::take(&mut fate.unmarked));
            fate.active = false;
            fate.not_before = UnixTime::default();
        }
    }

    /// I1 and I3: what is in the spool after a crash; for each recipient, whether it is settled.
    pub fn recovered(&mut self, found: &BTreeMap<u64, Vec<bool>>) {
        let seed = self.seed;
        for (id, states) in found {
            let message = self.messages.get(id).unwrap_or_else(|| panic!("seed {seed}: {id} was never sent"));
            assert!(!message.done, "seed {seed}: {id} came back to life");
            for (index, settled) in states.iter().enumerate() {
                let fate = self.fate(*id, index);
                assert!(*settled || !fate.settled, "seed {seed}: the end of {id}/{index} is forgotten");
                assert!(
                    !*settled || fate.delivered > 0 || fate.failed,
                    "seed {seed}: {id}/{index} never ended"
                );
                fate.settled |= *settled;
            }
            self.accept(*id);
        }
        let gone: Vec<u64> = self.messages.keys().filter(|id| !found.contains_key(id)).copied().collect();
        for id in gone {
            let message = &self.messages[&id];
            if message.accepted && !message.done {
                // Then its end was written, although nobody heard of it.
                let over = message.fates.iter().all(|fate| fate.delivered > 0 || fate.failed);
                assert!(over, "seed {seed}: {id} is lost: {message:?}");
                self.done(id);
            }
            if !self.messages[&id].accepted {
                self.messages.remove(&id);
            }
        }
    }

    /// I1, I2, I5 and I8: the queue is empty, and its time is over.
    pub fn final_check(&self) {
        let seed = self.seed;
        for (id, message) in &self.messages {
            assert!(message.accepted && message.done, "seed {seed}: {id} has no end: {message:?}");
            for (index, fate) in message.fates.iter().enumerate() {
                let told = if message.sender { fate.told > 0 } else { fate.failed };
                assert!(fate.delivered > 0 || told, "seed {seed}: {id}/{index} is lost: {fate:?}");
                assert!(fate.told <= u32::from(message.sender), "seed {seed}: {id}/{index}: {fate:?}");
                let both = fate.delivered > 0 && fate.told > 0;
                assert!(!both || fate.excused > 0, "seed {seed}: {id}/{index} has two ends: {fate:?}");
            }
        }
    }
}
