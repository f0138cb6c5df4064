//! The index of a long log, read while new mail is taken already.
//!
//! Ids grow, so what is new is about no old message, and no old message is given out before all of the log is read: neither sees the other's half. Until then
//! nothing is removed, copied or written down that the whole index decides.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;

use crate::{Error, Gate, Report, Storage, index::Index, metrics::Counters, recover::Opening};

/// What came of it, for those who wait.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) report: Report,
    /// No message that was found has a higher id.
    pub(crate) last_id: u64,
    pub(crate) messages: usize,
}

/// Where that will stand.
pub(crate) type Outcome = Arc<OnceLock<Result<Loaded, Error>>>;

/// What is still to be read.
pub(crate) struct Loading {
    opening: Option<Opening>,
    storage: Arc<dyn Storage>,
    index: Arc<Mutex<Index>>,
    counters: Arc<Counters>,
    gate: Gate,
    pub(crate) outcome: Outcome,
}

impl Loading {
    /// `index` is what has been written since, and where all of it will be.
    pub(crate) fn new(
        opening: Opening,
        storage: Arc<dyn Storage>,
        (index, counters): (Arc<Mutex<Index>>, Arc<Counters>),
        gate: Gate,
    ) -> Self {
        index.lock().incomplete = true;
        Self { opening: Some(opening), storage, index, counters, gate, outcome: Arc::default() }
    }

    /// Reads it.
    pub(crate) fn run(mut self) -> Result<(), Error> {
        let Some(opening) = self.opening.take() else { return Ok(()) };
        let outcome = self.load(opening);
        let result = outcome.as_ref().map(|_| ()).map_err(Clone::clone);
        // Nobody else sets it.
        let _ = self.outcome.set(outcome);
        result
    }

    fn load(&self, opening: Opening) -> Result<Loaded, Error> {
        let found = opening.finish(&*self.storage, &mut |_, _, _| ())?;
        for damage in &found.report.damage {
            tracing::error!(segment = damage.segment, offset = damage.offset, length = damage.length, id = ?damage.id, "damage in the spool");
        }
        let loaded = Loaded { report: found.report, last_id: found.last_id, messages: found.index.len() };
        self.counters.damaged.add(loaded.report.damage.len() as u64);
        self.counters.found.set(loaded.messages as u64);
        self.counters.quarantined.add(found.quarantined as u64);
        self.gate.saw(loaded.last_id);
        let mut index = self.index.lock();
        index.complete(found.index);
        self.counters.survey(&index);
        Ok(loaded)
    }
}

/// Whoever waits is told, whatever becomes of the one who reads.
impl Drop for Loading {
    fn drop(&mut self) {
        let _ = self.outcome.set(Err(Error::Closed));
    }
}

impl fmt::Debug for Loading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loading({})", self.opening.is_some())
    }
}
