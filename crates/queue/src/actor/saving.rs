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
    actor::{DoneMsg, UpdateMsg},
};

use waxseal_types::QueueId;

use super::{
    manager::{Admit, QueueManager},
    services::{Switchboard, ask},
};

/// So many marks on their way, and no attempt starts: each would end in a mark that cannot be written (design §6).
const BACKLOG_LIMIT: usize = 10_000;
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
    manager: Addr<QueueManager>,
    waiting: Rc<Cell<usize>>,
    /// Messages that are finished here and not yet on disk: a spool that is opened anew meanwhile still has them.
    ending: Rc<RefCell<HashSet<QueueId>>>,
    idle: Rc<tokio::sync::Notify>,
}

impl Saving {
    pub(super) fn new(
        board: Rc<RefCell<Switchboard>>,
        manager: Addr<QueueManager>,
        idle: Rc<tokio::sync::Notify>,
    ) -> Self {
        Self { board, manager, waiting: Rc::default(), ending: Rc::default(), idle }
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
        let this = self.clone();
        actix_rt::spawn(async move {
            let mut first = true;
            loop {
                match this.write(mark.clone()).await {
                    // Gone already: a mark that was written before the spool came back.
                    Some(Ok(()) | Err(Error::Unknown(_) | Error::Duplicate(_))) => break,
                    Some(Err(error)) if first => {
                        tracing::error!("a mark cannot be written, trying on: {error}")
                    }
                    Some(Err(_)) | None => {}
                }
                first = false;
                tokio::time::sleep(PAUSE).await;
            }
            this.waiting.set(this.waiting.get().saturating_sub(1));
            this.idle.notify_waiters();
            let dsn = match mark {
                Mark::Update(update) => update.dsn,
                Mark::Done(done) => {
                    this.ending.borrow_mut().remove(&done.id);
                    done.dsn
                }
            };
            if let Some(put) = dsn {
                this.manager.do_send(Admit { envelope: Arc::new(put.envelope), body: put.body });
            }
        });
    }

    async fn write(&self, mark: Mark) -> Option<Result<(), Error>> {
        let address = self.board.borrow().spool.clone();
        match mark {
            Mark::Update(update) => ask(address, UpdateMsg(update), None).await,
            Mark::Done(done) => ask(address, DoneMsg(done), None).await,
        }
    }
}
