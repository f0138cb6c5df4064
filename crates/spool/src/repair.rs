//! Damage taken out of a spool: what lives beside it is written again, and the files that have it are kept under other names.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use waxseal_types::QueueId;

use crate::{
    Done, Error, Report, Settings, Spool, Storage, body::body_name, disk::RealDisk, log::mend, read::Reader,
};

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repair {
    /// What was found before.
    pub found: Report,
    /// Messages, or results of messages, that were written again.
    pub moved: u64,
    /// Messages that could not be saved.
    pub lost: Vec<QueueId>,
    /// Damaged files that are still needed for what else is in them.
    pub kept: Vec<String>,
}

/// Mends the spool in the folder `path`, which no other process may use meanwhile. Every record is read and checked. Nothing is deleted: files with damage
/// get the ending `.bad`.
///
/// # Errors
/// In use, of an unknown format, or not readable or writable.
pub fn repair(path: &Path) -> Result<Repair, Error> {
    repair_on(Arc::new(RealDisk::lock(path)?))
}

/// The same on any storage.
///
/// # Errors
/// As [`repair`].
pub fn repair_on(storage: Arc<dyn Storage>) -> Result<Repair, Error> {
    let settings = Settings { checkpoint_from: usize::MAX, ..Settings::default() };
    let (log, reader, found, mut stepper) = mend(Arc::clone(&storage), settings)?;
    let before = ids(&reader);
    let mut lost: BTreeSet<_> =
        found.damage.iter().filter(|damage| damage.message).filter_map(|damage| damage.id).collect();
    for id in bad_bodies(&reader) {
        let name = body_name(id);
        let renamed = storage.rename(&name, &format!("{name}.bad"));
        renamed.map_err(|source| Error::Io { doing: "rename", name, source: Arc::new(source) })?;
        let mut gone = log.done(Done { id: QueueId::from_u64(id), dsn: None });
        while stepper.step() {}
        if let Poll::Ready(result) = gone.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            result?;
        }
    }
    let kept = stepper.evacuate();
    let after = ids(&reader);
    lost.extend(before.difference(&after).map(|id| QueueId::from_u64(*id)));
    // A record that is bad in one place may be whole in another.
    lost.retain(|id| !after.contains(&id.as_u64()));
    let moved = log.metrics().copied;
    stepper.end();
    Ok(Repair { found, moved, lost: lost.into_iter().collect(), kept })
}

fn ids(reader: &Reader) -> BTreeSet<u64> {
    std::iter::successors(reader.next_after(0), |(last, _)| reader.next_after(*last))
        .map(|(id, _)| id)
        .collect()
}

fn bad_bodies(reader: &Reader) -> Vec<u64> {
    let external = std::iter::successors(reader.next_after(0), |(last, _)| reader.next_after(*last));
    let external = external.filter(|(_, entry)| entry.is_external()).map(|(id, _)| id);
    let bad = |id: &u64| {
        let checked = reader.body(*id).and_then(|body| body.check());
        matches!(checked, Err(Error::Corrupt { .. }))
    };
    external.filter(bad).collect()
}
