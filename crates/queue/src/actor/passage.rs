//! How one delivery comes to its connection: on one of its own, which others may share, or on a place of another's.

use std::{
    cell::{Cell, RefCell},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use actix::Addr;
use tokio::sync::Notify;
use waxseal_transport::{Hold, Lane, OpenReport, OpenRequest, OutMessage, Sent};
use waxseal_verify::Clearance;

use super::{crews::Boarding, manager::QueueManager};
use crate::{Answer, Release};

/// See the module.
pub(super) struct Passage {
    manager: Arc<Addr<QueueManager>>,
    /// The deliveries over the same connection.
    crew: u64,
    rides: bool,
    /// Whether the connection may carry more than this message.
    shares: Cell<bool>,
    lane: RefCell<Option<Lane>>,
    /// What holds the text back.
    hold: Option<Hold>,
    /// Something of the message is about to leave, or has left.
    sending: Arc<AtomicBool>,
    stepped_off: Notify,
    /// What it stepped off for is that there are too many connections.
    crowded: Cell<bool>,
}

impl Passage {
    /// For a delivery of `crew`; over `lane`, where it is to ride; `hold` is what holds its text back.
    pub(super) fn new(
        manager: Arc<Addr<QueueManager>>,
        crew: u64,
        lane: Option<Lane>,
        hold: Option<Hold>,
    ) -> Self {
        Self {
            manager,
            crew,
            rides: lane.is_some(),
            shares: Cell::new(false),
            lane: RefCell::new(lane),
            hold,
            sending: Arc::default(),
            stepped_off: Notify::new(),
            crowded: Cell::new(false),
        }
    }

    pub(super) const fn rides(&self) -> bool {
        self.rides
    }

    /// Whether the server may owe us a reply.
    pub(super) fn is_sending(&self) -> bool {
        self.sending.load(Ordering::Acquire)
    }

    pub(super) fn set_shares(&self, shares: bool) {
        self.shares.set(shares);
    }

    /// A place on the connection for this request, if that would serve it.
    pub(super) fn seat(&self, request: &OpenRequest) -> Option<OpenReport> {
        self.lane.borrow().as_ref()?.serves(request)
    }

    /// There is no place, and the window has no room for a connection more: this does not come back, and [`Passage::stepped_off`] does.
    pub(super) async fn step_off(&self) -> Answer {
        self.stepped_off.notify_one();
        std::future::pending().await
    }

    /// There are as many connections as may be: nothing is wrong with the server, and another one is not to be tried for it. As above.
    pub(super) async fn crowded_out(&self) -> Answer {
        self.crowded.set(true);
        self.step_off().await
    }

    /// Resolves where a delivery finds no place. True where there are too many connections, which are not its destination's alone.
    pub(super) async fn stepped_off(&self) -> bool {
        self.stepped_off.notified().await;
        self.crowded.get()
    }

    /// The connection is this delivery's own; others of its destination may come aboard.
    pub(super) fn lead(&self, lane: Lane, clearance: &Clearance) {
        if self.shares.get() && clearance.only_message().is_none() && lane.places() > 1 {
            self.manager.do_send(Boarding { crew: self.crew, lane: lane.clone() });
        }
        self.lane.replace(Some(lane));
    }

    /// `None` where there is no connection.
    pub(super) async fn send(&self, clearance: Clearance, message: OutMessage) -> Option<Sent> {
        let lane = self.lane.borrow().clone()?;
        let sent = lane.send(clearance, message, Arc::clone(&self.sending), self.hold.clone()).await;
        self.sending.store(false, Ordering::Release);
        Some(sent)
    }

    /// Gives the place up. Whether the connection is kept is for whose it is to say.
    pub(super) fn leave(&self, release: Release) {
        let Some(lane) = self.lane.take() else { return };
        match release {
            Release::Quit if !self.rides => lane.close(),
            Release::Quit | Release::Keep => {}
        }
    }
}
