//! Senders hear of a delay also where nothing is tried: the destination is suspended, or its servers could not be reached and rest.
//!
//! Where something is tried, the end of the attempt tells ([`Owner::finish`](crate::owner::Owner::finish)). For the rest the queue is looked through now
//! and then, some thousand parts at a time, and only where senders are to hear of delays at all.

use std::{rc::Rc, sync::Arc, time::Duration};

use actix::{AsyncContext as _, Context, Handler, Message};
use waxseal_spool::{Progress, RecipientResult, Recovered, Update};
use waxseal_types::UnixTime;

use super::{
    listing::{Look, outlined},
    manager::{QueueManager, now},
    obey,
    saving::Mark,
};
use crate::{
    account::Failure,
    disposition,
    levers::{Entry, Selection, State},
    owner::{Delay, Place},
};

/// Parts that are found at a time; their envelopes are read.
const SLICE: usize = 256;
/// Between two looks: a part of the time that is waited for, so that nobody hears much later than they should.
const SHARE: u32 = 8;
const LONGEST: Duration = Duration::from_secs(300);
const SHORTEST: Duration = Duration::from_millis(50);

impl QueueManager {
    /// Looks for the first time after a while, where senders are to hear of delays.
    pub(super) fn watch_delays(&self, context: &mut Context<Self>) {
        let after = self.common.settings.delay_warning;
        if after.is_zero() {
            return;
        }
        let pause = (after / SHARE).clamp(SHORTEST, LONGEST);
        context.run_later(pause, |_, context| context.notify(LookForDelays(None)));
    }

    /// Why nothing is tried for this part, where that is so.
    fn hindrance(&self, entry: &Entry, now: UnixTime) -> Option<Failure> {
        if self.levers.defer_all || self.schedule.is_suspended(&entry.destination) {
            return Some(disposition::suspended());
        }
        let dead = self.schedule.dead_until(&entry.destination).is_some_and(|until| until > now);
        (dead && entry.due <= now).then(disposition::resting)
    }
}

/// Looks on behind this place.
#[derive(Message)]
#[rtype(result = "()")]
struct LookForDelays(Option<Place>);

impl Handler<LookForDelays> for QueueManager {
    type Result = ();

    fn handle(&mut self, LookForDelays(after): LookForDelays, context: &mut Context<Self>) {
        let now = now();
        let older_than = Some(self.common.settings.delay_warning);
        let selection = Selection { state: Some(State::Waiting), older_than, ..Selection::default() };
        let slice = self.look(&Look { selection, after, limit: SLICE });
        let hindered = |entry: &Entry| {
            self.hindrance(entry, now).is_some() && !self.owner.unwarned((entry.id, entry.part)).is_empty()
        };
        let entries: Vec<Entry> = slice.entries.into_iter().filter(hindered).collect();
        let (address, board) = (context.address(), Rc::clone(&self.board));
        if entries.is_empty() {
            self.look_on(slice.next, context);
            return;
        }
        actix_rt::spawn(async move {
            let late = outlined(entries, &board).await;
            address.do_send(Late { late, next: slice.next });
        });
    }
}

/// What was found; and where to look on.
#[derive(Message)]
#[rtype(result = "()")]
struct Late {
    late: Vec<(Entry, Arc<Recovered>)>,
    next: Option<Place>,
}

impl Handler<Late> for QueueManager {
    type Result = ();

    fn handle(&mut self, Late { late, next }: Late, context: &mut Context<Self>) {
        for (entry, outline) in late {
            self.tell_of_delay(&entry, &outline);
        }
        self.look_on(next, context);
        self.pump(context);
    }
}

impl QueueManager {
    fn look_on(&self, next: Option<Place>, context: &mut Context<Self>) {
        match next {
            Some(next) => context.notify(LookForDelays(Some(next))),
            None => self.watch_delays(context),
        }
    }

    fn tell_of_delay(&mut self, entry: &Entry, outline: &Recovered) -> Option<()> {
        let now = now();
        let failure = self.hindrance(entry, now)?;
        // It may have been tried since it was looked at: then the outline is old, and the end of that attempt has told.
        let due = self.owner.due((entry.id, entry.part), entry.attempts)?.max(now);
        let recipients = self.owner.unwarned((entry.id, entry.part));
        let delay = Delay::of(&self.common.settings, &outline.envelope, now)?;
        let (mut reports, mut results) = (Vec::new(), Vec::new());
        for index in &recipients {
            let Some(progress) = outline.states.get(*index).filter(|progress| !progress.warned) else {
                continue;
            };
            let said = obey::outcome(&failure, Some(progress), now);
            let Some(report) = delay.report(*index, said.clone(), due) else { continue };
            reports.push(report);
            results.push(RecipientResult {
                index: u32::try_from(*index).unwrap_or(u32::MAX),
                progress: Progress { reported: false, warned: true, last: Some(said), ..progress.clone() },
            });
        }
        if self.owner.warn(entry.id, &recipients, reports, now) {
            self.gathering.insert((now + self.common.settings.bounce_gather, entry.id), ());
        }
        if !results.is_empty() {
            self.save(Mark::Update(Update { id: entry.id, results, dsn: None }));
        }
        Some(())
    }
}
