//! One attempt as a task: read the message, run the plan, tell the manager.

use std::{cell::RefCell, panic::AssertUnwindSafe, rc::Rc, sync::Arc};

use actix::{Addr, Message};
use bytes::Bytes;
use futures_util::FutureExt as _;
use waxseal_policy::{Route, RouteLookup, Step, actor::AskRoute};
use waxseal_spool::{
    Accept as _, Progress, Put, RecipientResult, RecipientState, Recovered, Update, actor::ReadMsg,
};
use waxseal_types::{Envelope, Mailbox, QueueId, UnixTime};

use super::{
    doorway::Doorway,
    manager::{Admitted, Common, QueueManager, now},
    saving::{Mark, Saving},
    services::{Actors, Switchboard, ask},
};
use crate::{
    Account, Feedback, Order, Plan, Settings, Start,
    account::Failure,
    bounce::{self, Action, Report},
    disposition, drive,
    owner::Part,
    routing::{self, Routed},
};

/// An attempt about to begin.
pub(super) struct Attempt {
    pub(super) common: Common,
    pub(super) actors: Actors,
    pub(super) start: Start,
    pub(super) part: Part,
    pub(super) fresh: Option<(Arc<Envelope>, Bytes)>,
}

/// How an attempt ended.
pub(super) enum End {
    /// With an account.
    Made(Box<Account>, Feedback, Bytes),
    /// Not made: the routes of its recipients are others by now.
    Rerouted(Routed, Arc<Envelope>, Bytes),
    /// Not made, by a fault of ours.
    Impossible,
}

/// An attempt has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Finished {
    pub(super) start: Start,
    pub(super) end: End,
}

impl Attempt {
    /// Runs it as a task of its own; a panic in it is its own end only.
    pub(super) fn spawn(self, manager: Addr<QueueManager>) {
        actix_rt::spawn(async move {
            let start = self.start.clone();
            let end = AssertUnwindSafe(self.run()).catch_unwind().await;
            if end.is_err() {
                tracing::error!("{}: the attempt panicked; the message waits", start.job.id);
            }
            manager.do_send(Finished { start, end: end.unwrap_or(End::Impossible) });
        });
    }

    async fn run(self) -> End {
        let id = self.start.job.id;
        let Some((envelope, body)) = self.message().await else { return End::Impossible };
        // Design §2: routing comes first, also at every retry.
        if self.start.job.attempts > 0 {
            let routes = find_routes(&self.common, &self.actors, &envelope, &self.part.recipients).await;
            let routed = routing::split(routes, self.common.settings.destination_recipient_limit);
            if !self.part.is_still(&routed) {
                return End::Rerouted(routed, envelope, body);
            }
        }
        let order = Order {
            destination: self.start.destination,
            alternatives: self.part.alternatives,
            envelope,
            recipients: self.part.recipients,
            body: body.clone(),
            attempt: self.start.job.attempts + 1,
            seed: id.as_u64() ^ u64::from(self.start.job.attempts).rotate_left(32),
            rehearsal: false,
        };
        let plan = Plan::new(self.common.settings, order, now());
        // At shutdown an attempt that has sent nothing is dropped as if it had not begun; its message is on disk.
        tokio::select! {
            biased;
            (account, feedback) = drive(plan, &self.actors, now) => End::Made(Box::new(account), feedback, body),
            () = self.actors.interrupted() => End::Impossible,
        }
    }

    async fn message(&self) -> Option<(Arc<Envelope>, Bytes)> {
        if let Some(fresh) = &self.fresh {
            return Some(fresh.clone());
        }
        let id = self.start.job.id;
        let spool = self.actors.board.borrow().spool.clone();
        match ask(spool, ReadMsg(id), None).await? {
            Ok(stored) => Some((Arc::new(stored.envelope), stored.body)),
            Err(error) => {
                tracing::error!("{id}: the message cannot be read: {error}");
                None
            }
        }
    }
}

