//! A look at a spool without touching it, even while a process works with it.

use std::{path::Path, sync::Arc};

use parking_lot::Mutex;
use waxseal_types::QueueId;

use crate::{
    Damage, Error, Recovered, Report, Storage, Streamed,
    body::CHUNK,
    disk::RealDisk,
    footer::Item,
    format::Kind,
    pool::Pool,
    read::Reader,
    recover::{Mode, recover},
};

/// How often a spool that changes under our eyes is looked at anew.
const LOOKS: usize = 10;

/// What a record does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the format's, see docs/spool-format.md")]
pub enum RecordKind {
    Put,
    Update,
    Done,
    Cancel,
    PutUpdate,
    PutDone,
}

/// One record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The file.
    pub segment: String,
    /// Where in it.
    pub offset: u64,
    /// Octets.
    pub length: u64,
    /// What it does.
    pub kind: RecordKind,
    /// The message that it brings, or that it is about.
    pub id: QueueId,
    /// The message that its results are about.
    pub about: QueueId,
    /// Recipients of the message that it brings.
    pub recipients: u32,
}

impl Record {
    fn new(segment: &str, offset: u64, item: &Item) -> Self {
        let kind = match item.kind {
            Kind::Put => RecordKind::Put,
            Kind::Update => RecordKind::Update,
            Kind::Done => RecordKind::Done,
            Kind::Cancel => RecordKind::Cancel,
            Kind::PutUpdate => RecordKind::PutUpdate,
            Kind::PutDone => RecordKind::PutDone,
        };
        Self {
            segment: segment.to_owned(),
            offset,
            length: u64::from(item.size) * 8,
            kind,
            id: QueueId::from_u64(item.id),
            about: QueueId::from_u64(item.about),
            recipients: item.recipients,
        }
    }
}

/// A spool as it was at one moment. Every checksum was looked at but those of bodies in files of their own: see [`Snapshot::check_bodies`].
pub struct Snapshot {
    reader: Reader,
    report: Report,
    records: Vec<Record>,
    /// Keeps the folder open.
    _storage: Arc<dyn Storage>,
}

impl Snapshot {
    /// Looks at the folder `path`; with `records`, each record is remembered.
    ///
    /// # Errors
    /// It cannot be read, or is of a format that this program does not know.
    pub fn open(path: &Path, records: bool) -> Result<Self, Error> {
        Self::of(Arc::new(RealDisk::look(path)?), records)
    }

    /// The same on any storage.
    ///
    /// # Errors
    /// As [`Snapshot::open`].
    pub fn of(storage: Arc<dyn Storage>, records: bool) -> Result<Self, Error> {
        let mut looks = 0;
        loop {
            looks += 1;
            let mut seen = Vec::new();
            let found = recover(&*storage, Mode::Look, &mut |segment, offset, item| {
                if records {
                    seen.push(Record::new(segment, offset, item));
                }
            });
            let found = found?;
            // Damage that is none goes away when one looks again.
            if looks < LOOKS && found.moved {
                continue;
            }
            let reader = Reader::new(Arc::new(Mutex::new(found.index)), &storage);
            return Ok(Self { reader, report: found.report, records: seen, _storage: storage });
        }
    }

    /// What was found.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// The records, in the order of the log; none if they were not asked for.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The messages in the order of their arrival.
    pub fn messages(&self) -> impl Iterator<Item = Result<Recovered, Error>> + '_ {
        let mut last = 0;
        std::iter::from_fn(move || {
            let (id, _) = self.reader.next_after(last)?;
            last = id;
            Some(self.reader.recovered(id))
        })
    }

    /// A message with its text.
    ///
    /// # Errors
    /// It is not there, is damaged, or cannot be read.
    pub fn read(&self, id: QueueId) -> Result<Streamed, Error> {
        self.reader.streamed(id.as_u64(), &Pool::inline())
    }

    /// Reads every body that is in a file of its own; how many octets were read.
    pub fn check_bodies(&mut self) -> u64 {
        let (mut last, mut octets) = (0, 0);
        while let Some((id, entry)) = self.reader.next_after(last) {
            last = id;
            if !entry.is_external() {
                continue;
            }
            match self.reader.body(id).and_then(|body| body.check()) {
                Ok(length) => octets += length,
                Err(Error::Corrupt { segment, offset, .. }) => self.report.damage.push(Damage {
                    segment,
                    offset,
                    length: CHUNK as u64,
                    id: Some(QueueId::from_u64(id)),
                    message: true,
                }),
                // Gone meanwhile.
                Err(_) => {}
            }
        }
        octets
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("report", &self.report).finish_non_exhaustive()
    }
}
