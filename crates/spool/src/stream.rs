//! Messages that need not fit into memory: their text goes in and comes out piece by piece.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Instant,
};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use waxseal_types::{Envelope, QueueId};

use crate::{
    Error, Gate, Pending, Progress, Storage,
    body::{Body, Sink, body_name, failed},
    committer::Inbox,
    pool::{Pool, Promise},
    read::must_wait,
    request::{Prepared, Request, Work},
};

/// What a writer needs of its log; does not keep it open.
#[derive(Clone)]
pub(crate) struct Backing {
    pub(crate) storage: Weak<dyn Storage>,
    pub(crate) inbox: Weak<Inbox>,
    pub(crate) pool: Pool,
    pub(crate) gate: Gate,
    pub(crate) limit: u64,
}

/// Takes a body of any size into a file of its own. Dropped before [`BodyWriter::put`], it leaves nothing behind.
pub struct BodyWriter {
    id: u64,
    backing: Backing,
    shared: Arc<Shared>,
    put: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Wakes who waits for the name to be durable.
    named: Condvar,
}

/// Whether the name of the file is durable.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Naming {
    #[default]
    Not,
    UnderWay,
    Done,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Bytes>,
    sink: Option<Sink>,
    /// There is a file, and it is ours.
    created: bool,
    naming: Naming,
    broken: Option<Error>,
}

impl State {
    /// Writes what waits, in the order in which it came.
    fn drain(&mut self, id: u64, backing: &Backing) -> Result<(), Error> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let result = self.write(id, backing);
        if let Err(error) = &result {
            self.broken = Some(error.clone());
            self.waiting.clear();
        }
        result
    }

    fn write(&mut self, id: u64, backing: &Backing) -> Result<(), Error> {
        if self.created && self.waiting.is_empty() {
            return Ok(());
        }
        // Room for marks is left: large bodies stop where small ones do.
        if backing.gate.is_full() {
            return Err(Error::Full);
        }
        let mut sink = match self.sink.take() {
            Some(sink) => sink,
            None => Sink::create(&*backing.storage.upgrade().ok_or(Error::Closed)?, id)?,
        };
        self.created = true;
        while let Some(octets) = self.waiting.pop_front() {
            let size = sink.length() + octets.len() as u64;
            if size > backing.limit {
                return Err(Error::TooLarge { size, limit: backing.limit });
            }
            sink.write(&octets)?;
        }
        self.sink = Some(sink);
        Ok(())
    }

    fn finish(&mut self, envelope: &Envelope, backing: &Backing) -> Result<Prepared, Error> {
        let id = envelope.id.as_u64();
        self.drain(id, backing)?;
        let sealed = self.sink.take().ok_or(Error::Closed)?.finish()?;
        if self.naming == Naming::Not {
            sync_name(id, &backing.storage)?;
        }
        Ok(Prepared::external(envelope, sealed))
    }
}

fn sync_name(id: u64, storage: &Weak<dyn Storage>) -> Result<(), Error> {
    let storage = storage.upgrade().ok_or(Error::Closed)?;
    storage.sync_dir().map_err(failed("sync the folder of", id))
}

impl Shared {
    /// Writes what waits. The name of a new file is made durable behind that, while more of the text is coming, so that nobody waits for it at the end.
    fn write(&self, id: u64, backing: &Backing, promise: &Promise<()>) {
        let mut state = self.state.lock();
        let was_there = state.created;
        let drained = state.drain(id, backing);
        let is_new = drained.is_ok() && !was_there;
        if is_new {
            state.naming = Naming::UnderWay;
        }
        drop(state);
        promise.keep(drained);
        if is_new {
            let named = sync_name(id, &backing.storage);
            let mut state = self.state.lock();
            state.naming = Naming::Done;
            // A sync that failed is not tried again: the next one would succeed, and prove nothing.
            if let Err(error) = named {
                state.broken.get_or_insert(error);
            }
            self.named.notify_all();
        }
    }

    fn finish(&self, envelope: &Envelope, backing: &Backing) -> (Result<Prepared, Error>, bool) {
        let mut state = self.state.lock();
        self.named.wait_while(&mut state, |state| state.naming == Naming::UnderWay);
        (state.finish(envelope, backing), state.created)
    }
}

