//! The index at the end of a sealed segment: some 8 octets for each record, so that a start reads these and no messages.
//!
//! It is a group of its own, flagged [`INDEX`]: its header, the items, zeros up to the next multiple of 512, and a trailer of 512 octets that ends the file.
//!
//! ```text
//! item     kind and flags:1, numbers of 7 bits an octet: id less the last one, about less id (PUT and UPDATE, PUT and DONE only),
//!          unit less the end of the last record, size, recipients (of a message)     unit and size in multiples of 8 octets
//!          kind in the lower three bits; differences have their sign in the lowest bit
//! trailer  "WXIX" packing:4 group:8 items:4 crc_items:4 octets:4 0:480 crc:4   the offset of the group, how many items, their checksum and length
//! ```
//!
//! Packing is 1; with 0, as format 2 had it, an item is id:8 about:8 unit:4 size:4 recipients:4 kind:1 flags:1 0:2.

use std::{io, sync::mpsc::sync_channel, thread};

use crate::{
    format::{GROUP_HEADER, GroupHeader, INDEX, Kind, SEALED, SECTOR, Seed, u32_at, u64_at},
    index::Source,
    numbers::{self, Numbers},
};

const TRAILER: usize = SECTOR as usize;
const MAGIC: &[u8; 4] = b"WXIX";
const PACKED: u32 = 1;
/// Octets of an item that is not packed.
const PLAIN_ITEM: usize = 32;
/// Where the kind ends and the flags begin.
const FLAGS: u8 = 3;

/// What the index of messages has to know of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) kind: Kind,
    /// The record's id: of the message that it brings, or that it is about.
    pub(crate) id: u64,
    /// The message that its mark is about.
    pub(crate) about: u64,
    pub(crate) unit: u32,
    /// Of the record, in units.
    pub(crate) size: u32,
    /// Of the message that it brings.
    pub(crate) recipients: u32,
    pub(crate) flags: u8,
}

/// What differences are to: the record before.
#[derive(Debug, Clone, Copy, Default)]
struct Before {
    id: u64,
    end: u32,
}

impl Before {
    const fn of(item: &Item) -> Self {
        Self { id: item.id, end: item.unit.wrapping_add(item.size) }
    }
}

impl Item {
    /// Whether its mark is about another message than its id says.
    const fn is_double(kind: Kind) -> bool {
        match kind {
            Kind::PutUpdate | Kind::PutDone => true,
            Kind::Put | Kind::Update | Kind::Done | Kind::Cancel => false,
        }
    }

    fn encode(&self, before: Before, out: &mut Vec<u8>) {
        out.push(self.kind.number() | self.flags << FLAGS);
        numbers::difference(out, self.id, before.id);
        if Self::is_double(self.kind) {
            numbers::difference(out, self.about, self.id);
        }
        numbers::difference(out, u64::from(self.unit), u64::from(before.end));
        numbers::number(out, u64::from(self.size));
        if self.kind.is_put() {
            numbers::number(out, u64::from(self.recipients));
        }
    }

    fn parse(octets: &mut Numbers<'_>, before: Before) -> Option<Self> {
        let first = octets.octet()?;
        let (kind, flags) = (Kind::from_number(first & ((1 << FLAGS) - 1))?, first >> FLAGS);
        let id = octets.difference(before.id)?;
        let about = if Self::is_double(kind) { octets.difference(id)? } else { id };
        let unit = u32::try_from(octets.difference(u64::from(before.end))?).ok()?;
        let size = octets.small()?;
        let recipients = if kind.is_put() { octets.small()? } else { 0 };
        Some(Self { kind, id, about, unit, size, recipients, flags })
    }

    fn parse_plain(octets: &[u8]) -> Option<Self> {
        Some(Self {
            kind: Kind::from_number(octets[28])?,
            id: u64_at(octets, 0),
            about: u64_at(octets, 8),
            unit: u32_at(octets, 16),
            size: u32_at(octets, 20),
            recipients: u32_at(octets, 24),
            flags: octets[29],
        })
    }
}

/// Octets of an index with items of so many octets.
const fn length(octets: usize) -> u64 {
    ((GROUP_HEADER + octets) as u64).next_multiple_of(SECTOR) + TRAILER as u64
}

/// Room for the index of so many records; it is rather less.
pub(crate) const fn room(items: usize) -> u64 {
    length(items * PLAIN_ITEM)
}

