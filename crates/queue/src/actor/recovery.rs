//! What the spool had at the start comes into the books little by little, while new mail is taken and delivered.
//!
//! The spool knows all marks before it gives its first message out, so none of them leaves twice. A thread reads ahead, by hundreds; the manager takes them
//! up in slices that nobody waits for. Nothing is read that is not about to be taken up, so a long queue needs no memory twice, and tables that are slow
//! make it slow and nothing else.

use std::{cell::RefCell, rc::Rc, time::Instant};

use actix::{Addr, AsyncContext as _, Context, Handler, Message};
use futures_util::future::join_all;
use tokio::task::{JoinHandle, spawn_blocking, yield_now};
use waxseal_spool::{Error, Recovered};

use super::{
    admission::Admitted,
    delivery,
    manager::{Common, QueueManager},
    services::Switchboard,
};
use crate::owner::Unrouted;

/// Messages read ahead.
const AHEAD: usize = 512;
/// Messages taken up before others have their turn: some 50 µs.
const SLICE: usize = 32;

/// What is still to be read.
type Rest = Box<dyn Iterator<Item = Result<Recovered, Error>> + Send>;

/// Messages that were read, and the rest.
pub(super) struct Found {
    read: Vec<Recovered>,
    rest: Rest,
}

/// Reads the first ones; waits for the disk.
pub(super) fn found(rest: Rest) -> Found {
    read(rest, SLICE)
}

fn read(mut rest: Rest, count: usize) -> Found {
    let mut read = Vec::with_capacity(count.min(rest.size_hint().1.unwrap_or(count)));
    for found in rest.by_ref() {
        match found {
            Ok(message) => read.push(message),
            Err(error) => {
                tracing::error!("a message of the spool cannot be read and stays where it is: {error}")
            }
        }
        if read.len() == count {
            break;
        }
    }
    Found { read, rest }
}

/// Messages of the spool whose routes are known; false where their spool is gone.
#[derive(Message)]
#[rtype(result = "bool")]
pub(super) struct TakeUp {
    spool: u64,
    messages: Vec<Admitted>,
}

impl Handler<TakeUp> for QueueManager {
    type Result = bool;

    fn handle(&mut self, TakeUp { spool, messages }: TakeUp, context: &mut Context<Self>) -> bool {
        if spool != self.spools || self.drain.has_begun() {
            return false;
        }
        for message in messages {
            if !self.knows(message.envelope.id) {
                self.admit(message);
            }
        }
        self.pump(context);
        true
    }
}

impl QueueManager {
    /// Takes up what was found in the spool: the first messages now, and by and by all that follow.
    pub(super) fn take_up(&mut self, found: Found, context: &Context<Self>) {
        self.spools += 1;
        for message in found.read.into_iter().map(Unrouted::found) {
            if self.knows(message.envelope.id) {
                continue;
            }
            let routed = delivery::route(&self.common, &self.board, message, self.address());
            if let Some(admitted) = routed {
                self.admit(admitted);
            }
        }
        let recovery = Recovery {
            common: Rc::clone(&self.common),
            board: Rc::clone(&self.board),
            manager: context.address(),
            spool: self.spools,
        };
        actix_rt::spawn(recovery.run(found.rest));
    }
}

struct Recovery {
    common: Rc<Common>,
    board: Rc<RefCell<Switchboard>>,
    manager: Addr<QueueManager>,
    spool: u64,
}

impl Recovery {
    async fn run(self, rest: Rest) {
        let ahead = |rest| -> JoinHandle<Found> { spawn_blocking(|| read(rest, AHEAD)) };
        let (begun, mut messages) = (Instant::now(), 0);
        let mut next = ahead(rest);
        loop {
            let found = match next.await {
                Ok(Found { read, .. }) if read.is_empty() => break,
                Ok(found) => found,
                Err(error) => {
                    tracing::error!("reading the spool panicked, the rest waits for the next start: {error}");
                    return;
                }
            };
            next = ahead(found.rest);
            messages += found.read.len();
            let mut found = found.read.into_iter();
            while found.len() > 0 {
                if !self.slice(found.by_ref().take(SLICE)).await {
                    return;
                }
                yield_now().await;
            }
        }
        if messages > 0 {
            tracing::info!(
                "{messages} further messages of the spool are in the queue again, {:?} after it was opened",
                begun.elapsed()
            );
        }
    }

    async fn slice(&self, read: impl Iterator<Item = Recovered>) -> bool {
        let (mut messages, mut unrouted) = (Vec::with_capacity(SLICE), Vec::new());
        for message in read {
            let message = Unrouted::found(message);
            match delivery::routes_at_once(&self.common, &message) {
                Some(routes) => messages.push(delivery::admitted(&self.common, message, routes)),
                None => unrouted.push(delivery::route_by_tables(&self.common, &self.board, message)),
            }
        }
        messages.extend(join_all(unrouted).await);
        self.manager.send(TakeUp { spool: self.spool, messages }).await.unwrap_or(false)
    }
}
