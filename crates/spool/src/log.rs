//! The handle to the log.

use crate::{Done, Error, Gate, Pending, Put, Recovered, Settings, Spool, Stored, Update};
use waxseal_types::QueueId;

/// A handle to the log; cloning is cheap. When the last one is dropped, all that was asked for is written and synced, the thread has ended and
/// the folder is free for another process.
#[derive(Debug, Clone)]
pub struct Log {
    gate: Gate,
}

/// The messages that were found, oldest record first. Each is read from disk when it is asked for.
#[derive(Debug)]
pub struct Recovery {
    left: usize,
}

impl Recovery {
    /// How many are still to come.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.left
    }
}

impl Iterator for Recovery {
    type Item = Result<Recovered, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

/// Opens the spool in `settings.path`, creating it if it is missing.
///
/// # Errors
/// In use, not writable, of a newer format, or not readable: each says what to do.
pub fn open(settings: Settings) -> Result<(Log, Recovery), Error> {
    let _ = settings;
    Err(Error::Closed)
}

impl Log {
    /// What does not need the log's thread.
    #[must_use]
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }
}

fn closed<T: Send + 'static>() -> Pending<T> {
    Box::pin(std::future::ready(Err(Error::Closed)))
}

impl Spool for Log {
    fn put(&self, _: Put) -> Pending<()> {
        closed()
    }

    fn read(&self, _: QueueId) -> Pending<Stored> {
        closed()
    }

    fn update(&self, _: Update) -> Pending<()> {
        closed()
    }

    fn done(&self, _: Done) -> Pending<()> {
        closed()
    }
}
