//! Records back from disk.

use std::{
    io,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use parking_lot::Mutex;
use waxseal_types::{Envelope, QueueId};

use crate::{
    Error, Progress, RecipientResult, Recovered, Storage, Stored,
    body::{self, Body, Sealed},
    codec::{self, Flaw, Mark},
    format::{Kind, RECORD_HEADER, RecordHeader, u32_at},
    index::{Entry, Index, Place, Source},
    pool::Pool,
    stream::{BodyReader, Streamed},
};

/// What is read at once where the length of a mark is not known: most are shorter.
const MARK_GUESS: usize = 1024;
/// The same for an envelope: with this, one read is enough for a listing of all but those with many recipients or long names.
const META_GUESS: usize = 512;

/// Splits the meta part of a record into its mark and its envelope.
pub(crate) fn split_meta(kind: Kind, meta: &[u8]) -> Result<(&[u8], &[u8]), Flaw> {
    match kind {
        Kind::Put => Ok((&[], meta)),
        Kind::Update | Kind::Done | Kind::Cancel => Ok((meta, &[])),
        Kind::PutUpdate | Kind::PutDone => {
            let rest = meta.get(4..).ok_or("cut off")?;
            rest.split_at_checked(u32_at(meta, 0) as usize).ok_or("cut off")
        }
    }
}

fn io_error(source: &Source, error: io::Error) -> Error {
    Error::Io { doing: "read", name: source.name.to_string(), source: Arc::new(error) }
}

fn corrupt(id: u64, source: &Source, place: Place, what: Flaw) -> Error {
    let id = QueueId::from_u64(id);
    Error::Corrupt { id, segment: source.name.to_string(), offset: place.offset(), what }
}

fn read_exactly(source: &Source, place: Place, length: usize) -> Result<Vec<u8>, Error> {
    let mut octets = vec![0; length];
    let file = &source.file;
    let got = if source.cached {
        file.read_cached(&mut octets, place.offset())
    } else {
        file.read_at(&mut octets, place.offset())
    };
    let got = got.map_err(|e| io_error(source, e))?;
    octets.truncate(got);
    Ok(octets)
}

/// A PUT: kind, meta and, if `whole`, body; all checksums hold.
pub(crate) struct RawPut {
    pub(crate) kind: Kind,
    octets: Bytes,
    header: RecordHeader,
}

impl RawPut {
    pub(crate) fn read(id: u64, entry: &Entry, source: &Source, whole: bool) -> Result<Self, Error> {
        let flaw = |what| corrupt(id, source, entry.put, what);
        let size = usize::try_from(entry.bytes()).unwrap_or(usize::MAX);
        let guess = if whole { size } else { size.min(RECORD_HEADER + META_GUESS) };
        let mut octets = read_exactly(source, entry.put, guess)?;
        let header = RecordHeader::parse(&octets, source.seed, entry.put.offset())
            .ok_or_else(|| flaw("its header's checksum"))?;
        if header.id != id || header.total() != entry.bytes() || !header.kind.is_put() {
            return Err(flaw("its header is another's"));
        }
        let meta_end = RECORD_HEADER + header.meta as usize;
        let body = if header.is_external() { 0 } else { header.body as usize };
        if octets.len() < meta_end && guess < meta_end {
            octets = read_exactly(source, entry.put, meta_end)?;
        }
        let meta = octets.get(RECORD_HEADER..meta_end).ok_or_else(|| flaw("the file ends in it"))?;
        if crc32c::crc32c(meta) != header.crc_meta {
            return Err(flaw("its envelope's checksum"));
        }
        octets.truncate(if whole { meta_end + body } else { meta_end });
        let holds =
            || octets.len() == meta_end + body && crc32c::crc32c(&octets[meta_end..]) == header.crc_body;
        if whole && !header.is_external() && !holds() {
            return Err(flaw("its text's checksum"));
        }
        Ok(Self { kind: header.kind, octets: octets.into(), header })
    }

    pub(crate) fn body(&self) -> Bytes {
        self.octets.slice(RECORD_HEADER + self.header.meta as usize..)
    }

    /// For a body in a file of its own.
    pub(crate) fn sealed(&self) -> Option<Sealed> {
        let Self { header: RecordHeader { body, crc_body, .. }, .. } = self;
        self.header.is_external().then_some(Sealed { length: u64::from(*body), crc_table: *crc_body })
    }

    pub(crate) const fn header(&self) -> &RecordHeader {
        &self.header
    }

    /// The envelope's octets.
    pub(crate) fn envelope(&self) -> Result<Bytes, Flaw> {
        let meta = self.octets.slice(RECORD_HEADER..RECORD_HEADER + self.header.meta as usize);
        let (_, envelope) = split_meta(self.kind, &meta)?;
        Ok(meta.slice(meta.len() - envelope.len()..))
    }

    fn decode(&self, id: u64) -> Result<Envelope, Flaw> {
        codec::decode_envelope(id, &self.envelope()?)
    }
}

/// The mark at a place, if one about `id` is there.
fn read_mark(id: u64, place: Place, source: &Source) -> Result<Option<Mark>, Error> {
    let mut octets = read_exactly(source, place, RECORD_HEADER + MARK_GUESS)?;
    let Some(header) = RecordHeader::parse(&octets, source.seed, place.offset()) else { return Ok(None) };
    let end = RECORD_HEADER + header.meta as usize;
    if octets.len() < end {
        octets = read_exactly(source, place, end)?;
    }
    let meta = octets.get(RECORD_HEADER..end).filter(|meta| crc32c::crc32c(meta) == header.crc_meta);
    let mark = meta.and_then(|meta| split_meta(header.kind, meta).ok());
    Ok(mark.and_then(|(mark, _)| codec::decode_mark(mark).ok()).filter(|mark| mark.id == id))
}

/// What is known of each recipient. A damaged mark ends the chain: what is older than it is lost, and those recipients are tried again.
pub(crate) fn read_states(id: u64, entry: &Entry, source: Option<&Source>) -> Result<Vec<Progress>, Error> {
    let mut results = Vec::new();
    let mut place = entry.mark;
    while let Some(source) = source.filter(|_| place.exists()) {
        let Some(mark) = read_mark(id, place, source)? else {
            tracing::error!(segment = %source.name, offset = place.offset(), id = %QueueId::from_u64(id), "damaged mark");
            break;
        };
        results.extend(mark.results);
        // Chains lead back: an offset that does not is no offset.
        match mark.previous {
            Some(unit) if unit < place.unit => place.unit = unit,
            Some(_) | None => break,
        }
    }
    Ok(as_states(results, entry.recipients()))
}

/// One for each recipient; the first of several results is the latest.
pub(crate) fn as_states(results: Vec<RecipientResult>, recipients: u32) -> Vec<Progress> {
    let mut states: Vec<Option<Progress>> = vec![None; recipients as usize];
    for result in results {
        if let Some(state @ None) = states.get_mut(result.index as usize) {
            *state = Some(result.progress);
        }
    }
    states.into_iter().map(|state| state.unwrap_or(Progress::NEW)).collect()
}

/// Reads beside the log's thread.
#[derive(Clone)]
pub(crate) struct Reader {
    index: Arc<Mutex<Index>>,
    storage: Weak<dyn Storage>,
    /// Reads what is in memory, and says so where that is not enough: see [`must_wait`].
    cached: bool,
}

/// Whether an answer is only that the disk has to be waited for.
pub(crate) fn must_wait(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::WouldBlock)
}

