//! Threads for what may wait for a disk and is nobody's commit: cold reads, large bodies, removals, checkpoints.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{Builder, JoinHandle},
};

use parking_lot::{Condvar, Mutex};

use crate::{
    Error, Pending,
    answer::{Answer, Ticket, ticket},
};

/// Enough to keep a disk busy; each waits most of its time.
const THREADS: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closing: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

/// A handle to the threads; without any, jobs are done by who asks for them, so that a test decides what happens when.
#[derive(Clone)]
pub(crate) struct Pool(Option<Arc<Shared>>);

/// Says `Closed` to whoever waits when it is dropped without a word, in whatever way that came.
pub(crate) struct Promise<T> {
    ticket: Ticket<T>,
    handed_on: bool,
}

impl<T> Promise<T> {
    pub(crate) fn new() -> (Self, Answer<T>) {
        let (ticket, answer) = ticket();
        (Self { ticket, handed_on: false }, answer)
    }

    /// Leaves the answer to somebody else.
    pub(crate) fn hand_on(mut self) -> Ticket<T> {
        self.handed_on = true;
        self.ticket.clone()
    }

    pub(crate) fn keep(&self, result: Result<T, Error>) {
        self.ticket.settle(result);
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if !self.handed_on {
            self.ticket.settle(Err(Error::Closed));
        }
    }
}

impl Pool {
    pub(crate) const fn inline() -> Self {
        Self(None)
    }

    pub(crate) fn start() -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let shared = Arc::<Shared>::default();
        let spawn = |number| {
            let shared = Arc::clone(&shared);
            Builder::new().name(format!("spool-io-{number}")).spawn(move || shared.work())
        };
        let threads = (0..THREADS).map(spawn).collect::<Result<_, _>>()?;
        Ok((Self(Some(shared)), threads))
    }

    /// Has `job` done; after [`Pool::close`] it is dropped.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        let Some(shared) = &self.0 else { return job() };
        let mut queue = shared.queue.lock();
        if !queue.closing {
            queue.jobs.push_back(Box::new(job));
            drop(queue);
            shared.wake.notify_one();
        }
    }

    /// Has a question answered.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Pending<T> {
        let (promise, answer) = Promise::new();
        self.run(move || promise.keep(question()));
        Box::pin(answer)
    }

    /// Takes no more jobs; the threads end when those that are there are done.
    pub(crate) fn close(&self) {
        if let Some(shared) = &self.0 {
            shared.queue.lock().closing = true;
            shared.wake.notify_all();
        }
    }
}

impl Shared {
    fn work(&self) {
        let mut queue = self.queue.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                // A job that panicked has broken its promise, which says so to who waits.
                let _ = catch_unwind(AssertUnwindSafe(job));
                queue = self.queue.lock();
            } else if queue.closing {
                return;
            } else {
                self.wake.wait(&mut queue);
            }
        }
    }
}
