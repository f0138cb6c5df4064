//! Where the queue tells what happened.

use std::sync::Arc;

use waxseal_types::{Envelope, UnixTime};

use crate::{Account, Destination, account::Failure};

/// Something that happened to a message. Delivery events, traces and log lines are made of these.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// It is in the queue, and these recipients go to this destination.
    Queued {
        /// The message.
        envelope: &'a Arc<Envelope>,
        /// Where they go.
        destination: &'a Destination,
        /// Indices of recipients.
        recipients: &'a [usize],
        /// When it was known.
        at: UnixTime,
    },
    /// An attempt has ended.
    Attempted {
        /// How.
        account: &'a Account,
        /// When the recipients that are deferred are tried again; `None` where there is none.
        next_attempt: Option<UnixTime>,
    },
    /// Recipients were settled without an attempt of their own: too old, no route, taken out.
    Settled {
        /// The message.
        envelope: &'a Arc<Envelope>,
        /// Where they would have gone, where that is known.
        destination: Option<&'a Destination>,
        /// Indices of recipients.
        recipients: &'a [usize],
        /// How.
        how: Settled,
        /// Why.
        failure: &'a Failure,
        /// Attempts that were made.
        attempts: u32,
        /// When.
        at: UnixTime,
    },
    /// A destination is tried no more for a while; its messages wait without an event each.
    DestinationDead {
        /// Which.
        destination: &'a Destination,
        /// Until then.
        until: UnixTime,
    },
    /// A service died and is started anew, after a wait where it dies too often.
    ServiceDied {
        /// Its name.
        service: &'static str,
        /// The wait in seconds.
        wait: u64,
    },
}

/// How recipients were settled without an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Too old.
    Expired,
    /// Refused for good.
    Bounced,
    /// To be tried again.
    Deferred,
    /// Taken out by the operator.
    Removed,
}

/// Takes events. Called on the path of every message: an implementation must not block.
pub trait Sink: Send + Sync {
    /// Takes one.
    fn event(&self, event: Event<'_>);
}

/// Drops everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Sink for Silent {
    fn event(&self, _: Event<'_>) {}
}

/// Tells several, in turn.
pub struct Several(Vec<Arc<dyn Sink>>);

impl Several {
    /// Of these.
    #[must_use]
    pub fn of(sinks: Vec<Arc<dyn Sink>>) -> Self {
        Self(sinks)
    }
}

impl std::fmt::Debug for Several {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Several({})", self.0.len())
    }
}

impl Sink for Several {
    fn event(&self, event: Event<'_>) {
        for sink in &self.0 {
            sink.event(event);
        }
    }
}
