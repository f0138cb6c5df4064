//! How the actor answers: at once where the cache has the answer, so that no task is made for it.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// What `now` makes of an answer that is there, or `later` of one that has to be waited for.
pub(crate) fn respond<F: Future, R>(
    answer: F,
    now: impl FnOnce(F::Output) -> R,
    later: impl FnOnce(Pin<Box<F>>) -> R,
) -> R {
    let mut answer = Box::pin(answer);
    // Whoever waits polls it anew, with a waker of its own.
    match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => now(answer),
        Poll::Pending => later(answer),
    }
}
