//! The messages that were found at the start, one after another.

use std::{fmt, sync::Arc};

use crate::{
    Error, Found, Recovered, Report, checkpoint::Checkpoint, index::Entry, loading::Outcome,
    metrics::Counters, read::Reader,
};

/// The messages that were found, in the order of their arrival. Each is read from disk when it is asked for, so that a long queue needs no memory twice.
pub struct Recovery {
    all: All,
    /// What the schedule needed when the log was last closed, or a little later.
    checkpoint: Option<Checkpoint>,
}

/// The ids that were found, step by step.
pub(crate) struct All {
    reader: Reader,
    /// The last one that was given.
    last: u64,
    /// How many were given.
    given: usize,
    /// What was found, as soon as it is known.
    outcome: Outcome,
    /// That it will never be known was told.
    failed: bool,
    counters: Arc<Counters>,
}

impl All {
    pub(crate) fn new(reader: Reader, outcome: Outcome, counters: Arc<Counters>) -> Self {
        Self { reader, last: 0, given: 0, outcome, failed: false, counters }
    }

    /// How many are to come, as far as is known.
    fn left(&self) -> usize {
        self.outcome.wait().as_ref().map_or(0, |loaded| loaded.messages).saturating_sub(self.given)
    }

    /// Waits until all of the log is read: no message is given out before all later marks are known.
    fn next(&mut self) -> Option<Result<(u64, Entry), Error>> {
        let until = match self.outcome.wait() {
            // What came after it came after the start.
            Ok(loaded) => loaded.last_id,
            Err(error) => {
                return (!std::mem::replace(&mut self.failed, true)).then(|| Err(error.clone()));
            }
        };
        let Some((id, entry)) = self.reader.next_after(self.last).filter(|(id, _)| *id <= until) else {
            self.given = usize::MAX;
            return None;
        };
        self.last = id;
        self.given = self.given.saturating_add(1);
        self.counters.recovered.add(1);
        Some(Ok((id, entry)))
    }

    /// The message as the log has it; `None` if it is finished since.
    fn whole(&self, id: u64) -> Option<Result<Recovered, Error>> {
        match self.reader.recovered(id) {
            Err(Error::Unknown(_)) => None,
            result => Some(result),
        }
    }
}

impl Recovery {
    pub(crate) const fn new(all: All, checkpoint: Option<Checkpoint>) -> Self {
        Self { all, checkpoint }
    }

    /// How many are still to come, at most. Waits until that is known.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.all.left()
    }

    /// What else was found. Waits until that is known; nothing is, where the log could not be read.
    #[must_use]
    pub fn report(&self) -> &Report {
        static NOTHING: Report = Report { segments: 0, bytes: 0, messages: 0, torn: 0, damage: Vec::new() };
        self.all.outcome.wait().as_ref().map_or(&NOTHING, |loaded| &loaded.report)
    }

    /// The same messages, as little of each as a schedule has to know: many times faster, since most of it is in a checkpoint.
    pub fn briefly(mut self) -> impl Iterator<Item = Result<Found, Error>> + Send {
        std::iter::from_fn(move || {
            loop {
                let (id, entry) = match self.all.next()? {
                    Ok(found) => found,
                    Err(error) => return Some(Err(error)),
                };
                if let Some(waiting) = self.checkpoint.as_mut().and_then(|c| c.waiting(id, &entry)) {
                    return Some(Ok(Found::Waiting(waiting)));
                }
                if let Some(whole) = self.all.whole(id) {
                    return Some(whole.map(Found::of));
                }
            }
        })
    }
}

impl Iterator for Recovery {
    type Item = Result<Recovered, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let id = match self.all.next()? {
                Ok((id, _)) => id,
                Err(error) => return Some(Err(error)),
            };
            if let Some(whole) = self.all.whole(id) {
                return Some(whole);
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // Nobody waits here.
        (0, None)
    }
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recovery({:?})", self.all.outcome.get())
    }
}
