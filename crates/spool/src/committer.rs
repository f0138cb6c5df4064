//! The log's thread: when to commit, and what with. What a commit is, [`Engine`] knows.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::{
    Error, Gate, Settings,
    answer::Ticket,
    engine::Engine,
    metrics::Counters,
    request::{Prepared, Request},
};

/// The most octets of messages in one group, beyond which the next sync is waited for: bounds what one write may take.
const GROUP_BYTES: u64 = 8 << 20;
/// How long after a failure what could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Queue {
    requests: VecDeque<Request>,
    puts: usize,
    /// Messages that are being committed.
    flying: Vec<(Instant, Ticket)>,
    /// What the thread waits for.
    sleep: Sleep,
    closing: bool,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Sleep {
    #[default]
    Awake,
    /// For any request.
    Idle,
    /// For messages: marks are there.
    Marks,
    /// For more messages.
    Gathering,
}

/// Where clients leave their requests.
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Wakes the watch over ages, at the end.
    pub(crate) watch: Condvar,
    gate: Gate,
    counters: Arc<Counters>,
    settings: Settings,
}

impl Inbox {
    pub(crate) fn new(gate: Gate, counters: Arc<Counters>, settings: Settings) -> Self {
        let (wake, watch) = (Condvar::new(), Condvar::new());
        Self { queue: Mutex::default(), wake, watch, gate, counters, settings }
    }

    pub(crate) fn push(&self, request: Request) {
        let mut queue = self.queue.lock();
        if queue.closing {
            if let Some(ticket) = request.ticket {
                ticket.settle(Err(Error::Closed));
            }
            return;
        }
        let is_put = request.is_put();
        if is_put {
            if queue.puts == 0 && queue.flying.is_empty() {
                self.gate.set_oldest(Some(request.since));
            }
            queue.puts += 1;
        } else {
            self.counters.unsynced_marks.add(1);
        }
        queue.requests.push_back(request);
        let wakes = match queue.sleep {
            Sleep::Awake => false,
            Sleep::Idle => true,
            Sleep::Marks => is_put,
            Sleep::Gathering => queue.puts >= self.settings.gather_limit || self.gate.gathering_now() == 0,
        };
        if wakes {
            queue.sleep = Sleep::Awake;
            drop(queue);
            self.wake.notify_one();
        }
    }

    /// Ends the thread once all that was asked for is done.
    pub(crate) fn close(&self) {
        self.gate.close();
        self.queue.lock().closing = true;
        self.wake.notify_all();
        self.watch.notify_all();
    }

    /// Gives up messages that have waited for too long.
    pub(crate) fn expire(&self, now: Instant) {
        let queue = self.queue.lock();
        let waiting = queue.requests.iter().filter(|request| request.is_put());
        let waiting = waiting.filter_map(|request| Some((request.since, request.ticket.as_ref()?)));
        let flying = queue.flying.iter().map(|(since, ticket)| (*since, ticket));
        for (since, ticket) in flying.chain(waiting) {
            if now.saturating_duration_since(since) > self.settings.stale && ticket.settle(Err(Error::Stale))
            {
                self.counters.stale.add(1);
            }
        }
    }

    /// Watches over ages until the end; `tick` is how often.
    pub(crate) fn keep_watch(&self, tick: Duration) {
        let mut queue = self.queue.lock();
        while !queue.closing || !queue.flying.is_empty() {
            self.watch.wait_for(&mut queue, tick);
            MutexGuard::unlocked(&mut queue, || self.expire(Instant::now()));
        }
    }

    /// What to commit next, at once; empty if nothing was asked for.
    pub(crate) fn take(&self) -> Vec<Request> {
        Self::batch(&mut self.queue.lock())
    }

    fn batch(queue: &mut Queue) -> Vec<Request> {
        let mut bytes = 0;
        let fits = |request: &Request| {
            let more = request.brings().map_or(0, Prepared::size);
            let fits = bytes == 0 || bytes + more <= GROUP_BYTES;
            bytes += more;
            fits
        };
        let count = queue.requests.iter().map(fits).take_while(|fits| *fits).count();
        let batch: Vec<_> = queue.requests.drain(..count).collect();
        let puts = batch.iter().filter(|request| request.is_put());
        queue.flying = puts.filter_map(|put| Some((put.since, put.ticket.clone()?))).collect();
        queue.puts -= queue.flying.len();
        batch
    }

