//! The ledger's end in a process that delivers: takes what the queue tells, and writes it behind its back.

use std::{
    fs::{File, TryLockError},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use waxseal_queue::{Event, Sink};

use crate::{
    encode::{self, Raw},
    search::{Horizon, Ledger},
    settings::{Error, Settings},
    veil::Veil,
    writer::Writer,
};

/// How long records gather before they are written: a search sees what is older.
const GATHER: Duration = Duration::from_millis(100);
/// So many octets are written at once.
const PLENTY: usize = 64 << 10;
/// How often the same alert is logged.
const ALERT_EVERY: Duration = Duration::from_secs(60);
/// Room that is kept for the next records.
const KEPT: usize = 256 << 10;

/// Keeps accounts. One for a folder; it is a [`Sink`] of the queue.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    veil: Veil,
    path: PathBuf,
    limit: usize,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Held as long as the process writes there.
    _lock: File,
}

/// How the ledger is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Records written since the start.
    pub written: u64,
    /// Records that were lost since the start: the disk was full, broken or too slow.
    pub lost: u64,
    /// Of these, the ones that there was no room for, since too much waited for the disk.
    pub crowded: u64,
    /// Octets on disk.
    pub octets: u64,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    raw: Raw,
    /// The thread waits for a first record.
    idle: bool,
    /// Somebody waits for what is there to be written.
    hurry: bool,
    /// The thread has work in its hands.
    busy: bool,
    stop: bool,
    lost: u64,
    statistics: Statistics,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder {
    /// Makes the folder where there is none, and starts the thread that writes.
    ///
    /// # Errors
    /// The folder cannot be used, or another process writes there.
    pub fn start(settings: Settings) -> Result<Self, Error> {
        let Settings { path, size, redact, queue_limit } = settings;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|error| Error::file("make", &path, error))?;
        let lock_path = path.join("lock");
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|error| Error::file("open", &lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Busy(path)),
            Err(TryLockError::Error(error)) => return Err(Error::file("lock", &lock_path, error)),
        }
        let veil = if redact { Veil::of(&path) } else { Ok(Veil::NONE) };
        let veil = veil.map_err(|error| Error::file("use the key in", &path, error))?;
        let folder = path.clone();
        let writer = Writer::open(folder, size).map_err(|error| Error::file("read", &path, error))?;
        let shared = Arc::new(Shared::default());
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || work(&worker, writer))
            .map_err(|error| Error::file("start a thread for", &path, error))?;
        Ok(Self { shared, veil, path, limit: queue_limit, thread: Mutex::new(Some(thread)), _lock: lock })
    }

    /// How it is doing.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let state = self.shared.lock();
        Statistics { lost: state.lost + state.statistics.lost, crowded: state.lost, ..state.statistics }
    }

    /// How far back it reaches; what cannot be read reaches nowhere.
    #[must_use]
    pub fn horizon(&self) -> Horizon {
        Ledger { folder: self.path.clone(), veil: Veil::NONE }.horizon().unwrap_or_default()
    }

    /// Where it writes.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns when all that was told before is written, or is lost.
    pub fn flush(&self) {
        let mut state = self.shared.lock();
        state.hurry = true;
        self.shared.wake.notify_one();
        let written = |state: &mut State| (state.raw.records > 0 || state.busy) && !state.stop;
        drop(self.shared.done.wait_while(state, written).unwrap_or_else(PoisonError::into_inner));
    }

    /// Writes what there is and ends.
    pub fn shutdown(&self) {
        self.shared.lock().stop = true;
        self.shared.wake.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the ledger's thread died; its last records are lost");
        }
    }

    /// Appends a record, unless too much waits already. Never waits for the disk.
    fn push(&self, write: impl FnOnce(&mut Raw)) {
        let mut state = self.shared.lock();
        if state.stop || state.raw.octets.len() > self.limit {
            state.lost += 1;
            return;
        }
        write(&mut state.raw);
        let wake = state.idle;
        state.idle = false;
        drop(state);
        if wake {
            self.shared.wake.notify_one();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Sink for Recorder {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Attempted { account, next_attempt } => {
                self.push(|raw| encode::attempt(raw, &self.veil, account, next_attempt));
            }
            Event::Settled { envelope, destination, recipients, how, failure, attempts, at } => {
                self.push(|raw| {
                    let about = (&**envelope, destination, recipients);
                    encode::settled(raw, &self.veil, about, (how, failure, attempts), at);
                });
            }
            // What is queued says no more than its first attempt will; the others are about no message.
            Event::Queued { .. } | Event::DestinationDead { .. } | Event::ServiceDied { .. } => {}
            // `Event` may grow.
            _ => {}
        }
    }
}

fn counted(writer: &Writer) -> Statistics {
    Statistics { written: writer.written, lost: writer.lost, crowded: 0, octets: writer.octets() }
}

/// The thread.
fn work(shared: &Shared, mut writer: Writer) {
    let mut raw = Raw::default();
    let mut last_alert: Option<Instant> = None;
    loop {
        let mut state = shared.lock();
        state.busy = false;
        state.statistics = counted(&writer);
        shared.done.notify_all();
        while state.raw.records == 0 && !state.stop {
            state.idle = true;
            state.hurry = false;
            state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.idle = false;
        let gathering = |state: &mut State| state.raw.octets.len() < PLENTY && !state.hurry && !state.stop;
        state = shared
            .wake
            .wait_timeout_while(state, GATHER, gathering)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        std::mem::swap(&mut state.raw, &mut raw);
        state.busy = true;
        state.hurry = false;
        let stop = state.stop;
        drop(state);
        if let Err(error) = writer.write(&raw)
            && last_alert.is_none_or(|last| last.elapsed() > ALERT_EVERY)
        {
            last_alert = Some(Instant::now());
            tracing::error!(lost = writer.lost, "the ledger cannot be written: {error}");
        }
        raw.octets.clear();
        raw.octets.shrink_to(KEPT);
        raw.handshakes.clear();
        raw.records = 0;
        if stop {
            let mut state = shared.lock();
            state.busy = false;
            state.statistics = counted(&writer);
            shared.done.notify_all();
            return;
        }
    }
}
