//! A message that only waits, which is nearly every one of a long queue: the little that a schedule has to know of it.

use std::sync::Arc;

use waxseal_types::{Mailbox, QueueId, UnixTime};

use crate::{Progress, RecipientState, Recovered};

/// A message of which there is no more to know: it was tried, it waits, and its sender need not be told anything now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub id: QueueId,
    /// Those that are not settled, by their places in the envelope.
    pub recipients: Vec<(u32, Mailbox)>,
    /// The client that submitted it.
    pub client: Arc<str>,
    /// The most that were made for one of them.
    pub attempts: u32,
    /// When the next is due.
    pub due: UnixTime,
    /// Whether an operator holds all of them.
    pub held: bool,
    /// Whether the sender knows that they wait.
    pub warned: bool,
}

/// A message that was found at the start.
#[derive(Debug, Clone)]
pub enum Found {
    /// One that only waits.
    Waiting(Waiting),
    /// Any other.
    Whole(Box<Recovered>),
}

impl Waiting {
    /// `None` where there is more to know.
    #[must_use]
    pub fn of(Recovered { envelope, states }: &Recovered) -> Option<Self> {
        let untold = |progress: &Progress| {
            let told = progress.reported || progress.last.is_none();
            !told && (progress.state.is_final() || progress.warned)
        };
        let pending = || states.iter().enumerate().filter(|(_, progress)| !progress.state.is_final());
        let (_, first) = pending().next()?;
        let held = |progress: &Progress| progress.state == RecipientState::Held;
        let alike = |progress: &Progress| held(progress) == held(first) && progress.warned == first.warned;
        if states.iter().any(untold) || !pending().all(|(_, progress)| alike(progress)) {
            return None;
        }
        let recipient = |(index, _): (usize, &Progress)| {
            Some((u32::try_from(index).ok()?, envelope.recipients.get(index)?.mailbox.clone()))
        };
        Some(Self {
            id: envelope.id,
            recipients: pending().map(recipient).collect::<Option<_>>()?,
            client: Arc::clone(&envelope.client),
            attempts: pending().map(|(_, progress)| progress.attempts).max().filter(|most| *most > 0)?,
            due: pending().map(|(_, progress)| progress.next_attempt).min()?,
            held: held(first),
            warned: first.warned,
        })
    }
}

impl Found {
    /// As little of it as there is to know.
    #[must_use]
    pub fn of(recovered: Recovered) -> Self {
        match Waiting::of(&recovered) {
            Some(waiting) => Self::Waiting(waiting),
            None => Self::Whole(Box::new(recovered)),
        }
    }
}
