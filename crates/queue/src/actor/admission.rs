//! How messages come into the manager's books: fresh from the intake, found in the spool, or with other routes than before.

use std::sync::Arc;

use actix::{Context, Handler, Message};
use bytes::Bytes;
use waxseal_spool::{RecipientResult, Update};
use waxseal_types::{Envelope, UnixTime};

use super::{
    delivery,
    manager::{QueueManager, now},
    saving::Mark,
};
use crate::{
    Event, Settled, Start,
    bounce::{Action, Report},
    client_number, disposition,
    owner::{Delay, Part, Replaced, Unrouted},
    routing::Routed,
};

impl QueueManager {
    /// The routes of a message are known: its parts are scheduled, and what cannot be delivered is settled.
    pub(super) fn admit(&mut self, admitted: Admitted) {
        let Admitted {
            envelope,
            body,
            fresh,
            routed,
            attempts,
            mut due,
            since,
            held,
            mut reports,
            mut warned,
        } = admitted;
        let now = now();
        if !fresh {
            due = self.schedule.after_restart(envelope.id, attempts, due, now);
        }
        self.meet(&envelope.client);
        let id = envelope.id;
        let (mut parts, results) =
            self.place(&envelope, routed, (attempts, due, since), (&mut reports, &mut warned));
        Part::hold_those(&mut parts, &held);
        if parts.is_empty() {
            self.finish_message(&envelope, body, reports, now);
            return;
        }
        if !reports.is_empty() {
            self.gathering.insert((now + self.common.settings.bounce_gather, id), ());
        }
        let jobs = parts
            .iter()
            .enumerate()
            .filter(|(_, part)| !part.held)
            .map(|(number, part)| (part.destination.clone(), part.job(id, number), part.due));
        for (destination, job, due) in jobs.collect::<Vec<_>>() {
            self.enlist(&destination, job, due, now);
        }
        let at_hand = body.map(|body| (Arc::clone(&envelope), body));
        self.owner.admit(id, at_hand, parts, (reports, now));
        self.owner.warned(id, warned);
        if !results.is_empty() {
            self.save(Mark::Update(Update { id, results, dsn: None }));
        }
    }

    /// The parts of a message, and the marks and reports for recipients that have none.
    fn place(
        &self,
        envelope: &Arc<Envelope>,
        routed: Routed,
        when: (u32, UnixTime, Option<UnixTime>),
        told: (&mut Vec<Report>, &mut Vec<usize>),
    ) -> (Vec<Part>, Vec<RecipientResult>) {
        let now = now();
        let ((attempts, due, since), (reports, warned)) = (when, told);
        let client = client_number(&envelope.client);
        let Routed { parts, refused, parked, discarded } =
            if self.levers.soft_bounce { routed.softened() } else { routed };
        let mut results = Vec::new();
        for (index, failure) in &refused {
            self.settle_unrouted((envelope, None), &[*index], (Settled::Bounced, failure), attempts);
            results.push(delivery::final_result(*index, failure, now));
            reports.extend(Report::new(envelope, *index, Action::Failed, delivery::unsent(failure, now)));
        }
        for (index, text) in discarded {
            let failure = disposition::discarded(text);
            self.settle_unrouted((envelope, None), &[index], (Settled::Removed, &failure), attempts);
            results.push(delivery::final_result(index, &failure, now));
        }
        let mut placed: Vec<Part> = Vec::with_capacity(parts.len() + parked.len());
        for part in parts {
            let part = Part { attempts, due, client, ..Part::routed(part) };
            if attempts == 0 && !self.expected.has(envelope.id) {
                let event = Event::Queued {
                    envelope,
                    destination: &part.destination,
                    recipients: &part.recipients,
                    at: now,
                };
                self.common.sink.event(event);
            }
            placed.push(part);
        }
        // Each attempt that was made is in the spool. Who was tried and is not there has never had a route.
        let since = since.unwrap_or(if attempts > 0 { envelope.arrived } else { now });
        for (index, failure) in &parked {
            if now >= envelope.arrived + self.common.settings.lifetime(envelope) {
                let failure = disposition::expired(Some(failure));
                self.settle_unrouted((envelope, None), &[*index], (Settled::Expired, &failure), attempts);
                results.push(delivery::final_result(*index, &failure, now));
                reports.extend(Report::new(
                    envelope,
                    *index,
                    Action::Failed,
                    delivery::unsent(&failure, now),
                ));
                continue;
            }
            self.settle_unrouted((envelope, None), &[*index], (Settled::Deferred, failure), attempts);
            let due = now + self.schedule.backoff(attempts + 1);
            placed.push(Part { attempts: attempts + 1, due, client, ..Part::parked(*index) });
            // Who waits for a route waits as anybody else.
            let delay = Delay::of(&self.common.settings, envelope, now).filter(|_| !warned.contains(index));
            let report = delay.and_then(|delay| delay.report(*index, delivery::unsent(failure, now), due));
            if let Some(report) = report {
                results.push(delivery::warned_result(*index, failure, (attempts + 1, due), (since, now)));
                reports.push(report);
                warned.push(*index);
            }
        }
        (placed, results)
    }

