//! Marks on their way to the spool. What has happened must be written down, so writing is tried until it succeeds.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix::Addr;
use waxseal_spool::{
    Done, Error, Update,
    actor::{DoneAllMsg, DoneMsg, UpdateMsg},
};

use waxseal_types::QueueId;

use super::{
    admission::Admit,
    manager::QueueManager,
    services::{Switchboard, answer, put},
};

/// So many marks on their way, and no attempt starts: each would end in a mark that cannot be written (design §6).
const BACKLOG_LIMIT: usize = 10_000;
/// How long the end of a message waits for others. Marks have 50 ms to be synced (design §6), so this costs nothing that was promised.
const GATHER: Duration = Duration::from_millis(2);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// A mark, with the notification that rides with it.
#[derive(Debug, Clone)]
pub(super) enum Mark {
    Update(Update),
    Done(Done),
}

/// Writes marks.
#[derive(Clone)]
pub(super) struct Saving {
    board: Rc<RefCell<Switchboard>>,
    manager: Arc<Addr<QueueManager>>,
    waiting: Rc<Cell<usize>>,
    /// Messages that are finished here and not yet on disk: a spool that is opened anew meanwhile still has them.
    ending: Rc<RefCell<HashSet<QueueId>>>,
    idle: Rc<tokio::sync::Notify>,
    /// Ends that wait for others.
    gathered: Rc<RefCell<Vec<Done>>>,
}

impl Saving {
    pub(super) fn new(
        board: Rc<RefCell<Switchboard>>,
        manager: Arc<Addr<QueueManager>>,
        idle: Rc<tokio::sync::Notify>,
    ) -> Self {
        Self { board, manager, waiting: Rc::default(), ending: Rc::default(), idle, gathered: Rc::default() }
    }

    /// Whether so much waits that nothing new may begin.
    pub(super) fn is_behind(&self) -> bool {
        self.waiting.get() >= BACKLOG_LIMIT || self.board.borrow().spool.is_none()
    }

    /// Marks on their way.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.get()
    }

    /// Whether the end of `id` is on its way to disk.
    pub(super) fn is_ending(&self, id: QueueId) -> bool {
        self.ending.borrow().contains(&id)
    }

    /// Writes `mark`, however long it takes; the notification in it becomes a message of the queue when it is durable.
    pub(super) fn save(&self, mark: Mark) {
        self.waiting.set(self.waiting.get() + 1);
        if let Mark::Done(done) = &mark {
            self.ending.borrow_mut().insert(done.id);
        }
        match mark {
            Mark::Done(done) if done.dsn.is_none() => self.gather(done),
            mark @ (Mark::Update(_) | Mark::Done(_)) => self.write_alone(mark),
        }
    }

    /// The plain end of a message waits a moment for others: together they are one question to another thread.
    fn gather(&self, done: Done) {
        let mut gathered = self.gathered.borrow_mut();
        gathered.push(done);
        if gathered.len() == 1 {
            let this = self.clone();
            actix_rt::spawn(async move {
                tokio::time::sleep(GATHER).await;
                let all = this.gathered.take();
                this.write_all(all).await;
            });
        }
    }

    async fn write_all(&self, mut all: Vec<Done>) {
        let mut first = true;
        while !all.is_empty() {
            let asked = put(self.board.borrow().spool.as_ref(), DoneAllMsg(all.clone()));
            let mut results = answer(asked, None).await.unwrap_or_default().into_iter();
            all.retain(|done| {
                let result = results.next();
                let settled = is_settled(result.as_ref(), first);
                if settled {
                    self.ended(done.id);
                }
                !settled
            });
            if !all.is_empty() {
                first = false;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn write_alone(&self, mark: Mark) {
        let this = self.clone();
        actix_rt::spawn(async move {
            let mut first = true;
            while !is_settled(this.write(mark.clone()).await.as_ref(), first) {
                first = false;
                tokio::time::sleep(PAUSE).await;
            }
            let dsn = match mark {
                Mark::Update(update) => {
                    this.landed();
                    update.dsn
                }
                Mark::Done(done) => {
                    this.ended(done.id);
                    done.dsn
                }
            };
            if let Some(put) = dsn {
                this.manager.do_send(Admit { envelope: Arc::new(put.envelope), body: Some(put.body) });
            }
        });
    }

    fn ended(&self, id: QueueId) {
        self.ending.borrow_mut().remove(&id);
        self.landed();
    }

    fn landed(&self) {
        self.waiting.set(self.waiting.get().saturating_sub(1));
        self.idle.notify_waiters();
    }

    async fn write(&self, mark: Mark) -> Option<Result<(), Error>> {
        match mark {
            Mark::Update(update) => {
                let asked = put(self.board.borrow().spool.as_ref(), UpdateMsg(update));
                answer(asked, None).await
            }
            Mark::Done(done) => {
                let asked = put(self.board.borrow().spool.as_ref(), DoneMsg(done));
                answer(asked, None).await
            }
        }
    }
}

/// Whether a mark need not be written again.
fn is_settled(result: Option<&Result<(), Error>>, first: bool) -> bool {
    match result {
        // Gone already: a mark that was written before the spool came back.
        Some(Ok(()) | Err(Error::Unknown(_) | Error::Duplicate(_))) => true,
        Some(Err(error)) => {
            if first {
                tracing::error!("a mark cannot be written, trying on: {error}");
            }
            false
        }
        None => false,
    }
}
