//! One connection that several deliveries to one destination use, one message behind the other.
//!
//! Each delivery is judged by itself and brings its own clearance, which is looked at where its commands are made; the lane
//! only sees to it that the connection is never idle while somebody has a message for it. With PIPELINING the
//! commands of the next message leave in the same write as the text of the one before (RFC 2920 §3.1); with CHUNKING whole messages follow
//! one another (RFC 3030 §4.2). When everybody has left, the connection goes back to the pool.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use waxseal_verify::Clearance;

use crate::{
    Cause, Connector, Hold, OpenReport, OpenRequest, OutMessage, RcptOutcome, Sent, Session, SessionAfter,
    Settings, Stage,
    flight::Break,
    pool::suits,
    session::{Begun, State, lost},
    shape::Key,
};

/// Deliveries that get ready while as many messages as may be are under way, so that the next one is there when its turn comes.
const READY: usize = 2;

/// A place on a connection. Clones are further places; when the last one is dropped, the connection goes back to the pool.
#[derive(Debug, Clone)]
pub struct Lane(Arc<Entrance>);

#[derive(Debug)]
struct Entrance {
    /// Bounded by [`Lane::places`], which whoever hands out places obeys.
    loads: mpsc::UnboundedSender<Load>,
    report: OpenReport,
    key: Key,
    settings: Arc<Settings>,
    signs: Arc<Signs>,
    /// The last request with that key: the next one is nearly always the same, and then needs no digest.
    fitting: Mutex<Option<OpenRequest>>,
}

/// What is known of the connection without asking it.
#[derive(Debug)]
struct Signs {
    open: AtomicBool,
    keep: AtomicBool,
    places: AtomicUsize,
}

/// A message for the connection.
#[derive(Debug)]
struct Load {
    clearance: Clearance,
    message: OutMessage,
    under_way: Arc<AtomicBool>,
    hold: Option<Hold>,
    answer: oneshot::Sender<Sent>,
}

impl Lane {
    /// A lane over `session`, and the task that moves it.
    pub(crate) fn new(session: Session, connector: Connector) -> (Self, impl Future<Output = ()> + use<>) {
        let (loads, incoming) = mpsc::unbounded_channel();
        let signs = Arc::new(Signs {
            open: AtomicBool::new(true),
            keep: AtomicBool::new(true),
            places: AtomicUsize::new(places(&session)),
        });
        let entrance = Entrance {
            loads,
            report: OpenReport { pooled: true, ..session.report.clone() },
            key: session.key,
            settings: Arc::clone(&session.settings),
            signs: Arc::clone(&signs),
            fitting: Mutex::default(),
        };
        let conductor =
            Conductor { session, incoming, signs, next: None, waiting: VecDeque::new(), over: false };
        (Self(Arc::new(entrance)), conductor.run(connector))
    }

    /// How the connection came about, where it would serve `request` as an idle one would.
    #[must_use]
    pub fn serves(&self, request: &OpenRequest) -> Option<OpenReport> {
        let Entrance { report, signs, .. } = &*self.0;
        let fits = request.reuse
            && signs.open.load(Ordering::Acquire)
            && self.has_key_of(request)
            && suits(&report.starttls, &request.tls);
        fits.then(|| report.clone())
    }

    /// Whether the connection was shaped as `request` would shape one.
    fn has_key_of(&self, request: &OpenRequest) -> bool {
        let Entrance { key, settings, fitting, .. } = &*self.0;
        let mut fitting = fitting.lock();
        if fitting.as_ref().is_some_and(|known| Key::is_same(known, request)) {
            return true;
        }
        let same = Key::of(request, settings) == *key;
        if same {
            *fitting = Some(request.clone());
        }
        same
    }

    /// How many deliveries may use it at once: what the server takes at a time, and a few that get ready.
    #[must_use]
    pub fn places(&self) -> usize {
        let signs = &self.0.signs;
        if signs.open.load(Ordering::Acquire) { signs.places.load(Ordering::Acquire) } else { 0 }
    }

