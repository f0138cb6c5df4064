//! The index from the segments, at the start. Changes nothing on disk but files that were never finished.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    sync::Arc,
};

use waxseal_types::QueueId;

use crate::{
    Error, Storage,
    body::{body_id, body_name},
    codec::{self, Flaw, NEWER},
    footer::{self, Footer, Item},
    format::{
        FIRST_GROUP, Kind, NoHeader, RecordHeader, Seed, SegmentHeader, VERSION, segment_name, segment_number,
    },
    index::{Index, Place, Segment, Source, units},
    read::split_meta,
    scan::{self, Bad, Outline},
    spares::is_spare,
};

/// What was found at the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Segments read.
    pub segments: usize,
    /// Octets in them.
    pub bytes: u64,
    /// Messages that are to be delivered.
    pub messages: usize,
    /// Octets that a crash left of a last group: nothing of them had been acknowledged.
    pub torn: u64,
    /// Records that were once whole and are not any more. Their segments are kept as `*.bad`, never removed.
    pub damage: Vec<Damage>,
}

/// Something that was durable and cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub segment: String,
    /// Where.
    pub offset: u64,
    /// Octets.
    pub length: u64,
    /// The message that it concerns, where that can be told.
    pub id: Option<QueueId>,
    /// Whether the message itself is there, and not a mark.
    pub message: bool,
}

pub(crate) struct Found {
    pub(crate) index: Index,
    pub(crate) report: Report,
    pub(crate) last_id: u64,
    pub(crate) next_number: u32,
    pub(crate) last_sequence: u64,
    /// Files that may be written over.
    pub(crate) spares: Vec<String>,
    /// Segments kept aside because of damage.
    pub(crate) quarantined: usize,
    mode: Mode,
    /// Something went or changed while it was looked at.
    pub(crate) moved: bool,
}

/// A segment whose header holds.
struct Opened {
    header: SegmentHeader,
    source: Source,
    length: u64,
}

/// What may be done to the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is ours: what a crash left unfinished goes.
    Own,
    /// The same, and every record is read and checked.
    Mend,
    /// Nothing: somebody else may be writing. Every record is read and checked.
    Look,
}

/// Told of every record that holds: where it is, what it means.
pub(crate) type Each<'a> = dyn FnMut(&str, u64, &Item) + 'a;

pub(crate) fn recover(storage: &dyn Storage, mode: Mode, each: &mut Each<'_>) -> Result<Found, Error> {
    Opening::of(storage, mode)?.finish(storage, each)
}

/// A log whose headers and newest records are read: enough to write behind it, not to say what is in it.
pub(crate) struct Opening {
    /// Its index has the segments, and no message yet.
    pub(crate) found: Found,
    /// Octets of all segments.
    pub(crate) octets: u64,
    names: Vec<String>,
    /// Those that are not read yet, in their order, and behind them those that are, the newest first.
    segments: Vec<Opened>,
    newest: Vec<(Opened, Contents)>,
    /// How far each segment is vouched for by the one behind it.
    vouched: BTreeMap<u32, u64>,
}

/// What is in a segment.
struct Contents {
    items: Vec<Item>,
    outline: Outline,
}

impl Opening {
    /// Opens all segments, and reads from the end as many as it takes to know which ids and sequence numbers were given: mostly one. All others have a segment
    /// behind them whose header says so (`id_floor`).
    pub(crate) fn of(storage: &dyn Storage, mode: Mode) -> Result<Self, Error> {
        let names = storage.list().map_err(|e| io_error("list", &storage.describe(), e))?;
        let mut numbers: Vec<_> = names.iter().filter_map(|name| segment_number(name)).collect();
        numbers.sort_unstable();
        // A number that was quarantined is not used again, either.
        let ours = |name: &String| segment_number(name.strip_suffix(".bad").unwrap_or(name));
        let next_number = names.iter().filter_map(ours).max().map_or(1, |last| last.saturating_add(1));
        let mut found = Found {
            index: Index::default(),
            report: Report::default(),
            last_id: 0,
            next_number,
            last_sequence: 0,
            quarantined: names.iter().filter(|name| name.ends_with(".bad")).count(),
            mode,
            moved: false,
            spares: names.iter().filter(|name| is_spare(name)).cloned().collect(),
        };
        let mut segments = Vec::new();
        for number in numbers {
            segments.extend(found.open(storage, number)?);
        }
        let vouched =
            segments.iter().map(|segment| (segment.header.previous, segment.header.vouched)).collect();
        let octets = segments.iter().map(|segment| segment.length).sum();
        let mut opening = Self { found, octets, names, segments, newest: Vec::new(), vouched };
        opening.read_newest(storage)?;
        // What was renamed or removed before a crash stays so from here on: spares are written over.
        if mode != Mode::Look {
            storage.sync_dir().map_err(|e| io_error("sync", &storage.describe(), e))?;
        }
        Ok(opening)
    }

