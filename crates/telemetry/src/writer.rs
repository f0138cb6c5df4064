//! The thread that writes delivery events, so that no delivery waits for a disk.
//!
//! Callers append lines to one buffer under a lock that is held for a copy; the thread takes the whole buffer and gives it to the
//! file in one call. So each line is written when it happened, and a busy machine writes many with one system call.

use std::{
    fs::File,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::{
    backlog::{Backlog, count_lines},
    turn::{self, Chore},
};

/// How long a file that refused is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// How long the end of the process waits for the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long lines gather after a write. A thread that is woken for every line costs more than the line.
const PAUSE: Duration = Duration::from_millis(2);

/// How often the same alert is logged.
const ALERT_EVERY: Duration = Duration::from_secs(60);

/// The callers' end.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    done: Condvar,
    /// What the file is called in alerts.
    name: String,
    /// Octets that may wait in all.
    limit: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Lines that the thread has not taken yet.
    pending: Vec<u8>,
    /// Octets that the thread has taken and the file has not.
    held: usize,
    /// Another file, for the lines from this offset in `pending` on.
    replacement: Option<(usize, File)>,
    /// Whether the thread waits for work.
    idle: bool,
    /// Write what there is and end.
    stop: bool,
    /// The thread has ended.
    ended: bool,
    /// Lines that no file will have.
    lost: u64,
    last_alert: Option<Instant>,
}

impl Writer {
    /// Starts the thread over `file`, which alerts call `name`.
    pub(crate) fn start(file: File, name: String, limit: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(name, limit));
        let thread = Worker::new(Arc::clone(&shared), file);
        let thread =
            std::thread::Builder::new().name("delivery-events".to_owned()).spawn(move || thread.run())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Hands over whole lines. Never waits for the file.
    pub(crate) fn push(&self, lines: &[u8]) {
        let mut state = self.shared.lock();
        if state.stop || state.held + state.pending.len() + lines.len() > self.shared.limit {
            state.lost += count_lines(lines);
            let lost = state.lost;
            let alert = state.may_alert();
            drop(state);
            if alert {
                tracing::error!(
                    lost,
                    "delivery events are lost: {} is full, broken or too slow",
                    self.shared.name
                );
            }
            return;
        }
        state.pending.extend_from_slice(lines);
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        // A thread that is woken amidst a turn takes the processor from what the turn is about.
        if idle && turn::is_promised() {
            turn::at_end(Arc::clone(&self.shared) as Arc<dyn Chore>);
        } else if idle {
            self.shared.wake.notify_one();
        }
    }

    /// All lines from now on go to `file`; what was handed over before goes to the old one, if that takes it.
    pub(crate) fn replace(&self, file: File) {
        let mut state = self.shared.lock();
        let cut = match state.replacement.take() {
            // Two rotations before the thread woke: nothing was written to the file in between, so it is skipped.
            Some((cut, _)) => cut,
            None => state.pending.len(),
        };
        state.replacement = Some((cut, file));
        state.idle = false;
        drop(state);
        self.shared.wake.notify_one();
    }

    /// Lines that no file has or will have.
    pub(crate) fn lost(&self) -> u64 {
        self.shared.lock().lost
    }

