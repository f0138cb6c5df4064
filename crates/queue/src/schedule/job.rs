//! The words of the schedule.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use waxseal_types::{NextHop, QueueId, Service};

/// Where a job goes: what is scheduled as one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// How it is spoken to, and by whose settings.
    pub service: Service,
    /// The next hop as looked up.
    pub nexthop: NextHop,
}

/// One message for one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The message.
    pub id: QueueId,
    /// Its part for this destination, counted by the owner of the message.
    pub part: u32,
    /// Attempts so far.
    pub attempts: u32,
    /// Who submitted it, as a number ([`client_number`]): clients take turns.
    pub client: u32,
}

impl Job {
    /// More are not told from each other; a second apart they take twelve days.
    pub const MOST_ATTEMPTS: u32 = (1 << 20) - 1;
    /// No message has more parts than this, which is where its memory would end, too.
    pub const MOST_PARTS: u32 = 1 << 24;
}

/// A number for the name of a client. Two names may share one, and then their turns.
#[must_use]
pub fn client_number(name: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    // Half of the hash is as good as all of it.
    hasher.finish() as u32
}

/// What an attempt taught about its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feedback {
    /// A server of it talked to us, whatever it said to this message.
    Alive,
    /// A server of it asked for less: 421 (RFC 5321 §3.8), or 4.7.x (RFC 3463 §3.8), which is how large providers limit rates.
    Busy,
    /// No server of it could be reached, or none got through its handshake.
    Dead,
    /// Nothing: the attempt ended before any connection, by a fault of ours or of DNS.
    None,
}

/// A delivery to begin now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// What.
    pub job: Job,
    /// Where to.
    pub destination: Destination,
    pub(super) retry: bool,
    /// Over the connection of another delivery: it takes no place in the window.
    pub(super) rides: bool,
    /// Its number among the deliveries under way.
    pub(super) place: u64,
}

impl Start {
    /// Before it is said to have ended: while others go on over the same connection, that keeps its place in the window; the last one gives
    /// it up, whoever took it.
    pub const fn leaves(&mut self, others: bool) {
        self.rides = others;
    }
}
