//! From requests to the records of one group, and to what they will mean for the index once they are durable.

use std::{collections::HashMap, io::ErrorKind, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use waxseal_types::QueueId;

use crate::{
    Error, Progress, RecipientResult,
    codec::{self, Mark},
    footer::Item,
    format::{EXTERNAL, Kind, segment_name},
    group::{Group, Parts},
    index::{Entry, Index, Place, units},
    read::{RawPut, read_states},
    request::{Prepared, Request, Work},
};

/// How often older results are tried to be read before newer ones are written without them.
const READ_TRIES: u8 = 3;

/// A change of the index that waits for its record to be durable.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effect {
    Put {
        id: u64,
        entry: Entry,
    },
    Mark {
        id: u64,
        place: Place,
    },
    Finish {
        id: u64,
    },
    /// A message that was found damaged on the way: no longer in the queue, its segment is kept.
    Damaged {
        id: u64,
        segment: u32,
    },
}

/// What earlier requests of the same group do to a message.
#[derive(Debug)]
enum Staged {
    Put,
    Marked(Marked),
    Finished,
}

#[derive(Debug)]
struct Marked {
    place: Place,
    /// Whether a notification about it is in this group.
    told: bool,
    /// What is told of it in this group so far.
    results: Vec<RecipientResult>,
}

pub(crate) struct Build {
    index: Arc<Mutex<Index>>,
    segment: u32,
    group: Group,
    effects: Vec<Effect>,
    items: Vec<Item>,
    staged: HashMap<u64, Staged>,
}

impl Build {
    pub(crate) fn new(index: Arc<Mutex<Index>>, segment: u32, group: Group) -> Self {
        Self { index, segment, group, effects: Vec::new(), items: Vec::new(), staged: HashMap::new() }
    }

    pub(crate) fn finish(self) -> (Group, Vec<Item>, Vec<Effect>) {
        (self.group, self.items, self.effects)
    }

    /// Adds the record of a request.
    ///
    /// # Errors
    /// The request makes no sense; nothing was added.
    pub(crate) fn add(&mut self, request: &Request) -> Result<(), Error> {
        match &request.work {
            Work::Put(put) => self.put(put),
            Work::Update { results, dsn, .. } => self.update(request, results, dsn.as_ref()),
            Work::Done { id, dsn } => self.done(*id, dsn.as_ref()),
            Work::Cancel { id, .. } => {
                self.record(Kind::Cancel, *id, &[]);
                Ok(())
            }
            Work::Copy { id, from } => self.copy(*id, *from),
        }
    }

    fn record(&mut self, kind: Kind, id: u64, meta: &[u8]) -> Place {
        let parts = Parts { kind, id, meta, crc_meta: None, body: Bytes::new(), crc_body: 0, external: None };
        let (place, size) = self.push(parts);
        let unit = place.unit;
        self.items.push(Item { kind, id, about: id, unit, size, recipients: 0, flags: 0 });
        place
    }

    /// Where it is, and its size.
    fn push(&mut self, parts: Parts<'_>) -> (Place, u32) {
        let (offset, size) = self.group.push(parts);
        (Place::new(self.segment, offset), units(size))
    }

    /// The message with the changes of this group so far, and where its results are.
    fn find(&self, id: u64) -> Result<(Entry, Place), Error> {
        let unknown = Error::Unknown(QueueId::from_u64(id));
        let entry = self.index.lock().find(id);
        match (self.staged.get(&id), entry) {
            (Some(Staged::Finished | Staged::Put), _) | (_, None) => Err(unknown),
            (Some(Staged::Marked(marked)), Some(entry)) => Ok((entry, marked.place)),
            (None, Some(entry)) => Ok((entry, entry.mark)),
        }
    }

    fn check_new(&self, id: u64) -> Result<(), Error> {
        let known = self.staged.contains_key(&id) || self.index.lock().find(id).is_some();
        if known { Err(Error::Duplicate(QueueId::from_u64(id))) } else { Ok(()) }
    }

