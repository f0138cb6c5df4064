//! Where deliveries run: at one quay for each thread that there is for them, with services and idle connections of its own.
//!
//! The manager decides what begins and hears how it ended. Between the two a delivery asks its own quay only, so that no two of them take the
//! same lock for a message. A connection stays where it was opened, and so do those who share it. The manager's own thread is a
//! quay as well, and the only one on small machines: there nothing crosses threads.

use std::{
    cell::RefCell,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    rc::Rc,
    sync::Arc,
};

use actix::{Actor, Addr, Context, Handler, Message, Recipient};
use actix_rt::ArbiterHandle;
use bytes::Bytes;
use waxseal_spool::actor::SpoolActor;
use waxseal_transport::{Hold, Lane};
use waxseal_types::Envelope;

use super::{
    children::{DeathNotice, Died, watch},
    delivery::{Attempt, Ticket},
    factories::Fittings,
    manager::{Common, QueueManager},
    passage::Passage,
    services::{Actors, DrainState, Switchboard},
};
use crate::{Destination, Start, owner::Part};

/// The services that each quay has.
pub(super) const SERVICES: [&str; 5] = ["policy", "dns", "trust", "verify", "transport"];
/// The quay itself, as the name of what died.
pub(super) const QUAY: &str = "quay";
/// The number of the manager's own.
pub(super) const HOME: usize = 0;

/// What deliveries find where they run.
#[derive(Clone)]
pub(super) struct Dock {
    pub(super) common: Rc<Common>,
    pub(super) board: Rc<RefCell<Switchboard>>,
    pub(super) drain: Arc<DrainState>,
    pub(super) manager: Arc<Addr<QueueManager>>,
    /// It is not on the manager's thread.
    pub(super) away: bool,
}

/// A delivery on its way to where it runs.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Embark {
    pub(super) start: Start,
    pub(super) part: Part,
    pub(super) fresh: Option<(Arc<Envelope>, Bytes)>,
    pub(super) ticket: Ticket,
    pub(super) seed: u64,
    /// The connection that it is to ride on.
    pub(super) lane: Option<Lane>,
    /// What holds its text back.
    pub(super) hold: Option<Hold>,
}

impl Dock {
    /// Begins a delivery here.
    pub(super) fn embark(&self, Embark { start, part, fresh, ticket, seed, lane, hold }: Embark) {
        let actors = Actors {
            board: Rc::clone(&self.board),
            tables: Arc::clone(&self.common.tables),
            drain: Arc::clone(&self.drain),
            passage: Passage::new(Arc::clone(&self.manager), ticket.crew(), lane, hold.clone()),
        };
        let (common, away) = (Rc::clone(&self.common), self.away);
        Attempt { common, actors, start, part, fresh, seed, away, hold }.spawn(ticket);
    }
}

/// Starts one of [`SERVICES`] on this thread.
pub(super) fn fit(fittings: &Fittings, board: &RefCell<Switchboard>, service: &str, notice: DeathNotice) {
    let mut board = board.borrow_mut();
    match service {
        "policy" => board.policy = Some(watch((fittings.policy)(), notice)),
        "dns" => board.dns = Some(watch((fittings.dns)(), notice)),
        "trust" => board.trust = Some(watch((fittings.trust)(), notice)),
        "verify" => board.verify = Some(watch((fittings.verify)(), notice)),
        _ => board.transport = Some(watch((fittings.transport)(), notice)),
    }
}

/// A quay on a thread of its own.
pub(super) struct Quay {
    number: usize,
    dock: Dock,
    fittings: Fittings,
    notices: Recipient<Died>,
}

impl Actor for Quay {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(1024);
        for service in SERVICES {
            self.fit(service);
        }
    }
}

impl Quay {
    fn fit(&self, service: &'static str) {
        let notice = DeathNotice::new(self.notices.clone(), service, self.number);
        fit(&self.fittings, &self.dock.board, service, notice);
    }
}

impl Handler<Embark> for Quay {
    type Result = ();

    fn handle(&mut self, embark: Embark, _: &mut Context<Self>) {
        self.dock.embark(embark);
    }
}

/// A service of the quay has died and is to come back.
#[derive(Message)]
#[rtype(result = "()")]
struct Fit(&'static str);

impl Handler<Fit> for Quay {
    type Result = ();

    fn handle(&mut self, Fit(service): Fit, _: &mut Context<Self>) {
        self.fit(service);
    }
}

/// Where the spool is, if anywhere.
#[derive(Message)]
#[rtype(result = "()")]
struct SpoolAt(Option<Addr<SpoolActor>>);

impl Handler<SpoolAt> for Quay {
    type Result = ();

    fn handle(&mut self, SpoolAt(spool): SpoolAt, _: &mut Context<Self>) {
        self.dock.board.borrow_mut().spool = spool;
    }
}

/// As [`super::CrashService`].
#[cfg(feature = "crash")]
impl Handler<super::CrashService> for Quay {
    type Result = ();

    fn handle(&mut self, super::CrashService(service): super::CrashService, _: &mut Context<Self>) {
        assert_ne!(service, QUAY, "asked to crash");
        super::commands::crash_at(&self.dock.board.borrow(), service);
    }
}

/// A quay has been made on its thread.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct QuayUp {
    number: usize,
    address: Addr<Quay>,
}