/// The routes of some recipients. Tables are asked through the policy service; where none has to be asked, nobody is.
async fn find_routes(
    common: &Common,
    actors: &Actors,
    envelope: &Envelope,
    recipients: &[usize],
) -> Vec<(usize, Result<Route, Failure>)> {
    let mut routes = Vec::with_capacity(recipients.len());
    for index in recipients.iter().copied() {
        let Some(recipient) = envelope.recipients.get(index) else { continue };
        let route = match at_once(common, &recipient.mailbox) {
            Some(route) => route,
            None => {
                let address = actors.board.borrow().policy.clone();
                let answer = ask(address, AskRoute { recipient: recipient.mailbox.clone() }, None).await;
                answer.map_or_else(
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

/// A message whose routes are to be found.
pub(super) struct Unrouted {
    pub(super) envelope: Arc<Envelope>,
    pub(super) body: Option<Bytes>,
    pub(super) recipients: Vec<usize>,
    pub(super) attempts: u32,
    pub(super) due: UnixTime,
    /// What the sender has not been told yet.
    pub(super) reports: Vec<Report>,
}

/// Finds the routes of a message: at once where no table has to be asked, by a task that tells the manager otherwise.
pub(super) fn route(
    common: &Common,
    actors: &Actors,
    message: Unrouted,
    manager: Addr<QueueManager>,
) -> Option<Admitted> {
    let limit = common.settings.destination_recipient_limit;
    let recipients = message.recipients.iter();
    let mailbox = |index: &usize| message.envelope.recipients.get(*index).map(|recipient| &recipient.mailbox);
    let routes: Option<Vec<_>> =
        recipients.map(|index| Some((*index, at_once(common, mailbox(index)?)?))).collect();
    let Unrouted { envelope, body, recipients, attempts, due, reports } = message;
    if let Some(routes) = routes {
        return Some(Admitted {
            envelope,
            body,
            routed: routing::split(routes, limit),
            attempts,
            due,
            reports,
        });
    }
    let (common, actors) = (common.clone(), actors.clone());
    actix_rt::spawn(async move {
        let routes = find_routes(&common, &actors, &envelope, &recipients).await;
        manager.do_send(Admitted {
            envelope,
            body,
            routed: routing::split(routes, limit),
            attempts,
            due,
            reports,
        });
    });
    None
}

/// Takes up a message that was found in the spool.
pub(super) fn recover(
    common: &Common,
    actors: &Actors,
    found: Recovered,
    manager: Addr<QueueManager>,
) -> Option<Admitted> {
    let envelope = Arc::new(found.envelope);
    let pending = || found.states.iter().enumerate().filter(|(_, progress)| !progress.state.is_final());
    let unreported = |(index, progress)| unreported(&envelope, index, progress);
    let message = Unrouted {
        body: None,
        recipients: pending().map(|(index, _)| index).collect(),
        attempts: pending().map(|(_, progress)| progress.attempts).max().unwrap_or(0),
        due: pending().map(|(_, progress)| progress.next_attempt).min().unwrap_or_default(),
        reports: found.states.iter().enumerate().filter_map(unreported).collect(),
        envelope: Arc::clone(&envelope),
    };
    route(common, actors, message, manager)
}

/// What the sender of a recovered message has not been told yet.
fn unreported(envelope: &Envelope, index: usize, progress: &Progress) -> Option<Report> {
    let last = progress.last.as_ref().filter(|_| !progress.reported)?;
    let (action, status) = match progress.state {
        RecipientState::Failed => (Action::Failed, last.status),
        RecipientState::Expired => (Action::Failed, waxseal_types::EnhancedStatus::permanent(4, 7)),
        RecipientState::Delivered => (Action::Relayed, last.status),
        RecipientState::Pending | RecipientState::Removed => return None,
    };
    let wanted = match action {
        Action::Failed => bounce::wants_failure(envelope, index),
        Action::Relayed => bounce::wants_success(envelope, index),
    };
    wanted.then(|| Report {
        index,
        action,
        status,
        reason: Arc::clone(&last.reason),
        host: last.host.clone(),
        reply: last.reply.clone(),
        at: last.at,
    })
}

/// The report about a recipient that was refused before any attempt.
pub(super) fn report(envelope: &Envelope, index: usize, failure: &Failure, now: UnixTime) -> Option<Report> {
    bounce::wants_failure(envelope, index).then(|| Report {
        index,
        action: Action::Failed,
        status: failure.status,
        reason: failure.reason.as_str().into(),
        host: None,
        reply: None,
        at: now,
    })
}

/// The mark for such a recipient.
pub(super) fn final_result(index: usize, failure: &Failure, now: UnixTime) -> RecipientResult {
    let failed = failure.status.class() == waxseal_types::StatusClass::Permanent;
    RecipientResult {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        progress: Progress {
            state: if failed { RecipientState::Failed } else { RecipientState::Removed },
            reported: !failed,
            attempts: 0,
            next_attempt: UnixTime::default(),
            first_failure: None,
            last: Some(waxseal_spool::Outcome {
                at: now,
                status: failure.status,
                host: None,
                reply: None,
                reason: failure.reason.as_str().into(),
            }),
        },
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
        let address = board.borrow().spool.clone();
        // Not readable now: the recipients stay unreported on disk, and the next start tells.
        let Some(Ok(stored)) = ask(address, ReadMsg(id), None).await else { return };
        let Some((envelope, body)) = bounce::notification(
            &settings,
            (&stored.envelope, &stored.body),
            &reports,
            door.next_id(),
            now(),
        ) else {
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
