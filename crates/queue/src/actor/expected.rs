//! Messages that are not durable yet, and whose first attempts get ready meanwhile (design §6: a lone request is synced at once).
//!
//! While the disk writes a message that came alone, its route, its policy, its connection and its commands take their time beside that. Its text leaves,
//! anything is told of it, and any of its attempts ends, only when it is this system's to deliver. A message that does not become durable was never
//! here: its client hears 451 and has it still.

use std::{collections::HashMap, sync::Arc};

use actix::{Addr, AsyncContext as _, Handler, Message};
use bytes::Bytes;
use waxseal_spool::Durable;
use waxseal_transport::{Hold, Holder};
use waxseal_types::{Envelope, QueueId};

use super::{
    delivery,
    manager::{QueueManager, now},
};
use crate::{Destination, Event, owner::Unrouted, routing::Routed};

/// All of them.
#[derive(Default)]
pub(super) struct Expected(HashMap<QueueId, Guest>);

struct Guest {
    holder: Holder,
    hold: Hold,
    /// What there is to tell once it is durable: where to, and for which recipients.
    untold: Vec<(Destination, Vec<usize>)>,
}

impl Expected {
    /// What holds the text of this message back.
    pub(super) fn hold(&self, id: QueueId) -> Option<Hold> {
        Some(self.0.get(&id)?.hold.clone())
    }

    pub(super) fn has(&self, id: QueueId) -> bool {
        self.0.contains_key(&id)
    }
}

/// A message is being made durable; `word` says when it is.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Expect {
    pub(super) envelope: Arc<Envelope>,
    pub(super) body: Bytes,
    pub(super) word: Durable,
}

impl Handler<Expect> for QueueManager {
    type Result = ();

    fn handle(&mut self, Expect { envelope, body, word }: Expect, context: &mut Self::Context) {
        let manager = self.address().map_or_else(|| Arc::new(context.address()), Arc::clone);
        self.prepare(&envelope, &body);
        actix_rt::spawn(settled(manager, envelope, body, word));
        self.pump(context);
    }
}

/// Tells the manager what became of it: on the manager's thread, which the log's thread wakes itself.
async fn settled(manager: Arc<Addr<QueueManager>>, envelope: Arc<Envelope>, body: Bytes, word: Durable) {
    let durable = word.await;
    manager.do_send(Settled { envelope, body, durable });
}

/// A message has become durable, or has not.
#[derive(Message)]
#[rtype(result = "()")]
struct Settled {
    envelope: Arc<Envelope>,
    body: Bytes,
    durable: bool,
}

impl Handler<Settled> for QueueManager {
    type Result = ();

    fn handle(&mut self, Settled { envelope, body, durable }: Settled, context: &mut Self::Context) {
        match (self.expected.0.remove(&envelope.id), durable) {
            (Some(Guest { holder, untold, .. }), true) => {
                for (destination, recipients) in &untold {
                    let event = Event::Queued { envelope: &envelope, destination, recipients, at: now() };
                    self.common.sink.event(event);
                }
                holder.release();
            }
            (Some(_), false) => self.owner.forget(envelope.id),
            (None, true) => self.take(envelope, Some(body), context),
            (None, false) => {}
        }
    }
}

impl QueueManager {
    /// Schedules a message that is only expected, if all of it goes to destinations that are known without asking anybody: whatever else there is to
    /// decide about a message is told or written at once, and so waits until it is durable.
    fn prepare(&mut self, envelope: &Arc<Envelope>, body: &Bytes) {
        let message = Unrouted::fresh(Arc::clone(envelope), Some(body.clone()));
        let Some(routes) = delivery::routes_at_once(&self.common, &message) else { return };
        let admitted = delivery::admitted(&self.common, message, routes);
        let Routed { parts, refused, parked, discarded } = &admitted.routed;
        if !(refused.is_empty() && parked.is_empty() && discarded.is_empty()) {
            return;
        }
        let (holder, hold) = Hold::new();
        let untold = parts.iter().map(|part| (part.destination.clone(), part.recipients.clone())).collect();
        self.expected.0.insert(envelope.id, Guest { holder, hold, untold });
        self.admit(admitted);
    }
}