impl Handler<QuayUp> for QueueManager {
    type Result = ();

    fn handle(&mut self, QuayUp { number, address }: QuayUp, context: &mut Context<Self>) {
        address.do_send(SpoolAt(self.board.borrow().spool.clone()));
        if let Some(away) = self.quays.get_mut(number) {
            away.address = Some(address);
        }
        self.pump(context);
    }
}

/// All quays but the manager's own.
#[derive(Default)]
pub(super) struct Quays(Vec<Away>);

struct Away {
    thread: ArbiterHandle,
    drain: Arc<DrainState>,
    address: Option<Addr<Quay>>,
}

impl Quays {
    pub(super) fn on(threads: Vec<ArbiterHandle>) -> Self {
        let away = |thread| Away { thread, drain: Arc::default(), address: None };
        Self(threads.into_iter().map(away).collect())
    }

    fn get_mut(&mut self, number: usize) -> Option<&mut Away> {
        self.0.get_mut(number.checked_sub(1)?)
    }

    /// Whether deliveries leave the manager's thread.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where a connection is opened: what goes to one destination one after the other stays together, so that it finds the idle connections; what
    /// goes there at once is spread.
    pub(super) fn place(&self, destination: &Destination, others: usize) -> usize {
        let mut hasher = DefaultHasher::new();
        destination.hash(&mut hasher);
        let first = usize::try_from(hasher.finish() >> 1).unwrap_or_default().wrapping_add(others);
        let count = self.0.len();
        // One that is being made anew is passed over.
        (0..count)
            .map(|step| 1 + first.wrapping_add(step) % count)
            .find(|number| self.is_up(*number))
            .unwrap_or(HOME)
    }

    /// Whether something can begin there.
    pub(super) fn is_up(&self, number: usize) -> bool {
        number == HOME
            || number.checked_sub(1).and_then(|index| self.0.get(index)?.address.as_ref()).is_some()
    }

    /// To another thread; a delivery that does not arrive has its ticket tell so.
    pub(super) fn send(&self, number: usize, embark: Embark) {
        let away = number.checked_sub(1).and_then(|index| self.0.get(index)?.address.as_ref());
        if let Some(address) = away {
            address.do_send(embark);
        }
    }

    /// Makes a quay, on its thread.
    pub(super) fn start(
        &self,
        number: usize,
        common: &Common,
        fittings: &Fittings,
        manager: Addr<QueueManager>,
    ) {
        let Some(away) = number.checked_sub(1).and_then(|index| self.0.get(index)) else { return };
        let (common, fittings, drain) = (common.clone(), fittings.clone(), Arc::clone(&away.drain));
        away.thread.spawn(async move {
            let notices = manager.clone().recipient();
            let dock = Dock {
                common: Rc::new(common),
                board: Rc::default(),
                drain,
                manager: Arc::new(manager.clone()),
                away: true,
            };
            let notice = DeathNotice::new(notices.clone(), QUAY, number);
            let address = watch(Quay { number, dock, fittings, notices }, notice);
            manager.do_send(QuayUp { number, address });
        });
    }

    /// The numbers of all.
    pub(super) fn numbers(&self) -> std::ops::RangeInclusive<usize> {
        1..=self.0.len()
    }

    /// A quay is gone.
    pub(super) fn lost(&mut self, number: usize) {
        if let Some(away) = self.get_mut(number) {
            away.address = None;
        }
    }

    /// A service of a quay is to come back.
    pub(super) fn fit(&self, number: usize, service: &'static str) {
        if let Some(address) = number.checked_sub(1).and_then(|index| self.0.get(index)?.address.as_ref()) {
            address.do_send(Fit(service));
        }
    }

    /// Tells all where the spool is.
    pub(super) fn spool_at(&self, spool: Option<&Addr<SpoolActor>>) {
        for address in self.0.iter().filter_map(|away| away.address.as_ref()) {
            address.do_send(SpoolAt(spool.cloned()));
        }
    }

    /// Nothing new begins; see [`DrainState`].
    pub(super) fn drain(&self) {
        for away in &self.0 {
            away.drain.begin();
        }
    }

    /// Crashes a service, or the quay itself, at all of them.
    #[cfg(feature = "crash")]
    pub(super) fn crash(&self, service: &'static str) {
        for address in self.0.iter().filter_map(|away| away.address.as_ref()) {
            address.do_send(super::CrashService(service));
        }
    }
}
