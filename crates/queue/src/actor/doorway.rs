//! Where the intake hands its messages over: to the spool, and then to the manager.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix::Addr;
use actix_rt::Arbiter;
use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use waxseal_spool::{Accept, BodyWriter, Entrance, Gate, Gathering, Inflow, Later, Put, Refusal};
use waxseal_types::{Envelope, QueueId};

use super::{admission::Admit, expected::Expect, manager::QueueManager, services::DrainState};

/// The way into the current spool, and its gate; there is none while the spool is down. Clients on several threads come in here, and the answers of the log's own
/// thread go to theirs: nobody else is asked.
#[derive(Debug)]
struct Open {
    entrance: Entrance,
    gate: Gate,
    manager: Arc<Addr<QueueManager>>,
}

/// [`Accept`] over the spool of the moment. While there is none, clients hear 451 and nothing is lost.
#[derive(Debug)]
pub struct Doorway {
    open: ArcSwapOption<Open>,
    /// The last gate seen: ids and gathering go on while the spool restarts.
    gate: ArcSwap<Gate>,
    manager: Arc<Addr<QueueManager>>,
    drain: Arc<DrainState>,
}

impl Doorway {
    pub(super) fn new(
        manager: Addr<QueueManager>,
        drain: Arc<DrainState>,
        (entrance, gate): (Entrance, Gate),
    ) -> Self {
        let manager = Arc::new(manager);
        let open = Open { entrance, gate: gate.clone(), manager: Arc::clone(&manager) };
        Self { open: ArcSwapOption::from_pointee(open), gate: ArcSwap::from_pointee(gate), manager, drain }
    }

    pub(super) fn open(&self, entrance: Entrance, gate: Gate) {
        self.gate.store(Arc::new(gate.clone()));
        self.open.store(Some(Arc::new(Open { entrance, gate, manager: Arc::clone(&self.manager) })));
    }

    pub(super) fn shut(&self) {
        self.open.store(None);
    }
}

impl Accept for Doorway {
    fn ready(&self) -> Result<(), Refusal> {
        if self.drain.has_begun() {
            return Err(Refusal::FAILED);
        }
        self.open.load().as_ref().map_or(Err(Refusal::FAILED), |open| open.gate.ready())
    }

    fn next_id(&self) -> QueueId {
        self.gate.load().next_id()
    }

    fn gathering(&self) -> Gathering {
        self.gate.load().gathering()
    }

    fn inflow(&self, id: QueueId) -> Later<Option<Box<dyn Inflow>>> {
        let Some(open) = self.open.load_full() else { return Box::pin(std::future::ready(None)) };
        let writer = open.entrance.body_writer(id);
        let inflow = writer.map(|writer| Box::new(LargeText { writer, open }) as Box<dyn Inflow>);
        Box::pin(std::future::ready(inflow))
    }

    fn accept(
        &self,
        envelope: Envelope,
        body: Bytes,
    ) -> Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>> {
        let Some(open) = self.open.load_full() else { return Box::pin(async { Err(Refusal::FAILED) }) };
        let (durable, word) = open.entrance.put(Put { envelope: envelope.clone(), body: body.clone() });
        if let Some(word) = word {
            // The processor has nothing else to do while the disk writes: what comes before the text is got ready meanwhile.
            open.manager.do_send(Expect { envelope: Arc::new(envelope), body, word });
            return Box::pin(async move { durable.await.map_err(|error| error.refusal()) });
        }
        Commit::boxed(async move {
            durable.await.map_err(|error| error.refusal())?;
            // From here on the message is ours; the manager learns of it although the client may have left.
            open.manager.do_send(Admit { envelope: Arc::new(envelope), body: Some(body) });
            Ok(())
        })
    }
}

/// A text that goes to the spool while it comes in.
struct LargeText {
    writer: BodyWriter,
    open: Arc<Open>,
}

impl Inflow for LargeText {
    fn write(&mut self, piece: Bytes) -> Later<Result<(), Refusal>> {
        let written = self.writer.write(piece);
        Box::pin(async move { written.await.map_err(|error| error.refusal()) })
    }

    fn accept(self: Box<Self>, envelope: Envelope) -> Later<Result<(), Refusal>> {
        let Self { writer, open } = *self;
        let durable = writer.put(envelope.clone());
        Commit::boxed(async move {
            durable.await.map_err(|error| error.refusal())?;
            open.manager.do_send(Admit { envelope: Arc::new(envelope), body: None });
            Ok(())
        })
    }
}

/// A message on its way to the disk. Who no longer waits for it drops this future; the commit and the word to the manager do not end with that, but go on
/// as a task of the thread.
struct Commit(Option<Later<Result<(), Refusal>>>);

impl Commit {
    fn boxed(
        commit: impl Future<Output = Result<(), Refusal>> + Send + 'static,
    ) -> Later<Result<(), Refusal>> {
        Box::pin(Self(Some(Box::pin(commit))))
    }
}

impl Future for Commit {
    type Output = Result<(), Refusal>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(commit) = &mut self.0 else { return Poll::Ready(Err(Refusal::FAILED)) };
        let outcome = std::task::ready!(commit.as_mut().poll(context));
        self.0 = None;
        Poll::Ready(outcome)
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        // Without an arbiter the process ends, and what is durable is found at the next start.
        if let (Some(commit), Some(arbiter)) = (self.0.take(), Arbiter::try_current()) {
            arbiter.spawn(async move {
                let _ = commit.await;
            });
        }
    }
}
