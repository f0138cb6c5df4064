//! What operators may do to the queue while it runs: switches, and orders to many messages at once. Pure.

use std::{collections::BTreeSet, time::Duration};

use waxseal_types::{Envelope, NextHop, QueueId, UnixTime};

use crate::Destination;

/// How the switches of the whole queue stand. Whoever owns the process keeps them over a restart
/// ([`Settings::levers`](crate::Settings::levers)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Levers {
    /// Nothing is delivered; mail is taken.
    pub defer_all: bool,
    /// What would be refused for good waits instead (postconf(5) `soft_bounce`).
    pub soft_bounce: bool,
    /// Next hops that nothing is delivered to.
    pub suspended: BTreeSet<NextHop>,
}

/// How far the recipients of a message at one destination are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// An attempt is under way.
    Active,
    /// It is due, or waits for its time.
    Waiting,
    /// An operator holds it.
    Held,
}

/// Recipients of one message at one destination, for listings.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The message.
    pub id: QueueId,
    /// Its part for this destination.
    pub part: u32,
    /// Where the part goes.
    pub destination: Destination,
    /// Indices of its recipients.
    pub recipients: Vec<usize>,
    /// Attempts made.
    pub attempts: u32,
    /// How far it is.
    pub state: State,
    /// When the next attempt is due.
    pub due: UnixTime,
}

/// Which parts of which messages. What is not named does not matter; all that is named must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// One of these.
    pub ids: Option<BTreeSet<QueueId>>,
    /// The next hop.
    pub nexthop: Option<NextHop>,
    /// How far it is.
    pub state: Option<State>,
    /// At least this old.
    pub older_than: Option<Duration>,
    /// At most this old.
    pub younger_than: Option<Duration>,
    /// The reverse-path, without regard to case; empty for notifications, which have none.
    pub sender: Option<String>,
    /// A recipient, without regard to case.
    pub recipient: Option<String>,
    /// The domain of a recipient.
    pub domain: Option<String>,
    /// A piece of what was last said of a recipient, without regard to case.
    pub reason: Option<String>,
}

impl Selection {
    /// Whether what is in memory does not decide: the message has to be read.
    #[must_use]
    pub const fn asks_for_text(&self) -> bool {
        self.sender.is_some() || self.recipient.is_some() || self.domain.is_some() || self.reason.is_some()
    }

    /// Whether a part passes as far as memory tells, but for [`Selection::span`].
    #[must_use]
    pub fn admits(&self, entry: &Entry) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(&entry.id))
            && self.nexthop.as_ref().is_none_or(|nexthop| *nexthop == entry.destination.nexthop)
            && self.state.is_none_or(|state| state == entry.state)
    }

    /// The first and the last message that can pass: the id of a message is the time of its arrival, so that neither what is too old nor what is too
    /// young has to be looked at.
    #[must_use]
    pub fn span(&self, now: UnixTime) -> (QueueId, QueueId) {
        let ago = |age: Duration| {
            now.as_micros().saturating_sub(u64::try_from(age.as_micros()).unwrap_or(u64::MAX))
        };
        let named = |id: Option<&QueueId>| id.map(|id| id.as_u64());
        let ids = self.ids.as_ref();
        let first = self.younger_than.map_or(0, ago).max(named(ids.and_then(BTreeSet::first)).unwrap_or(0));
        let last = self.older_than.map_or(u64::MAX, ago);
        let last = last.min(named(ids.and_then(BTreeSet::last)).unwrap_or(u64::MAX));
        (QueueId::from_u64(first), QueueId::from_u64(last))
    }

    /// Those recipients of a part that pass; `said` is what was last said of one.
    #[must_use]
    pub fn recipients<'a>(
        &self,
        entry: &Entry,
        envelope: &Envelope,
        said: impl Fn(usize) -> Option<&'a str>,
    ) -> Vec<usize> {
        let sender = envelope.sender.as_ref().map_or_else(String::new, ToString::to_string);
        if self.sender.as_ref().is_some_and(|wanted| !wanted.eq_ignore_ascii_case(&sender)) {
            return Vec::new();
        }
        let reason = self.reason.as_ref().map(|piece| piece.to_lowercase());
        let passes = |index: &usize| {
            let Some(recipient) = envelope.recipients.get(*index) else { return false };
            let mailbox = &recipient.mailbox;
            let said = || said(*index).unwrap_or_default().to_lowercase();
            self.recipient.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(&mailbox.to_string()))
                && self
                    .domain
                    .as_ref()
                    .is_none_or(|domain| mailbox.domain().is_some_and(|of| of.eq_ignore_ascii_case(domain)))
                && reason.as_ref().is_none_or(|piece| said().contains(piece))
        };
        entry.recipients.iter().copied().filter(passes).collect()
    }
}

/// What can be done to messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Nothing is tried until they are released, also after a restart.
    Hold,
    /// They may go again, when their time has come.
    Release,
    /// They are tried now, and their destinations are taken for alive. What is held stays so.
    Retry,
    /// They are taken out, and nobody is told.
    Remove,
    /// They are given up, and their senders are told: why, in the operator's words.
    Bounce(String),
    /// They go to another next hop, now, under the TLS policy of that; until the next restart their routes are not asked for again.
    Reroute(Destination),
}

/// What was done, or would have been.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages that it was done to.
    pub messages: usize,
    /// Parts of them.
    pub parts: usize,
    /// Parts that were selected and that it was too late for, as an attempt is under way; or that are held, for [`Command::Retry`].
    pub refused: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.parts += other.parts;
        self.refused += other.refused;
    }
}
