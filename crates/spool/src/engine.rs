//! What the log's thread does, step by step and without a thread: a batch of requests becomes a group, the group is written and synced, and only then is
//! anyone answered.

use std::{sync::Arc, time::Instant};

use parking_lot::Mutex;

use crate::{
    Error, Gate, Settings, Storage,
    build::{Build, Effect},
    errands::Errands,
    index::Index,
    metrics::Counters,
    pool::Pool,
    recover::Found,
    request::{Prepared, Request, Work},
    reserve::Reserve,
    writer::{Failure, Writer},
};

/// How much is copied forward beside one batch: a few milliseconds of writing.
const COPY_BYTES: u64 = 1 << 20;

pub(crate) struct Engine {
    pub(crate) writer: Writer,
    pub(crate) index: Arc<Mutex<Index>>,
    pub(crate) counters: Arc<Counters>,
    gate: Gate,
    reserve: Reserve,
    pub(crate) segment_size: u64,
    /// Messages to be cancelled, each with the segments that may hold it.
    cancels: Vec<(u64, Vec<u32>)>,
    /// Marks that build on what could not be read just now.
    postponed: Vec<Request>,
    pub(crate) reclaim_due: bool,
    /// A segment and the messages that are still to be copied out of it.
    pub(crate) copying: Option<(u32, Vec<u64>)>,
    pub(crate) errands: Errands,
}

