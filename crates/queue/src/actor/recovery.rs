//! What the spool had at the start comes into the books little by little, while new mail is taken and delivered.
//!
//! The spool knows all marks before it gives its first message out, so none of them leaves twice. A thread reads ahead and looks up where those go that only
//! wait, which are nearly all of a long queue: they come to the manager as what it keeps of them. The others it routes itself. It takes them up in slices that
//! nobody waits for. Nothing is read that is not about to be taken up, so a long queue needs no memory twice, and tables that are slow make it slow and
//! nothing else.

use std::{cell::RefCell, rc::Rc, time::Instant};

use actix::{Addr, AsyncContext as _, Context, Handler, Message};
use futures_util::future::join_all;
use tokio::{
    sync::watch,
    task::{JoinHandle, spawn_blocking, yield_now},
};
use waxseal_spool::{Error, Found, Recovered, actor::OutlinesMsg};
use waxseal_types::{QueueId, UnixTime};

use super::{
    admission::Admitted,
    delivery,
    manager::{Common, QueueManager, now},
    services::{Switchboard, answer, put},
    ways::Ways,
};
use crate::owner::{Lying, Unrouted};

/// Messages read ahead.
const AHEAD: usize = 2048;
/// Messages taken up before others have their turn: some 50 µs where they are to be routed, and not much more where they only wait.
const SLICE: usize = 32;
/// Of messages that only wait.
const LYING_SLICE: usize = 128;

/// What is still to be read.
pub(super) type Rest = Box<dyn Iterator<Item = Result<Found, Error>> + Send>;

/// Messages that were read, and the rest.
struct Read {
    lying: Vec<Lying>,
    whole: Vec<Recovered>,
    /// Those that wait and have to be routed by the manager, for which there is more to know.
    ids: Vec<QueueId>,
    /// Whether there may be more.
    more: bool,
    rest: Rest,
    ways: Ways,
}

fn read(rest: Rest, ways: Ways) -> Read {
    let mut read = Read { lying: Vec::new(), whole: Vec::new(), ids: Vec::new(), more: true, rest, ways };
    for _ in 0..AHEAD {
        let Some(found) = read.rest.next() else {
            read.more = false;
            break;
        };
        match found {
            Ok(Found::Waiting(waiting)) => match read.ways.lying(&waiting) {
                Some(lying) => read.lying.push(lying),
                None => read.ids.push(waiting.id),
            },
            Ok(Found::Whole(message)) => read.whole.push(*message),
            Err(error) => {
                tracing::error!("a message of the spool cannot be read and stays where it is: {error}")
            }
        }
    }
    read
}

/// Messages of the spool whose routes are known; false where their spool is gone.
#[derive(Message)]
#[rtype(result = "bool")]
pub(super) struct TakeUp {
    spool: u64,
    lying: Vec<Lying>,
    messages: Vec<Admitted>,
}

impl Handler<TakeUp> for QueueManager {
    type Result = bool;

    fn handle(&mut self, taken: TakeUp, context: &mut Context<Self>) -> bool {
        if taken.spool != self.spools || self.drain.has_begun() {
            return false;
        }
        let now = now();
        for lying in taken.lying {
            if !self.knows(lying.id) {
                self.take_lying(lying, now);
            }
        }
        for message in taken.messages {
            if !self.knows(message.envelope.id) {
                self.admit(message);
            }
        }
        self.pump(context);
        true
    }
}

impl QueueManager {
    /// Takes up what was found in the spool, by and by.
    pub(super) fn take_up(&mut self, found: Rest, context: &Context<Self>) {
        self.spools += 1;
        let recovery = Recovery {
            common: Rc::clone(&self.common),
            board: Rc::clone(&self.board),
            manager: context.address(),
            spool: self.spools,
            taken_up: Rc::clone(&self.taken_up),
        };
        actix_rt::spawn(recovery.run(found));
    }

    fn take_lying(&mut self, lying: Lying, now: UnixTime) {
        let job = lying.job();
        let due = self.schedule.after_restart(lying.id, job.attempts, lying.due(), now);
        let lying = lying.at(due);
        self.meet(&lying.client);
        if !lying.is_held() {
            self.enlist(&lying.way.destination, job, due, now);
        }
        self.owner.take_lying(&lying);
    }
}

struct Recovery {
    common: Rc<Common>,
    board: Rc<RefCell<Switchboard>>,
    manager: Addr<QueueManager>,
    spool: u64,
    taken_up: Rc<watch::Sender<u64>>,
}

/// However it ended, nobody waits for more.
impl Drop for Recovery {
    fn drop(&mut self) {
        self.taken_up.send_modify(|last| *last = self.spool.max(*last));
    }
}

impl Recovery {
    async fn run(self, rest: Rest) {
        let ahead = |rest, ways| -> JoinHandle<Read> { spawn_blocking(|| read(rest, ways)) };
        let (begun, mut messages) = (Instant::now(), 0);
        let mut next = Some(ahead(rest, Ways::new(&self.common)));
        while let Some(reading) = next {
            let Read { lying, mut whole, ids, more, rest, ways } = match reading.await {
                Ok(read) => read,
                Err(error) => {
                    tracing::error!("reading the spool panicked, the rest waits for the next start: {error}");
                    return;
                }
            };
            next = more.then(|| ahead(rest, ways));
            messages += lying.len() + whole.len() + ids.len();
            whole.extend(self.outlines(ids).await);
            if !self.all(lying, whole).await {
                return;
            }
        }
        if messages > 0 {
            tracing::info!(
                "{messages} messages of the spool are in the queue again, {:?} after it was opened",
                begun.elapsed()
            );
        }
    }

    /// All that is known of some messages. One that cannot be read is in the spool's log.
    async fn outlines(&self, ids: Vec<QueueId>) -> Vec<Recovered> {
        if ids.is_empty() {
            return Vec::new();
        }
        let asked = put(self.board.borrow().spool.as_ref(), OutlinesMsg(ids));
        let outlines = answer(asked, None).await.and_then(Result::ok).unwrap_or_default();
        outlines.into_iter().filter_map(Result::ok).collect()
    }

    async fn all(&self, lying: Vec<Lying>, whole: Vec<Recovered>) -> bool {
        let mut lying = lying.into_iter();
        while lying.len() > 0 {
            let some = lying.by_ref().take(LYING_SLICE).collect();
            if !self.taken(some, Vec::new()).await {
                return false;
            }
        }
        let mut whole = whole.into_iter();
        while whole.len() > 0 {
            let messages = self.routed(whole.by_ref().take(SLICE)).await;
            if !self.taken(Vec::new(), messages).await {
                return false;
            }
        }
        true
    }

    async fn taken(&self, lying: Vec<Lying>, messages: Vec<Admitted>) -> bool {
        let taken = self.manager.send(TakeUp { spool: self.spool, lying, messages }).await;
        yield_now().await;
        taken.unwrap_or(false)
    }

    async fn routed(&self, read: impl Iterator<Item = Recovered>) -> Vec<Admitted> {
        let (mut messages, mut unrouted) = (Vec::with_capacity(SLICE), Vec::new());
        for message in read {
            let message = Unrouted::found(message);
            match delivery::routes_at_once(&self.common, &message) {
                Some(routes) => messages.push(delivery::admitted(&self.common, message, routes)),
                None => unrouted.push(delivery::route_by_tables(&self.common, &self.board, message)),
            }
        }
        messages.extend(join_all(unrouted).await);
        messages
    }
}
