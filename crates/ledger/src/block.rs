//! Files and blocks: what can be read although a machine stopped in the middle, or a disk rots (docs/ledger-format.md, "Files").

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::contents::{self, Contents};

/// The format's version, which is what is written.
const VERSION: u16 = 2;
/// The one before: records were not packed, and facts stood among them. It is still read; a file of any other version is left alone.
const UNPACKED: u16 = 1;
const FILE_MAGIC: &[u8; 8] = b"WXLEDGER";
const BLOCK_MAGIC: u32 = u32::from_le_bytes(*b"WxLb");
/// Octets of a file's header, and of a block's.
pub(crate) const FILE_HEADER: u64 = 32;
pub(crate) const BLOCK_HEADER: usize = 24;
/// A block is written when its records have grown to this; a record that is larger has a block of its own.
pub(crate) const BLOCK_SIZE: usize = 32 << 10;
/// No block is larger; a larger record is not written.
pub(crate) const MOST_BLOCK: usize = 1 << 20;
/// More blocks of one file are not looked at: a file has at most 16 MiB, and a block at least some 64 octets.
const MOST_BLOCKS: usize = 1 << 18;

/// The two rings: plain successes, and what is to outlive them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ring {
    Plain,
    Kept,
}

impl Ring {
    pub(crate) const BOTH: [Self; 2] = [Self::Plain, Self::Kept];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Kept => "kept",
        }
    }
}

/// A file of a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) ring: Ring,
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

pub(crate) fn path_of(folder: &Path, ring: Ring, number: u64) -> PathBuf {
    folder.join(format!("{}-{number:010}.wxl", ring.name()))
}

/// The files of a folder, the oldest of each ring first.
pub(crate) fn segments(folder: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".wxl")) else { continue };
        let Some((ring, number)) = stem.split_once('-') else { continue };
        let ring = Ring::BOTH.into_iter().find(|known| known.name() == ring);
        let (Some(ring), Ok(number)) = (ring, number.parse()) else { continue };
        // Gone meanwhile: the writer makes room.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() {
            found.push(Segment { ring, number, path: entry.path(), size: metadata.len() });
        }
    }
    found.sort_by_key(|segment| segment.number);
    Ok(found)
}

pub(crate) fn file_header(ring: Ring, created: u64) -> [u8; FILE_HEADER as usize] {
    let mut header = [0; FILE_HEADER as usize];
    header[..8].copy_from_slice(FILE_MAGIC);
    header[8..10].copy_from_slice(&VERSION.to_le_bytes());
    header[10] = u8::from(ring == Ring::Kept);
    header[12..20].copy_from_slice(&created.to_le_bytes());
    let sum = crc32c::crc32c(&header[..28]);
    header[28..].copy_from_slice(&sum.to_le_bytes());
    header
}

/// What the header of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opening {
    /// When the file was begun, in microseconds since 1970.
    pub(crate) created: u64,
    /// Whether the records of its blocks are packed.
    pub(crate) packed: bool,
}

/// The header of a file; `None` for anything that is not of a version known here.
pub(crate) fn opening(file: &File) -> Option<Opening> {
    let mut header = [0; FILE_HEADER as usize];
    file.read_exact_at(&mut header, 0).ok()?;
    let sum = u32::from_le_bytes(header[28..].try_into().ok()?);
    let packed = match u16::from_le_bytes(header[8..10].try_into().ok()?) {
        VERSION => true,
        UNPACKED => false,
        _ => return None,
    };
    let known = &header[..8] == FILE_MAGIC && sum == crc32c::crc32c(&header[..28]);
    let created = header[12..20].try_into().map(u64::from_le_bytes).unwrap_or_default();
    known.then_some(Opening { created, packed })
}

/// Adds a whole block to `out`.
pub(crate) fn write(facts: &[u8], records: &[u8], time: u64, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + BLOCK_HEADER, 0);
    contents::pack(facts, records, out);
    seal(&mut out[start..], time);
}

