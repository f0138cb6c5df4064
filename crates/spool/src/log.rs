//! The handle to the log, and how it is opened.

use std::{
    fmt,
    sync::{Arc, Weak},
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use waxseal_types::QueueId;

use crate::{
    BodyWriter, Done, Error, Gate, Metrics, Pending, Put, Recovered, Report, Settings, Spool, Storage,
    Stored, Streamed, Update,
    answer::{Answer, ticket},
    checkpoint::Checkpoint,
    committer::{Committer, Inbox},
    disk::RealDisk,
    engine::Engine,
    format::segment_name,
    metrics::{Counters, Meter},
    pool::Pool,
    read::{Reader, must_wait},
    recover::{Mode, recover},
    request::{Prepared, Request, Work},
    stream::Backing,
};

/// How often ages are looked at; small beside the shortest that matters.
const WATCH_TICK: Duration = Duration::from_secs(1);

/// Outlines that one job reads: what a delivery needs from the disk waits no longer than for a few of these.
const OUTLINES: usize = 32;

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
    inline_limit: usize,
    storage: Weak<dyn Storage>,
    pool: Pool,
    threads: Vec<JoinHandle<()>>,
    pool_threads: Vec<JoinHandle<()>>,
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
    counters: Arc<Counters>,
    report: Report,
    /// What the schedule needed when the log was last closed, or a little later.
    checkpoint: Option<Checkpoint>,
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
    let failed = |e| Error::Io { doing: "start", name: "spool-io".into(), source: Arc::new(e) };
    let (pool, pool_threads) = Pool::start().map_err(failed)?;
    let prepared = prepare(storage, settings, pool.clone(), Mode::Own);
    if prepared.is_err() {
        pool.close();
    }
    let (mut inner, recovery, committer) = prepared?;
    inner.pool_threads = pool_threads;
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
    let (inner, recovery, committer) = prepare(storage, settings, Pool::inline(), Mode::Own)?;
    Ok((Log(Arc::new(inner)), recovery, Stepper(committer)))
}

/// Opens a spool to mend it: as [`open_stepped`], with every record checked.
pub(crate) fn mend(
    storage: Arc<dyn Storage>,
    settings: Settings,
) -> Result<(Log, Reader, Report, Stepper), Error> {
    let (inner, recovery, committer) = prepare(storage, settings, Pool::inline(), Mode::Mend)?;
    let reader = inner.reader.clone();
    Ok((Log(Arc::new(inner)), reader, recovery.report, Stepper(committer)))
}

