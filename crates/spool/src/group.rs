//! One group in the making: headers and small parts in one buffer, large bodies by reference.

use std::io::IoSlice;

use bytes::Bytes;

use crate::format::{EXTERNAL, GROUP_HEADER, GroupHeader, Kind, RECORD_HEADER, RecordHeader, SECTOR, Seed};

/// Bodies up to this are copied rather than given a slice of their own: a slice costs the kernel about as much.
const COPIED: usize = 512;

pub(crate) struct Group {
    seed: Seed,
    start: u64,
    at: u64,
    records: u32,
    scratch: Vec<u8>,
    /// Bodies, each with how much of `scratch` comes before it.
    bodies: Vec<(usize, Bytes)>,
}

/// What a record consists of.
pub(crate) struct Parts<'a> {
    pub(crate) kind: Kind,
    pub(crate) id: u64,
    pub(crate) meta: &'a [u8],
    /// Where it is known already.
    pub(crate) crc_meta: Option<u32>,
    pub(crate) body: Bytes,
    pub(crate) crc_body: u32,
    /// The length of a body in a file of its own; `body` is empty then.
    pub(crate) external: Option<u32>,
}

impl Group {
    pub(crate) fn new(seed: Seed, start: u64) -> Self {
        let scratch = vec![0; GROUP_HEADER];
        Self { seed, start, at: start + GROUP_HEADER as u64, records: 0, scratch, bodies: Vec::new() }
    }

    /// Adds a record and returns its offset in the file, and its size.
    pub(crate) fn push(&mut self, parts: Parts<'_>) -> (u64, u64) {
        let header = RecordHeader {
            kind: parts.kind,
            flags: if parts.external.is_some() { EXTERNAL } else { 0 },
            id: parts.id,
            meta: parts.meta.len() as u32,
            body: parts.external.unwrap_or(parts.body.len() as u32),
            crc_meta: parts.crc_meta.unwrap_or_else(|| crc32c::crc32c(parts.meta)),
            crc_body: parts.crc_body,
        };
        let offset = self.at;
        self.scratch.extend_from_slice(&header.encode(self.seed, offset));
        self.scratch.extend_from_slice(parts.meta);
        if parts.body.len() <= COPIED {
            self.scratch.extend_from_slice(&parts.body);
        } else {
            self.bodies.push((self.scratch.len(), parts.body));
        }
        let padding =
            header.total() as usize - RECORD_HEADER - header.meta as usize - header.inner_body() as usize;
        self.scratch.extend_from_slice(&[0; 8][..padding]);
        self.at += header.total();
        self.records += 1;
        (offset, header.total())
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Where the next group begins.
    pub(crate) const fn end(&self) -> u64 {
        self.at.next_multiple_of(SECTOR)
    }

    /// Writes the header and the padding.
    pub(crate) fn close(&mut self, sequence: u64, flags: u16) {
        let length = (self.at - self.start) as u32 - GROUP_HEADER as u32;
        let synced = self.start;
        let header = GroupHeader { flags, sequence, synced, records: self.records, length };
        self.scratch[..GROUP_HEADER].copy_from_slice(&header.encode(self.seed, self.start));
        let padding = (self.end() - self.at) as usize;
        self.scratch.resize(self.scratch.len() + padding, 0);
    }

    /// All of it, in order.
    pub(crate) fn slices(&self) -> Vec<IoSlice<'_>> {
        let mut slices = Vec::with_capacity(2 * self.bodies.len() + 1);
        let mut from = 0;
        for (upto, body) in &self.bodies {
            slices.push(IoSlice::new(&self.scratch[from..*upto]));
            slices.push(IoSlice::new(body));
            from = *upto;
        }
        slices.push(IoSlice::new(&self.scratch[from..]));
        slices
    }
}
