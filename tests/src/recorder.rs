//! What the queue told.

use std::sync::Mutex;

use tokio::sync::watch;
use waxseal_queue::{Account, Event, Settled, Sink};
use waxseal_types::{Envelope, QueueId};

/// An event, kept.
#[derive(Debug, Clone)]
pub enum Seen {
    /// A message is in the queue.
    Queued(QueueId),
    /// An attempt has ended.
    Attempted(Box<Account>),
    /// Recipients were settled without one.
    Settled {
        /// The message.
        envelope: Box<Envelope>,
        /// How.
        how: Settled,
        /// Status code and reason.
        why: String,
    },
    /// A destination rests.
    Dead,
    /// A service died.
    Died(&'static str),
    /// Something newer than this recorder.
    Other,
}

/// Keeps all events and lets tests wait for them.
#[derive(Debug)]
pub struct Recorder {
    seen: Mutex<Vec<Seen>>,
    count: watch::Sender<usize>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { seen: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl Sink for Recorder {
    fn event(&self, event: Event<'_>) {
        let seen = match event {
            Event::Queued { envelope, .. } => Seen::Queued(envelope.id),
            Event::Attempted { account, .. } => Seen::Attempted(Box::new(account.clone())),
            Event::Settled { envelope, how, failure, .. } => Seen::Settled {
                envelope: Box::new((**envelope).clone()),
                how,
                why: format!("{} {}", failure.status, failure.reason),
            },
            Event::DestinationDead { .. } => Seen::Dead,
            Event::ServiceDied { service, .. } => Seen::Died(service),
            _ => Seen::Other,
        };
        self.seen.lock().expect("nobody panics with it").push(seen);
        self.count.send_modify(|count| *count += 1);
    }
}

impl Recorder {
    /// All so far.
    ///
    /// # Panics
    ///
    /// If a test panicked inside.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("nobody panics with it").clone()
    }

    /// Waits until something of `wanted` was seen, and gives it. Use it inside `within`.
    ///
    /// # Panics
    ///
    /// If the recorder is gone, which it is not while it is borrowed.
    pub async fn wait<T>(&self, wanted: impl Fn(&Seen) -> Option<T>) -> T {
        let mut news = self.count.subscribe();
        loop {
            news.borrow_and_update();
            if let Some(found) = self.seen().iter().find_map(&wanted) {
                return found;
            }
            news.changed().await.expect("the recorder is borrowed");
        }
    }

    /// Waits for the end of an attempt that fits, and gives its account.
    pub async fn attempt(&self, fits: impl Fn(&Account) -> bool) -> Account {
        let account = |seen: &Seen| {
            let Seen::Attempted(account) = seen else { return None };
            fits(account).then(|| (**account).clone())
        };
        self.wait(account).await
    }
}