/// The group, to be written at `offset`.
pub(crate) fn encode(items: &[Item], sequence: u64, seed: Seed, offset: u64) -> Vec<u8> {
    let mut out = vec![0; GROUP_HEADER];
    let mut before = Before::default();
    for item in items {
        item.encode(before, &mut out);
        before = Before::of(item);
    }
    let octets = out.len() - GROUP_HEADER;
    let total = length(octets) as usize;
    let header = GroupHeader {
        flags: SEALED | INDEX,
        sequence,
        synced: offset,
        records: items.len() as u32,
        length: (total - GROUP_HEADER) as u32,
    };
    out[..GROUP_HEADER].copy_from_slice(&header.encode(seed, offset));
    let crc_items = crc32c::crc32c(&out[GROUP_HEADER..]);
    out.resize(total, 0);
    let at = total - TRAILER;
    let trailer = &mut out[at..];
    trailer[..4].copy_from_slice(MAGIC);
    trailer[4..8].copy_from_slice(&PACKED.to_le_bytes());
    trailer[8..16].copy_from_slice(&offset.to_le_bytes());
    trailer[16..20].copy_from_slice(&(items.len() as u32).to_le_bytes());
    trailer[20..24].copy_from_slice(&crc_items.to_le_bytes());
    trailer[24..28].copy_from_slice(&(octets as u32).to_le_bytes());
    let crc = seed.checksum(offset + at as u64, &trailer[..508]);
    trailer[508..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Threads that read ahead where there is much to read, which is where a disk and a checksum take turns.
const READERS: usize = 4;
/// So much in all segments.
const MUCH: u64 = 256 << 20;

/// What [`read`] says of a segment.
pub(crate) type Footer = io::Result<Option<(Vec<Item>, u64, u64)>>;

/// The indexes of segments of these lengths, in their order; a few are read ahead.
pub(crate) fn read_all<E>(
    segments: &[(&Source, u64)],
    mut each: impl FnMut(usize, Footer) -> Result<(), E>,
) -> Result<(), E> {
    if segments.iter().map(|(_, length)| length).sum::<u64>() < MUCH {
        let mut numbered = segments.iter().enumerate();
        return numbered.try_for_each(|(number, (source, length))| each(number, read(source, *length)));
    }
    thread::scope(|scope| {
        let reader = |first| {
            let (sender, receiver) = sync_channel(1);
            scope.spawn(move || {
                let mine = segments.iter().skip(first).step_by(READERS);
                // Nobody listens any more where something cannot be read.
                let _ = mine.map(|(source, length)| sender.send(read(source, *length))).find(Result::is_err);
            });
            receiver
        };
        let readers: Vec<_> = (0..READERS).map(reader).collect();
        for number in 0..segments.len() {
            // A reader that panicked makes the scope panic.
            let Ok(footer) = readers[number % READERS].recv() else { break };
            each(number, footer)?;
        }
        Ok(())
    })
}

/// The index of a segment of `length` octets, with its group's sequence number and offset; `None` if it has none that holds: then its records tell.
pub(crate) fn read(source: &Source, length: u64) -> Footer {
    let Some(trailer_at) = length.checked_sub(TRAILER as u64) else { return Ok(None) };
    let mut trailer = [0; TRAILER];
    if source.file.read_at(&mut trailer, trailer_at)? < TRAILER
        || &trailer[..4] != MAGIC
        || u32_at(&trailer, 508) != source.seed.checksum(trailer_at, &trailer[..508])
    {
        return Ok(None);
    }
    let (packing, offset, count) = (u32_at(&trailer, 4), u64_at(&trailer, 8), u32_at(&trailer, 16) as usize);
    let items = if packing == PACKED { u32_at(&trailer, 24) as usize } else { count * PLAIN_ITEM };
    // Its checksum holds, so these are ours; a file that was cut and glued is not.
    if packing > PACKED || offset.checked_add(self::length(items)) != Some(length) {
        return Ok(None);
    }
    let mut octets = vec![0; GROUP_HEADER + items];
    let got = source.file.read_at(&mut octets, offset)?;
    let Some(header) = GroupHeader::parse(&octets, source.seed, offset) else { return Ok(None) };
    let packed = &octets[GROUP_HEADER..];
    if got < octets.len() || crc32c::crc32c(packed) != u32_at(&trailer, 20) {
        return Ok(None);
    }
    let items = if packing == PACKED {
        unpack(packed, count)
    } else {
        packed.chunks_exact(PLAIN_ITEM).map(Item::parse_plain).collect()
    };
    Ok(items.map(|items| (items, header.sequence, offset)))
}

fn unpack(packed: &[u8], count: usize) -> Option<Vec<Item>> {
    let mut octets = Numbers(packed);
    // No item is shorter than four octets.
    let (mut items, mut before) = (Vec::with_capacity(count.min(packed.len() / 4)), Before::default());
    for _ in 0..count {
        let item = Item::parse(&mut octets, before)?;
        before = Before::of(&item);
        items.push(item);
    }
    octets.0.is_empty().then_some(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_packed_and_come_back() {
        let item = |number: u64, kind: Kind| Item {
            kind,
            id: 1_795_249_800_123_456 + number * 311,
            about: if Item::is_double(kind) { number } else { 1_795_249_800_123_456 + number * 311 },
            unit: 134 + number as u32 * 549,
            size: 549,
            recipients: if kind.is_put() { 2 } else { 0 },
            flags: u8::from(number.is_multiple_of(7)),
        };
        let kinds = [Kind::Put, Kind::Update, Kind::Done, Kind::Cancel, Kind::PutUpdate, Kind::PutDone];
        let items: Vec<_> = (0..600).map(|number| item(number, kinds[number as usize % 6])).collect();
        let (mut packed, mut before) = (Vec::new(), Before::default());
        for item in &items {
            item.encode(before, &mut packed);
            before = Before::of(item);
        }
        assert_eq!(unpack(&packed, items.len()), Some(items.clone()));
        assert_eq!(unpack(&packed, items.len() - 1), None);
        assert_eq!(unpack(&packed[..packed.len() - 1], items.len()), None);
        assert!(packed.len() < 10 * items.len(), "{}", packed.len());
    }

    #[test]
    fn differences_have_all_the_room_that_they_need() {
        let far = Item {
            kind: Kind::PutDone,
            id: u64::MAX,
            about: 0,
            unit: u32::MAX,
            size: u32::MAX,
            recipients: u32::MAX,
            flags: 31,
        };
        let near = Item { id: 0, about: u64::MAX, unit: 0, size: 0, recipients: 0, flags: 0, ..far };
        let (mut packed, before) = (Vec::new(), Before::default());
        far.encode(before, &mut packed);
        near.encode(Before::of(&far), &mut packed);
        assert_eq!(unpack(&packed, 2), Some(vec![far, near]));
    }
}
