//! One segment from its first octet to its last: what holds is handed on, what does not is told apart as torn or damaged.

use std::io;

use crate::{
    format::{
        FIRST_GROUP, GROUP_HEADER, GROUP_MAGIC, GroupHeader, INDEX, Kind, RECORD_HEADER, RECORD_MAGIC,
        RecordHeader, SEALED, SECTOR,
    },
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
    /// Where the last group ends; what is behind it is nobody's.
    pub(crate) end: u64,
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

/// Reads a segment of `length` octets and hands every record that holds to `each`, in order. What is before `vouched` is known to have been durable.
///
/// Each group begins a sector, each record a multiple of 8 octets, and their headers vouch for themselves. So behind a bad stretch the search goes on
/// at the next multiple of 8: the neighbours of damage are found, and those of a torn record, too.
pub(crate) fn scan(
    source: &Source,
    length: u64,
    vouched: u64,
    each: &mut dyn FnMut(u64, &RecordHeader, &[u8]),
) -> io::Result<Outline> {
    let mut window = Window { source, length, base: 0, octets: Vec::new() };
    let mut outline = Outline { end: FIRST_GROUP, ..Outline::default() };
    let (mut bad, mut durable, mut at) = (Vec::new(), vouched, FIRST_GROUP);
    while at < length {
        let octets = window.octets(at, GROUP_HEADER)?;
        if at % SECTOR == 0
            && let Some(group) = GroupHeader::parse(octets, source.seed, at)
        {
            // One group at most is not synced, and it is the last one: what comes before a later group header was once whole.
            durable = durable.max(at);
            outline.sealed = group.flags & SEALED != 0;
            outline.last_sequence = outline.last_sequence.max(group.sequence);
            at += GROUP_HEADER as u64;
            outline.end = (at + u64::from(group.length)).next_multiple_of(SECTOR).min(length);
            if group.flags & INDEX != 0 {
                at = outline.end;
            }
        } else if let Some(header) = RecordHeader::parse(octets, source.seed, at) {
            if let Some(meta) = check(&mut window, at, &header)? {
                each(at, &header, &meta);
            } else {
                let whole = header.total().min(length - at);
                bad.push(Bad { offset: at, length: whole, record: Some((header.kind, header.id)) });
            }
            at += header.total();
            outline.end = outline.end.max(at.next_multiple_of(SECTOR)).min(length);
        } else {
            at += skip(&mut window, at, &mut bad)?;
        }
    }
    (outline.damaged, outline.torn) = bad.into_iter().partition(|bad: &Bad| bad.offset < durable);
    // Behind the last group is what earlier generations of the file left.
    outline.torn.retain(|bad| bad.offset < outline.end);
    Ok(outline)
}

/// The meta part of a record of which all checksums hold.
fn check(window: &mut Window<'_>, at: u64, header: &RecordHeader) -> io::Result<Option<Vec<u8>>> {
    let meta_at = at + RECORD_HEADER as u64;
    let body_at = meta_at + u64::from(header.meta);
    if window.checksum(meta_at, header.meta)? != Some(header.crc_meta)
        || !header.is_external() && window.checksum(body_at, header.body)? != Some(header.crc_body)
    {
        return Ok(None);
    }
    let meta = window.octets(meta_at, header.meta as usize)?.to_vec();
    Ok((meta.len() == header.meta as usize).then_some(meta))
}

/// Steps to the next place where a header may be, within the sector: over padding, or over something that is nothing.
fn skip(window: &mut Window<'_>, at: u64, bad: &mut Vec<Bad>) -> io::Result<u64> {
    let octets = window.octets(at, (SECTOR - at % SECTOR) as usize)?;
    let word =
        |octets: &[u8]| octets.first_chunk::<4>().is_some_and(|m| m == GROUP_MAGIC || m == RECORD_MAGIC);
    let next = octets.chunks(8).skip(1).position(word).map_or(octets.len(), |words| 8 * (words + 1));
    // The file ends where it should not.
    let step = next.max(8) as u64;
    let passed = octets.get(..next).unwrap_or_default();
    if passed.iter().all(|octet| *octet == 0) {
        return Ok(step);
    }
    match bad.last_mut() {
        Some(last) if last.record.is_none() && last.offset + last.length == at => last.length += step,
        Some(_) | None => bad.push(Bad { offset: at, length: step, record: None }),
    }
    Ok(step)
}