    /// Writes what there is and ends the thread; leaves it alone where the file takes nothing for [`PATIENCE`].
    pub(crate) fn stop(&self) {
        let mut state = self.shared.lock();
        state.stop = true;
        self.shared.wake.notify_one();
        let waited = self.shared.done.wait_timeout_while(state, PATIENCE, |state| !state.ended);
        let ended = waited.unwrap_or_else(PoisonError::into_inner).0.ended;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        if !ended || thread.join().is_err() {
            tracing::error!("the writer of delivery events did not end: {} is stuck", self.shared.name);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Chore for Shared {
    fn run(&self) {
        self.wake.notify_one();
    }
}

impl Shared {
    fn new(name: String, limit: usize) -> Self {
        Self { state: Mutex::default(), wake: Condvar::new(), done: Condvar::new(), name, limit }
    }

    /// No code under the lock panics; were it to, the buffer would still be good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn may_alert(&mut self) -> bool {
        let now = Instant::now();
        let due = self.last_alert.is_none_or(|last| now.duration_since(last) >= ALERT_EVERY);
        if due {
            self.last_alert = Some(now);
        }
        due
    }
}

/// The thread's end.
struct Worker {
    shared: Arc<Shared>,
    file: File,
    backlog: Backlog,
    failing: bool,
}

/// What the thread woke for.
struct Work {
    replacement: Option<File>,
    /// Lines for the replacement.
    after: Vec<u8>,
    stop: bool,
}

impl Worker {
    fn new(shared: Arc<Shared>, file: File) -> Self {
        Self { shared, file, backlog: Backlog::default(), failing: false }
    }

    fn run(mut self) {
        loop {
            let mut work = self.wait();
            let mut outcome = self.backlog.write(&mut self.file);
            if let Some(file) = work.replacement.take() {
                self.file = file;
                self.backlog.start_over();
                self.backlog.take(&mut work.after);
                outcome = self.backlog.write(&mut self.file);
            }
            self.account_for(outcome, work.stop);
            if work.stop {
                return;
            }
            // A lone line was written at once; what comes now goes together.
            std::thread::sleep(PAUSE);
        }
    }

    /// Until there is something to do: takes all lines.
    fn wait(&mut self) -> Work {
        let mut state = self.shared.lock();
        let retry_at = Instant::now() + RETRY;
        while !state.stop && state.replacement.is_none() {
            let wait = retry_at.saturating_duration_since(Instant::now());
            if (self.failing && wait.is_zero()) || (!self.failing && !state.pending.is_empty()) {
                break;
            }
            state.idle = !self.failing;
            let woken = if self.failing {
                self.shared
                    .wake
                    .wait_timeout(state, wait)
                    .map(|(state, _)| state)
                    .map_err(|e| e.into_inner().0)
            } else {
                self.shared.wake.wait(state).map_err(PoisonError::into_inner)
            };
            state = woken.unwrap_or_else(|state| state);
        }
        state.idle = false;
        let mut work = Work { replacement: None, after: Vec::new(), stop: state.stop };
        if let Some((cut, file)) = state.replacement.take() {
            work.after = state.pending.split_off(cut);
            work.replacement = Some(file);
        }
        self.backlog.take(&mut state.pending);
        state.held = self.backlog.len() + work.after.len();
        work
    }

    /// Counts and says what became of it.
    fn account_for(&mut self, outcome: io::Result<()>, last: bool) {
        let mut state = self.shared.lock();
        state.held = self.backlog.len();
        if last {
            state.lost += self.backlog.count();
        }
        state.ended = last;
        self.shared.done.notify_all();
        let lost = state.lost;
        let alert = outcome.is_err() && (state.may_alert() || last);
        drop(state);
        let name = &self.shared.name;
        match outcome {
            Ok(()) if self.failing => tracing::info!(lost, "delivery events are written to {name} again"),
            Ok(()) => {}
            Err(error) if alert => {
                let waiting = self.backlog.count();
                tracing::error!(waiting, lost, "delivery events cannot be written to {name}: {error}");
            }
            Err(_) => {}
        }
        self.failing = !self.backlog.is_empty();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// Log lines in memory.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Log {
        /// What `work` logs in this thread.
        fn of(work: impl FnOnce()) -> String {
            let log = Self::default();
            let lines = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
            tracing::subscriber::with_default(lines, work);
            let octets = log.0.lock().unwrap().clone();
            String::from_utf8(octets).unwrap()
        }
    }

    /// Without its thread; the disk is full.
    fn worker(limit: usize) -> Worker {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        Worker::new(Arc::new(Shared::new("/var/log/delivery.jsonl".to_owned(), limit)), full)
    }

    #[test]
    fn the_alert_about_a_full_disk_names_the_file_once_a_minute_and_its_end() {
        let mut worker = worker(1 << 10);
        worker.backlog.take(&mut b"{}\n{}\n".to_vec());
        let log = Log::of(|| {
            for _ in 0..3 {
                let outcome = worker.backlog.write(&mut worker.file);
                worker.account_for(outcome, false);
            }
        });
        assert_eq!(log.lines().count(), 1, "{log}");
        let words = "delivery events cannot be written to /var/log/delivery.jsonl: No space left on device";
        assert!(log.contains(words) && log.contains("waiting=2 lost=0"), "{log}");

        worker.backlog.write(&mut Vec::new()).unwrap();
        let log = Log::of(|| worker.account_for(Ok(()), false));
        assert!(log.contains("delivery events are written to /var/log/delivery.jsonl again"), "{log}");
        assert!(!worker.failing);
    }

    #[test]
    fn the_alert_about_lost_events_names_the_file() {
        let shared = worker(3).shared;
        let writer = Writer { shared, thread: Mutex::default() };
        let log = Log::of(|| {
            writer.push(b"{}\n");
            writer.push(b"{}\n");
        });
        let words = "delivery events are lost: /var/log/delivery.jsonl is full, broken or too slow";
        assert!(log.contains(words) && log.contains("lost=1"), "{log}");
        // There is no thread to wait for.
        writer.shared.lock().ended = true;
    }
}