    fn read_newest(&mut self, storage: &dyn Storage) -> Result<(), Error> {
        while self.found.last_sequence == 0
            && let Some(segment) = self.segments.pop()
        {
            let footer = footer::read(&segment.source, segment.length);
            let contents = self.found.read(storage, (&segment, footer), &self.vouched)?;
            let ids = contents.items.iter().map(|item| item.id).max();
            self.found.last_id = self.found.last_id.max(ids.unwrap_or_default());
            self.found.last_sequence = contents.outline.last_sequence;
            self.newest.push((segment, contents));
        }
        Ok(())
    }

    /// Reads all else.
    pub(crate) fn finish(self, storage: &dyn Storage, each: &mut Each<'_>) -> Result<Found, Error> {
        let Self { mut found, names, segments, newest, vouched, .. } = self;
        let sources: Vec<_> = segments.iter().map(|segment| (&segment.source, segment.length)).collect();
        footer::read_all(&sources, |number, footer| {
            let contents = found.read(storage, (&segments[number], footer), &vouched)?;
            found.take(&segments[number], &contents, each);
            Ok(())
        })?;
        for (segment, contents) in newest.into_iter().rev() {
            found.take(&segment, &contents, each);
        }
        found.bodies(storage, names.iter().filter_map(|name| body_id(name)))?;
        found.report.messages = found.index.len();
        Ok(found)
    }
}

fn io_error(doing: &'static str, name: &str, source: io::Error) -> Error {
    Error::Io { doing, name: name.to_owned(), source: Arc::new(source) }
}

impl Found {
    /// Opens a segment; `None` for what never was one, or is one no more.
    fn open(&mut self, storage: &dyn Storage, number: u32) -> Result<Option<Opened>, Error> {
        let name = segment_name(number);
        let file = match storage.open(&name) {
            Err(error) if self.mode == Mode::Look && error.kind() == io::ErrorKind::NotFound => {
                self.moved = true;
                return Ok(None);
            }
            file => file.map_err(|e| io_error("open", &name, e))?,
        };
        let length = file.len().map_err(|e| io_error("read", &name, e))?;
        let mut start = vec![0; FIRST_GROUP as usize];
        let got = file.read_at(&mut start, 0).map_err(|e| io_error("read", &name, e))?;
        start.truncate(got);
        let header = match SegmentHeader::parse(&start, number) {
            Ok(header) => header,
            Err(NoHeader::Newer(found)) => return Err(newer(storage, &name, found)),
            // A header is written before its first group and synced with it: nothing here was ever acknowledged.
            Err(NoHeader::Unwritten | NoHeader::Damaged) if length <= FIRST_GROUP => {
                return self.discard(storage, &name);
            }
            Err(NoHeader::Recycled) => return self.discard(storage, &name),
            Err(NoHeader::Unwritten) => {
                self.report.torn += length;
                return self.quarantine(storage, &name);
            }
            Err(NoHeader::Damaged) => {
                let segment = name.clone();
                self.report.damage.push(Damage { segment, offset: 0, length, id: None, message: true });
                return self.quarantine(storage, &name);
            }
        };
        self.last_id = self.last_id.max(header.id_floor);
        let source =
            Source { file: Arc::from(file), seed: Seed::new(&header), name: name.into(), cached: false };
        self.index.segments.insert(number, Segment::new(source.clone(), length, length));
        Ok(Some(Opened { header, source, length }))
    }

    fn discard(&self, storage: &dyn Storage, name: &str) -> Result<Option<Opened>, Error> {
        match self.mode {
            Mode::Own | Mode::Mend => {
                storage.remove(name).map(|()| None).map_err(|e| io_error("remove", name, e))
            }
            Mode::Look => Ok(None),
        }
    }

    fn quarantine(&mut self, storage: &dyn Storage, name: &str) -> Result<Option<Opened>, Error> {
        match self.mode {
            Mode::Own | Mode::Mend => {
                self.quarantined += 1;
                let renamed = storage.rename(name, &format!("{name}.bad"));
                renamed.map(|()| None).map_err(|e| io_error("rename", name, e))
            }
            Mode::Look => Ok(None),
        }
    }

