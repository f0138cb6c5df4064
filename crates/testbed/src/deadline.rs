//! Deadlines for tests: waiting for an event, not for a time.

use std::{future::Future, panic::Location, time::Duration};

/// Awaits `future`; after `limit` the test has failed.
///
/// # Panics
///
/// When the limit has passed, with the place of the call.
#[expect(clippy::panic, reason = "a missed deadline is a failed test")]
#[track_caller]
pub fn within<F: Future>(limit: Duration, future: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        match tokio::time::timeout(limit, future).await {
            Ok(output) => output,
            Err(_) => panic!("nothing happened within {limit:?} at {caller}"),
        }
    }
}
