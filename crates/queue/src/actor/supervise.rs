//! Supervision: services are started from their factories, and again when they died.

use std::sync::Arc;

use actix::{Addr, AsyncContext as _, Context, Handler, Message};
use waxseal_spool::{Entrance, Gate, actor::SpoolActor};
use waxseal_types::QueueId;

use super::{
    children::{DeathNotice, Died, watch},
    doorway::Doorway,
    factories::SpoolParts,
    manager::{QueueManager, now},
    quay::{self, HOME, QUAY},
    recovery::Rest,
};
use crate::Event;

/// The name of what attends to clients, as that of what died.
const INTAKE: &str = "intake";

impl QueueManager {
    pub(super) fn start_services(&mut self, context: &mut Context<Self>) {
        for service in quay::SERVICES {
            self.start(service, HOME, context);
        }
        for number in self.quays.numbers() {
            self.start(QUAY, number, context);
        }
        self.start("spool", HOME, context);
    }

    /// Whether a message found in the spool is one that this manager has, or has just ended.
    pub(super) fn knows(&self, id: QueueId) -> bool {
        self.owner.has(id) || self.saving.as_ref().is_some_and(|saving| saving.is_ending(id))
    }

    /// Starts a service from its factory, at the quay where it belongs.
    fn start(&mut self, service: &'static str, quay: usize, context: &Context<Self>) {
        let fittings = &self.factories.fittings;
        match service {
            QUAY => return self.quays.start(quay, &self.common, fittings, context.address()),
            INTAKE => return self.start_intake(quay, context.address()),
            _ if quay != HOME => return self.quays.fit(quay, service),
            _ => {}
        }
        let notice = DeathNotice::new(context.address().recipient(), service, HOME);
        match service {
            _ if quay::SERVICES.contains(&service) => quay::fit(fittings, &self.board, service, notice),
            _ => self.start_spool(notice, context.address()),
        }
    }

    /// Clients are attended to on several threads, each by an intake of its own over the same sockets; where one is gone, the others go on.
    fn start_intake(&self, number: usize, manager: Addr<Self>) {
        if let Some(door) = self.doorway.clone() {
            (self.factories.intake)(number, door, DeathNotice::new(manager.recipient(), INTAKE, number));
        }
    }

    fn start_spool(&self, notice: DeathNotice, manager: Addr<Self>) {
        let factory = Arc::clone(&self.factories.spool);
        self.front.spawn(async move {
            // Reading the folder takes time; the intake's connections go on meanwhile.
            match tokio::task::spawn_blocking(move || factory()).await {
                Ok(Ok(SpoolParts { actor, gate, entrance, recovered: found })) => {
                    let address = watch(actor, notice);
                    manager.do_send(SpoolUp { address, gate, entrance, found });
                }
                // The notice is dropped: tried again, later and later.
                Ok(Err(error)) => tracing::error!("the spool cannot be opened: {error}"),
                Err(_) => tracing::error!("opening the spool panicked"),
            }
        });
    }
}

impl Handler<Died> for QueueManager {
    type Result = ();

    fn handle(&mut self, Died { service, quay }: Died, context: &mut Context<Self>) {
        let mut board = self.board.borrow_mut();
        match service {
            QUAY => self.quays.lost(quay),
            INTAKE => {}
            // Nobody answers there, which is as good as being told.
            _ if quay != HOME => {}
            "policy" => board.policy = None,
            "dns" => board.dns = None,
            "trust" => board.trust = None,
            "verify" => board.verify = None,
            "transport" => board.transport = None,
            "spool" => {
                board.spool = None;
                self.quays.spool_at(None);
                if let Some(door) = &self.doorway {
                    door.shut();
                }
            }
            _ => {}
        }
        drop(board);
        if self.drain.has_begun() {
            return;
        }
        let wait = self.restarts.entry((service, quay)).or_default().died(now());
        self.common.sink.event(Event::ServiceDied { service, wait: wait.as_secs() });
        context.run_later(wait, move |this, context| {
            this.start(service, quay, context);
            this.pump(context);
        });
    }
}

/// The spool is open.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct SpoolUp {
    address: Addr<SpoolActor>,
    gate: Gate,
    entrance: Entrance,
    found: Rest,
}

impl Handler<SpoolUp> for QueueManager {
    type Result = ();

    fn handle(&mut self, up: SpoolUp, context: &mut Context<Self>) {
        self.board.borrow_mut().spool = Some(up.address.clone());
        self.quays.spool_at(Some(&up.address));
        match &self.doorway {
            Some(door) => door.open(up.entrance, up.gate),
            None => {
                self.doorway = Some(Arc::new(Doorway::new(
                    context.address(),
                    Arc::clone(&self.drain),
                    (up.entrance, up.gate),
                )))
            }
        }
        self.take_up(up.found, context);
        // Mail is taken once the spool is there, and not before; what it had is taken up meanwhile.
        if !std::mem::replace(&mut self.intake_started, true) {
            (0..self.intakes).for_each(|number| self.start(INTAKE, number, context));
        }
        self.pump(context);
    }
}
