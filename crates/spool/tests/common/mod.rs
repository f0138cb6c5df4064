//! What the tests of the spool share.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
};

use bytes::Bytes;
use waxseal_spool::{
    Done, Error, Log, Outcome, Pending, Progress, Put, RecipientResult, RecipientState, Settings, SimDisk,
    Spool, Stepper, Update, open_stepped, open_unread,
};
use waxseal_types::{EnhancedStatus, Envelope, Mailbox, QueueId, Recipient, UnixTime};

pub fn envelope(id: u64, recipients: usize) -> Envelope {
    let recipient = |n| Recipient {
        mailbox: Mailbox::new(&format!("r{n}@example.org")).unwrap(),
        notify: None,
        original: None,
    };
    Envelope {
        sender: Some(Mailbox::new("s@example.com").unwrap()),
        recipients: (0..recipients).map(recipient).collect(),
        ..Envelope::empty(QueueId::from_u64(id), UnixTime::from_secs(1_795_249_800), "test[192.0.2.1]")
    }
}

/// The text is a function of the id, so that it need not be remembered.
pub fn body(id: u64, length: usize) -> Bytes {
    let mut text = id.to_le_bytes().repeat(length / 8 + 1);
    text.truncate(length);
    text.into()
}

pub fn put(id: u64, recipients: usize, length: usize) -> Put {
    Put { envelope: envelope(id, recipients), body: body(id, length) }
}

pub fn small() -> Settings {
    Settings {
        segment_size: 8 << 10,
        reserve: 4 << 10,
        inline_limit: 1500,
        checkpoint_from: 3,
        checkpoint_segments: 2,
        ..Settings::default()
    }
}

pub fn poll<T>(pending: &mut Pending<T>) -> Option<Result<T, Error>> {
    match Pin::new(pending).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for an answer of a log with a thread.
pub fn wait<T>(mut pending: Pending<T>) -> Result<T, Error> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        if let Poll::Ready(result) = pending.as_mut().poll(&mut Context::from_waker(&waker)) {
            return result;
        }
        std::thread::park();
    }
}

pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) ^ (self.0 >> 12)) % below
    }
}

/// Where a recipient may stand: known, or one of several.
#[derive(Debug, Clone)]
struct Expected {
    length: usize,
    acknowledged: bool,
    /// For each recipient the attempts on record that are acknowledged, and the most that were asked for.
    attempts: Vec<(u32, u32)>,
    done_asked: bool,
    done: bool,
    /// The notification that is there if, and only if, this message has been marked so.
    told_by: Option<(u64, Told)>,
}

#[derive(Debug, Clone, Copy)]
enum Told {
    /// With the result number so many of this recipient.
    Update(usize, u32),
    Done,
}

enum Asked {
    Put(u64),
    Update(u64, usize, u32, Option<u64>),
    Done(u64, Option<u64>),
}

/// What a spool must hold, kept beside one that runs.
#[derive(Default)]
pub struct Model {
    messages: BTreeMap<u64, Expected>,
    next: u64,
    /// Messages up to this one are not known to the log yet.
    unread: u64,
}

pub struct Life {
    pub log: Log,
    pub stepper: Stepper,
    asked: Vec<(Asked, Pending<()>)>,
}

pub fn live(disk: &SimDisk, settings: Settings) -> Result<Life, Error> {
    let (log, _, stepper) = open_stepped(Arc::new(disk.clone()), settings)?;
    Ok(Life { log, stepper, asked: Vec::new() })
}

/// The same with only so much read as it takes to write; see [`Model::read_all`].
pub fn live_unread(disk: &SimDisk, settings: Settings, model: &mut Model) -> Result<Life, Error> {
    let (log, _, stepper) = open_unread(Arc::new(disk.clone()), settings)?;
    model.unread = model.next;
    Ok(Life { log, stepper, asked: Vec::new() })
}

pub fn progress(attempts: u32, state: RecipientState) -> Progress {
    let last = Outcome {
        at: UnixTime::from_secs(u64::from(attempts)),
        status: EnhancedStatus::transient(7, 5),
        host: None,
        reply: None,
        reason: "busy".into(),
        trouble: None,
        tried: None,
    };
    Progress { attempts, state, last: Some(last), ..Progress::NEW }
}

impl Model {
    fn new_message(&mut self, random: &mut Random) -> Put {
        self.next += 1;
        let (recipients, length) = (1 + random.next(3) as usize, random.next(2500) as usize);
        let expected = Expected {
            length,
            acknowledged: false,
            attempts: vec![(0, 0); recipients],
            done_asked: false,
            done: false,
            told_by: None,
        };
        self.messages.insert(self.next, expected);
        put(self.next, recipients, length)
    }

    fn idle(&self, random: &mut Random) -> Option<u64> {
        let idle = |(id, m): (&u64, &Expected)| {
            let settled = m.attempts.iter().all(|(known, asked)| known == asked);
            (m.acknowledged && !m.done_asked && settled && *id > self.unread).then_some(*id)
        };
        let idle: Vec<u64> = self.messages.iter().filter_map(idle).collect();
        (!idle.is_empty()).then(|| idle[random.next(idle.len() as u64) as usize])
    }

    /// All that was there comes in.
    pub fn read_all(&mut self, life: &mut Life) -> Result<(), Error> {
        self.unread = 0;
        life.stepper.load()
    }