    /// Sends one message when its turn comes, its text not before the end of `hold`; `under_way` is set as soon as something of it is about to leave. Who
    /// drops this future before that takes the message back.
    pub async fn send(
        &self,
        clearance: Clearance,
        message: OutMessage,
        under_way: Arc<AtomicBool>,
        hold: Option<Hold>,
    ) -> Sent {
        let (answer, answered) = oneshot::channel();
        let (begun, recipients) = (Arc::clone(&under_way), message.recipients.clone());
        let _ = self.0.loads.send(Load { clearance, message, under_way, hold, answer });
        answered.await.unwrap_or_else(|_| {
            // The lane is gone. A message that it had begun may have been taken.
            let ambiguous = begun.load(Ordering::Acquire);
            let stage = if ambiguous { Stage::EndOfData } else { Stage::Mail };
            let outcome = if ambiguous { RcptOutcome::Failed { stage, cause: Cause::Lost } } else { lost() };
            Sent { ambiguous, ..Sent::nothing(&recipients, &outcome, SessionAfter::Closed) }
        })
    }

    /// Nobody is to use the connection after those who are on it: it is not kept.
    pub fn close(&self) {
        self.0.signs.keep.store(false, Ordering::Release);
        self.0.signs.open.store(false, Ordering::Release);
    }
}

async fn ended(hold: Option<Hold>) -> bool {
    match hold {
        Some(mut hold) => hold.ended().await,
        None => false,
    }
}

/// How many deliveries may be on a connection.
fn places(session: &Session) -> usize {
    match session.depth() {
        1 => 1,
        depth => depth + READY,
    }
}

/// Moves one connection.
struct Conductor {
    session: Session,
    incoming: mpsc::UnboundedReceiver<Load>,
    signs: Arc<Signs>,
    /// Taken in, and not begun.
    next: Option<Load>,
    /// Who waits for what is under way, in its order.
    waiting: VecDeque<oneshot::Sender<Sent>>,
    /// Nobody will bring more.
    over: bool,
}

impl Conductor {
    async fn run(mut self, connector: Connector) {
        while self.move_on().await {
            self.signs.places.store(places(&self.session), Ordering::Release);
            if !self.session.usable() {
                self.signs.open.store(false, Ordering::Release);
            }
        }
        self.signs.open.store(false, Ordering::Release);
        if self.signs.keep.load(Ordering::Acquire) {
            connector.park(self.session).await;
        } else {
            self.session.quit().await;
        }
    }

    /// One step; `false` at the end.
    async fn move_on(&mut self) -> bool {
        while let Some(sent) = self.session.settle() {
            self.answer(sent);
        }
        // The server said 421 to one of several.
        if self.session.state == State::Closed {
            self.break_off(&Break::announced());
        }
        self.begin();
        if self.session.flights.is_empty() {
            return self.take_in().await;
        }
        if self.session.has_due() {
            if let Err(broken) = self.session.write().await {
                self.break_off(&broken);
            }
            return true;
        }
        let wants = !self.over && self.next.is_none() && self.session.may_begin();
        let (hold, awaits) = (self.session.hold(), self.session.awaits());
        let held = hold.is_some();
        tokio::select! {
            biased;
            heard = self.session.hear(), if awaits => {
                if let Err(broken) = heard {
                    self.break_off(&broken);
                }
            }
            released = ended(hold), if held => {
                // Those ahead of a message that is withdrawn may have been taken: what the server says of them is heard before the connection closes.
                let ended = if released || self.session.flights.len() == 1 {
                    self.session.hold_ended(released)
                } else {
                    self.session.hear().await
                };
                if let Err(broken) = ended {
                    self.break_off(&broken);
                }
            }
            load = self.incoming.recv(), if wants => {
                self.over = load.is_none();
                self.next = load;
            }
        }
        true
    }

    /// Waits for a message while none is under way.
    async fn take_in(&mut self) -> bool {
        if self.next.is_none() {
            self.next = self.incoming.recv().await;
        }
        self.next.is_some()
    }

    /// Begins what may begin.
    fn begin(&mut self) {
        while self.session.may_begin() {
            let Some(load) = self.next.take().or_else(|| self.incoming.try_recv().ok()) else { return };
            // Whoever brought it took it back.
            if load.answer.is_closed() {
                continue;
            }
            match self.session.begin(&load.clearance, &load.message, load.hold.clone()) {
                Begun::Yes => {
                    load.under_way.store(true, Ordering::Release);
                    self.waiting.push_back(load.answer);
                }
                Begun::No(sent) => {
                    let _ = load.answer.send(sent);
                }
                Begun::Later => {
                    self.next = Some(load);
                    return;
                }
            }
        }
    }

    fn break_off(&mut self, broken: &Break) {
        for sent in self.session.break_off(broken) {
            self.answer(sent);
        }
    }

    fn answer(&mut self, sent: Sent) {
        if let Some(waiting) = self.waiting.pop_front() {
            let _ = waiting.send(sent);
        }
    }
}
