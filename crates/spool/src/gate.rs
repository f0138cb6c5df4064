//! What the intake and the queue need from a log at every message without asking its thread.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use waxseal_types::QueueId;

use crate::Refusal;

/// Fresh ids, readiness and the count of messages about to end. Does not keep the log open; cloning is cheap.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Shared>);

/// Says that one message is between DATA and its end; dropping it says that it is not any more.
#[derive(Debug)]
pub struct Gathering(Arc<Shared>);

/// How often [`Gate::ready`] said no, by what was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refused {
    /// The disk is full.
    pub full: u64,
    /// The oldest message waits for too long.
    pub slow: u64,
    /// It waits for so long that it is given up.
    pub stale: u64,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    /// The last id given.
    last_id: AtomicU64,
    gathering: AtomicUsize,
    /// Microseconds after `started`, plus one, at which the oldest waiting message came; zero for none.
    oldest: AtomicU64,
    full: AtomicBool,
    refused: [AtomicU64; 3],
    closed: AtomicBool,
    slow: Duration,
    stale: Duration,
}

impl Gate {
    pub(crate) fn new(last_id: u64, slow: Duration, stale: Duration) -> Self {
        Self(Arc::new(Shared {
            started: Instant::now(),
            last_id: AtomicU64::new(last_id),
            gathering: AtomicUsize::new(0),
            oldest: AtomicU64::new(0),
            full: AtomicBool::new(false),
            refused: Default::default(),
            closed: AtomicBool::new(false),
            slow,
            stale,
        }))
    }

    /// A fresh id: the time in microseconds, or one more than the last if the clock did not move on.
    #[must_use]
    pub fn next_id(&self) -> QueueId {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64);
        let next = |last: u64| Some(now.max(last.saturating_add(1)));
        let last = self.0.last_id.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        QueueId::from_u64(now.max(last.unwrap_or_default().saturating_add(1)))
    }

    /// No id up to this one is given from here on.
    pub(crate) fn saw(&self, id: u64) {
        self.0.last_id.fetch_max(id, Ordering::Relaxed);
    }

    /// See [`crate::Accept::gathering`].
    #[must_use]
    pub fn gathering(&self) -> Gathering {
        self.0.gathering.fetch_add(1, Ordering::Relaxed);
        Gathering(Arc::clone(&self.0))
    }

    /// Whether mail is taken.
    ///
    /// # Errors
    /// The reply to give instead.
    pub fn ready(&self) -> Result<(), Refusal> {
        let ready = self.ready_at(Instant::now());
        if let Err(refusal) = &ready {
            let bounds = [&Refusal::FULL, &Refusal::SLOW, &Refusal::STALE];
            if let Some(bound) = bounds.iter().position(|bound| *bound == refusal) {
                self.0.refused[bound].fetch_add(1, Ordering::Relaxed);
            }
        }
        ready
    }

    pub(crate) fn refused(&self) -> Refused {
        let [full, slow, stale] = [0, 1, 2].map(|bound: usize| self.0.refused[bound].load(Ordering::Relaxed));
        Refused { full, slow, stale }
    }

    /// The same for a given time.
    pub(crate) fn ready_at(&self, now: Instant) -> Result<(), Refusal> {
        let shared = &*self.0;
        if shared.closed.load(Ordering::Acquire) {
            return Err(Refusal::FAILED);
        }
        if shared.full.load(Ordering::Acquire) {
            return Err(Refusal::FULL);
        }
        let oldest = shared.oldest.load(Ordering::Acquire);
        if oldest == 0 {
            return Ok(());
        }
        let age = now.saturating_duration_since(shared.started + Duration::from_micros(oldest - 1));
        if age > shared.stale {
            Err(Refusal::STALE)
        } else if age > shared.slow {
            Err(Refusal::SLOW)
        } else {
            Ok(())
        }
    }

    pub(crate) fn gathering_now(&self) -> usize {
        self.0.gathering.load(Ordering::Relaxed)
    }

    /// Whether no message is about to end, and none is being committed.
    pub(crate) fn is_still(&self) -> bool {
        self.gathering_now() == 0 && self.0.oldest.load(Ordering::Acquire) == 0
    }

    pub(crate) fn last_id(&self) -> u64 {
        self.0.last_id.load(Ordering::Relaxed)
    }

    pub(crate) fn set_oldest(&self, at: Option<Instant>) {
        let micros = |at: Instant| at.saturating_duration_since(self.0.started).as_micros() as u64 + 1;
        self.0.oldest.store(at.map_or(0, micros), Ordering::Release);
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.0.full.store(full, Ordering::Release);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.0.full.load(Ordering::Acquire)
    }

    pub(crate) fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
    }
}

/// A gate without a log behind it, for those who implement [`crate::Accept`] over something else.
impl Default for Gate {
    fn default() -> Self {
        Self::new(0, Duration::from_secs(10), Duration::from_secs(120))
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        self.0.gathering.fetch_sub(1, Ordering::Relaxed);
    }
}
