//! What a ledger holds: one thing that happened to one message.

use std::sync::Arc;

use waxseal_queue::{Account, Destination, Failure, Outcome, Settled};
use waxseal_types::{Envelope, UnixTime};

/// One thing that happened to a message.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When.
    pub time: UnixTime,
    /// How many recipients the message has in all; the envelope here has those that this entry is about.
    pub recipients: usize,
    /// Whether all that the account referred to could be read. Where it could not, it has no steps and no connections.
    pub complete: bool,
    /// What.
    pub happening: Happening,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Happening {
    /// An attempt ended.
    Attempt {
        /// Its account, as it was when it ended; `Connection::presented` has the certificates.
        account: Box<Account>,
        /// When the recipients that were deferred were to be tried again.
        next_attempt: Option<UnixTime>,
    },
    /// Recipients were settled without an attempt.
    Settled {
        /// The message, with these recipients.
        envelope: Arc<Envelope>,
        /// Where they would have gone.
        destination: Option<Destination>,
        /// How.
        how: Settled,
        /// Why.
        failure: Failure,
        /// Attempts that were made before.
        attempts: u32,
    },
}

impl Entry {
    /// The message, with those of its recipients that the entry is about.
    #[must_use]
    pub fn envelope(&self) -> &Arc<Envelope> {
        match &self.happening {
            Happening::Attempt { account, .. } => &account.envelope,
            Happening::Settled { envelope, .. } => envelope,
        }
    }

    /// Where they went or would have gone.
    #[must_use]
    pub fn destination(&self) -> Option<&Destination> {
        match &self.happening {
            Happening::Attempt { account, .. } => Some(&account.destination),
            Happening::Settled { destination, .. } => destination.as_ref(),
        }
    }

    /// The account, where it is an attempt.
    #[must_use]
    pub fn account(&self) -> Option<&Account> {
        match &self.happening {
            Happening::Attempt { account, .. } => Some(account),
            Happening::Settled { .. } => None,
        }
    }

    /// For each recipient, by its place in the envelope here: the word of the delivery event, and the failure.
    pub fn outcomes(&self) -> impl Iterator<Item = (usize, &'static str, Option<&Failure>)> {
        let (results, settled): (&[_], _) = match &self.happening {
            Happening::Attempt { account, .. } => (&account.results, None),
            Happening::Settled { how, failure, envelope, .. } => {
                (&[], Some((*how, failure, envelope.recipients.len())))
            }
        };
        let attempts = results.iter().map(|result: &waxseal_queue::RecipientResult| {
            let word = match &result.outcome {
                Outcome::Delivered { .. } => "delivered",
                Outcome::Deferred(_) => "deferred",
                Outcome::Bounced(_) => "bounced",
            };
            (result.index, word, result.outcome.failure())
        });
        let settled = settled.into_iter().flat_map(|(how, failure, count)| {
            (0..count).map(move |index| (index, settled_word(how), Some(failure)))
        });
        attempts.chain(settled)
    }
}

const fn settled_word(how: Settled) -> &'static str {
    match how {
        Settled::Expired => "expired",
        Settled::Bounced => "bounced",
        Settled::Deferred => "deferred",
        Settled::Removed => "removed",
    }
}