impl Reader {
    pub(crate) fn new(index: Arc<Mutex<Index>>, storage: &Arc<dyn Storage>) -> Self {
        Self { index, storage: Arc::downgrade(storage), cached: false }
    }

    /// One that does not wait for the disk.
    pub(crate) fn cached(&self) -> Self {
        Self { cached: true, ..self.clone() }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.lock().len()
    }

    pub(crate) fn next_after(&self, id: u64) -> Option<(u64, Entry)> {
        self.index.lock().next_after(id)
    }

    fn locate(&self, id: u64) -> Result<(Entry, Source, Option<Source>), Error> {
        let index = self.index.lock();
        let unknown = || Error::Unknown(QueueId::from_u64(id));
        let find = |segment| {
            let source = index.source(segment)?;
            Some(Source { cached: self.cached, ..source })
        };
        let entry = index.find(id).ok_or_else(unknown)?;
        let put = find(entry.put.segment).ok_or_else(unknown)?;
        Ok((entry, put, find(entry.mark.segment)))
    }

    /// Reads a message. Its segment may be gone and written over meanwhile, then it is elsewhere: what was read counts if it has not moved.
    fn settled(&self, id: u64, whole: bool) -> Result<(Entry, RawPut, Recovered), Error> {
        loop {
            let (entry, source, marks) = self.locate(id)?;
            let read = RawPut::read(id, &entry, &source, whole).and_then(|raw| {
                let envelope = raw.decode(id).map_err(|what| corrupt(id, &source, entry.put, what))?;
                let states = read_states(id, &entry, marks.as_ref())?;
                Ok((entry, raw, Recovered { envelope, states }))
            });
            let now = self.index.lock().find(id);
            match now {
                None => return Err(Error::Unknown(QueueId::from_u64(id))),
                Some(now) if now != entry => {}
                Some(_) => return read.inspect_err(|error| self.note(error, entry.put.segment)),
            }
        }
    }