    fn put(&mut self, put: &Prepared) -> Result<(), Error> {
        self.check_new(put.id)?;
        self.push_put(Kind::Put, put.id, put, &put.meta);
        Ok(())
    }

    /// A message, with a mark about `about`.
    fn push_put(&mut self, kind: Kind, about: u64, put: &Prepared, meta: &[u8]) -> Place {
        let body = put.body.clone();
        let crc_meta = (kind == Kind::Put).then_some(put.crc_meta);
        let (crc_body, external) = (put.crc_body, put.external);
        let parts = Parts { kind, id: put.id, meta, crc_meta, body, crc_body, external };
        let (place, size) = self.push(parts);
        let (id, recipients) = (put.id, put.recipients);
        let flags = if external.is_some() { EXTERNAL } else { 0 };
        self.items.push(Item { kind, id, about, unit: place.unit, size, recipients, flags });
        let entry = Entry::new(place, size, recipients, external.is_some());
        self.effects.push(Effect::Put { id, entry });
        self.staged.insert(id, Staged::Put);
        place
    }

    fn update(
        &mut self,
        request: &Request,
        results: &[RecipientResult],
        dsn: Option<&Prepared>,
    ) -> Result<(), Error> {
        let id = request.subject();
        let (entry, _) = self.find(id)?;
        self.check_untold(id)?;
        if let Some(dsn) = dsn {
            self.check_new(dsn.id)?;
        }
        let results = self.staged_results(id, results);
        let mark = match self.mark(id, &entry, &results) {
            // What has happened has to be told in the end, even if what happened before cannot be read.
            Err(error) if request.tries >= READ_TRIES => {
                tracing::error!(%error, id = %QueueId::from_u64(id), "older results are lost");
                Mark { id, previous: None, results: results.clone() }
            }
            mark => mark?,
        };
        let mark = codec::encode_mark(&mark);
        let place = match dsn {
            Some(dsn) => self.push_put(Kind::PutUpdate, id, dsn, &join(&mark, &dsn.meta)),
            None => self.record(Kind::Update, id, &mark),
        };
        self.effects.push(Effect::Mark { id, place });
        self.staged.insert(id, Staged::Marked(Marked { place, told: dsn.is_some(), results }));
        Ok(())
    }

    /// Of a torn group some records may be left: what takes a notification for granted, be it the end of the message or
    /// results that repeat what the sender knows, must not outlive it, and stands in the next group.
    fn check_untold(&self, id: u64) -> Result<(), Error> {
        if !matches!(self.staged.get(&id), Some(Staged::Marked(Marked { told: true, .. }))) {
            return Ok(());
        }
        let (name, source) = (segment_name(self.segment), Arc::new(ErrorKind::WouldBlock.into()));
        Err(Error::Io { doing: "wait for", name, source })
    }

    /// With those that this group has already: what hangs on a record of the same group would be lost where that is torn, and what is older with it.
    fn staged_results(&self, id: u64, newer: &[RecipientResult]) -> Vec<RecipientResult> {
        let mut results = match self.staged.get(&id) {
            Some(Staged::Marked(marked)) => marked.results.clone(),
            Some(Staged::Put | Staged::Finished) | None => Vec::new(),
        };
        replace(&mut results, newer);
        results
    }

    /// Results hang together within a segment only: the first ones in a new segment repeat what older segments say.
    fn mark(&self, id: u64, entry: &Entry, results: &[RecipientResult]) -> Result<Mark, Error> {
        let before = entry.mark;
        if before.segment == self.segment {
            return Ok(Mark { id, previous: Some(before.unit), results: results.to_vec() });
        }
        let all_told = results.len() >= entry.recipients() as usize;
        let results =
            if before.exists() && !all_told { self.merged(id, entry, results)? } else { results.to_vec() };
        Ok(Mark { id, previous: None, results })
    }

