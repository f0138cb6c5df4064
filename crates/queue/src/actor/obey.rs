//! Carries out one slice of an operator's order.

use std::sync::Arc;

use actix::{Context, Handler, Message};
use waxseal_spool::{Outcome, Progress, RecipientResult, RecipientState, Recovered, Update};
use waxseal_types::{QueueId, UnixTime};

use super::{
    manager::{QueueManager, now},
    orders::Chosen,
    saving::Mark,
};
use crate::{
    Destination, Settled,
    account::Failure,
    bounce::{Action, Report},
    disposition,
    levers::Command,
    owner::Place,
};

/// Changes these parts; whether each could be.
#[derive(Message)]
#[rtype(result = "Vec<(QueueId, bool)>")]
pub(super) struct Obey {
    pub(super) command: Command,
    pub(super) chosen: Vec<Chosen>,
}

impl Handler<Obey> for QueueManager {
    type Result = Vec<(QueueId, bool)>;

    fn handle(&mut self, Obey { command, chosen }: Obey, context: &mut Context<Self>) -> Self::Result {
        let now = now();
        let obey = |chosen: Chosen| {
            let id = chosen.entry.id;
            // What has begun since it was looked at is refused below.
            (id, command.suits(chosen.entry.state) && self.obey(&command, chosen, now).is_some())
        };
        let done = chosen.into_iter().map(obey).collect();
        self.pump(context);
        done
    }
}

/// Orders that are no longer to be carried out leave the lines of these destinations.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Sweep(pub(super) Vec<Destination>);

impl Handler<Sweep> for QueueManager {
    type Result = ();

    fn handle(&mut self, Sweep(destinations): Sweep, _: &mut Context<Self>) {
        let (owner, now) = (&self.owner, now());
        for destination in destinations {
            self.schedule.sweep(&destination, |job| owner.is_current(job), now);
        }
    }
}

impl QueueManager {
    fn obey(&mut self, command: &Command, chosen: Chosen, now: UnixTime) -> Option<()> {
        let place = (chosen.entry.id, chosen.entry.part);
        match command {
            Command::Hold => self.hold(place, &chosen, true, now),
            Command::Release => self.hold(place, &chosen, false, now),
            Command::Retry => self.try_now(place, chosen.entry.attempts, None, now),
            Command::Reroute(destination) => {
                self.try_now(place, chosen.entry.attempts, Some(destination), now)
            }
            Command::Remove => self.take_out(place, chosen, (Settled::Removed, &disposition::removed()), now),
            Command::Bounce(reason) => {
                self.take_out(place, chosen, (Settled::Bounced, &disposition::returned(reason)), now)
            }
        }
    }

    fn hold(&mut self, place: Place, chosen: &Chosen, held: bool, now: UnixTime) -> Option<()> {
        let part = self.owner.hold(place, chosen.entry.attempts, held)?;
        let job = part.job(place.0, place.1 as usize);
        self.schedule.take_back(&job, part.due);
        if !held {
            self.enlist(&part.destination, job, part.due, now);
        }
        let state = if held { RecipientState::Held } else { RecipientState::Pending };
        let outline = chosen.outline.as_ref()?;
        let results = results(outline, &part.recipients, |progress| Progress { state, ..progress });
        self.save(Mark::Update(Update { id: place.0, results, dsn: None }));
        Some(())
    }

    /// A part is due at once, at its destination or another one.
    fn try_now(
        &mut self,
        place: Place,
        attempts: u32,
        elsewhere: Option<&Destination>,
        now: UnixTime,
    ) -> Option<()> {
        let (before, part) = self.owner.retry(place, attempts, elsewhere, now)?;
        if part.held {
            return Some(());
        }
        let job = part.job(place.0, place.1 as usize);
        self.schedule.take_back(&job, before.due);
        self.schedule.revive(&part.destination);
        self.enlist(&part.destination, job, now, now);
        Some(())
    }

    fn take_out(
        &mut self,
        place: Place,
        chosen: Chosen,
        how: (Settled, &Failure),
        now: UnixTime,
    ) -> Option<()> {
        let Chosen { entry, recipients, outline, body } = chosen;
        let outline = outline?;
        let Recovered { envelope, states } = &*outline;
        let (settled, failure) = how;
        let state = match settled {
            Settled::Bounced => RecipientState::Failed,
            Settled::Removed | Settled::Expired | Settled::Deferred => RecipientState::Removed,
        };
        let said = |index: usize| outcome(failure, states.get(index), now);
        let report = |index: &usize| Report::new(envelope, *index, Action::Failed, said(*index));
        let reports: Vec<_> = match state {
            RecipientState::Failed => recipients.iter().filter_map(report).collect(),
            _ => Vec::new(),
        };
        let reported = reports.is_empty();
        let remains = self.owner.take_out(place, entry.attempts, &recipients, (reports, now))?;
        let envelope = Arc::new(envelope.clone());
        self.settle_unrouted((&envelope, Some(&remains.destination)), &recipients, how, remains.attempts);
        if let Some(reports) = remains.told {
            self.finish_message(&envelope, body, reports, now);
            return Some(());
        }
        if remains.gathers {
            self.gathering.insert((now + self.common.settings.bounce_gather, place.0), ());
        }
        let marked = |index: &usize| {
            let progress = states.get(*index)?.clone();
            let last = Some(said(*index));
            Some(RecipientResult {
                index: u32::try_from(*index).ok()?,
                progress: Progress { state, reported, last, ..progress },
            })
        };
        let results = recipients.iter().filter_map(marked).collect();
        self.save(Mark::Update(Update { id: place.0, results, dsn: None }));
        Some(())
    }
}

/// A word of ours, with what a server said last.
pub(super) fn outcome(failure: &Failure, progress: Option<&Progress>, now: UnixTime) -> Outcome {
    let last = progress.and_then(|progress| progress.last.as_ref());
    let reason = match last {
        Some(last) => format!("{}; before that: {}", failure.reason, last.reason),
        None => failure.reason.clone(),
    };
    let (reason, trouble) = (reason.into(), Some(failure.trouble.as_str().into()));
    Outcome { at: now, status: failure.status, host: None, reply: None, reason, trouble, tried: None }
}

fn results(
    outline: &Recovered,
    recipients: &[usize],
    change: impl Fn(Progress) -> Progress,
) -> Vec<RecipientResult> {
    let result = |index: &usize| {
        let progress = outline.states.get(*index)?.clone();
        Some(RecipientResult { index: u32::try_from(*index).ok()?, progress: change(progress) })
    };
    recipients.iter().filter_map(result).collect()
}