    /// A segment with damage is kept.
    fn note(&self, error: &Error, segment: u32) {
        if matches!(error, Error::Corrupt { .. }) {
            tracing::error!(%error, "damage in the spool");
            if let Some(segment) = self.index.lock().segments.get_mut(&segment) {
                segment.damaged = true;
            }
        }
    }

    pub(crate) fn stored(&self, id: u64) -> Result<Stored, Error> {
        let (entry, raw, Recovered { envelope, states }) = self.settled(id, true)?;
        let body = match raw.sealed() {
            None => raw.body(),
            Some(sealed) => {
                let whole = self.open(id, sealed).and_then(|body| body.whole());
                whole.inspect_err(|error| self.note(error, entry.put.segment))?
            }
        };
        Ok(Stored { envelope, states, body })
    }

    /// With the body to be read piece by piece.
    pub(crate) fn streamed(&self, id: u64, pool: &Pool) -> Result<Streamed, Error> {
        let (entry, raw, Recovered { envelope, states }) = self.settled(id, true)?;
        let body = match raw.sealed() {
            None => BodyReader::memory(raw.body()),
            Some(sealed) => {
                let body = self.open(id, sealed).inspect_err(|error| self.note(error, entry.put.segment))?;
                BodyReader::file(body, pool.clone())
            }
        };
        Ok(Streamed { envelope, states, body })
    }

    /// The body of a message that has it in a file of its own.
    pub(crate) fn body(&self, id: u64) -> Result<Body, Error> {
        let (_, raw, _) = self.settled(id, true)?;
        let sealed = raw.sealed().ok_or_else(|| Error::Unknown(QueueId::from_u64(id)))?;
        self.open(id, sealed)
    }

    fn open(&self, id: u64, sealed: Sealed) -> Result<Body, Error> {
        if self.cached {
            // Opening a file may wait.
            return Err(body::failed("open", id)(io::ErrorKind::WouldBlock.into()));
        }
        Body::open(&*self.storage.upgrade().ok_or(Error::Closed)?, id, sealed)
    }

    /// What the schedule needs, and where it was.
    pub(crate) fn recovered_at(&self, id: u64) -> Result<(Entry, Recovered), Error> {
        self.settled(id, false).map(|(entry, _, recovered)| (entry, recovered))
    }

    pub(crate) fn recovered(&self, id: u64) -> Result<Recovered, Error> {
        self.recovered_at(id).map(|(_, recovered)| recovered)
    }
}
