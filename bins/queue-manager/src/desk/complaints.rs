//! What was last said against each destination.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use waxseal_queue::{Destination, Event, Outcome, Sink};

/// Destinations that are remembered; when they are more, all are forgotten and the next failures tell anew.
const REMEMBERED: usize = 4096;
/// Octets of a complaint.
const LONGEST: usize = 500;

/// A sink of the queue that keeps the reason of each destination's last failure. It takes a lock only where something failed.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Mutex<HashMap<Destination, String>>);

impl Complaints {
    /// What was last said against it.
    pub(super) fn about(&self, destination: &Destination) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(destination).cloned()
    }
}

impl Sink for Complaints {
    fn event(&self, event: Event<'_>) {
        let Event::Attempted { account, .. } = event else { return };
        let deferred = account.results.iter().find_map(|result| match &result.outcome {
            Outcome::Deferred(failure) => Some(failure),
            Outcome::Delivered { .. } | Outcome::Bounced(_) => None,
        });
        let Some(failure) = deferred else { return };
        let reason: String = format!("{} {}", failure.status, failure.reason).chars().take(LONGEST).collect();
        let mut complaints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if complaints.len() >= REMEMBERED && !complaints.contains_key(&account.destination) {
            complaints.clear();
        }
        complaints.insert(account.destination.clone(), reason);
    }
}
