//! One attempt as a task: read the message, run the plan, tell the manager.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use actix::{Addr, Message};
use bytes::Bytes;
use waxseal_policy::{Route, RouteLookup, Step, actor::AskRoute};
use waxseal_spool::{
    Accept as _, Error, Outcome, Progress, Put, RecipientResult, RecipientState, Streamed, Update,
    actor::StreamMsg,
};
use waxseal_transport::{Hold, Text};
use waxseal_types::{Envelope, Mailbox, QueueId, UnixTime};

use super::{
    admission::Admitted,
    doorway::Doorway,
    manager::{Common, QueueManager, now},
    saving::{Mark, Saving},
    services::{Actors, Switchboard, answer, put},
    stored,
};
use crate::{
    Account, Event, Feedback, Order, Plan, Settings, Start,
    account::Failure,
    bounce::{self, Action, Report},
    disposition, drive,
    owner::{Part, Unrouted},
    routing::{self, Routed},
};

/// An attempt about to begin.
pub(super) struct Attempt {
    pub(super) common: Rc<Common>,
    pub(super) actors: Actors,
    pub(super) start: Start,
    pub(super) part: Part,
    pub(super) fresh: Option<(Arc<Envelope>, Bytes)>,
    pub(super) seed: u64,
    /// It does not run on the manager's thread.
    pub(super) away: bool,
    /// The message is not durable yet: until this ends nothing comes of the attempt.
    pub(super) hold: Option<Hold>,
}

/// The manager's place for a delivery: however that ends, and wherever it is lost, the manager hears of it once.
pub(super) struct Ticket {
    manager: Arc<Addr<QueueManager>>,
    /// Those it shares a connection with.
    crew: u64,
    /// Until the end was told.
    start: Option<Start>,
    /// It arrived where it was to run.
    arrived: bool,
}

impl Ticket {
    pub(super) const fn new(manager: Arc<Addr<QueueManager>>, crew: u64, start: Start) -> Self {
        Self { manager, crew, start: Some(start), arrived: false }
    }

    pub(super) const fn crew(&self) -> u64 {
        self.crew
    }

    fn ended(&mut self, end: End) {
        if let Some(start) = self.start.take() {
            self.manager.do_send(Finished { start, crew: self.crew, end });
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(start) = &self.start
            && std::thread::panicking()
        {
            tracing::error!("{}: the attempt panicked; the message waits", start.job.id);
        }
        self.ended(if self.arrived { End::Impossible } else { End::Stranded });
    }
}

/// How an attempt ended.
pub(super) enum End {
    /// With an account.
    Made {
        account: Box<Account>,
        feedback: Feedback,
        body: Option<Bytes>,
        /// Since when the part fails, as far as the spool knows.
        since: Option<UnixTime>,
        /// The sink has heard of it.
        told: bool,
    },
    /// Not made: the routes of its recipients are others by now; with since when the part fails.
    Rerouted(Routed, Arc<Envelope>, Option<Bytes>, Option<UnixTime>),
    /// Not made: it was to ride on a connection that has no place for it.
    NoPlace,
    /// Not made: there are as many connections as may be, to its address or in all.
    Crowded,
    /// Not made: the thread that it was sent to was gone before it arrived.
    Stranded,
    /// Not made: the message is not in the spool any more.
    Gone,
    /// Not made, by a fault of ours.
    Impossible,
}

/// An attempt has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Finished {
    pub(super) start: Start,
    pub(super) crew: u64,
    pub(super) end: End,
}

impl Attempt {
    /// Runs it as a task of its own; a panic in it is its own end only.
    pub(super) fn spawn(self, mut ticket: Ticket) {
        ticket.arrived = true;
        let hold = self.hold.clone();
        // The states of a delivery are kilobytes; on the heap from the start they are not moved when the task is made.
        let run = Box::pin(self.run());
        actix_rt::spawn(async move {
            let end = run.await;
            let kept = match hold {
                Some(mut hold) => hold.ended().await,
                None => true,
            };
            // A message that did not become durable is not here.
            ticket.ended(if kept { end } else { End::Gone });
        });
    }

