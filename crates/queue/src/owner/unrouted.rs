//! Messages that are not in the books yet: new ones, and those that the spool had at the start.

use std::sync::Arc;

use bytes::Bytes;
use waxseal_spool::{Outcome, Progress, RecipientState, Recovered};
use waxseal_types::{EnhancedStatus, Envelope, UnixTime};

use crate::{
    Job,
    bounce::{Action, Report},
};

/// A message whose routes are to be found.
#[derive(Debug)]
pub struct Unrouted {
    /// Its envelope.
    pub envelope: Arc<Envelope>,
    /// Its text, where it is at hand.
    pub body: Option<Bytes>,
    /// Whether it has come in just now: what was found in the spool is spread out in time.
    pub fresh: bool,
    /// Those that are not settled.
    pub recipients: Vec<usize>,
    /// Attempts made.
    pub attempts: u32,
    /// When the next is due.
    pub due: UnixTime,
    /// Since when it fails, as far as the spool knows.
    pub since: Option<UnixTime>,
    /// Those that an operator holds.
    pub held: Vec<usize>,
    /// What the sender has not been told yet.
    pub reports: Vec<Report>,
    /// Recipients of whose delay the sender was told.
    pub warned: Vec<usize>,
}

impl Unrouted {
    /// A message that nothing has happened to; without a body it is a large one, whose text is read back when it is sent.
    #[must_use]
    pub fn fresh(envelope: Arc<Envelope>, body: Option<Bytes>) -> Self {
        Self {
            recipients: (0..envelope.recipients.len()).collect(),
            envelope,
            body,
            fresh: true,
            attempts: 0,
            due: UnixTime::default(),
            since: None,
            held: Vec::new(),
            reports: Vec::new(),
            warned: Vec::new(),
        }
    }

    /// A message that was found in the spool.
    #[must_use]
    pub fn found(found: Recovered) -> Self {
        let envelope = Arc::new(found.envelope);
        let pending = || found.states.iter().enumerate().filter(|(_, progress)| !progress.state.is_final());
        let unreported = |(index, progress)| unreported(&envelope, index, progress);
        let attempts = pending().map(|(_, progress)| progress.attempts).max().unwrap_or(0);
        Self {
            body: None,
            fresh: false,
            recipients: pending().map(|(index, _)| index).collect(),
            held: pending()
                .filter(|(_, p)| p.state == RecipientState::Held)
                .map(|(index, _)| index)
                .collect(),
            attempts: attempts.min(Job::MOST_ATTEMPTS),
            due: pending().map(|(_, progress)| progress.next_attempt).min().unwrap_or_default(),
            since: pending().filter_map(|(_, progress)| progress.first_failure).min(),
            reports: found.states.iter().enumerate().filter_map(unreported).collect(),
            warned: pending().filter(|(_, progress)| progress.warned).map(|(index, _)| index).collect(),
            envelope: Arc::clone(&envelope),
        }
    }
}

/// What the sender of a recovered message has not been told yet.
fn unreported(envelope: &Envelope, index: usize, progress: &Progress) -> Option<Report> {
    let last = progress.last.clone().filter(|_| !progress.reported)?;
    match progress.state {
        RecipientState::Failed => Report::new(envelope, index, Action::Failed, last),
        RecipientState::Expired => {
            let status = EnhancedStatus::permanent(4, 7);
            Report::new(envelope, index, Action::Failed, Outcome { status, ..last })
        }
        RecipientState::Delivered => Report::new(envelope, index, Action::Relayed, last),
        RecipientState::Pending if progress.warned => {
            let report = Report::new(envelope, index, Action::Delayed, last)?;
            Some(Report { next_attempt: Some(progress.next_attempt), ..report })
        }
        RecipientState::Pending | RecipientState::Held | RecipientState::Removed => None,
    }
}
