//! What operators and the binary ask of the manager.

use std::{rc::Rc, sync::Arc, time::Duration};

use actix::{ActorContext as _, Context, Handler, Message, ResponseFuture};
use waxseal_types::QueueId;

use super::{
    doorway::Doorway,
    manager::QueueManager,
    services::{Switchboard, answer, put},
};
use crate::levers::Entry;

/// Takes nothing new, waits until all that was begun is settled and written down.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Drain;

impl Handler<Drain> for QueueManager {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Context<Self>) -> Self::Result {
        self.drain.begin();
        self.quays.drain();
        let (active, idle, saving) = (Rc::clone(&self.active), Rc::clone(&self.idle), self.saving.clone());
        Box::pin(async move {
            while active.get() > 0 || saving.as_ref().is_some_and(|saving| saving.waiting() > 0) {
                // Looks again now and then: a notice between the question and the wait is not seen.
                let _ = tokio::time::timeout(Duration::from_millis(100), idle.notified()).await;
            }
        })
    }
}

/// Stops the manager and, with it, the spool.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;

impl Handler<Stop> for QueueManager {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Context<Self>) {
        self.drain.begin();
        self.quays.drain();
        *self.board.borrow_mut() = Switchboard::default();
        if let Some(door) = &self.doorway {
            door.shut();
        }
        context.stop();
    }
}

/// One message, as it is in the spool.
#[derive(Debug, Message)]
#[rtype(result = "Option<ShownMessage>")]
pub struct Show(pub QueueId);

/// The answer to [`Show`].
#[derive(Debug)]
pub struct ShownMessage {
    /// The message.
    pub stored: waxseal_spool::Stored,
    /// Its parts.
    pub parts: Vec<Entry>,
}

impl Handler<Show> for QueueManager {
    type Result = ResponseFuture<Option<ShownMessage>>;

    fn handle(&mut self, Show(id): Show, _: &mut Context<Self>) -> Self::Result {
        let parts: Option<Vec<Entry>> = self.owner.has(id).then(|| self.owner.parts_of(id).collect());
        let asked = put(self.board.borrow().spool.as_ref(), waxseal_spool::actor::ReadMsg(id));
        Box::pin(async move {
            let stored = answer(asked, None).await?.ok()?;
            Some(ShownMessage { stored, parts: parts? })
        })
    }
}

/// The doorway for intakes that the manager does not start itself.
#[derive(Debug, Message)]
#[rtype(result = "Option<Arc<Doorway>>")]
pub struct AskDoorway;

impl Handler<AskDoorway> for QueueManager {
    type Result = Option<Arc<Doorway>>;

    fn handle(&mut self, _: AskDoorway, _: &mut Context<Self>) -> Self::Result {
        self.doorway.clone()
    }
}

/// Makes a service panic, wherever there is one, for tests of supervision.
#[cfg(feature = "crash")]
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct CrashService(pub &'static str);

#[cfg(feature = "crash")]
impl Handler<CrashService> for QueueManager {
    type Result = ();

    fn handle(&mut self, CrashService(service): CrashService, _: &mut Context<Self>) {
        self.quays.crash(service);
        if service != super::quay::QUAY {
            crash_at(&self.board.borrow(), service);
        }
    }
}

/// Crashes a service of a thread.
#[cfg(feature = "crash")]
pub(super) fn crash_at(board: &Switchboard, service: &str) {
    fn crash<A, M>(address: Option<&actix::Addr<A>>, message: M)
    where
        A: Handler<M>,
        A::Context: actix::dev::ToEnvelope<A, M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        if let Some(address) = address {
            address.do_send(message);
        }
    }
    match service {
        "policy" => crash(board.policy.as_ref(), waxseal_policy::actor::Crash),
        "dns" => crash(board.dns.as_ref(), waxseal_dns::actor::Crash),
        "trust" => crash(board.trust.as_ref(), waxseal_trust::Crash),
        "verify" => crash(board.verify.as_ref(), waxseal_verify::Crash),
        "transport" => crash(board.transport.as_ref(), waxseal_transport::Crash),
        _ => crash(board.spool.as_ref(), waxseal_spool::actor::Crash),
    }
}