    async fn run(self) -> End {
        let Read { envelope, body, since } = match self.text().await {
            Ok(text) => text,
            Err(end) => return end,
        };
        let at_hand = match &body {
            Text::Whole(body) => Some(body.clone()),
            Text::Stored(_) => None,
        };
        // Design §2: routing comes first, also at every retry.
        if self.start.job.attempts > 0 && !self.part.pinned {
            let routes =
                find_routes(&self.common, &self.actors.board, &envelope, &self.part.recipients).await;
            let routed = routing::split(routes, |service| self.common.settings.recipients_of_part(service));
            if !self.part.is_still(&routed) {
                return End::Rerouted(routed, envelope, at_hand, since);
            }
        }
        let order = Order {
            destination: self.start.destination,
            alternatives: self.part.alternatives,
            envelope,
            recipients: self.part.recipients,
            body,
            attempt: self.start.job.attempts + 1,
            seed: self.seed,
            rehearsal: false,
        };
        let plan = Plan::new(Arc::clone(&self.common.settings), order, now());
        // At shutdown an attempt that has sent nothing is dropped as if it had not begun; its message is on disk.
        tokio::select! {
            biased;
            (account, feedback) = drive(plan, &self.actors, now) => {
                // On a thread of its own what is delivered is told there, so that the manager's need not: that has told that the message is in the queue before
                // this began, and tells what becomes of others when it hears of this. What is deferred it tells itself, with the time of the next attempt.
                let told = self.away && account.is_delivered();
                if told {
                    self.common.sink.event(Event::Attempted { account: &account, next_attempt: None });
                }
                End::Made { account, feedback, body: at_hand, since, told }
            }
            crowded = self.actors.passage.stepped_off() => {
                if crowded { End::Crowded } else { End::NoPlace }
            }
            () = self.actors.interrupted() => End::Impossible,
        }
    }

    async fn text(&self) -> Result<Read, End> {
        if let Some((envelope, body)) = self.fresh.clone() {
            return Ok(Read { envelope, body: body.into(), since: None });
        }
        let id = self.start.job.id;
        let asked = put(self.actors.board.borrow().spool.as_ref(), StreamMsg(id));
        let read = match answer(asked, None).await.ok_or(End::Impossible)? {
            Ok(Streamed { envelope, states, body }) => {
                let part = self.part.recipients.iter().filter_map(|index| states.get(*index));
                let since = part.filter_map(|progress| progress.first_failure).min();
                let text = stored::text(body).await;
                text.map(|body| Read { envelope: Arc::new(envelope), body, since })
            }
            Err(error) => Err(error),
        };
        match read {
            Ok(read) => Ok(read),
            Err(error) => {
                tracing::error!("{id}: the message cannot be read: {error}");
                Err(if matches!(error, Error::Unknown(_)) { End::Gone } else { End::Impossible })
            }
        }
    }
}

/// A message whose text is at hand, or can be read.
struct Read {
    envelope: Arc<Envelope>,
    body: Text,
    /// Since when the part fails.
    since: Option<UnixTime>,
}

/// The routes of some recipients. Tables are asked through the policy service; where none has to be asked, nobody is.
async fn find_routes(
    common: &Common,
    board: &RefCell<Switchboard>,
    envelope: &Envelope,
    recipients: &[usize],
) -> Vec<(usize, Result<Route, Failure>)> {
    let mut routes = Vec::with_capacity(recipients.len());
    for index in recipients.iter().copied() {
        let Some(recipient) = envelope.recipients.get(index) else { continue };
        let route = match at_once(common, &recipient.mailbox) {
            Some(route) => route,
            None => {
                let question = AskRoute { recipient: recipient.mailbox.clone() };
                let asked = put(board.borrow().policy.as_ref(), question);
                answer(asked, None).await.map_or_else(
                    || Err(disposition::unavailable("policy")),
                    |route| route.map_err(|error| disposition::route_failed(&error)),
                )
            }
        };
        routes.push((index, route));
    }
    routes
}

/// The route of a recipient where no table has to be asked for it.
fn at_once(common: &Common, mailbox: &Mailbox) -> Option<Result<Route, Failure>> {
    match RouteLookup::new(&common.policy, mailbox).step() {
        Step::Done(route) => Some(route.map_err(|error| disposition::route_failed(&error))),
        Step::NeedKey { .. } => None,
    }
}

/// Each recipient with its route, or with why it has none now.
type Routes = Vec<(usize, Result<Route, Failure>)>;

pub(super) fn admitted(common: &Common, message: Unrouted, routes: Routes) -> Admitted {
    let Unrouted { envelope, body, fresh, recipients: _, attempts, due, since, held, reports, warned } =
        message;
    let routed = routing::split(routes, |service| common.settings.recipients_of_part(service));
    Admitted { envelope, body, fresh, routed, attempts, due, since, held, reports, warned }
}

