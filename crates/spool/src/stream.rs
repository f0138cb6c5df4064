//! Messages that need not fit into memory: their text goes in and comes out piece by piece.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Instant,
};

use bytes::Bytes;
use parking_lot::Mutex;
use waxseal_types::{Envelope, QueueId};

use crate::{
    Error, Gate, Pending, Progress, Storage,
    body::{Body, Sink, body_name, failed},
    committer::Inbox,
    pool::{Pool, Promise},
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
    shared: Arc<Mutex<State>>,
    put: bool,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Bytes>,
    sink: Option<Sink>,
    /// There is a file, and it is ours.
    created: bool,
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
        let storage = backing.storage.upgrade().ok_or(Error::Closed)?;
        storage.sync_dir().map_err(failed("sync the folder of", id))?;
        Ok(Prepared::external(envelope, sealed))
    }
}

impl BodyWriter {
    pub(crate) fn new(id: QueueId, backing: Backing) -> Self {
        Self { id: id.as_u64(), backing, shared: Arc::default(), put: false }
    }

    /// Writes the next piece. To wait for it before the next one bounds the memory; the order is kept in any case.
    pub fn write(&mut self, octets: Bytes) -> Pending<()> {
        self.shared.lock().waiting.push_back(octets);
        let (id, shared, backing) = (self.id, Arc::clone(&self.shared), self.backing.clone());
        self.backing.pool.ask(move || shared.lock().drain(id, &backing))
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
            let mut state = shared.lock();
            let prepared = state.finish(&envelope, &backing);
            let created = state.created;
            drop(state);
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
            let mut state = shared.lock();
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

/// The text of a message. Each piece is checked before it is handed out.
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

    /// The next piece, of 256 KiB at most where the text is in a file of its own; `None` at the end.
    pub fn next_piece(&mut self) -> Pending<Option<Bytes>> {
        match &mut self.source {
            Source::Memory(body) => Box::pin(std::future::ready(Ok(body.take()))),
            Source::File { body, next, pool } => {
                let (body, number) = (Arc::clone(body), *next);
                *next += 1;
                pool.ask(move || body.chunk(number))
            }
        }
    }
}

impl std::fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BodyReader({} octets)", self.length)
    }
}
