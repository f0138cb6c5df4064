//! What the sink and the senders are told.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use waxseal_spool::{Accept as _, Done, Put};
use waxseal_types::{Envelope, QueueId, UnixTime};

use super::{
    delivery,
    manager::{QueueManager, now},
    saving::Mark,
};
use crate::{
    Destination, Event, Settled,
    account::Failure,
    bounce::{self, Report},
};

impl QueueManager {
    pub(super) fn settle_unrouted(
        &self,
        about: (&Arc<Envelope>, Option<&Destination>),
        recipients: &[usize],
        how: (Settled, &Failure),
        attempts: u32,
    ) {
        let (envelope, destination) = about;
        let (how, failure) = how;
        self.common.sink.event(Event::Settled {
            envelope,
            destination,
            recipients,
            how,
            failure,
            attempts,
            at: now(),
        });
    }

    /// Nothing is left of a message: its sender is told what there is to tell, and it leaves the spool.
    pub(super) fn finish_message(
        &self,
        envelope: &Arc<Envelope>,
        body: Option<Bytes>,
        reports: Vec<Report>,
        now: UnixTime,
    ) {
        let id = envelope.id;
        match body {
            Some(body) => {
                let dsn = self.notification(envelope, &body, &reports, now);
                self.save(Mark::Done(Done { id, dsn }));
            }
            None if reports.is_empty() => self.save(Mark::Done(Done { id, dsn: None })),
            None => self.tell_later((id, true), reports),
        }
    }

    fn notification(
        &self,
        envelope: &Envelope,
        body: &[u8],
        reports: &[Report],
        now: UnixTime,
    ) -> Option<Put> {
        let door = self.doorway.as_ref().filter(|_| !reports.is_empty())?;
        let (envelope, body) =
            bounce::notification(&self.common.settings, (envelope, body), reports, door.next_id(), now)?;
        Some(Put { envelope, body })
    }

    fn tell_later(&self, about: (QueueId, bool), reports: Vec<Report>) {
        if let (Some(saving), Some(door)) = (self.saving.clone(), self.doorway.clone()) {
            delivery::tell_later(
                saving,
                (Rc::clone(&self.board), door),
                Arc::clone(&self.common.settings),
                about,
                reports,
            );
        }
    }

    /// Senders of messages that are still in the queue hear of recipients that failed a while ago.
    pub(super) fn tell_gathered(&mut self, now: UnixTime) {
        while let Some(entry) = self.gathering.first_entry() {
            let (time, id) = *entry.key();
            if time > now {
                break;
            }
            entry.remove();
            let reports = self.owner.gathered(id, &self.common.settings, now);
            if !reports.is_empty() {
                self.tell_later((id, false), reports);
            }
        }
    }
}
