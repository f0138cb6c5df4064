//! One life of the program: what the queue manager does between log, owner and schedule, without actors, and servers that answer by chance.

use std::{
    collections::BTreeMap,
    future::Future as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use waxseal_policy::{RouteLookup, Settings as PolicySettings, Step};
use waxseal_queue::{
    Account, Failure, Feedback, Outcome, RecipientResult, Schedule, Settings, Start, Trouble,
    bounce::{self, Report},
    owner::{Owner, Part, Unrouted},
    split,
};
use waxseal_spool::{
    Done, Error, Found, Log, Pending, Put, Recovered, Settings as SpoolSettings, SimDisk, Spool, Stepper,
    Update, Waiting, open_stepped,
};
use waxseal_types::{EnhancedStatus, Envelope, QueueId, Recipient, Reply, UnixTime};

use crate::world::{LIFETIME, MAXIMAL_BACKOFF, Random, World};

/// A request to the log that has not been answered.
enum Asked {
    Put(Arc<Envelope>, Bytes),
    Update(QueueId, Vec<usize>, Option<Put>),
    Done(QueueId, Option<Put>),
}

struct Attempt {
    start: Start,
    part: Part,
    envelope: Arc<Envelope>,
    body: Bytes,
}

pub struct Desk {
    pub log: Log,
    stepper: Stepper,
    settings: Settings,
    policy: PolicySettings,
    owner: Owner,
    schedule: Schedule,
    gathering: BTreeMap<(UnixTime, QueueId), ()>,
    asked: Vec<(Asked, Pending<()>)>,
    attempts: Vec<Attempt>,
}

fn poll<T>(pending: &mut Pending<T>) -> Option<Result<T, Error>> {
    match Pin::new(pending).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

/// The text is a function of the id, so that it need not be remembered.
fn text(id: u64, length: usize) -> Bytes {
    let mut text = format!("Subject: {id}\r\n\r\n").repeat(length / 16 + 1);
    text.truncate(length);
    text.into()
}

fn reply(code: u16, words: &str) -> Reply {
    Reply { code, status: None, text: words.into() }
}

/// All that is known of a message that was found; where the checkpoint had it, that must be what the log says.
fn whole(log: &Log, found: Found) -> Option<Recovered> {
    let waiting = match found {
        Found::Whole(message) => return Some(*message),
        Found::Waiting(waiting) => waiting,
    };
    let message = poll(&mut log.outlines(vec![waiting.id]))?.ok()?.pop()?.ok()?;
    assert_eq!(Waiting::of(&message), Some(waiting), "the checkpoint is believed only where the log agrees");
    Some(message)
}

fn failure(code: u16, status: EnhancedStatus) -> Failure {
    let said = reply(code, "says the server");
    Failure { status, reason: "refused".into(), reply: Some(said), trouble: Trouble::Refused }
}

impl Desk {
    /// Opens the spool and takes up what is in it; `None` where the disk is dead already.
    pub fn open(disk: &SimDisk, spool: SpoolSettings, world: &mut World) -> Option<Self> {
        let (log, recovery, stepper) = open_stepped(Arc::new(disk.clone()), spool).ok()?;
        assert_eq!(recovery.report().damage, [], "a crash is no damage");
        let recovered: Vec<_> =
            recovery.briefly().map(|found| whole(&log, found.ok()?)).collect::<Option<_>>()?;
        let states = |found: &Recovered| {
            let settled = found.states.iter().map(|progress| progress.state.is_final()).collect();
            (found.envelope.id.as_u64(), settled)
        };
        world.recovered(&recovered.iter().map(states).collect());
        let settings = Settings {
            minimal_backoff: Duration::from_secs(300),
            maximal_backoff: MAXIMAL_BACKOFF,
            maximal_lifetime: LIFETIME,
            bounce_lifetime: LIFETIME,
            active_limit: 6,
            ..Settings::default()
        };
        let mut desk = Self {
            log,
            stepper,
            policy: PolicySettings::default(),
            owner: Owner::default(),
            schedule: Schedule::new(&settings),
            settings,
            gathering: BTreeMap::new(),
            asked: Vec::new(),
            attempts: Vec::new(),
        };
        for found in recovered {
            desk.admit(Unrouted::found(found), world);
        }
        Some(desk)
    }

    /// One thing that happens.
    pub fn act(&mut self, world: &mut World, random: &mut Random) {
        match random.next(12) {
            0..2 => self.submit(world, random),
            2..5 => self.begin(world),
            5..8 => {
                if !self.attempts.is_empty() {
                    let attempt = self.attempts.swap_remove(random.next(self.attempts.len() as u64) as usize);
                    self.end(attempt, world, |_| random.next(10));
                }
            }
            8 => {
                world.now = world.now + Duration::from_millis(random.next(400_000));
                self.tell_gathered(world);
            }
            _ => {
                self.stepper.step();
                self.hear(world);
            }
        }
        // I7: limits hold.
        assert!(self.schedule.active() <= 2 * self.settings.active_limit);
        assert_eq!(self.schedule.active() as usize, self.attempts.len());
    }

    /// Until nothing is left: servers that were never friendly take everything, or time runs out.
    pub fn drain(&mut self, world: &mut World) {
        let end = world.now + LIFETIME + MAXIMAL_BACKOFF * 2;
        loop {
            self.begin(world);
            for attempt in std::mem::take(&mut self.attempts) {
                self.end(attempt, world, |index| if index == 0 { 0 } else { 5 });
            }
            self.tell_gathered(world);
            self.stepper.step();
            self.hear(world);
            if self.owner.is_empty() && self.asked.is_empty() && self.log.is_empty() {
                return;
            }
            assert!(world.now < end, "the queue does not become empty: {:?}", self.owner);
            let next = self.schedule.next_wakeup().into_iter();
            let next = next.chain(self.gathering.keys().next().map(|(time, _)| *time)).min();
            if self.attempts.is_empty() && self.asked.is_empty() {
                world.now = world.now.max(next.unwrap_or(world.now)) + Duration::from_millis(1);
            }
        }
    }

    fn submit(&mut self, world: &mut World, random: &mut Random) {
        let (recipients, sender) = (1 + random.next(4) as usize, random.next(5) > 0);
        let length = random.next(2500) as usize;
        let id = world.new_message(recipients, sender, length, None);
        let recipient = |n| {
            let mailbox = format!("r{n}@d{}.test", (id + n as u64) % 3).parse().unwrap();
            Recipient { mailbox, notify: None, original: None }
        };
        let envelope = Envelope {
            sender: sender.then(|| "s@example.com".parse().unwrap()),
            recipients: (0..recipients).map(recipient).collect(),
            size: length as u64,
            ..Envelope::empty(QueueId::from_u64(id), world.now, format!("client{}", random.next(3)))
        };
        let body = text(id, length);
        let pending = self.log.put(Put { envelope: envelope.clone(), body: body.clone() });
        self.asked.push((Asked::Put(Arc::new(envelope), body), pending));
    }

    fn admit(&mut self, message: Unrouted, world: &mut World) {
        let Unrouted {
            envelope,
            body,
            fresh,
            recipients,
            attempts,
            mut due,
            held: _,
            since: _,
            reports,
            warned,
        } = message;
        let (id, now) = (envelope.id, world.now);
        if !fresh {
            due = self.schedule.after_restart(id, attempts, due, now);
        }
        let route = |index: &usize| {
            let lookup = RouteLookup::new(&self.policy, &envelope.recipients[*index].mailbox);
            let Step::Done(route) = lookup.step() else { panic!("no tables here") };
            (*index, Ok(route.unwrap()))
        };
        let routed = split(recipients.iter().map(route), |service| self.settings.recipients_of_part(service));
        let part = |part| Part { attempts, due, ..Part::routed(part) };
        let parts: Vec<Part> = routed.parts.into_iter().map(part).collect();
        if parts.is_empty() {
            self.finish_message(&envelope, body, &reports, world);
            return;
        }
        if !reports.is_empty() {
            self.gathering.insert((now + self.settings.bounce_gather, id), ());
        }
        for (number, part) in parts.iter().enumerate() {
            self.schedule.add(&part.destination, part.job(id, number), part.due, now);
        }
        self.owner.admit(id, body.map(|body| (envelope, body)), parts, (reports, now));
        self.owner.warned(id, warned);
    }

    fn begin(&mut self, world: &mut World) {
        while let Some(start) = self.schedule.poll(world.now) {
            let Some((part, fresh)) = self.owner.begin(&start.job) else {
                self.schedule.finished(&start, Feedback::None, world.now);
                continue;
            };
            let (id, now) = (start.job.id, world.now);
            let (envelope, body) = match fresh {
                Some(fresh) => fresh,
                None => match poll(&mut self.log.read(id)) {
                    Some(Ok(stored)) => (Arc::new(stored.envelope), stored.body),
                    // The disk is dead.
                    _ => {
                        self.schedule.finished(&start, Feedback::None, now);
                        let again = self.owner.postpone(&start.job, Duration::from_secs(60), now);
                        let (job, due) = again.unwrap();
                        self.schedule.add(&start.destination, job, due, now);
                        continue;
                    }
                },
            };
            assert_eq!(envelope.recipients.len(), world.messages[&id.as_u64()].fates.len());
            if envelope.client.as_ref() != "MAILER-DAEMON" {
                assert_eq!(body, text(id.as_u64(), world.messages[&id.as_u64()].length), "the text of {id}");
            }
            world.begin(id.as_u64(), &part.recipients);
            self.attempts.push(Attempt { start, part, envelope, body });
        }
    }

    /// The servers answer: to each recipient by a number from 0 to 9.
    fn end(&mut self, attempt: Attempt, world: &mut World, mut says: impl FnMut(usize) -> u64) {
        let Attempt { start, part, envelope, body } = attempt;
        let (id, now) = (envelope.id, world.now);
        let mut feedback = Feedback::Alive;
        let mut result = |index: &usize| {
            let outcome = match says(*index) {
                0..5 => {
                    world.delivered(id.as_u64(), *index);
                    Outcome::Delivered { reply: reply(250, "2.0.0 taken"), without_dsn: false }
                }
                5..7 => {
                    world.failed(id.as_u64(), *index);
                    Outcome::Bounced(failure(550, EnhancedStatus::permanent(1, 1)))
                }
                7 => {
                    feedback = Feedback::Dead;
                    Outcome::Deferred(failure(421, EnhancedStatus::transient(4, 1)))
                }
                _ => Outcome::Deferred(failure(450, EnhancedStatus::transient(2, 0))),
            };
            RecipientResult { index: *index, outcome, connection: None }
        };
        let account = Account {
            envelope: Arc::clone(&envelope),
            destination: start.destination.clone(),
            attempt: start.job.attempts + 1,
            started: now,
            ended: now,
            steps: Vec::new(),
            policies: Vec::new(),
            connections: Vec::new(),
            results: part.recipients.iter().map(&mut result).collect(),
        };
        self.schedule.finished(&start, feedback, now);
        let backoff = self.schedule.wait_after(feedback, start.job.attempts + 1);
        let effects = self.owner.finish(&start.job, &account, (&self.settings, backoff), now);
        let again = effects.retry.as_ref().map(|(_, due)| *due);
        part.recipients.iter().for_each(|index| world.ended(id.as_u64(), *index, again));
        effects.expired.iter().for_each(|(index, _)| world.failed(id.as_u64(), *index));
        if let Some((job, due)) = effects.retry {
            self.schedule.add(&start.destination, job, due, now);
        }
        if let Some(time) = effects.gather_until {
            self.gathering.insert((time, id), ());
        }
        if effects.finished {
            self.finish_message(&envelope, Some(body), &effects.reports, world);
        } else {
            self.update(Update { id, results: effects.results, dsn: None });
        }
    }

    fn update(&mut self, update: Update) {
        let settled = update.results.iter().filter(|result| result.progress.state.is_final());
        let settled = settled.map(|result| result.index as usize).collect();
        let asked = Asked::Update(update.id, settled, update.dsn.clone());
        self.asked.push((asked, self.log.update(update)));
    }

    fn finish_message(
        &mut self,
        envelope: &Arc<Envelope>,
        body: Option<Bytes>,
        reports: &[Report],
        world: &mut World,
    ) {
        let body = body.or_else(|| poll(&mut self.log.read(envelope.id))?.ok().map(|stored| stored.body));
        // The disk is dead; the next life sees to it.
        let Some(body) = body else { return };
        let dsn = self.notification((envelope, &body), reports, world);
        let done = Done { id: envelope.id, dsn };
        self.asked.push((Asked::Done(envelope.id, done.dsn.clone()), self.log.done(done)));
    }

    fn notification(&self, about: (&Envelope, &Bytes), reports: &[Report], world: &mut World) -> Option<Put> {
        if reports.is_empty() {
            return None;
        }
        let id = QueueId::from_u64(world.next_id());
        let (envelope, body) =
            bounce::notification(&self.settings, (about.0, about.1.as_ref()), reports, id, world.now)?;
        // I5: of mail without a sender nobody is told, and a notification has none.
        assert!(world.messages[&about.0.id.as_u64()].sender && envelope.sender.is_none());
        let told = reports.iter().map(|report| report.index).collect();
        world.new_message(1, false, body.len(), Some((about.0.id.as_u64(), told)));
        Some(Put { envelope, body })
    }

    fn tell_gathered(&mut self, world: &mut World) {
        while let Some(entry) = self.gathering.first_entry().filter(|entry| entry.key().0 <= world.now) {
            let ((_, id), ()) = entry.remove_entry();
            // What is told must be what the log has: its marks are written first.
            // A dead disk makes the log try for ever.
            let _ = (0..20).find(|_| !self.stepper.step());
            self.hear(world);
            let Some(Ok(stored)) = poll(&mut self.log.read(id)) else { continue };
            let reports = self.owner.gathered(id, &self.settings, world.now);
            let Some(dsn) = self.notification((&stored.envelope, &stored.body), &reports, world) else {
                continue;
            };
            let told = |report: &Report| waxseal_spool::RecipientResult {
                index: report.index as u32,
                progress: waxseal_spool::Progress { reported: true, ..stored.states[report.index].clone() },
            };
            let results = reports.iter().map(told).collect();
            self.update(Update { id, results, dsn: Some(dsn) });
        }
    }

    /// Takes the answers of the log that have come.
    fn hear(&mut self, world: &mut World) {
        let mut heard = Vec::new();
        for (asked, mut pending) in std::mem::take(&mut self.asked) {
            match poll(&mut pending) {
                None => self.asked.push((asked, pending)),
                Some(Ok(())) => heard.push(asked),
                // The client heard no 250; a mark that cannot be written is for the next life.
                Some(Err(_)) => {}
            }
        }
        for asked in heard {
            let dsn = match asked {
                Asked::Put(envelope, body) => {
                    world.accept(envelope.id.as_u64());
                    self.admit(Unrouted::fresh(envelope, Some(body)), world);
                    continue;
                }
                Asked::Update(id, settled, dsn) => {
                    settled.into_iter().for_each(|index| world.settled(id.as_u64(), index));
                    dsn
                }
                Asked::Done(id, dsn) => {
                    world.done(id.as_u64());
                    dsn
                }
            };
            if let Some(Put { envelope, body }) = dsn {
                world.accept(envelope.id.as_u64());
                self.admit(Unrouted::fresh(Arc::new(envelope), Some(body)), world);
            }
        }
    }
}
