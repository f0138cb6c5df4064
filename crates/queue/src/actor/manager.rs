//! The queue manager.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, SpawnHandle};
use bytes::Bytes;
use waxseal_policy::{Settings as PolicySettings, Tables};
use waxseal_spool::Update;
use waxseal_types::{QueueId, UnixTime};

use super::{
    crews::Crews,
    delivery::{End, Finished},
    doorway::Doorway,
    expected::Expected,
    factories::Factories,
    quay::{Dock, Quays},
    saving::{Mark, Saving},
    services::{DrainState, Switchboard},
};
use crate::{
    Account, Event, Feedback, Restart, Schedule, Settings, Settled, Sink, Start, levers::Levers, owner::Owner,
};

/// What the manager needs besides the services.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) settings: Arc<Settings>,
    pub(super) policy: Arc<PolicySettings>,
    pub(super) tables: Arc<dyn Tables>,
    pub(super) sink: Arc<dyn Sink>,
}

/// The actor.
pub struct QueueManager {
    pub(super) common: Rc<Common>,
    pub(super) factories: Factories,
    pub(super) board: Rc<RefCell<Switchboard>>,
    pub(super) doorway: Option<Arc<Doorway>>,
    pub(super) saving: Option<Saving>,
    pub(super) owner: Owner,
    /// Messages that are not durable yet.
    pub(super) expected: Expected,
    pub(super) schedule: Schedule,
    pub(super) levers: Levers,
    /// Clients whose quotas were asked for, with the state of the tables then.
    pub(super) met: HashMap<u32, u64>,
    pub(super) restarts: HashMap<(&'static str, usize), Restart>,
    /// Messages whose sender is to be told at that time.
    pub(super) gathering: BTreeMap<(UnixTime, QueueId), ()>,
    wake: Option<(UnixTime, SpawnHandle)>,
    pub(super) crews: Crews,
    /// What deliveries on its own thread find, once it runs.
    pub(super) dock: Option<Dock>,
    /// The other threads that deliveries run on.
    pub(super) quays: Quays,
    pub(super) active: Rc<Cell<u32>>,
    pub(super) idle: Rc<tokio::sync::Notify>,
    pub(super) drain: Arc<DrainState>,
    pub(super) intake_started: bool,
    /// How many threads attend to clients.
    pub(super) intakes: usize,
    /// How often a spool was opened: what was found in one that is gone is not taken up any more.
    pub(super) spools: u64,
    /// The last of them whose messages have all been taken up: an order for all messages waits for that.
    pub(super) taken_up: Rc<tokio::sync::watch::Sender<u64>>,
    /// Where the spool's files are awaited: the arbiter that the first intake runs on.
    pub(super) front: actix_rt::ArbiterHandle,
}

/// The threads of a manager besides its own.
#[derive(Debug)]
pub struct Threads {
    /// For what is read from the spool, and the marks that go there.
    pub front: actix_rt::ArbiterHandle,
    /// How many there are for clients; the first of them may be the one above.
    pub intakes: usize,
    /// For deliveries; where there are none, those run on the manager's own thread.
    pub deliveries: Vec<actix_rt::ArbiterHandle>,
}

/// The wall clock; read here and in the driver only.
pub(super) fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

impl QueueManager {
    /// A manager that is not running yet.
    #[must_use]
    pub fn new(
        settings: Arc<Settings>,
        policy: (Arc<PolicySettings>, Arc<dyn Tables>),
        sink: Arc<dyn Sink>,
        factories: Factories,
        threads: Threads,
    ) -> Self {
        let levers = settings.levers.clone();
        let schedule = Schedule::new(&settings);
        let (policy, tables) = policy;
        Self {
            common: Rc::new(Common { settings, policy, tables, sink }),
            factories,
            board: Rc::default(),
            doorway: None,
            saving: None,
            owner: Owner::default(),
            expected: Expected::default(),
            schedule,
            levers,
            met: HashMap::new(),
            restarts: HashMap::new(),
            gathering: BTreeMap::new(),
            wake: None,
            crews: Crews::default(),
            dock: None,
            quays: Quays::on(threads.deliveries),
            active: Rc::default(),
            idle: Rc::default(),
            drain: Arc::default(),
            intake_started: false,
            intakes: threads.intakes.max(1),
            spools: 0,
            taken_up: Rc::default(),
            front: threads.front,
        }
    }

    /// Its own address, once it runs. A clone of that costs two allocations, one of the pointer none.
    pub(super) fn address(&self) -> Option<&Arc<Addr<Self>>> {
        self.dock.as_ref().map(|dock| &dock.manager)
    }

    /// Whether deliveries may begin: not at shutdown, and not while what became of them could not be written down.
    pub(super) fn may_begin(&self) -> bool {
        !self.drain.has_begun() && self.saving.as_ref().is_some_and(|saving| !saving.is_behind())
    }

    /// Begins what may begin, and sets the alarm for what may not yet.
    pub(super) fn pump(&mut self, context: &mut Context<Self>) {
        let now = now();
        self.tell_gathered(now);
        if self.may_begin() {
            while let Some(start) = self.schedule.poll(now) {
                self.begin(start, now);
            }
            self.take_held_aboard();
        }
        self.set_alarm(now, context);
    }