impl BodyWriter {
    pub(crate) fn new(id: QueueId, backing: Backing) -> Self {
        Self { id: id.as_u64(), backing, shared: Arc::default(), put: false }
    }

    /// Writes the next piece. To wait for it before the next one bounds the memory; the order is kept in any case.
    pub fn write(&mut self, octets: Bytes) -> Pending<()> {
        self.shared.state.lock().waiting.push_back(octets);
        let (id, shared, backing) = (self.id, Arc::clone(&self.shared), self.backing.clone());
        let (promise, answer) = Promise::new();
        self.backing.pool.run(move || shared.write(id, &backing, &promise));
        Box::pin(answer)
    }

    /// Ends the text and puts the message into the spool, as [`crate::Spool::put`] does. The envelope's id is the one that the writer was made with.
    pub fn put(mut self, envelope: Envelope) -> Pending<()> {
        if envelope.id.as_u64() != self.id {
            return Box::pin(std::future::ready(Err(Error::Unknown(envelope.id))));
        }
        self.put = true;
        let (promise, answer) = Promise::new();
        let since = Instant::now();
        let (id, shared, backing) = (self.id, Arc::clone(&self.shared), self.backing.clone());
        self.backing.pool.run(move || {
            let (prepared, created) = shared.finish(&envelope, &backing);
            match (prepared, backing.inbox.upgrade()) {
                (Ok(prepared), Some(inbox)) => {
                    inbox.push(Request::new(Work::Put(prepared), Some(promise.hand_on()), since));
                }
                // The log closed when its last handle went: nobody commits any more.
                (Ok(_), None) => remove(id, &backing.storage),
                (Err(error), _) => {
                    if created {
                        remove(id, &backing.storage);
                    }
                    promise.keep(Err(error));
                }
            }
        });
        Box::pin(answer)
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        if self.put {
            return;
        }
        let (id, shared, storage) = (self.id, Arc::clone(&self.shared), self.backing.storage.clone());
        self.backing.pool.run(move || {
            let mut state = shared.state.lock();
            state.broken = Some(Error::Closed);
            if state.created {
                remove(id, &storage);
            }
        });
    }
}

impl std::fmt::Debug for BodyWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BodyWriter({})", QueueId::from_u64(self.id))
    }
}

/// What is not removed now goes at the next start.
fn remove(id: u64, storage: &Weak<dyn Storage>) {
    if let Some(storage) = storage.upgrade() {
        let _ = storage.remove(&body_name(id));
    }
}

/// A message as it is in the spool, its text to be read piece by piece.
#[derive(Debug)]
pub struct Streamed {
    /// Its envelope.
    pub envelope: Envelope,
    /// One for each recipient, in the envelope's order.
    pub states: Vec<Progress>,
    /// Its text.
    pub body: BodyReader,
}

/// The text of a message. Each piece is checked before it is handed out. A clone goes on where this is.
#[derive(Clone)]
pub struct BodyReader {
    length: u64,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Memory(Option<Bytes>),
    File { body: Arc<Body>, next: u64, pool: Pool },
}

impl BodyReader {
    pub(crate) const fn memory(body: Bytes) -> Self {
        Self { length: body.len() as u64, source: Source::Memory(Some(body)) }
    }

    pub(crate) fn file(body: Body, pool: Pool) -> Self {
        Self { length: body.length(), source: Source::File { body: Arc::new(body), next: 0, pool } }
    }

    /// Octets of the whole text.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The whole text, where it is in memory; `None` where it is to be read in pieces.
    #[must_use]
    pub fn at_hand(&self) -> Option<Bytes> {
        match &self.source {
            Source::Memory(body) => body.clone(),
            Source::File { .. } => None,
        }
    }

    /// The next piece, of 256 KiB at most where the text is in a file of its own; `None` at the end.
    pub fn next_piece(&mut self) -> Pending<Option<Bytes>> {
        match &mut self.source {
            Source::Memory(body) => Box::pin(std::future::ready(Ok(body.take()))),
            Source::File { body, next, pool } => {
                let number = *next;
                *next += 1;
                match body.chunk_at_hand(number) {
                    Err(error) if must_wait(&error) => {
                        let body = Arc::clone(body);
                        pool.ask(move || body.chunk(number))
                    }
                    piece => Box::pin(std::future::ready(piece)),
                }
            }
        }
    }
}

impl std::fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BodyReader({} octets)", self.length)
    }
}