/// Finds the routes of a message: at once where no table has to be asked, by a task that tells the manager otherwise.
pub(super) fn route(
    common: &Common,
    board: &Rc<RefCell<Switchboard>>,
    message: Unrouted,
    manager: Option<&Arc<Addr<QueueManager>>>,
) -> Option<Admitted> {
    if let Some(routes) = routes_at_once(common, &message) {
        return Some(admitted(common, message, routes));
    }
    let (common, board, manager) = (common.clone(), Rc::clone(board), Arc::clone(manager?));
    actix_rt::spawn(async move {
        manager.do_send(route_by_tables(&common, &board, message).await);
    });
    None
}

/// `None` where a table has to be asked.
pub(super) fn routes_at_once(common: &Common, message: &Unrouted) -> Option<Routes> {
    let recipients = message.recipients.iter();
    let mailbox = |index: &usize| message.envelope.recipients.get(*index).map(|recipient| &recipient.mailbox);
    recipients.map(|index| Some((*index, at_once(common, mailbox(index)?)?))).collect()
}

/// With the policy service asked where that is necessary.
pub(super) async fn route_by_tables(
    common: &Common,
    board: &RefCell<Switchboard>,
    message: Unrouted,
) -> Admitted {
    let routes = find_routes(common, board, &message.envelope, &message.recipients).await;
    admitted(common, message, routes)
}

/// The last word on a recipient that was settled before any attempt.
pub(super) fn unsent(failure: &Failure, now: UnixTime) -> Outcome {
    let Failure { status, reason, reply, .. } = failure;
    let trouble = Some(failure.trouble.as_str().into());
    let (reply, reason) = (reply.clone(), reason.as_str().into());
    Outcome { at: now, status: *status, host: None, reply, reason, trouble, tried: None }
}

/// The mark for such a recipient.
pub(super) fn final_result(index: usize, failure: &Failure, now: UnixTime) -> RecipientResult {
    let failed = failure.status.class() == waxseal_types::StatusClass::Permanent;
    RecipientResult {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        progress: Progress {
            state: if failed { RecipientState::Failed } else { RecipientState::Removed },
            reported: !failed,
            warned: false,
            attempts: 0,
            next_attempt: UnixTime::default(),
            first_failure: None,
            last: Some(unsent(failure, now)),
        },
    }
}

/// The mark for a recipient that waits without a route, and of whose delay the sender is to hear.
pub(super) fn warned_result(
    index: usize,
    failure: &Failure,
    (attempts, next_attempt): (u32, UnixTime),
    (since, now): (UnixTime, UnixTime),
) -> RecipientResult {
    let (first_failure, last) = (Some(since), Some(unsent(failure, now)));
    let progress = Progress { warned: true, attempts, next_attempt, first_failure, last, ..Progress::NEW };
    RecipientResult { index: u32::try_from(index).unwrap_or(u32::MAX), progress }
}

/// Whether what the sender is to hear is what the spool has of the recipient.
fn is_written(report: &Report, states: &[Progress]) -> bool {
    let Some(progress) = states.get(report.index) else { return true };
    match report.action {
        Action::Delayed => progress.warned || progress.state.is_final(),
        Action::Failed | Action::Relayed => progress.state.is_final(),
    }
}

/// Tells the sender about recipients that failed where the text is not at hand: it is read back from the spool. With `finished`, the message
/// leaves the spool in the same step.
pub(super) fn tell_later(
    saving: Saving,
    spool: (Rc<RefCell<Switchboard>>, Arc<Doorway>),
    settings: Arc<Settings>,
    about: (QueueId, bool),
    reports: Vec<Report>,
) {
    let (id, finished) = about;
    actix_rt::spawn(async move {
        let (board, door) = spool;
        let mut stored = loop {
            let asked = put(board.borrow().spool.as_ref(), StreamMsg(id));
            // Not readable now: the recipients stay unreported on disk, and the next start tells.
            let Some(Ok(stored)) = answer(asked, None).await else { return };
            // The marks of what is told may be on their way still, and what is written below stands in their place.
            if finished || reports.iter().all(|report| is_written(report, &stored.states)) {
                break stored;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let Ok(original) = stored::original(&mut stored.body, settings.bounce_size_limit).await else {
            return;
        };
        let Some((envelope, body)) =
            bounce::notification(&settings, (&stored.envelope, &original), &reports, door.next_id(), now())
        else {
            return;
        };
        let told = |report: &Report| {
            let progress = stored.states.get(report.index)?.clone();
            Some(RecipientResult {
                index: u32::try_from(report.index).ok()?,
                progress: Progress { reported: true, ..progress },
            })
        };
        let results: Vec<_> = reports.iter().filter_map(told).collect();
        let dsn = Some(Put { envelope, body });
        saving.save(if finished {
            Mark::Done(waxseal_spool::Done { id, dsn })
        } else {
            Mark::Update(Update { id, results, dsn })
        });
    });
}
