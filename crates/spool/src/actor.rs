//! The spool as an actor: one owner of the log, so that a panic drops it and a fresh actor opens it again.

use actix::{Actor, Context, Handler, Message, MessageResult, ResponseFuture};
use waxseal_types::QueueId;

use crate::{BodyWriter, Done, Error, Log, Put, Recovered, Spool, Stored, Streamed, Update};

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

/// [`Log::read_streamed`].
#[derive(Debug, Message)]
#[rtype(result = "Result<Streamed, Error>")]
pub struct StreamMsg(pub QueueId);

/// [`Log::body_writer`].
#[derive(Debug, Message)]
#[rtype(result = "BodyWriter")]
pub struct WriterMsg(pub QueueId);

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

impl Handler<WriterMsg> for SpoolActor {
    type Result = MessageResult<WriterMsg>;

    fn handle(&mut self, message: WriterMsg, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.log.body_writer(message.0))
    }
}

impl Handler<DoneAllMsg> for SpoolActor {
    type Result = ResponseFuture<Vec<Result<(), Error>>>;

    fn handle(&mut self, message: DoneAllMsg, _: &mut Self::Context) -> Self::Result {
        Box::pin(self.log.done_all(message.0))
    }
}

/// Passes questions on to the log.
macro_rules! passed_on {
    ($($message:ty => $method:ident),*) => {$(
        impl Handler<$message> for SpoolActor {
            type Result = ResponseFuture<<$message as Message>::Result>;

            fn handle(&mut self, message: $message, _: &mut Self::Context) -> Self::Result {
                self.log.$method(message.0)
            }
        }
    )*};
}

passed_on!(
    PutMsg => put, ReadMsg => read, StreamMsg => read_streamed, OutlinesMsg => outlines, UpdateMsg => update, DoneMsg => done
);

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
