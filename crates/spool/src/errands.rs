//! What the log has done beside the commits: bodies that nobody needs go, and the schedule is written down now and then.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;

use crate::{Settings, Storage, body::body_name, checkpoint, index::Index, pool::Pool, read::Reader};

pub(crate) struct Errands {
    storage: Weak<dyn Storage>,
    reader: Reader,
    pool: Pool,
    /// A checkpoint is being written.
    writing: Arc<AtomicBool>,
    /// Segments begun when the last one was.
    written_at: u64,
    /// Segments begun at the last look.
    seen: u64,
    from: usize,
    every: u64,
}

impl Errands {
    pub(crate) fn new(
        storage: &Arc<dyn Storage>,
        index: Arc<Mutex<Index>>,
        settings: &Settings,
        pool: Pool,
    ) -> Self {
        Self {
            storage: Arc::downgrade(storage),
            reader: Reader::new(index, storage),
            pool,
            writing: Arc::default(),
            written_at: 0,
            // The first look finds something new in any case.
            seen: u64::MAX,
            from: settings.checkpoint_from,
            every: settings.checkpoint_segments.max(1),
        }
    }

    /// The end of the message is durable, or it never was one.
    pub(crate) fn remove_body(&self, id: u64) {
        let storage = self.storage.clone();
        self.pool.run(move || {
            if let Some(storage) = storage.upgrade() {
                // What is still there at the next start goes then.
                let _ = storage.remove(&body_name(id));
            }
        });
    }

    /// Begins a checkpoint if it is time; whether a segment was begun since the last look.
    pub(crate) fn look(&mut self, begun: u64) -> bool {
        if std::mem::replace(&mut self.seen, begun) == begun {
            return false;
        }
        self.checkpoint(begun);
        true
    }

    fn checkpoint(&mut self, begun: u64) {
        if begun < self.written_at + self.every
            || self.reader.len() < self.from
            || self.writing.swap(true, Ordering::AcqRel)
        {
            return;
        }
        self.written_at = begun;
        let (storage, reader, writing) =
            (self.storage.clone(), self.reader.clone(), Arc::clone(&self.writing));
        self.pool.run(move || {
            write(&storage, &reader);
            writing.store(false, Ordering::Release);
        });
    }

    /// The last one, so that the next start is quick.
    pub(crate) fn close(&self, begun: u64) {
        if begun > 0 && self.reader.len() >= self.from && !self.writing.load(Ordering::Acquire) {
            write(&self.storage, &self.reader);
        }
    }
}

fn write(storage: &Weak<dyn Storage>, reader: &Reader) {
    let Some(storage) = storage.upgrade() else { return };
    match checkpoint::write(&*storage, reader) {
        Ok(messages) => tracing::debug!(messages, "checkpoint written"),
        // The log has it all: a start takes longer.
        Err(error) => tracing::warn!(%error, "no checkpoint"),
    }
}
