//! The spool as an actor: one owner of the log, so that a panic drops it and a fresh actor opens it again.

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use waxseal_types::QueueId;

use crate::{Done, Error, Log, Put, Spool, Stored, Update};

/// Owns the log.
#[derive(Debug)]
pub struct SpoolActor {
    log: Log,
}

impl SpoolActor {
    /// From [`crate::open`].
    #[must_use]
    pub const fn new(log: Log) -> Self {
        Self { log }
    }
}

impl Actor for SpoolActor {
    type Context = Context<Self>;
}

/// [`Spool::put`].
#[derive(Debug, Message)]
#[rtype(result = "Result<(), Error>")]
pub struct PutMsg(pub Put);

/// [`Spool::read`].
#[derive(Debug, Message)]
#[rtype(result = "Result<Stored, Error>")]
pub struct ReadMsg(pub QueueId);

/// [`Spool::update`].
#[derive(Debug, Message)]
#[rtype(result = "Result<(), Error>")]
pub struct UpdateMsg(pub Update);

/// [`Spool::done`].
#[derive(Debug, Message)]
#[rtype(result = "Result<(), Error>")]
pub struct DoneMsg(pub Done);

/// [`Spool::done`] for several messages: one question for all that ended about the same time. The answers are in their order.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Result<(), Error>>")]
pub struct DoneAllMsg(pub Vec<Done>);

impl Handler<DoneAllMsg> for SpoolActor {
    type Result = ResponseFuture<Vec<Result<(), Error>>>;

    fn handle(&mut self, message: DoneAllMsg, _: &mut Self::Context) -> Self::Result {
        // All are asked for before the first is waited for, so that one commit takes them.
        let pending: Vec<_> = message.0.into_iter().map(|done| self.log.done(done)).collect();
        Box::pin(async move {
            let mut results = Vec::with_capacity(pending.len());
            for done in pending {
                results.push(done.await);
            }
            results
        })
    }
}

impl Handler<PutMsg> for SpoolActor {
    type Result = ResponseFuture<Result<(), Error>>;

    fn handle(&mut self, message: PutMsg, _: &mut Self::Context) -> Self::Result {
        self.log.put(message.0)
    }
}

impl Handler<ReadMsg> for SpoolActor {
    type Result = ResponseFuture<Result<Stored, Error>>;

    fn handle(&mut self, message: ReadMsg, _: &mut Self::Context) -> Self::Result {
        self.log.read(message.0)
    }
}

impl Handler<UpdateMsg> for SpoolActor {
    type Result = ResponseFuture<Result<(), Error>>;

    fn handle(&mut self, message: UpdateMsg, _: &mut Self::Context) -> Self::Result {
        self.log.update(message.0)
    }
}

impl Handler<DoneMsg> for SpoolActor {
    type Result = ResponseFuture<Result<(), Error>>;

    fn handle(&mut self, message: DoneMsg, _: &mut Self::Context) -> Self::Result {
        self.log.done(message.0)
    }
}

/// Makes the actor panic, for tests of supervision.
#[cfg(feature = "crash")]
#[derive(Debug, Message)]
#[rtype(result = "Result<(), Error>")]
pub struct Crash;

#[cfg(feature = "crash")]
impl Handler<Crash> for SpoolActor {
    type Result = Result<(), Error>;

    #[expect(clippy::panic, reason = "this is what the message is for")]
    fn handle(&mut self, _: Crash, _: &mut Self::Context) -> Self::Result {
        panic!("asked to crash")
    }
}