    /// The batch has landed.
    pub(crate) fn landed(&self) {
        let mut queue = self.queue.lock();
        queue.flying.clear();
        let oldest = queue.requests.iter().find(|request| request.is_put());
        self.gate.set_oldest(oldest.map(|request| request.since));
    }

    /// Waits for the next batch; `None` at the end. `pending` is the time of the next attempt at what failed, or of own work.
    fn wait(&self, pending: Option<Instant>) -> Option<Vec<Request>> {
        let mut queue = self.queue.lock();
        loop {
            let now = Instant::now();
            if queue.closing {
                return (!queue.requests.is_empty()).then(|| Self::batch(&mut queue));
            }
            let (sleep, until) = self.sleep(&queue, now);
            let until = until.into_iter().chain(pending).min();
            if sleep == Sleep::Awake || until.is_some_and(|until| until <= now) {
                queue.sleep = Sleep::Awake;
                return Some(Self::batch(&mut queue));
            }
            queue.sleep = sleep;
            match until {
                Some(until) => {
                    self.wake.wait_until(&mut queue, until);
                }
                None => self.wake.wait(&mut queue),
            }
            queue.sleep = Sleep::Awake;
        }
    }

    /// What there is to wait for, and until when.
    fn sleep(&self, queue: &Queue, now: Instant) -> (Sleep, Option<Instant>) {
        let Some(first) = queue.requests.front() else { return (Sleep::Idle, None) };
        if queue.puts == 0 {
            return (Sleep::Marks, Some(first.since + self.settings.mark_delay));
        }
        let alone = self.gate.gathering_now() == 0;
        if alone || queue.puts >= self.settings.gather_limit {
            return (Sleep::Awake, None);
        }
        let since = queue.requests.iter().find(|r| r.is_put()).map_or(now, |put| put.since);
        (Sleep::Gathering, Some(since + self.settings.gather))
    }
}

/// Drives the engine, with a thread or by hand.
pub(crate) struct Committer {
    pub(crate) engine: Engine,
    inbox: Arc<Inbox>,
    /// Marks that could not be written.
    again: Vec<Request>,
}

impl Committer {
    pub(crate) const fn new(engine: Engine, inbox: Arc<Inbox>) -> Self {
        Self { engine, inbox, again: Vec::new() }
    }

    /// Commits everything that was asked for up to now; `false` if there was nothing to do.
    pub(crate) fn step(&mut self) -> bool {
        let batch = self.inbox.take();
        let work = !batch.is_empty() || !self.again.is_empty() || self.engine.has_own_work();
        if work {
            self.commit(batch);
        }
        self.engine.look_for_space();
        work
    }

    fn commit(&mut self, batch: Vec<Request>) {
        let mut all = std::mem::take(&mut self.again);
        all.extend(batch);
        self.again = self.engine.commit(all);
        self.inbox.landed();
        self.engine.reclaim();
    }

    pub(crate) fn run(mut self) {
        self.engine.reclaim();
        loop {
            let now = Instant::now();
            let failing = !self.again.is_empty() || self.inbox.gate.is_full();
            let pending = if failing {
                Some(now + RETRY)
            } else {
                let own = self.engine.has_own_work() || self.engine.is_loading();
                own.then(|| now + self.inbox.settings.mark_delay)
            };
            let Some(batch) = self.inbox.wait(pending) else { break };
            self.commit(batch);
            self.engine.look_for_space();
        }
        self.end();
    }

    /// The orderly end: a last attempt at what failed, what has to be cancelled, and the seal.
    pub(crate) fn end(&mut self) {
        if !self.again.is_empty() || self.engine.has_own_work() {
            self.commit(Vec::new());
        }
        for request in self.again.drain(..) {
            if let Some(ticket) = request.ticket {
                ticket.settle(Err(Error::Closed));
            }
        }
        self.engine.close();
    }
}

/// Whoever still waits when the thread ends, in whatever way, is told.
impl Drop for Committer {
    fn drop(&mut self) {
        self.inbox.close();
        let mut queue = self.inbox.queue.lock();
        let flying = std::mem::take(&mut queue.flying).into_iter().map(|(_, ticket)| ticket);
        let waiting: Vec<_> = queue.requests.drain(..).filter_map(|request| request.ticket).collect();
        drop(queue);
        for ticket in flying.chain(waiting) {
            ticket.settle(Err(Error::Closed));
        }
    }
}