/// Puts the header in front of a block: `block` begins with room for it.
fn seal(block: &mut [u8], time: u64) {
    let Some((header, payload)) = block.split_at_mut_checked(BLOCK_HEADER) else { return };
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    header[..4].copy_from_slice(&BLOCK_MAGIC.to_le_bytes());
    header[4..8].copy_from_slice(&length.to_le_bytes());
    header[8..16].copy_from_slice(&time.to_le_bytes());
    header[16..20].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    let sum = crc32c::crc32c(&header[..20]);
    header[20..].copy_from_slice(&sum.to_le_bytes());
}

/// A block's header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    /// Where its payload begins.
    pub(crate) at: u64,
    pub(crate) length: usize,
    /// What times in it are counted from.
    pub(crate) time: u64,
    sum: u32,
}

fn header(octets: &[u8], at: u64) -> Option<Block> {
    let octets = octets.get(..BLOCK_HEADER)?;
    let word = |at: usize| octets[at..at + 4].try_into().map(u32::from_le_bytes).unwrap_or_default();
    let length = word(4) as usize;
    let good = word(0) == BLOCK_MAGIC && length <= MOST_BLOCK && word(20) == crc32c::crc32c(&octets[..20]);
    good.then(|| Block {
        at: at + BLOCK_HEADER as u64,
        length,
        time: octets[8..16].try_into().map(u64::from_le_bytes).unwrap_or_default(),
        sum: word(16),
    })
}

/// The blocks of a file, in order. What lies between two of them and is none is passed over.
pub(crate) fn blocks(file: &File) -> io::Result<Vec<Block>> {
    let end = file.metadata()?.len();
    let mut found = Vec::new();
    let mut at = FILE_HEADER;
    let mut octets = [0; BLOCK_HEADER];
    while at + BLOCK_HEADER as u64 <= end && found.len() < MOST_BLOCKS {
        file.read_exact_at(&mut octets, at)?;
        let next = match header(&octets, at) {
            Some(block) => Some(block),
            None => next_block(file, at + 1, end)?,
        };
        let Some(block) = next else { break };
        at = block.at + block.length as u64;
        // A torn tail.
        if at <= end {
            found.push(block);
        }
    }
    Ok(found)
}

/// The first block from `at` on, whatever lies before it.
fn next_block(file: &File, mut at: u64, end: u64) -> io::Result<Option<Block>> {
    let mut window = vec![0; 64 << 10];
    while at + BLOCK_HEADER as u64 <= end {
        let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(window.len());
        file.read_exact_at(&mut window[..length], at)?;
        let starts = 0..=length - BLOCK_HEADER;
        if let Some(block) =
            starts.clone().find_map(|start| header(&window[start..length], at + start as u64))
        {
            return Ok(Some(block));
        }
        at += starts.count() as u64;
    }
    Ok(None)
}

/// What is in a block; `None` where it is not what was written.
pub(crate) fn contents(file: &File, block: &Block, packed: bool) -> Option<Contents> {
    let mut payload = vec![0; block.length];
    file.read_exact_at(&mut payload, block.at).ok()?;
    if crc32c::crc32c(&payload) != block.sum {
        return None;
    }
    if packed {
        Contents::unpack(&payload, MOST_BLOCK)
    } else {
        Some(Contents { facts: Vec::new(), records: payload })
    }
}

/// Writes other contents in a block's place; false where they need more room than it has.
pub(crate) fn replace(file: &File, block: &Block, contents: &Contents, packed: bool) -> io::Result<bool> {
    let payload = if packed { contents.repack(block.length) } else { Some(contents.records.clone()) };
    let Some(payload) = payload else { return Ok(false) };
    let mut whole = vec![0; BLOCK_HEADER];
    whole.extend_from_slice(&payload);
    seal(&mut whole, block.time);
    file.write_all_at(&whole, block.at - BLOCK_HEADER as u64)?;
    Ok(true)
}

/// Takes the room away that the last block has to spare, in a file of one block.
#[cfg(test)]
pub(crate) fn tighten(file: &mut Vec<u8>) {
    let start = FILE_HEADER as usize;
    file.truncate(file.len() - contents::SLACK);
    seal(&mut file[start..], 7);
}
