//! One delivery at a time: what the peer does, and what must come of it.

mod names;
mod replies;
mod resumption;
mod reuse;
mod sealing;
mod upstream;

use std::time::Duration;

use waxseal_testbed::{Authority, Certificate};

/// `queue.minimal_backoff` by default.
const BACKOFF: Duration = Duration::from_secs(300);

/// A good certificate of an authority that nobody knows.
fn certificate() -> Certificate {
    let authority = Authority::new("Test CA").expect("an authority");
    authority.leaf(&["mx.example.test"]).issue().expect("a leaf")
}
