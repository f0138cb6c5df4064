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
enum Slot<T> {
    Waiting(Option<Waker>),
    Settled(Result<T, Error>),
    Taken,
}

/// The side that asked.
#[derive(Debug)]
pub(crate) struct Answer<T = ()>(Arc<Mutex<Slot<T>>>);

/// The side that answers. Several may hold it (the thread, the watch over ages): the first word counts.
#[derive(Debug)]
pub(crate) struct Ticket<T = ()>(Arc<Mutex<Slot<T>>>);

impl<T> Clone for Ticket<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

pub(crate) fn ticket<T>() -> (Ticket<T>, Answer<T>) {
    let slot = Arc::new(Mutex::new(Slot::Waiting(None)));
    (Ticket(Arc::clone(&slot)), Answer(slot))
}

impl<T> Ticket<T> {
    /// Answers; `false` if that was done already.
    pub(crate) fn settle(&self, result: Result<T, Error>) -> bool {
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

impl<T> Future for Answer<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.0.lock();
        match &mut *slot {
            Slot::Waiting(waker) => {
                if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                    *waker = Some(context.waker().clone());
                }
                Poll::Pending
            }
            Slot::Settled(_) | Slot::Taken => match std::mem::replace(&mut *slot, Slot::Taken) {
                Slot::Settled(result) => Poll::Ready(result),
                Slot::Waiting(_) | Slot::Taken => Poll::Pending,
            },
        }
    }
}
