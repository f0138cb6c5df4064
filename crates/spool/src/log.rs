//! The handle to the log, and how it is opened.

use std::{
    fmt,
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use waxseal_types::QueueId;

use crate::{
    Done, Error, Gate, Metrics, Pending, Put, Recovered, Report, Settings, Spool, Storage, Stored, Update,
    answer::{Answer, ticket},
    committer::{Committer, Inbox},
    disk::RealDisk,
    engine::Engine,
    metrics::Counters,
    read::Reader,
    recover::recover,
    request::{Prepared, Request, Work},
};

/// How often ages are looked at; small beside the shortest that matters.
const WATCH_TICK: Duration = Duration::from_secs(1);

/// A handle to the log; cloning is cheap. When the last one is dropped, all that was asked for is written and synced, the thread has ended and
/// the folder is free for another process.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

struct Inner {
    inbox: Arc<Inbox>,
    reader: Reader,
    counters: Arc<Counters>,
    gate: Gate,
    message_limit: u64,
    threads: Vec<JoinHandle<()>>,
}

/// The messages that were found, in the order of their arrival. Each is read from disk when it is asked for, so that a long queue needs no memory twice.
pub struct Recovery {
    reader: Reader,
    /// The last one that was given.
    last: u64,
    /// What came after it came after the start.
    until: u64,
    /// How many are to come, as far as is known.
    left: usize,
    report: Report,
}

/// Commits by hand, for tests that want no thread: see [`open_stepped`].
pub struct Stepper(Committer);

/// Opens the spool in `settings.path`, creating it if it is missing.
///
/// # Errors
/// In use, not writable, of a newer format, or not readable: each says what to do.
pub fn open(settings: Settings) -> Result<(Log, Recovery), Error> {
    let disk = RealDisk::lock(&settings.path)?;
    open_on(Arc::new(disk), settings)
}

/// Opens the spool on any storage; `settings.path` does not matter then.
///
/// # Errors
/// As [`open`].
pub fn open_on(storage: Arc<dyn Storage>, settings: Settings) -> Result<(Log, Recovery), Error> {
    let (mut inner, recovery, committer) = prepare(storage, settings)?;
    let inbox = Arc::clone(&inner.inbox);
    let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
        let thread = Builder::new().name(name.into()).spawn(run);
        thread.map_err(|e| Error::Io { doing: "start", name: name.into(), source: Arc::new(e) })
    };
    inner.threads.push(spawn("spool-commit", Box::new(move || committer.run()))?);
    inner.threads.push(spawn("spool-watch", Box::new(move || inbox.keep_watch(WATCH_TICK)))?);
    Ok((Log(Arc::new(inner)), recovery))
}

/// Opens the spool without a thread: nothing is written but by [`Stepper::step`], so that a test decides what happens when.
///
/// # Errors
/// As [`open`].
pub fn open_stepped(
    storage: Arc<dyn Storage>,
    settings: Settings,
) -> Result<(Log, Recovery, Stepper), Error> {
    let (inner, recovery, committer) = prepare(storage, settings)?;
    Ok((Log(Arc::new(inner)), recovery, Stepper(committer)))
}

fn prepare(storage: Arc<dyn Storage>, settings: Settings) -> Result<(Inner, Recovery, Committer), Error> {
    let found = recover(&*storage)?;
    for damage in &found.report.damage {
        tracing::error!(segment = damage.segment, offset = damage.offset, length = damage.length, id = ?damage.id, "damage in the spool");
    }
    let (until, left) = (found.last_id, found.index.len());
    let gate = Gate::new(found.last_id, settings.slow, settings.stale);
    let report = found.report.clone();
    let engine = Engine::new(storage, &settings, found, gate.clone());
    let counters = Arc::clone(&engine.counters);
    let reader = Reader(Arc::clone(&engine.index));
    let message_limit = settings.message_limit.min(u64::from(u32::MAX / 2));
    let inbox = Arc::new(Inbox::new(gate.clone(), Arc::clone(&counters), settings));
    let committer = Committer::new(engine, Arc::clone(&inbox));
    let inner = Inner { inbox, reader: reader.clone(), counters, gate, message_limit, threads: Vec::new() };
    Ok((inner, Recovery { reader, last: 0, until, left, report }, committer))
}

impl Log {
    /// What does not need the log's thread.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// The counters now.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.0.counters.read()
    }

    /// How many messages are in the spool.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.reader.0.lock().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn prepare(&self, put: Put) -> Result<Prepared, Error> {
        let prepared = Prepared::new(put);
        let (size, limit) = (prepared.size(), self.0.message_limit);
        if size > limit { Err(Error::TooLarge { size, limit }) } else { Ok(prepared) }
    }

    fn ask(&self, work: Result<Work, Error>) -> Pending<()> {
        let work = match work {
            Ok(work) => work,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let (ticket, answer): (_, Answer) = ticket();
        self.0.inbox.push(Request::new(work, Some(ticket), Instant::now()));
        Box::pin(answer)
    }
}

impl Spool for Log {
    fn put(&self, put: Put) -> Pending<()> {
        self.ask(self.prepare(put).map(Work::Put))
    }

    fn read(&self, id: QueueId) -> Pending<Stored> {
        Box::pin(std::future::ready(self.0.reader.stored(id.as_u64())))
    }

    fn update(&self, update: Update) -> Pending<()> {
        let Update { id, results, dsn } = update;
        let dsn = dsn.map(|dsn| self.prepare(dsn)).transpose();
        self.ask(dsn.map(|dsn| Work::Update { id: id.as_u64(), results, dsn }))
    }

    fn done(&self, done: Done) -> Pending<()> {
        let dsn = done.dsn.map(|dsn| self.prepare(dsn)).transpose();
        self.ask(dsn.map(|dsn| Work::Done { id: done.id.as_u64(), dsn }))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.inbox.close();
        for thread in self.threads.drain(..) {
            // A thread that panicked has told everyone who waited.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({:?})", self.metrics())
    }
}

impl Recovery {
    /// How many are still to come, at most.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.left
    }

    /// What else was found.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.report
    }
}

impl Iterator for Recovery {
    type Item = Result<Recovered, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = self.reader.0.lock().next_after(self.last);
            let Some((id, _)) = next.filter(|(id, _)| *id <= self.until) else {
                self.left = 0;
                return None;
            };
            self.last = id;
            self.left = self.left.saturating_sub(1);
            match self.reader.recovered(id) {
                // Finished since.
                Err(Error::Unknown(_)) => {}
                result => return Some(result),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recovery({} messages, {:?})", self.left, self.report)
    }
}

impl Stepper {
    /// Commits all that was asked for up to now; `false` if there was nothing to do.
    pub fn step(&mut self) -> bool {
        self.0.step()
    }

    /// The orderly end.
    pub fn end(mut self) {
        while self.0.step() {}
        self.0.end();
    }
}

impl fmt::Debug for Stepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stepper")
    }
}