impl Engine {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        settings: &Settings,
        found: &mut Found,
        gate: Gate,
        pool: Pool,
    ) -> Self {
        let counters: Arc<Counters> = Arc::default();
        let index: Arc<Mutex<Index>> = Arc::default();
        let next = (found.next_number, found.last_sequence);
        let errands = Errands::new(&storage, Arc::clone(&index), settings, pool);
        let (shared, size) = ((Arc::clone(&index), Arc::clone(&counters)), settings.segment_size);
        let mut writer = Writer::new(storage, shared.0, shared.1, size, next);
        writer.spares.adopt(std::mem::take(&mut found.spares), &*Arc::clone(&writer.storage));
        Self {
            writer,
            index,
            counters,
            gate,
            reserve: Reserve::new(settings.reserve),
            segment_size: size,
            cancels: Vec::new(),
            postponed: Vec::new(),
            reclaim_due: true,
            copying: None,
            errands,
        }
    }

    /// Makes a batch durable and answers its requests. What could be made neither durable nor be refused comes back, to be tried again: marks are
    /// never given up, since what they tell has happened.
    pub(crate) fn commit(&mut self, batch: Vec<Request>) -> Vec<Request> {
        let mut rest = self.try_commit(batch);
        rest.append(&mut self.postponed);
        rest
    }

    fn try_commit(&mut self, mut batch: Vec<Request>) -> Vec<Request> {
        self.refuse_beyond_space(&batch);
        self.add_own(&mut batch);
        for attempt in 0..3 {
            let Err(failure) = self.write(&mut batch) else { return Vec::new() };
            self.counters.failures.add(1);
            tracing::error!(error = %failure.error, attempt, "spool commit failed");
            if failure.full {
                self.gate.set_full(true);
                batch = self.give_up(batch, &Error::Full);
                self.reserve.release(&*self.writer.storage);
            } else if attempt > 0 {
                batch = self.give_up(batch, &failure.error);
                break;
            }
        }
        self.give_up(batch, &Error::Full)
    }

    /// Work of our own that rides along.
    fn add_own(&mut self, batch: &mut Vec<Request>) {
        let now = Instant::now();
        let cancel = |(id, segments)| Request::new(Work::Cancel { id, segments }, None, now);
        batch.extend(std::mem::take(&mut self.cancels).into_iter().map(cancel));
        let Some((from, ids)) = &mut self.copying else { return };
        let mut bytes = 0;
        while let Some(id) = ids.pop() {
            batch.push(Request::new(Work::Copy { id, from: *from }, None, now));
            bytes += self.index.lock().find(id).map_or(0, |entry| entry.bytes());
            if bytes >= COPY_BYTES {
                return;
            }
        }
        self.copying = None;
        self.reclaim_due = true;
    }

    /// Whether there is work that nobody asked for.
    pub(crate) const fn has_own_work(&self) -> bool {
        !self.cancels.is_empty() || self.copying.is_some()
    }

    /// Refuses messages that would not leave room for marks.
    fn refuse_beyond_space(&mut self, batch: &[Request]) {
        let puts = || batch.iter().filter(|request| request.is_put());
        let need = puts().filter_map(Request::brings).map(Prepared::size).sum();
        if need == 0 {
            return;
        }
        let room = self.reserve.admit(need, self.writer.room(), &*self.writer.storage);
        self.gate.set_full(!room);
        if !room {
            puts().filter_map(|put| put.ticket.as_ref()).for_each(|ticket| {
                ticket.settle(Err(Error::Full));
            });
        }
    }

    /// Opens the gate again when there is room.
    pub(crate) fn look_for_space(&self) {
        if self.gate.is_full() && self.reserve.has_recovered(self.writer.room(), &*self.writer.storage) {
            self.gate.set_full(false);
        }
    }

    /// Answers the messages of a batch with an error, and remembers to cancel what may have been written of them.
    fn give_up(&mut self, batch: Vec<Request>, error: &Error) -> Vec<Request> {
        let mut rest = Vec::new();
        for request in batch {
            match request.work {
                Work::Put(put) => {
                    if let Some(ticket) = request.ticket {
                        ticket.settle(Err(error.clone()));
                    }
                    self.cancel(put.id, request.tainted, put.external.is_some());
                }
                // The message is where it was, and perhaps elsewhere, too.
                Work::Copy { id, .. } => self.index.lock().haunt(id, request.tainted),
                Work::Cancel { id, segments } => self.cancels.push((id, segments)),
                Work::Update { .. } | Work::Done { .. } => rest.push(request),
            }
        }
        rest
    }

    fn cancel(&mut self, id: u64, segments: Vec<u32>, external: bool) {
        if !segments.is_empty() {
            self.cancels.push((id, segments));
        } else if external {
            self.errands.remove_body(id);
        }
    }

    fn write(&mut self, batch: &mut Vec<Request>) -> Result<(), Failure> {
        self.drop_settled(batch);
        if batch.is_empty() {
            return Ok(());
        }
        let need: u64 = batch.iter().filter_map(Request::brings).map(Prepared::size).sum();
        let (number, group) = self.writer.begin(need, self.gate.last_id())?;
        let mut build = Build::new(Arc::clone(&self.index), number, group);
        let mut kept = Vec::with_capacity(batch.len());
        for request in batch.drain(..) {
            // What is told of a message keeps its order.
            if request.is_mark() && self.postponed.iter().any(|r| r.subject() == request.subject()) {
                self.postponed.push(request);
                continue;
            }
            match build.add(&request) {
                Ok(()) => kept.push(request),
                Err(Error::Io { .. }) if request.is_mark() => {
                    self.postponed.push(Request { tries: request.tries + 1, ..request });
                }
                Err(error) => self.refuse(request, error),
            }
        }
        *batch = kept;
        let (group, items, effects) = build.finish();
        if !group.is_empty()
            && let Err(failure) = self.writer.make_durable(group, items)
        {
            let puts = batch.iter_mut().filter(|request| request.put_id().is_some());
            puts.for_each(|request| request.tainted.push(number));
            return Err(failure);
        }
        self.apply(effects, number);
        self.answer(std::mem::take(batch), number);
        Ok(())
    }

    /// A request that makes no sense.
    fn refuse(&mut self, request: Request, error: Error) {
        if request.is_mark() {
            self.counters.unsynced_marks.sub(1);
        }
        // A message that is there already keeps its text.
        let twice = matches!(error, Error::Duplicate(_));
        if let Some(ticket) = &request.ticket {
            ticket.settle(Err(error));
        }
        if let (Work::Put(put), false) = (&request.work, twice) {
            self.cancel(put.id, request.tainted, put.external.is_some());
        }
    }

    /// Leaves out what was answered while it waited.
    fn drop_settled(&mut self, batch: &mut Vec<Request>) {
        let settled: Vec<_> = batch.extract_if(.., |request| request.is_settled()).collect();
        for request in settled {
            if let Some((id, external)) = request.brings().map(|put| (put.id, put.external.is_some())) {
                self.cancel(id, request.tainted, external);
            }
        }
    }

    fn apply(&mut self, effects: Vec<Effect>, number: u32) {
        let mut index = self.index.lock();
        for effect in effects {
            match effect {
                Effect::Put { id, entry } => {
                    // One that came with its message, from another spool.
                    self.gate.saw(id);
                    index.put(id, entry);
                }
                Effect::Mark { id, place } => {
                    index.mark(id, place);
                }
                Effect::Finish { id } => {
                    if index.find(id).is_some_and(|entry| entry.is_external()) {
                        self.errands.remove_body(id);
                    }
                    index.finish(id, number);
                    self.reclaim_due = true;
                }
                Effect::Damaged { id, segment } => {
                    index.forget(id);
                    self.counters.damaged.add(1);
                    if let Some(segment) = index.segments.get_mut(&segment) {
                        segment.damaged = true;
                    }
                }
            }
        }
    }

    /// All of the batch is durable.
    fn answer(&mut self, batch: Vec<Request>, number: u32) {
        let mut index = self.index.lock();
        self.counters.live.set(index.len() as u64);
        for request in batch {
            if let Some(id) = request.put_id() {
                index.haunt(id, request.tainted.iter().copied());
            }
            match &request.work {
                Work::Put(_) => self.counters.puts.add(1),
                Work::Update { .. } | Work::Done { .. } => {
                    self.counters.marks.add(1);
                    self.counters.unsynced_marks.sub(1);
                }
                Work::Cancel { id, segments } => {
                    self.errands.remove_body(*id);
                    index.finish(*id, number);
                    index.ends(number, segments.iter().copied());
                }
                Work::Copy { .. } => self.counters.copied.add(1),
            }
            let heard = request.ticket.as_ref().is_none_or(|ticket| ticket.settle(Ok(())));
            if let (false, Work::Put(put)) = (heard, &request.work) {
                // The client was told 451 while this was under way.
                index.forget(put.id);
                let mut segments = request.tainted;
                segments.push(number);
                self.cancels.push((put.id, segments));
            }
        }
    }

    /// The orderly end.
    pub(crate) fn close(&mut self) {
        self.writer.close();
        if !self.is_loading() {
            self.errands.close(self.writer.begun);
        }
    }
}
