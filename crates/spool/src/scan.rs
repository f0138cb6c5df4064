//! One segment from its first octet to its last: what holds is handed on, what does not is told apart as torn or damaged.

use std::io;

use crate::{
    format::{FIRST_GROUP, GROUP_HEADER, GroupHeader, Kind, RECORD_HEADER, RecordHeader, SEALED, SECTOR},
    index::Source,
};

/// Read at a time.
const CHUNK: usize = 1 << 20;

/// A stretch that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// Where the record's header holds.
    pub(crate) record: Option<(Kind, u64)>,
}

/// What a segment turned out to be.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// Damage to what was synced: something valid was written after it.
    pub(crate) damaged: Vec<Bad>,
    /// What a crash left of the last group; nothing of it was acknowledged.
    pub(crate) torn: Vec<Bad>,
    pub(crate) last_sequence: u64,
    /// Ended in an orderly way.
    pub(crate) sealed: bool,
}

struct Window<'a> {
    source: &'a Source,
    length: u64,
    base: u64,
    octets: Vec<u8>,
}

impl Window<'_> {
    /// Up to `want` octets from `offset` on; fewer only at the end of the file.
    fn octets(&mut self, offset: u64, want: usize) -> io::Result<&[u8]> {
        let held = self.base..self.base + self.octets.len() as u64;
        if !(held.contains(&offset) && offset + want as u64 <= held.end) {
            let left = self.length.saturating_sub(offset).min(CHUNK as u64) as usize;
            self.octets.resize(left.max(want), 0);
            let got = self.source.file.read_at(&mut self.octets, offset)?;
            self.octets.truncate(got);
            self.base = offset;
        }
        let from = (offset - self.base) as usize;
        let upto = self.octets.len().min(from + want);
        Ok(self.octets.get(from..upto).unwrap_or_default())
    }

    /// The checksum of a stretch, or `None` if the file ends in it.
    fn checksum(&mut self, mut offset: u64, length: u32) -> io::Result<Option<u32>> {
        let (mut left, mut crc) = (length as usize, 0);
        while left > 0 {
            let some = self.octets(offset, left.min(CHUNK))?;
            if some.is_empty() {
                return Ok(None);
            }
            crc = crc32c::crc32c_append(crc, some);
            left -= some.len();
            offset += some.len() as u64;
        }
        Ok(Some(crc))
    }
}

/// Reads a segment of `length` octets and hands every record that holds to `each`, in order.
///
/// Each group begins a sector, each record a multiple of 8 octets, and their headers vouch for themselves. So behind a bad stretch the search goes on
/// at the next multiple of 8: the neighbours of damage are found, and those of a torn record, too.
pub(crate) fn scan(
    source: &Source,
    length: u64,
    each: &mut dyn FnMut(u64, &RecordHeader, &[u8]),
) -> io::Result<Outline> {
    let mut window = Window { source, length, base: 0, octets: Vec::new() };
    let mut outline = Outline::default();
    let (mut bad, mut last_group, mut at) = (Vec::new(), None, FIRST_GROUP);
    while at < length {
        let octets = window.octets(at, GROUP_HEADER)?;
        if at % SECTOR == 0
            && let Some(group) = GroupHeader::parse(octets, source.seed, at)
        {
            last_group = Some(at);
            outline.sealed = group.flags & SEALED != 0;
            outline.last_sequence = outline.last_sequence.max(group.sequence);
            at += GROUP_HEADER as u64;
        } else if let Some(header) = RecordHeader::parse(octets, source.seed, at) {
            if let Some(meta) = check(&mut window, at, &header)? {
                each(at, &header, &meta);
            } else {
                let whole = header.total().min(length - at);
                bad.push(Bad { offset: at, length: whole, record: Some((header.kind, header.id)) });
            }
            at += header.total();
        } else {
            at += skip(&mut window, at, &mut bad)?;
        }
    }
    // One group at most is not synced, and it is the last one: what comes before a later group header was once whole.
    let before_last = |bad: &Bad| last_group.is_some_and(|last| bad.offset < last);
    (outline.damaged, outline.torn) = bad.into_iter().partition(before_last);
    Ok(outline)
}

/// The meta part of a record of which all checksums hold.
fn check(window: &mut Window<'_>, at: u64, header: &RecordHeader) -> io::Result<Option<Vec<u8>>> {
    let meta_at = at + RECORD_HEADER as u64;
    let body_at = meta_at + u64::from(header.meta);
    if window.checksum(meta_at, header.meta)? != Some(header.crc_meta)
        || window.checksum(body_at, header.body)? != Some(header.crc_body)
    {
        return Ok(None);
    }
    let meta = window.octets(meta_at, header.meta as usize)?.to_vec();
    Ok((meta.len() == header.meta as usize).then_some(meta))
}

/// Steps over padding, or over something that is nothing.
fn skip(window: &mut Window<'_>, at: u64, bad: &mut Vec<Bad>) -> io::Result<u64> {
    let padding = SECTOR - at % SECTOR;
    let octets = window.octets(at, padding as usize)?;
    if octets.iter().all(|octet| *octet == 0) {
        return Ok(padding);
    }
    let step = 8;
    match bad.last_mut() {
        Some(last) if last.record.is_none() && last.offset + last.length == at => last.length += step,
        Some(_) | None => bad.push(Bad { offset: at, length: step, record: None }),
    }
    Ok(step)
}
