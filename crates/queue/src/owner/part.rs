//! What a message is made of: its recipients at one destination.

use waxseal_types::{NextHop, QueueId, Service, UnixTime};

use crate::{
    Destination, Job,
    routing::{Routed, RoutedPart},
};

/// The recipients of a message at one destination.
#[derive(Debug, Clone)]
pub struct Part {
    /// Where they are.
    pub destination: Destination,
    /// Next hops that are tried when it cannot be reached.
    pub alternatives: Vec<NextHop>,
    /// Those not settled.
    pub recipients: Vec<usize>,
    /// Attempts made.
    pub attempts: u32,
    /// Whether an attempt is under way.
    pub active: bool,
    /// Whether an operator holds it.
    pub held: bool,
    /// Whether an operator chose its next hop: its routes are not asked for again.
    pub pinned: bool,
    /// When the next is due, where none is under way.
    pub due: UnixTime,
    /// Since when it fails.
    pub first_failure: Option<UnixTime>,
    /// Who submitted the message ([`crate::client_number`]).
    pub client: u32,
}

impl Part {
    /// A part that nothing has happened to.
    #[must_use]
    pub fn routed(part: RoutedPart) -> Self {
        Self {
            destination: part.destination,
            alternatives: part.alternatives,
            recipients: part.recipients,
            attempts: 0,
            active: false,
            held: false,
            pinned: false,
            due: UnixTime::default(),
            first_failure: None,
            client: 0,
        }
    }

    /// A recipient without a route: it waits under a name that is no next hop of anybody (RFC 2606 §2), to be routed anew when its time comes.
    #[must_use]
    pub fn parked(index: usize) -> Self {
        let nexthop = NextHop::nowhere();
        let destination = Destination { service: Service::SMTP, nexthop };
        Self::routed(RoutedPart { destination, alternatives: Vec::new(), recipients: vec![index] })
    }

    /// The same in parts of at most `limit` recipients.
    #[must_use]
    pub fn divided(&self, limit: usize) -> Vec<Self> {
        let pieces = self.recipients.chunks(limit.max(1));
        pieces.map(|piece| Self { recipients: piece.to_vec(), active: false, ..self.clone() }).collect()
    }

    /// Whether `routed` says what this part was made of.
    #[must_use]
    pub fn is_still(&self, routed: &Routed) -> bool {
        let [part] = routed.parts.as_slice() else { return false };
        let elsewhere =
            !(routed.refused.is_empty() && routed.parked.is_empty() && routed.discarded.is_empty());
        !elsewhere && part.destination == self.destination && part.recipients == self.recipients
    }

    /// Its job for the schedule, as part `number` of message `id`.
    #[must_use]
    pub fn job(&self, id: QueueId, number: usize) -> Job {
        let part = u32::try_from(number).unwrap_or(u32::MAX);
        Job { id, part, attempts: self.attempts, client: self.client }
    }
}