    /// From its index, or where it has none that holds, from its records.
    fn read(
        &mut self,
        storage: &dyn Storage,
        (segment, footer): (&Opened, Footer),
        vouched: &BTreeMap<u32, u64>,
    ) -> Result<Contents, Error> {
        let Opened { header: SegmentHeader { number, .. }, source, length } = segment;
        let indexed = footer.map_err(|e| io_error("read", &source.name, e))?;
        if let (Some((items, last_sequence, _)), Mode::Own) = (indexed, self.mode) {
            let outline = Outline { sealed: true, last_sequence, end: *length, ..Outline::default() };
            return Ok(Contents { items, outline });
        }
        let vouched = vouched.get(number).copied().unwrap_or(0);
        let (mut items, mut flawed) = (Vec::new(), Vec::new());
        let outline = scan::scan(source, *length, vouched, &mut |offset, header, meta| match item(
            offset, header, meta,
        ) {
            Ok(item) => items.push(item),
            Err(flaw) => flawed.push((offset, *header, flaw)),
        });
        let mut outline = outline.map_err(|e| io_error("read", &source.name, e))?;
        for (offset, header, flaw) in flawed {
            if flaw == NEWER {
                return Err(newer(storage, &source.name, VERSION + 1));
            }
            let record = Some((header.kind, header.id));
            outline.damaged.push(Bad { offset, length: header.total(), record });
        }
        if self.mode == Mode::Look {
            self.moved |= is_another(segment).map_err(|e| io_error("read", &source.name, e))?;
        } else if !outline.sealed {
            // A process that was killed left this in memory, not on disk: what is acted on from now on must not go away.
            source.file.sync_data().map_err(|e| io_error("sync", &source.name, e))?;
        }
        Ok(Contents { items, outline })
    }

    /// What a segment says counts from here on. Segments come in their order.
    fn take(&mut self, segment: &Opened, contents: &Contents, each: &mut Each<'_>) {
        let number = segment.header.number;
        for item in &contents.items {
            each(&segment.source.name, Place { segment: number, unit: item.unit }.offset(), item);
            self.last_id = self.last_id.max(item.id);
            self.index.apply(number, item);
        }
        self.note(number, &segment.source, &contents.outline);
    }

    /// Holds the files of bodies against the messages: what a crash left goes, what is missing is told.
    fn bodies(&mut self, storage: &dyn Storage, files: impl Iterator<Item = u64>) -> Result<(), Error> {
        let mut files: HashSet<u64> = files.collect();
        let missing: Vec<_> = self.index.external().filter(|(id, _)| !files.remove(id)).collect();
        let unfinished = if self.mode != Mode::Look { files } else { HashSet::new() };
        for id in unfinished {
            let name = body_name(id);
            storage.remove(&name).map_err(|e| io_error("remove", &name, e))?;
        }
        for (id, entry) in missing {
            self.index.forget(id);
            if let Some(segment) = self.index.segments.get_mut(&entry.put.segment) {
                segment.damaged = true;
            }
            self.report.damage.push(Damage {
                segment: body_name(id),
                offset: 0,
                length: 0,
                id: Some(QueueId::from_u64(id)),
                message: true,
            });
        }
        Ok(())
    }

    fn note(&mut self, number: u32, source: &Source, outline: &Outline) {
        self.report.segments += 1;
        self.report.bytes += outline.end;
        self.report.torn += outline.torn.iter().map(|bad| bad.length).sum::<u64>();
        self.last_sequence = self.last_sequence.max(outline.last_sequence);
        if let Some(segment) = self.index.segments.get_mut(&number) {
            segment.bytes = outline.end;
            segment.damaged = !outline.damaged.is_empty();
        }
        let damage = |bad: &Bad| Damage {
            segment: source.name.to_string(),
            offset: bad.offset,
            length: bad.length,
            id: bad.record.map(|(_, id)| QueueId::from_u64(id)),
            message: bad.record.is_none_or(|(kind, _)| kind.is_put()),
        };
        self.report.damage.extend(outline.damaged.iter().map(damage));
    }
}

/// Whether a file was written over since it was opened.
fn is_another(segment: &Opened) -> io::Result<bool> {
    let mut start = vec![0; FIRST_GROUP as usize];
    let got = segment.source.file.read_at(&mut start, 0)?;
    start.truncate(got);
    Ok(SegmentHeader::parse(&start, segment.header.number) != Ok(segment.header))
}

/// What the index has to know of a record.
pub(crate) fn item(offset: u64, header: &RecordHeader, meta: &[u8]) -> Result<Item, Flaw> {
    let (mark, envelope) = split_meta(header.kind, meta)?;
    let about = match header.kind {
        Kind::Put | Kind::Done | Kind::Cancel => header.id,
        Kind::Update | Kind::PutUpdate | Kind::PutDone => codec::decode_mark(mark)?.id,
    };
    let recipients =
        if header.kind.is_put() { codec::decode_envelope(header.id, envelope)?.recipients.len() } else { 0 };
    Ok(Item {
        kind: header.kind,
        id: header.id,
        about,
        unit: Place::new(0, offset).unit,
        size: units(header.total()),
        recipients: recipients as u32,
        flags: header.flags,
    })
}

fn newer(storage: &dyn Storage, name: &str, found: u32) -> Error {
    let path = std::path::Path::new(&storage.describe()).join(name);
    Error::NewerFormat { path, found, known: VERSION }
}
