//! All that a rollover does to the world, and asks of it: so that a test can be the world.

use std::{future::Future, pin::Pin, time::Duration};

use crate::{Error, Moment, Place, RecordSet, Rollover, Sight};

/// An answer that takes time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A change of one owner's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub place: Place,
    /// What comes.
    pub add: RecordSet,
    /// What goes.
    pub remove: RecordSet,
    /// What is there, as far as we have seen.
    pub seen: RecordSet,
    /// Of the records.
    pub ttl: Duration,
}

impl Change {
    /// What is to be there.
    #[must_use]
    pub fn wanted(&self) -> RecordSet {
        self.seen.with(&self.add).without(&self.remove)
    }
}

/// Names servers, files, commands, the time.
pub trait World {
    /// What time it is.
    fn now(&self) -> Moment;

    /// What every authoritative server serves, and the resolver. The error is why nobody knows.
    fn look<'a>(&'a self, place: &'a Place) -> Answer<'a, Result<Sight, Error>>;

    /// Has the zone changed. To be understood again and again: what is there already is not added.
    fn publish<'a>(&'a self, change: &'a Change) -> Answer<'a, Result<(), Error>>;

    /// The next chain (DER, leaf first), where it is complete; until then why it is not.
    fn next_chain(&self, rollover: &Rollover) -> Result<Vec<Vec<u8>>, Error>;

    /// The chain that is in place now.
    fn current_chain(&self, rollover: &Rollover) -> Result<Vec<Vec<u8>>, Error>;

    /// Puts the next key and chain in place of the current ones. To be understood again and again.
    fn install(&self, rollover: &Rollover) -> Result<(), Error>;

    /// Makes the server take them.
    fn deploy<'a>(&'a self, rollover: &'a Rollover) -> Answer<'a, Result<(), Error>>;

    /// Whether this is the certificate that the server shows at this place, at each of its addresses. The error is what it shows instead.
    fn shows<'a>(&'a self, place: &'a Place, leaf: &'a [u8]) -> Answer<'a, Result<(), Error>>;

    /// Writes the state down, so that it is there after a loss of power.
    fn save(&self, rollover: &Rollover) -> Result<(), Error>;
}