    /// The routes of a part's recipients are others than when it was scheduled.
    pub(super) fn rerouted(
        &mut self,
        start: &Start,
        routed: Routed,
        about: (&Arc<Envelope>, Option<Bytes>),
        since: Option<UnixTime>,
    ) {
        let (now, (envelope, body)) = (now(), about);
        let (mut reports, mut warned) = (Vec::new(), self.owner.warned_of(start.job.id));
        let told = (&mut reports, &mut warned);
        let (parts, results) = self.place(envelope, routed, (start.job.attempts, now, since), told);
        self.owner.warned(start.job.id, warned);
        let Replaced { jobs, told: finished } = self.owner.replace(&start.job, parts, reports, now);
        for (destination, job, due) in jobs {
            self.enlist(&destination, job, due, now);
        }
        match finished {
            Some(reports) => self.finish_message(envelope, body, reports, now),
            None if results.is_empty() => {}
            None => {
                self.gathering.insert((now + self.common.settings.bounce_gather, start.job.id), ());
                self.save(Mark::Update(Update { id: start.job.id, results, dsn: None }));
            }
        }
    }
}

/// A message is durable, and ours.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Admit {
    /// Its envelope.
    pub envelope: Arc<Envelope>,
    /// Its text; a large one is in the spool only.
    pub body: Option<Bytes>,
}

impl Handler<Admit> for QueueManager {
    type Result = ();

    fn handle(&mut self, Admit { envelope, body }: Admit, context: &mut Self::Context) {
        self.take(envelope, body, context);
    }
}

impl QueueManager {
    /// Takes a message that is durable, and new.
    pub(super) fn take(&mut self, envelope: Arc<Envelope>, body: Option<Bytes>, context: &mut Context<Self>) {
        let message = Unrouted::fresh(envelope, body);
        if let Some(admitted) = delivery::route(&self.common, &self.board, message, self.address()) {
            self.admit(admitted);
            self.pump(context);
        }
    }
}

/// The routes of a message are known.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Admitted {
    pub(super) envelope: Arc<Envelope>,
    pub(super) body: Option<Bytes>,
    pub(super) fresh: bool,
    pub(super) routed: Routed,
    pub(super) attempts: u32,
    pub(super) due: UnixTime,
    pub(super) since: Option<UnixTime>,
    /// Recipients that an operator holds.
    pub(super) held: Vec<usize>,
    pub(super) reports: Vec<Report>,
    pub(super) warned: Vec<usize>,
}

impl Handler<Admitted> for QueueManager {
    type Result = ();

    fn handle(&mut self, admitted: Admitted, context: &mut Self::Context) {
        self.admit(admitted);
        self.pump(context);
    }
}
