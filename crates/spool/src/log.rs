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
    answer::{Answer, Durable, ticket},
    checkpoint::Checkpoint,
    committer::{Committer, Inbox},
    disk::RealDisk,
    engine::Engine,
    loading::Loading,
    metrics::{Counters, Meter},
    pool::Pool,
    read::{Reader, must_wait},
    recover::{Mode, Opening},
    recovery::{All, Recovery},
    request::{Prepared, Request, Work},
    stepper::Stepper,
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

/// Where new messages come in, from any thread. It does not keep the log open: once that is gone, what is given here fails. Cloning is cheap.
#[derive(Clone)]
pub struct Entrance(Weak<Inner>);

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
    let load_behind = settings.load_behind;
    let prepared = prepare(storage, settings, pool.clone(), Mode::Own).and_then(|prepared| {
        let behind = prepared.octets >= load_behind;
        let Ready { inner, recovery, committer, loading, .. } = prepared;
        let left = if behind { Some(loading) } else { loading.run().map(|()| None)? };
        Ok((inner, recovery, committer, left))
    });
    if prepared.is_err() {
        pool.close();
    }
    let (mut inner, recovery, committer, loading) = prepared?;
    inner.pool_threads = pool_threads;
    let inbox = Arc::clone(&inner.inbox);
    let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
        let thread = Builder::new().name(name.into()).spawn(run);
        thread.map_err(|e| Error::Io { doing: "start", name: name.into(), source: Arc::new(e) })
    };
    if let Some(loading) = loading {
        let inbox = Arc::clone(&inbox);
        inner.threads.push(spawn("spool-index", Box::new(move || load(loading, &inbox)))?);
    }
    inner.threads.push(spawn("spool-commit", Box::new(move || committer.run()))?);
    inner.threads.push(spawn("spool-watch", Box::new(move || inbox.keep_watch(WATCH_TICK)))?);
    Ok((Log(Arc::new(inner)), recovery))
}

/// A log that cannot be read whole takes nothing: whoever keeps the disk has to look.
fn load(loading: Loading, inbox: &Inbox) {
    if let Err(error) = loading.run() {
        tracing::error!(%error, "the spool cannot be read; no mail is taken until it can be, at the next start");
        inbox.close();
    }
}

/// Opens the spool without a thread: nothing is written but by [`Stepper::step`], so that a test decides what happens when.
///
/// # Errors
/// As [`open`].
pub fn open_stepped(
    storage: Arc<dyn Storage>,
    settings: Settings,
) -> Result<(Log, Recovery, Stepper), Error> {
    let (log, recovery, mut stepper) = open_unread(storage, settings)?;
    stepper.load()?;
    Ok((log, recovery, stepper))
}

/// The same with only so much read as it takes to write: all else is read by [`Stepper::load`], before which the messages that were found are not given out.
///
/// # Errors
/// As [`open`].
pub fn open_unread(storage: Arc<dyn Storage>, settings: Settings) -> Result<(Log, Recovery, Stepper), Error> {
    let prepared = prepare(storage, settings, Pool::inline(), Mode::Own)?;
    let stepper = Stepper(prepared.committer, Some(prepared.loading));
    Ok((Log(Arc::new(prepared.inner)), prepared.recovery, stepper))
}

/// Opens a spool to mend it: as [`open_stepped`], with every record checked.
pub(crate) fn mend(
    storage: Arc<dyn Storage>,
    settings: Settings,
) -> Result<(Log, Reader, Report, Stepper), Error> {
    let Ready { inner, recovery, committer, loading, .. } =
        prepare(storage, settings, Pool::inline(), Mode::Mend)?;
    loading.run()?;
    let reader = inner.reader.clone();
    Ok((Log(Arc::new(inner)), reader, recovery.report().clone(), Stepper(committer, None)))
}

/// A log that is open, and what is left to be read of it.
struct Ready {
    inner: Inner,
    recovery: Recovery,
    committer: Committer,
    loading: Loading,
    /// Octets of its segments.
    octets: u64,
}

fn prepare(storage: Arc<dyn Storage>, settings: Settings, pool: Pool, mode: Mode) -> Result<Ready, Error> {
    let mut opening = Opening::of(&*storage, mode)?;
    let octets = opening.octets;
    let gate = Gate::new(opening.found.last_id, settings.slow, settings.stale);
    let weak = Arc::downgrade(&storage);
    let engine = Engine::new(Arc::clone(&storage), &settings, &mut opening.found, gate.clone(), pool.clone());
    let (counters, index) = (Arc::clone(&engine.counters), Arc::clone(&engine.index));
    let reader = Reader::new(Arc::clone(&index), &storage);
    let message_limit = settings.message_limit.min(u64::from(u32::MAX / 2));
    let inline_limit = settings.inline_limit;
    let inbox = Arc::new(Inbox::new(gate.clone(), Arc::clone(&counters), settings));
    let committer = Committer::new(engine, Arc::clone(&inbox));
    let checkpoint = Checkpoint::open(&*storage);
    let loading = Loading::new(opening, storage, (index, Arc::clone(&counters)), gate.clone());
    let all = All::new(reader.clone(), Arc::clone(&loading.outcome), Arc::clone(&counters));
    let recovery = Recovery::new(all, checkpoint);
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
    Ok(Ready { inner, recovery, committer, loading, octets })
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

    /// For those who only put messages in.
    #[must_use]
    pub fn entrance(&self) -> Entrance {
        Entrance(Arc::downgrade(&self.0))
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
        self.ask_watched(work).0
    }

    /// With the word for somebody else; none where nothing was asked.
    fn ask_watched(&self, work: Result<Work, Error>) -> (Pending<()>, Option<Durable>) {
        let work = match work {
            Ok(work) => work,
            Err(error) => return (Box::pin(std::future::ready(Err(error))), None),
        };
        let (ticket, answer): (_, Answer) = ticket();
        self.0.inbox.push(Request::new(work, Some(ticket), Instant::now()));
        let durable = answer.durable();
        (Box::pin(answer), Some(durable))
    }
}

impl Entrance {
    /// [`Spool::put`]. Where nobody else's message is about to be committed, nor on its way here, it comes with the word for whoever gets ready for the
    /// message meanwhile.
    #[must_use]
    pub fn put(&self, put: Put) -> (Pending<()>, Option<Durable>) {
        let Some(log) = self.log() else { return (Box::pin(std::future::ready(Err(Error::Closed))), None) };
        if put.body.len() > log.0.inline_limit || !log.0.gate.is_still() {
            return (log.put(put), None);
        }
        log.ask_watched(log.prepare(put).map(Work::Put))
    }

    /// [`Log::body_writer`]; `None` where the log is gone.
    #[must_use]
    pub fn body_writer(&self, id: QueueId) -> Option<BodyWriter> {
        Some(self.log()?.body_writer(id))
    }

    fn log(&self) -> Option<Log> {
        self.0.upgrade().map(Log)
    }
}

impl fmt::Debug for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entrance({})", if self.0.strong_count() > 0 { "open" } else { "closed" })
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
        // The pool's last jobs remove what large texts that came to nothing have left.
        let _storage = self.storage.upgrade();
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