    fn set_alarm(&mut self, now: UnixTime, context: &mut Context<Self>) {
        let gathered = self.gathering.keys().next().map(|(time, _)| *time);
        let Some(next) = self.schedule.next_wakeup().into_iter().chain(gathered).min() else { return };
        if let Some((set, handle)) = self.wake.take() {
            if set <= next && set > now {
                self.wake = Some((set, handle));
                return;
            }
            context.cancel_future(handle);
        }
        // A millisecond is the grain of the runtime's timers; earlier than due is of no use.
        let wait = next.since(now).max(Duration::from_millis(1));
        let handle = context.run_later(wait, |this, context| {
            this.wake = None;
            this.pump(context);
        });
        self.wake = Some((next, handle));
    }

    pub(super) fn save(&self, mark: Mark) {
        if let Some(saving) = &self.saving {
            saving.save(mark);
        }
    }
}

impl Actor for QueueManager {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        // Notices and messages from the intake are sent without waiting; requests of operators are few.
        context.set_mailbox_capacity(1024);
        let address = Arc::new(context.address());
        let (common, board) = (Rc::clone(&self.common), Rc::clone(&self.board));
        self.dock = Some(Dock {
            common,
            board,
            drain: Arc::clone(&self.drain),
            manager: Arc::clone(&address),
            away: false,
        });
        self.saving = Some(Saving::new(Rc::clone(&self.board), address, Rc::clone(&self.idle)));
        self.start_services(context);
        self.watch_delays(context);
    }
}

impl Handler<Finished> for QueueManager {
    type Result = ();

    fn handle(&mut self, finished: Finished, context: &mut Self::Context) {
        self.active.set(self.active.get().saturating_sub(1));
        self.idle.notify_waiters();
        self.finished(finished);
        self.pump(context);
    }
}

impl QueueManager {
    fn finished(&mut self, finished: Finished) {
        let now = now();
        let Finished { mut start, crew, end } = finished;
        if matches!(end, End::NoPlace) {
            self.crews.cast_off(crew);
        }
        start.leaves(self.crews.ended(crew));
        match end {
            End::Gone => {
                // Finished before, and found in the spool a moment earlier.
                self.owner.forget(start.job.id);
                self.schedule.finished(&start, Feedback::None, now);
            }
            End::Made { mut account, feedback, body, since, told } => {
                self.owner.fails_since(&start.job, since);
                if self.levers.soft_bounce {
                    account.soften();
                }
                self.made(&start, (&account, told), feedback, body);
            }
            End::NoPlace => {
                self.owner.withdraw(&start.job);
                self.schedule.put_back(start, now);
            }
            End::Crowded | End::Stranded => {
                self.owner.withdraw(&start.job);
                self.schedule.crowded_out(start, now);
            }
            End::Rerouted(routed, envelope, body, since) => {
                self.schedule.finished(&start, Feedback::None, now);
                self.rerouted(&start, routed, (&envelope, body), since);
            }
            End::Impossible => {
                self.schedule.finished(&start, Feedback::None, now);
                // The text could not be read, or a fault of ours: not the destination's, so not by its back-off.
                if let Some((job, due)) = self.owner.postpone(&start.job, Duration::from_secs(60), now) {
                    self.enlist(&start.destination, job, due, now);
                }
            }
        }
        self.take_aboard(crew);
    }

    /// An attempt was made; of which has been told already where it ran, or not.
    fn made(
        &mut self,
        start: &Start,
        (account, told): (&Account, bool),
        feedback: Feedback,
        body: Option<Bytes>,
    ) {
        let now = now();
        let dead_before = self.schedule.dead_until(&start.destination);
        self.schedule.finished(start, feedback, now);
        let backoff = self.schedule.wait_after(feedback, start.job.attempts + 1);
        let effects = self.owner.finish(&start.job, account, (&self.common.settings, backoff), now);
        let next_attempt = effects.retry.as_ref().map(|(_, due)| *due);
        if !told {
            self.common.sink.event(Event::Attempted { account, next_attempt });
        }
        for (index, failure) in &effects.expired {
            let about = (&account.envelope, Some(&account.destination));
            self.settle_unrouted(about, &[*index], (Settled::Expired, failure), start.job.attempts + 1);
        }
        if let Some(until) = self.schedule.dead_until(&start.destination).filter(|_| dead_before.is_none()) {
            self.common.sink.event(Event::DestinationDead { destination: &start.destination, until });
        }
        if let Some((job, due)) = effects.retry {
            self.enlist(&start.destination, job, due, now);
        }
        if let Some(time) = effects.gather_until {
            self.gathering.insert((time, start.job.id), ());
        }
        if effects.finished {
            self.finish_message(&account.envelope, body, effects.reports, now);
        } else if !effects.results.is_empty() {
            self.save(Mark::Update(Update { id: start.job.id, results: effects.results, dsn: None }));
        }
    }
}
