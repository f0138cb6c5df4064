//! One answer from the log's thread to whoever asked: a future for any executor.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use crate::Error;

#[derive(Debug)]
enum Slot {
    Waiting(Option<Waker>),
    Settled(Result<(), Error>),
    Taken,
}

/// The side that asked.
#[derive(Debug)]
pub(crate) struct Answer(Arc<Mutex<Slot>>);

/// The side that answers. Several may hold it (the thread, the watch over ages): the first word counts.
#[derive(Debug, Clone)]
pub(crate) struct Ticket(Arc<Mutex<Slot>>);

pub(crate) fn ticket() -> (Ticket, Answer) {
    let slot = Arc::new(Mutex::new(Slot::Waiting(None)));
    (Ticket(Arc::clone(&slot)), Answer(slot))
}

impl Ticket {
    /// Answers; `false` if that was done already.
    pub(crate) fn settle(&self, result: Result<(), Error>) -> bool {
        let waker = {
            let mut slot = self.0.lock();
            let Slot::Waiting(waker) = &mut *slot else { return false };
            let waker = waker.take();
            *slot = Slot::Settled(result);
            waker
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    pub(crate) fn is_settled(&self) -> bool {
        !matches!(&*self.0.lock(), Slot::Waiting(_))
    }
}

impl Future for Answer {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.0.lock();
        match &mut *slot {
            Slot::Waiting(waker) => {
                if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                    *waker = Some(context.waker().clone());
                }
                Poll::Pending
            }
            Slot::Settled(result) => {
                let result = std::mem::replace(result, Ok(()));
                *slot = Slot::Taken;
                Poll::Ready(result)
            }
            Slot::Taken => Poll::Pending,
        }
    }
}
