//! The deliveries that share a connection. A destination's window counts connections; while it is full, what waits goes over those that
//! there are, if their servers take more than one message at a time.

use std::{collections::HashMap, sync::Arc};

use actix::{Context, Handler, Message};
use waxseal_transport::Lane;
use waxseal_types::UnixTime;

use super::{
    delivery::Ticket,
    manager::{QueueManager, now},
    quay::{Embark, HOME, Quays},
};
use crate::{Destination, Feedback, Start, owner::Part};

/// All of them.
#[derive(Default)]
pub(super) struct Crews {
    crews: HashMap<u64, Crew>,
    /// For each destination, the crew that was last joined by others.
    open: HashMap<Destination, u64>,
    /// Where there are several quays: how many crews each destination has.
    spread: HashMap<Destination, usize>,
    last: u64,
}

struct Crew {
    under_way: usize,
    /// While others may come aboard.
    lane: Option<Lane>,
    destination: Destination,
    /// All look at the hosts in the same order, or they would not meet on one connection.
    seed: u64,
    /// Where they are.
    quay: usize,
}

impl Crews {
    fn found(&mut self, start: &Start, quays: &Quays) -> u64 {
        self.last += 1;
        let seed = start.job.id.as_u64() ^ u64::from(start.job.attempts).rotate_left(32);
        let quay = if quays.is_empty() { HOME } else { self.place(&start.destination, quays) };
        let crew = Crew { under_way: 0, lane: None, destination: start.destination.clone(), seed, quay };
        self.crews.insert(self.last, crew);
        self.last
    }

    fn place(&mut self, destination: &Destination, quays: &Quays) -> usize {
        let crews = self.spread.entry(destination.clone()).or_default();
        *crews += 1;
        quays.place(destination, *crews - 1)
    }

    /// One of the crew has ended; the place of the last one ends with it. True while others go on.
    pub(super) fn ended(&mut self, number: u64) -> bool {
        let Some(crew) = self.crews.get_mut(&number) else { return false };
        crew.under_way = crew.under_way.saturating_sub(1);
        let others = crew.under_way > 0;
        if !others && let Some(crew) = self.crews.remove(&number) {
            self.close(&crew.destination, number);
            if let Some(crews) = self.spread.get_mut(&crew.destination) {
                *crews -= 1;
                if *crews == 0 {
                    self.spread.remove(&crew.destination);
                }
            }
        }
        others
    }

    /// Nobody else comes aboard.
    pub(super) fn cast_off(&mut self, number: u64) {
        if let Some(crew) = self.crews.get_mut(&number) {
            crew.lane = None;
            let destination = crew.destination.clone();
            self.close(&destination, number);
        }
    }

    fn close(&mut self, destination: &Destination, number: u64) {
        if self.open.get(destination) == Some(&number) {
            self.open.remove(destination);
        }
    }
}

/// A connection takes more than one message.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Boarding {
    pub(super) crew: u64,
    pub(super) lane: Lane,
}

impl Handler<Boarding> for QueueManager {
    type Result = ();

    fn handle(&mut self, Boarding { crew, lane }: Boarding, _: &mut Context<Self>) {
        let Some(found) = self.crews.crews.get_mut(&crew) else { return };
        found.lane = Some(lane);
        self.crews.open.insert(found.destination.clone(), crew);
        self.take_aboard(crew);
    }
}

impl QueueManager {
    /// Begins a delivery on a connection of its own.
    pub(super) fn begin(&mut self, start: Start, now: UnixTime) {
        let crew = self.crews.found(&start, &self.quays);
        if !self.begin_in(crew, start, None, now) {
            self.crews.ended(crew);
        }
    }

    /// What full windows hold back goes over the connections that there are.
    pub(super) fn take_held_aboard(&mut self) {
        for destination in self.schedule.take_held() {
            if let Some(crew) = self.crews.open.get(&destination).copied() {
                self.take_aboard(crew);
            }
        }
    }

    /// Lets what waits for the same destination share the connection, as far as there are places.
    pub(super) fn take_aboard(&mut self, number: u64) {
        if !self.may_begin() {
            return;
        }
        while let Some(crew) = self.crews.crews.get(&number) {
            let Some(lane) = crew.lane.clone() else { return };
            if crew.under_way >= lane.places() || !self.quays.is_up(crew.quay) {
                return;
            }
            let Some(start) = self.schedule.another(&crew.destination) else { return };
            self.begin_in(number, start, Some(lane), now());
        }
    }

    /// A part with more recipients than its destination may have in one transaction becomes several, which are due as it was. Those that were routed by the
    /// same limit have no more; a table's word comes when the destination is known, which is after that.
    fn divides(&mut self, start: &Start, part: &Part, now: UnixTime) -> bool {
        if part.recipients.len() < 2 {
            return false;
        }
        let limit = self.schedule.recipients(&start.destination);
        if part.recipients.len() <= limit {
            return false;
        }
        let replaced = self.owner.replace(&start.job, part.divided(limit), Vec::new(), now);
        self.schedule.finished(start, Feedback::None, now);
        for (destination, job, due) in replaced.jobs {
            self.enlist(&destination, job, due, now);
        }
        true
    }

    fn begin_in(&mut self, number: u64, start: Start, lane: Option<Lane>, now: UnixTime) -> bool {
        let Some((part, fresh)) = self.owner.begin(&start.job) else {
            self.schedule.finished(&start, Feedback::None, now);
            return false;
        };
        if self.divides(&start, &part, now) {
            return false;
        }
        let (Some(dock), Some(crew)) = (&self.dock, self.crews.crews.get_mut(&number)) else {
            self.owner.withdraw(&start.job);
            self.schedule.put_back(start, now);
            return false;
        };
        crew.under_way += 1;
        self.active.set(self.active.get() + 1);
        let ticket = Ticket::new(Arc::clone(&dock.manager), number, start.clone());
        let hold = self.expected.hold(start.job.id);
        let embark = Embark { start, part, fresh, ticket, seed: crew.seed, lane, hold };
        if crew.quay == HOME {
            dock.embark(embark)
        } else {
            self.quays.send(crew.quay, embark)
        }
        true
    }
}