fn prepare(
    storage: Arc<dyn Storage>,
    settings: Settings,
    pool: Pool,
    mode: Mode,
) -> Result<(Inner, Recovery, Committer), Error> {
    let found = recover(&*storage, mode, &mut |_, _, _| ())?;
    for damage in &found.report.damage {
        tracing::error!(segment = damage.segment, offset = damage.offset, length = damage.length, id = ?damage.id, "damage in the spool");
    }
    let gate = Gate::new(found.last_id, settings.slow, settings.stale);
    let (until, left, report) = (found.last_id, found.index.len(), found.report.clone());
    let weak = Arc::downgrade(&storage);
    let engine = Engine::new(Arc::clone(&storage), &settings, found, gate.clone(), pool.clone());
    let counters = Arc::clone(&engine.counters);
    let reader = Reader::new(Arc::clone(&engine.index), &storage);
    let message_limit = settings.message_limit.min(u64::from(u32::MAX / 2));
    let inline_limit = settings.inline_limit;
    let inbox = Arc::new(Inbox::new(gate.clone(), Arc::clone(&counters), settings));
    let committer = Committer::new(engine, Arc::clone(&inbox));
    let (checkpoint, last) = (Checkpoint::open(&*storage), 0);
    let recovery = Recovery {
        reader: reader.clone(),
        last,
        until,
        left,
        counters: Arc::clone(&counters),
        report,
        checkpoint,
    };
    let (threads, pool_threads) = (Vec::new(), Vec::new());
    let inner = Inner {
        inbox,
        reader,
        counters,
        gate,
        message_limit,
        inline_limit,
        storage: weak,
        pool,
        threads,
        pool_threads,
    };
    Ok((inner, recovery, committer))
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

    /// What reads them without the log.
    #[must_use]
    pub fn meter(&self) -> Meter {
        Meter::new(Arc::clone(&self.0.counters), self.0.gate.clone())
    }

    /// How many messages are in the spool.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.reader.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a body that need not fit into memory.
    #[must_use]
    pub fn body_writer(&self, id: QueueId) -> BodyWriter {
        let Inner { storage, inbox, pool, gate, message_limit, .. } = &*self.0;
        let (storage, inbox) = (Weak::clone(storage), Arc::downgrade(inbox));
        let (pool, gate, limit) = (pool.clone(), gate.clone(), *message_limit);
        BodyWriter::new(id, Backing { storage, inbox, pool, gate, limit })
    }

    /// The message as it is now, its body to be read piece by piece.
    #[must_use]
    pub fn read_streamed(&self, id: QueueId) -> Pending<Streamed> {
        let pool = self.0.pool.clone();
        self.look(move |reader| reader.streamed(id.as_u64(), &pool))
    }

    /// [`Spool::done`] for several messages; the answers are in their order.
    pub fn done_all(&self, all: Vec<Done>) -> impl Future<Output = Vec<Result<(), Error>>> + Send + 'static {
        // All are asked for before the first is waited for, so that one commit takes them.
        let pending: Vec<_> = all.into_iter().map(|done| self.done(done)).collect();
        async move {
            let mut results = Vec::with_capacity(pending.len());
            for done in pending {
                results.push(done.await);
            }
            results
        }
    }

    /// Reads here and now what is in memory, and elsewhere what has to be waited for.
    fn look<T: Send + 'static>(
        &self,
        read: impl Fn(&Reader) -> Result<T, Error> + Send + 'static,
    ) -> Pending<T> {
        match read(&self.0.reader.cached()) {
            Err(error) if must_wait(&error) => {
                let reader = self.0.reader.clone();
                self.0.pool.ask(move || read(&reader))
            }
            result => Box::pin(std::future::ready(result)),
        }
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
        if put.body.len() > self.0.inline_limit {
            let mut writer = self.body_writer(put.envelope.id);
            drop(writer.write(put.body));
            return writer.put(put.envelope);
        }
        self.ask(self.prepare(put).map(Work::Put))
    }

    fn read(&self, id: QueueId) -> Pending<Stored> {
        self.look(move |reader| reader.stored(id.as_u64()))
    }

    fn outlines(&self, ids: Vec<QueueId>) -> Pending<Vec<Result<Recovered, Error>>> {
        let (pool, reader) = (self.0.pool.clone(), self.0.reader.clone());
        Box::pin(async move {
            let mut found = Vec::with_capacity(ids.len());
            // One job at a time: a listing of everything has one of the threads at most.
            for some in ids.chunks(OUTLINES) {
                let (some, reader) = (some.to_vec(), reader.clone());
                let read =
                    move || Ok(some.iter().map(|id| reader.recovered(id.as_u64())).collect::<Vec<_>>());
                found.extend(pool.ask(read).await?);
            }
            Ok(found)
        })
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
        self.pool.close();
        for thread in self.pool_threads.drain(..) {
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
            let next = self.reader.next_after(self.last);
            let Some((id, entry)) = next.filter(|(id, _)| *id <= self.until) else {
                self.left = 0;
                return None;
            };
            self.last = id;
            self.left = self.left.saturating_sub(1);
            self.counters.recovered.add(1);
            if let Some(found) = self.checkpoint.as_mut().and_then(|c| c.recovered(id, &entry)) {
                return Some(Ok(found));
            }
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

    /// Copies what lives in damaged segments out of them; the names of those that are needed all the same.
    pub(crate) fn evacuate(&mut self) -> Vec<String> {
        for number in self.0.engine.damaged() {
            self.0.engine.evacuate(number);
            while self.0.step() {}
        }
        self.0.engine.damaged().into_iter().map(segment_name).collect()
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
