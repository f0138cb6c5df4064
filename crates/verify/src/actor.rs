//! The actor: nothing but the call.

use actix::{Actor, Context, Handler, Message};

use crate::{Question, Verdict, judge};

/// Answers [`Judge`].
#[derive(Debug, Default)]
pub struct VerifyActor;

impl Actor for VerifyActor {
    type Context = Context<Self>;
}

/// Asks for a verdict.
#[derive(Debug, Message)]
#[rtype(result = "Verdict")]
pub struct Judge(pub Question);

impl Handler<Judge> for VerifyActor {
    type Result = actix::MessageResult<Judge>;

    fn handle(&mut self, Judge(question): Judge, _: &mut Self::Context) -> Self::Result {
        actix::MessageResult(judge(&question))
    }
}

/// Panics, so that tests see the service come back.
#[cfg(feature = "crash")]
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Crash;

#[cfg(feature = "crash")]
impl Handler<Crash> for VerifyActor {
    type Result = ();

    #[expect(clippy::panic, reason = "the purpose of the message")]
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("asked to crash")
    }
}
