//! Records back from disk.

use std::{io, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use waxseal_types::{Envelope, QueueId};

use crate::{
    Error, Progress, Recovered, Stored,
    codec::{self, Flaw, Mark},
    format::{Kind, RECORD_HEADER, RecordHeader, u32_at},
    index::{Entry, Index, Place, Source},
};

/// What is read at once where the length of a mark is not known: most are shorter.
const MARK_GUESS: usize = 1024;
/// The same for an envelope.
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
    let got = source.file.read_at(&mut octets, place.offset()).map_err(|e| io_error(source, e))?;
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
        if octets.len() < meta_end && guess < meta_end {
            octets = read_exactly(source, entry.put, meta_end)?;
        }
        let meta = octets.get(RECORD_HEADER..meta_end).ok_or_else(|| flaw("the file ends in it"))?;
        if crc32c::crc32c(meta) != header.crc_meta {
            return Err(flaw("its envelope's checksum"));
        }
        octets.truncate(if whole { meta_end + header.body as usize } else { meta_end });
        if whole
            && (octets.len() - meta_end != header.body as usize
                || crc32c::crc32c(&octets[meta_end..]) != header.crc_body)
        {
            return Err(flaw("its text's checksum"));
        }
        Ok(Self { kind: header.kind, octets: octets.into(), header })
    }

    pub(crate) fn body(&self) -> Bytes {
        self.octets.slice(RECORD_HEADER + self.header.meta as usize..)
    }

    pub(crate) const fn crc_body(&self) -> u32 {
        self.header.crc_body
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
    let mut states: Vec<Option<Progress>> = vec![None; entry.recipients as usize];
    let mut place = entry.mark;
    while let Some(source) = source.filter(|_| place.exists()) {
        let Some(mark) = read_mark(id, place, source)? else {
            tracing::error!(segment = %source.name, offset = place.offset(), id = %QueueId::from_u64(id), "damaged mark");
            break;
        };
        for result in mark.results {
            if let Some(state @ None) = states.get_mut(result.index as usize) {
                *state = Some(result.progress);
            }
        }
        // Chains lead back: an offset that does not is no offset.
        match mark.previous {
            Some(unit) if unit < place.unit => place.unit = unit,
            Some(_) | None => break,
        }
    }
    Ok(states.into_iter().map(|state| state.unwrap_or(Progress::NEW)).collect())
}

/// Reads beside the log's thread.
#[derive(Clone)]
pub(crate) struct Reader(pub(crate) Arc<Mutex<Index>>);

impl Reader {
    fn locate(&self, id: u64) -> Result<(Entry, Source, Option<Source>), Error> {
        let index = self.0.lock();
        let unknown = || Error::Unknown(QueueId::from_u64(id));
        let entry = index.find(id).ok_or_else(unknown)?;
        let put = index.source(entry.put.segment).ok_or_else(unknown)?;
        Ok((entry, put, index.source(entry.mark.segment)))
    }

    /// Reads a message. Its segment may be gone and written over meanwhile, then it is elsewhere: what was read counts if it has not moved.
    fn settled(&self, id: u64, whole: bool) -> Result<(RawPut, Envelope, Vec<Progress>), Error> {
        loop {
            let (entry, source, marks) = self.locate(id)?;
            let read = RawPut::read(id, &entry, &source, whole).and_then(|raw| {
                let envelope = raw.decode(id).map_err(|what| corrupt(id, &source, entry.put, what))?;
                Ok((raw, envelope, read_states(id, &entry, marks.as_ref())?))
            });
            let mut index = self.0.lock();
            match index.find(id) {
                None => return Err(Error::Unknown(QueueId::from_u64(id))),
                Some(now) if now != entry => {}
                Some(_) => {
                    if let (Err(error @ Error::Corrupt { .. }), Some(segment)) =
                        (&read, index.segments.get_mut(&entry.put.segment))
                    {
                        tracing::error!(%error, "damage in the spool");
                        segment.damaged = true;
                    }
                    return read;
                }
            }
        }
    }

    pub(crate) fn stored(&self, id: u64) -> Result<Stored, Error> {
        let (raw, envelope, states) = self.settled(id, true)?;
        Ok(Stored { envelope, states, body: raw.body() })
    }

    pub(crate) fn recovered(&self, id: u64) -> Result<Recovered, Error> {
        let (_, envelope, states) = self.settled(id, false)?;
        Ok(Recovered { envelope, states })
    }
}
