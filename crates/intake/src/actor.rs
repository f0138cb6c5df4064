//! The intake as an actor: what serves may crash and is started again; the sockets outlive it in the [`Intake`].

use std::{fmt, sync::Arc};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, ResponseFuture, WrapFuture,
};
use waxseal_spool::Accept;

use crate::{Error, Intake};

/// Accepts clients for as long as it lives. Sessions outlive it.
pub struct IntakeActor {
    intake: Arc<Intake>,
    accept: Arc<dyn Accept>,
}

impl IntakeActor {
    /// Serves on the arbiter that it will be started on.
    #[must_use]
    pub fn new(intake: Arc<Intake>, accept: Arc<dyn Accept>) -> Self {
        Self { intake, accept }
    }
}

impl fmt::Debug for IntakeActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntakeActor").field("intake", &self.intake).finish_non_exhaustive()
    }
}

impl Actor for IntakeActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let serving = Arc::clone(&self.intake).serve(Arc::clone(&self.accept));
        let ended = |result: Result<(), Error>, _: &mut Self, ctx: &mut Self::Context| {
            if let Err(error) = result {
                tracing::error!(%error, "intake stopped");
                ctx.stop();
            }
        };
        ctx.spawn(serving.into_actor(self).map(ended));
    }
}

/// [`Intake::shut_down`]; answered when the last session has ended.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), Error>")]
pub struct ShutDown;

impl Handler<ShutDown> for IntakeActor {
    type Result = ResponseFuture<Result<(), Error>>;

    fn handle(&mut self, _: ShutDown, _: &mut Self::Context) -> Self::Result {
        self.intake.shut_down();
        let intake = Arc::clone(&self.intake);
        Box::pin(async move {
            intake.drained().await;
            Ok(())
        })
    }
}

/// Whether it serves: the answer is the number of connected clients.
#[derive(Debug, Message)]
#[rtype(result = "Result<usize, Error>")]
pub struct Connections;

impl Handler<Connections> for IntakeActor {
    type Result = Result<usize, Error>;

    fn handle(&mut self, _: Connections, _: &mut Self::Context) -> Self::Result {
        Ok(self.intake.connections())
    }
}

/// Makes the actor panic, for tests of supervision.
#[cfg(feature = "crash")]
#[derive(Debug, Message)]
#[rtype(result = "Result<(), Error>")]
pub struct Crash;

#[cfg(feature = "crash")]
impl Handler<Crash> for IntakeActor {
    type Result = Result<(), Error>;

    #[expect(clippy::panic, reason = "this is what the message is for")]
    fn handle(&mut self, _: Crash, _: &mut Self::Context) -> Self::Result {
        panic!("asked to crash")
    }
}
