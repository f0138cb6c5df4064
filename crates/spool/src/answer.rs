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
struct Slot<T> {
    /// Until who asked takes it.
    answer: Option<Result<T, Error>>,
    /// Of who asked, and of who watches.
    wakers: [Option<Waker>; 2],
    /// Whether it was granted, once it is settled.
    granted: Option<bool>,
}

/// The side that asked.
#[derive(Debug)]
pub(crate) struct Answer<T = ()>(Arc<Mutex<Slot<T>>>);

/// Whether a message has become durable, for somebody besides the one who put it in: it tells both at once.
#[derive(Debug)]
pub struct Durable(Arc<Mutex<Slot<()>>>);

/// The side that answers. Several may hold it (the thread, the watch over ages): the first word counts.
#[derive(Debug)]
pub(crate) struct Ticket<T = ()>(Arc<Mutex<Slot<T>>>);

impl<T> Clone for Ticket<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

pub(crate) fn ticket<T>() -> (Ticket<T>, Answer<T>) {
    let slot = Slot { answer: None, wakers: [None, None], granted: None };
    let slot = Arc::new(Mutex::new(slot));
    (Ticket(Arc::clone(&slot)), Answer(slot))
}

impl<T> Ticket<T> {
    /// Answers; `false` if that was done already.
    pub(crate) fn settle(&self, result: Result<T, Error>) -> bool {
        let wakers = {
            let mut slot = self.0.lock();
            if slot.granted.is_some() {
                return false;
            }
            slot.granted = Some(result.is_ok());
            slot.answer = Some(result);
            std::mem::take(&mut slot.wakers)
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
        true
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.0.lock().granted.is_some()
    }
}

impl<T> Slot<T> {
    fn wait(&mut self, place: usize, context: &Context<'_>) {
        let waker = &mut self.wakers[place];
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
    }
}

impl Answer {
    /// For somebody else who waits for it; there is room for one.
    pub(crate) fn durable(&self) -> Durable {
        Durable(Arc::clone(&self.0))
    }
}

impl<T> Future for Answer<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.0.lock();
        if let Some(result) = slot.answer.take() {
            return Poll::Ready(result);
        }
        slot.wait(0, context);
        Poll::Pending
    }
}

impl Future for Durable {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let mut slot = self.0.lock();
        if let Some(granted) = slot.granted {
            return Poll::Ready(granted);
        }
        slot.wait(1, context);
        Poll::Pending
    }
}
