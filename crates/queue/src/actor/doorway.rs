//! Where the intake hands its messages over: to the spool, and then to the manager.

use std::{future::Future, pin::Pin, sync::Arc};

use actix::Addr;
use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use waxseal_spool::{
    Accept, Gate, Gathering, Put, Refusal,
    actor::{PutMsg, SpoolActor},
};
use waxseal_types::{Envelope, QueueId};

use super::{admission::Admit, manager::QueueManager, services::DrainState};

/// The current spool and its gate; `None` while the spool is down.
#[derive(Debug)]
struct Open {
    spool: Addr<SpoolActor>,
    gate: Gate,
    manager: Arc<Addr<QueueManager>>,
}

/// [`Accept`] over the spool actor of the moment. While there is none, clients hear 451 and nothing is lost.
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
        spool: Addr<SpoolActor>,
        gate: Gate,
    ) -> Self {
        let manager = Arc::new(manager);
        let open = Open { spool, gate: gate.clone(), manager: Arc::clone(&manager) };
        Self { open: ArcSwapOption::from_pointee(open), gate: ArcSwap::from_pointee(gate), manager, drain }
    }

    pub(super) fn open(&self, spool: Addr<SpoolActor>, gate: Gate) {
        self.gate.store(Arc::new(gate.clone()));
        self.open.store(Some(Arc::new(Open { spool, gate, manager: Arc::clone(&self.manager) })));
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

    fn accept(
        &self,
        envelope: Envelope,
        body: Bytes,
    ) -> Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>> {
        let Some(open) = self.open.load_full() else { return Box::pin(async { Err(Refusal::FAILED) }) };
        let request = open.spool.send(PutMsg(Put { envelope: envelope.clone(), body: body.clone() }));
        let commit = async move {
            match request.await {
                Ok(Ok(())) => {
                    // From here on the message is ours; the manager learns of it although the client may have left.
                    open.manager.do_send(Admit { envelope: Arc::new(envelope), body });
                    Ok(())
                }
                Ok(Err(error)) => Err(error.refusal()),
                Err(_) => Err(Refusal::FAILED),
            }
        };
        // A client that leaves drops its future; the commit and the word to the manager must not end with it.
        let task = actix_rt::spawn(commit);
        Box::pin(async move { task.await.unwrap_or(Err(Refusal::FAILED)) })
    }
}
