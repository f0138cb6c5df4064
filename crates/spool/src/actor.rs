//! The spool as an actor: one owner of the log, so that a panic drops it and a fresh actor opens it again.

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use waxseal_types::QueueId;

use crate::{Done, Error, Log, Put, Recovered, Spool, Stored, Update};

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

/// [`Spool::outlines`].
#[derive(Debug, Message)]
#[rtype(result = "Result<Outlines, Error>")]
pub struct OutlinesMsg(pub Vec<QueueId>);

type Outlines = Vec<Result<Recovered, Error>>;

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
        Box::pin(self.log.done_all(message.0))
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

impl Handler<OutlinesMsg> for SpoolActor {
    type Result = ResponseFuture<Result<Outlines, Error>>;

    fn handle(&mut self, message: OutlinesMsg, _: &mut Self::Context) -> Self::Result {
        self.log.outlines(message.0)
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
