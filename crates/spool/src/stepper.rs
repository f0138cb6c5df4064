//! The log without its threads: a test decides what happens when.

use std::fmt;

use crate::{Error, committer::Committer, format::segment_name, loading::Loading};

/// Commits by hand, for tests that want no thread: see [`crate::open_stepped`].
pub struct Stepper(pub(crate) Committer, pub(crate) Option<Loading>);

impl Stepper {
    /// Reads what is left to be read, where [`crate::open_unread`] left something.
    ///
    /// # Errors
    /// As [`crate::open`].
    pub fn load(&mut self) -> Result<(), Error> {
        self.1.take().map_or(Ok(()), Loading::run)
    }

    /// Commits all that was asked for up to now; `false` if there was nothing to do.
    pub fn step(&mut self) -> bool {
        self.0.step()
    }

    /// Copies what lives in damaged segments out of them; the names of those that are needed all the same.
    pub(crate) fn evacuate(&mut self) -> Vec<String> {
        for number in self.0.engine.damaged() {
            self.0.engine.evacuate(number);
            while self.0.step() {}
        }
        self.0.engine.damaged().into_iter().map(segment_name).collect()
    }

    /// The orderly end.
    pub fn end(mut self) {
        while self.0.step() {}
        self.0.end();
    }
}

impl fmt::Debug for Stepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stepper")
    }
}