    /// One random request, or a commit.
    pub fn act(&mut self, life: &mut Life, random: &mut Random) {
        match random.next(10) {
            0..3 => {
                let put = self.new_message(random);
                life.asked.push((Asked::Put(self.next), life.log.put(put)));
            }
            3..5 => self.act_update(life, random),
            5..7 => self.act_done(life, random),
            _ => {
                life.stepper.step();
                self.hear(life);
            }
        }
    }

    fn act_update(&mut self, life: &mut Life, random: &mut Random) {
        let Some(id) = self.idle(random) else { return };
        let dsn = (random.next(4) == 0).then(|| self.new_message(random));
        let dsn_id = dsn.as_ref().map(|_| self.next);
        let message = self.messages.get_mut(&id).unwrap();
        let index = random.next(message.attempts.len() as u64) as usize;
        let attempts = message.attempts[index].1 + 1;
        message.attempts[index].1 = attempts;
        message.told_by = dsn_id.map(|dsn| (dsn, Told::Update(index, attempts)));
        let result =
            RecipientResult { index: index as u32, progress: progress(attempts, RecipientState::Pending) };
        let update = Update { id: QueueId::from_u64(id), results: vec![result], dsn };
        life.asked.push((Asked::Update(id, index, attempts, dsn_id), life.log.update(update)));
    }

    fn act_done(&mut self, life: &mut Life, random: &mut Random) {
        let Some(id) = self.idle(random) else { return };
        let dsn = (random.next(4) == 0).then(|| self.new_message(random));
        let dsn_id = dsn.as_ref().map(|_| self.next);
        let message = self.messages.get_mut(&id).unwrap();
        message.done_asked = true;
        message.told_by = dsn_id.map(|dsn| (dsn, Told::Done));
        let done = Done { id: QueueId::from_u64(id), dsn };
        life.asked.push((Asked::Done(id, dsn_id), life.log.done(done)));
    }

    /// Takes the answers that have come.
    pub fn hear(&mut self, life: &mut Life) {
        life.asked.retain_mut(|(asked, pending)| {
            let Some(result) = poll(pending) else { return true };
            if result.is_ok() {
                self.heard(asked);
            }
            false
        });
    }

    fn heard(&mut self, asked: &Asked) {
        let (id, dsn) = match *asked {
            Asked::Put(id) => {
                self.messages.get_mut(&id).unwrap().acknowledged = true;
                return;
            }
            Asked::Update(id, index, attempts, dsn) => {
                self.messages.get_mut(&id).unwrap().attempts[index].0 = attempts;
                (id, dsn)
            }
            Asked::Done(id, dsn) => {
                self.messages.get_mut(&id).unwrap().done = true;
                (id, dsn)
            }
        };
        self.messages.get_mut(&id).unwrap().told_by = None;
        if let Some(dsn) = dsn {
            self.messages.get_mut(&dsn).unwrap().acknowledged = true;
        }
    }

    pub fn acknowledged(&self) -> usize {
        self.messages.values().filter(|m| m.acknowledged).count()
    }

    /// Holds a spool that was opened after a crash against what was promised, then takes what it found for granted.
    pub fn check(&mut self, disk: &SimDisk, settings: Settings, what: &str) {
        self.unread = 0;
        let (log, recovery, _stepper) = open_stepped(Arc::new(disk.clone()), settings).unwrap();
        assert_eq!(recovery.report().damage, [], "{what}: a crash is no damage");
        let mut found = BTreeMap::new();
        for message in recovery {
            let message = message.unwrap();
            let id = message.envelope.id.as_u64();
            let expected = self.messages.get(&id).unwrap_or_else(|| panic!("{what}: {id} was never sent"));
            assert!(!expected.done, "{what}: {id} came back to life");
            assert_eq!(message.envelope, envelope(id, expected.attempts.len()), "{what}");
            let stored = wait(log.read(message.envelope.id)).unwrap();
            assert_eq!(stored.body, body(id, expected.length), "{what}: text of {id}");
            assert_eq!(stored.states, message.states, "{what}");
            for (progress, (known, asked)) in stored.states.iter().zip(&expected.attempts) {
                let range = known..=asked;
                assert!(range.contains(&&progress.attempts), "{what}: {id} {progress:?} not in {range:?}");
            }
            found.insert(id, stored.states);
        }
        for (id, expected) in &self.messages {
            if expected.acknowledged && !expected.done_asked {
                assert!(found.contains_key(id), "{what}: {id} is lost");
            }
            self.check_told(*id, expected, &found, what);
        }
        self.messages.retain(|id, _| found.contains_key(id));
        for (id, states) in found {
            let message = self.messages.get_mut(&id).unwrap();
            (message.acknowledged, message.done_asked, message.told_by) = (true, false, None);
            message.attempts = states.iter().map(|state| (state.attempts, state.attempts)).collect();
        }
    }

    fn check_told(&self, id: u64, expected: &Expected, found: &BTreeMap<u64, Vec<Progress>>, what: &str) {
        let Some((dsn, told)) = expected.told_by else { return };
        let marked = match told {
            Told::Done => !found.contains_key(&id),
            Told::Update(index, attempts) => found[&id][index].attempts == attempts,
        };
        assert_eq!(marked, found.contains_key(&dsn), "{what}: {id} and its notification {dsn} part");
    }
}
