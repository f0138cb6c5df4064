//! The index at the end of a sealed segment: 32 octets for each record, so that a start reads these and no messages.
//!
//! It is a group of its own, flagged [`INDEX`]: its header, the items, zeros up to the next multiple of 512, and a trailer of 512 octets that ends the file.
//!
//! ```text
//! item     id:8 about:8 unit:4 size:4 recipients:4 kind:1 flags:1 0:2      unit and size in multiples of 8 octets
//! trailer  "WXIX" 0:4 group:8 items:4 crc_items:4 0:484 crc:4             the offset of the group, how many, and their checksum
//! ```

use std::{io, sync::mpsc::sync_channel, thread};

use crate::{
    format::{GROUP_HEADER, GroupHeader, INDEX, Kind, SEALED, SECTOR, Seed, u32_at, u64_at},
    index::Source,
};

const ITEM: usize = 32;
const TRAILER: usize = SECTOR as usize;
const MAGIC: &[u8; 4] = b"WXIX";

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

impl Item {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.about.to_le_bytes());
        out.extend_from_slice(&self.unit.to_le_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.recipients.to_le_bytes());
        out.extend_from_slice(&[self.kind.number(), self.flags, 0, 0]);
    }

    fn parse(octets: &[u8]) -> Option<Self> {
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

/// Octets of the index of so many records.
pub(crate) const fn length(items: usize) -> u64 {
    ((GROUP_HEADER + items * ITEM) as u64).next_multiple_of(SECTOR) + TRAILER as u64
}

/// The group, to be written at `offset`.
pub(crate) fn encode(items: &[Item], sequence: u64, seed: Seed, offset: u64) -> Vec<u8> {
    let total = length(items.len()) as usize;
    let mut out = Vec::with_capacity(total);
    let header = GroupHeader {
        flags: SEALED | INDEX,
        sequence,
        synced: offset,
        records: items.len() as u32,
        length: (total - GROUP_HEADER) as u32,
    };
    out.extend_from_slice(&header.encode(seed, offset));
    items.iter().for_each(|item| item.encode(&mut out));
    let crc_items = crc32c::crc32c(&out[GROUP_HEADER..]);
    out.resize(total, 0);
    let at = total - TRAILER;
    let trailer = &mut out[at..];
    trailer[..4].copy_from_slice(MAGIC);
    trailer[8..16].copy_from_slice(&offset.to_le_bytes());
    trailer[16..20].copy_from_slice(&(items.len() as u32).to_le_bytes());
    trailer[20..24].copy_from_slice(&crc_items.to_le_bytes());
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
    let (offset, count) = (u64_at(&trailer, 8), u32_at(&trailer, 16) as usize);
    // Its checksum holds, so these are ours; a file that was cut and glued is not.
    if offset.checked_add(self::length(count)) != Some(length) {
        return Ok(None);
    }
    let mut octets = vec![0; GROUP_HEADER + count * ITEM];
    let got = source.file.read_at(&mut octets, offset)?;
    let Some(header) = GroupHeader::parse(&octets, source.seed, offset) else { return Ok(None) };
    let items = &octets[GROUP_HEADER..];
    if got < octets.len() || crc32c::crc32c(items) != u32_at(&trailer, 20) {
        return Ok(None);
    }
    let items: Option<Vec<_>> = items.chunks_exact(ITEM).map(Item::parse).collect();
    Ok(items.map(|items| (items, header.sequence, offset)))
}