    fn merged(
        &self,
        id: u64,
        entry: &Entry,
        newer: &[RecipientResult],
    ) -> Result<Vec<RecipientResult>, Error> {
        let source = self.index.lock().source(entry.mark.segment);
        let mut results = told(read_states(id, entry, source.as_ref())?);
        replace(&mut results, newer);
        Ok(results)
    }

    fn done(&mut self, id: u64, dsn: Option<&Prepared>) -> Result<(), Error> {
        self.find(id)?;
        self.check_untold(id)?;
        match dsn {
            Some(dsn) => {
                self.check_new(dsn.id)?;
                let mark = codec::encode_mark(&Mark { id, previous: None, results: Vec::new() });
                self.push_put(Kind::PutDone, id, dsn, &join(&mark, &dsn.meta));
            }
            None => {
                self.record(Kind::Done, id, &[]);
            }
        }
        self.effects.push(Effect::Finish { id });
        self.staged.insert(id, Staged::Finished);
        Ok(())
    }

    /// Writes what the segment `from` has of a message again: the message with its results in one record, or the results alone.
    fn copy(&mut self, id: u64, from: u32) -> Result<(), Error> {
        let (entry, mark) = self.find(id)?;
        if self.staged.contains_key(&id) || (entry.put.segment != from && mark.segment != from) {
            // It is being marked in this very group, or has moved: looked at again when the segment's turn comes again.
            return Err(Error::Unknown(QueueId::from_u64(id)));
        }
        let results = self.merged(id, &entry, &[])?;
        let mark = codec::encode_mark(&Mark { id, previous: None, results });
        if entry.put.segment != from {
            let place = self.record(Kind::Update, id, &mark);
            self.effects.push(Effect::Mark { id, place });
            self.staged.insert(id, Staged::Marked(Marked { place, told: false, results: Vec::new() }));
            return Ok(());
        }
        let Some(put) = self.reread(id, &entry)? else { return Ok(()) };
        let place = self.push_put(Kind::PutUpdate, id, &put, &join(&mark, &put.meta));
        self.effects.push(Effect::Mark { id, place });
        self.staged.insert(id, Staged::Marked(Marked { place, told: false, results: Vec::new() }));
        Ok(())
    }

    fn reread(&mut self, id: u64, entry: &Entry) -> Result<Option<Prepared>, Error> {
        let source = self.index.lock().source(entry.put.segment);
        let source = source.ok_or_else(|| Error::Unknown(QueueId::from_u64(id)))?;
        let raw = RawPut::read(id, entry, &source, true).and_then(|raw| {
            let envelope = raw.envelope().map_err(|_| Error::Unknown(QueueId::from_u64(id)))?;
            Ok((raw, envelope))
        });
        match raw {
            Ok((raw, envelope)) => Ok(Some(Prepared {
                id,
                recipients: entry.recipients(),
                crc_meta: 0,
                meta: envelope.to_vec(),
                body: raw.body(),
                crc_body: raw.header().crc_body,
                external: raw.sealed().map(|_| raw.header().body),
            })),
            Err(error @ Error::Corrupt { .. }) => {
                tracing::error!(%error, "quarantined while copying forward");
                self.effects.push(Effect::Damaged { id, segment: entry.put.segment });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Newer results take the place of older ones.
fn replace(results: &mut Vec<RecipientResult>, newer: &[RecipientResult]) {
    for result in newer {
        results.retain(|old| old.index != result.index);
        results.push(result.clone());
    }
}

fn join(mark: &[u8], envelope: &[u8]) -> Vec<u8> {
    let mut meta = Vec::with_capacity(4 + mark.len() + envelope.len());
    meta.extend_from_slice(&(mark.len() as u32).to_le_bytes());
    meta.extend_from_slice(mark);
    meta.extend_from_slice(envelope);
    meta
}

/// The results that a mark has to tell.
pub(crate) fn told(states: Vec<Progress>) -> Vec<RecipientResult> {
    let told = states.into_iter().enumerate().filter(|(_, progress)| *progress != Progress::NEW);
    told.map(|(index, progress)| RecipientResult { index: index as u32, progress }).collect()
}
