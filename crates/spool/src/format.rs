//! The octets on disk, format 3. All numbers are little-endian, all checksums CRC-32C.
//!
//! A segment is a file `<number>.seg` (16 hexadecimal digits). Numbers are never used twice, so a number is the generation of its file, too: a file
//! that is recycled under a new number (`<number>.free` in between) has a new salt, and nothing stale in it keeps a valid header.
//!
//! ```text
//! offset 0    segment header, 512 octets          the layout of the first 16 octets and of the last 4 is the same in all formats
//! offset 512  the same again
//! offset 1024 groups, each at a multiple of 512, zero octets between them: no sector is written twice in one generation; behind the last group
//!             may be what earlier generations left
//!
//! segment header  "WAXSPOOL" version:4 0:4 number:8 salt:8 id_floor:8 previous:8 vouched:8 0:452 crc:4
//! group header    "WXGP" flags:2 0:2 sequence:8 synced:8 records:4 length:4 0:12 crc:4                          (48 octets)
//! record          "WXRC" kind:1 flags:1 0:2 id:8 meta:4 body:4 crc_meta:4 crc_body:4 0:4 crc:4, meta, body      (40 octets and those)
//! ```
//!
//! The checksum of a group or record header starts from the segment's salt and number and from the header's own offset. It covers the lengths and the
//! checksums of what follows, so these need no salt and are computed by the client's thread. The salt is never shown to anyone: a message whose text looks
//! like a record is not taken for one, even behind a damaged header.
//!
//! Kinds: 1 PUT (meta: envelope), 2 UPDATE (meta: mark), 3 DONE, 4 CANCEL (no meta), 5 PUT and UPDATE, 6 PUT and DONE (meta: length of the mark
//! as 4 octets, mark, envelope). Group flags: 1 nothing follows in this segment, 2 an index (see `footer.rs`).
//! Record flag: 1 the body is in a file of its own (see `body.rs`).

/// The format that this program writes, and the newest that it reads.
pub(crate) const VERSION: u32 = 3;
/// The oldest format that it reads. Format 2 added what format 1 has zeros for; format 3 packed marks and indexes.
const OLDEST: u32 = 1;
pub(crate) const SECTOR: u64 = 512;
/// Where the first group is.
pub(crate) const FIRST_GROUP: u64 = 2 * SECTOR;
pub(crate) const GROUP_HEADER: usize = 48;
pub(crate) const RECORD_HEADER: usize = 40;

/// Record flag: the body is in a file of its own, `body` is its length and `crc_body` the checksum of its table.
pub(crate) const EXTERNAL: u8 = 1;

const SEGMENT_MAGIC: &[u8; 8] = b"WAXSPOOL";
pub(crate) const GROUP_MAGIC: &[u8; 4] = b"WXGP";
pub(crate) const RECORD_MAGIC: &[u8; 4] = b"WXRC";

/// Group flag: nothing follows in this segment.
pub(crate) const SEALED: u16 = 1;
/// Group flag: an index of the segment, and no records.
pub(crate) const INDEX: u16 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) number: u32,
    pub(crate) salt: u64,
    /// No id up to this one is given again.
    pub(crate) id_floor: u64,
    /// The segment that was written to before this one, or 0.
    pub(crate) previous: u32,
    /// All before this offset of that segment was durable: what does not hold there is damage, not a torn tail.
    pub(crate) vouched: u64,
}

/// Why a file has no usable segment header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoHeader {
    /// Never written: the file was made, and a crash followed.
    Unwritten,
    /// Of a format that this program does not know.
    Newer(u32),
    /// Whole, but another generation's: the file was taken to be written over, and a crash followed.
    Recycled,
    /// Written once, unreadable now.
    Damaged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupHeader {
    pub(crate) flags: u16,
    pub(crate) sequence: u64,
    /// All before this offset was durable when the group was written.
    pub(crate) synced: u64,
    pub(crate) records: u32,
    pub(crate) length: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Put,
    Update,
    Done,
    Cancel,
    PutUpdate,
    PutDone,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Put, Self::Update, Self::Done, Self::Cancel, Self::PutUpdate, Self::PutDone];

    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Put => 1,
            Self::Update => 2,
            Self::Done => 3,
            Self::Cancel => 4,
            Self::PutUpdate => 5,
            Self::PutDone => 6,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Whether it brings a message.
    pub(crate) const fn is_put(self) -> bool {
        match self {
            Self::Put | Self::PutUpdate | Self::PutDone => true,
            Self::Update | Self::Done | Self::Cancel => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) id: u64,
    pub(crate) meta: u32,
    pub(crate) body: u32,
    pub(crate) crc_meta: u32,
    pub(crate) crc_body: u32,
}

impl RecordHeader {
    /// Octets of the whole record, the padding behind it included.
    pub(crate) const fn total(&self) -> u64 {
        (RECORD_HEADER as u64 + self.meta as u64 + self.inner_body() as u64).next_multiple_of(8)
    }

    /// Whether the body is in a file of its own.
    pub(crate) const fn is_external(&self) -> bool {
        self.flags & EXTERNAL != 0
    }

    /// Octets of the body in the record itself.
    pub(crate) const fn inner_body(&self) -> u32 {
        if self.is_external() { 0 } else { self.body }
    }
}

/// What all header checksums of a segment start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed(u32);

impl Seed {
    pub(crate) fn new(header: &SegmentHeader) -> Self {
        let salted = crc32c::crc32c(&header.salt.to_le_bytes());
        Self(crc32c::crc32c_append(salted, &u64::from(header.number).to_le_bytes()))
    }

    pub(crate) fn checksum(self, offset: u64, octets: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c_append(self.0, &offset.to_le_bytes()), octets)
    }
}

pub(crate) fn segment_name(number: u32) -> String {
    format!("{number:016x}.seg")
}

/// The number in a segment's name; other names are not ours.
pub(crate) fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".seg").filter(|digits| digits.len() == 16)?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    u32::try_from(number).ok().filter(|number| *number > 0 && segment_name(*number) == name)
}

fn u16_at(octets: &[u8], at: usize) -> u16 {
    octets.get(at..at + 2).and_then(|o| o.try_into().ok()).map_or(0, u16::from_le_bytes)
}

pub(crate) fn u32_at(octets: &[u8], at: usize) -> u32 {
    octets.get(at..at + 4).and_then(|o| o.try_into().ok()).map_or(0, u32::from_le_bytes)
}

pub(crate) fn u64_at(octets: &[u8], at: usize) -> u64 {
    octets.get(at..at + 8).and_then(|o| o.try_into().ok()).map_or(0, u64::from_le_bytes)
}

impl SegmentHeader {
    /// Both copies.
    pub(crate) fn encode(&self) -> [u8; FIRST_GROUP as usize] {
        let mut both = [0; FIRST_GROUP as usize];
        let (one, two) = both.split_at_mut(SECTOR as usize);
        one[..8].copy_from_slice(SEGMENT_MAGIC);
        one[8..12].copy_from_slice(&VERSION.to_le_bytes());
        one[16..24].copy_from_slice(&u64::from(self.number).to_le_bytes());
        one[24..32].copy_from_slice(&self.salt.to_le_bytes());
        one[32..40].copy_from_slice(&self.id_floor.to_le_bytes());
        one[40..48].copy_from_slice(&u64::from(self.previous).to_le_bytes());
        one[48..56].copy_from_slice(&self.vouched.to_le_bytes());
        let crc = crc32c::crc32c(&one[..508]);
        one[508..].copy_from_slice(&crc.to_le_bytes());
        two.copy_from_slice(one);
        both
    }

    /// From the first 1024 octets of a file, or what there is of them.
    pub(crate) fn parse(octets: &[u8], number: u32) -> Result<Self, NoHeader> {
        let mut verdict =
            if octets.iter().all(|octet| *octet == 0) { NoHeader::Unwritten } else { NoHeader::Damaged };
        for copy in octets.chunks_exact(SECTOR as usize) {
            if &copy[..8] != SEGMENT_MAGIC || u32_at(copy, 508) != crc32c::crc32c(&copy[..508]) {
                continue;
            }
            let version = u32_at(copy, 8);
            if !(OLDEST..=VERSION).contains(&version) {
                verdict = NoHeader::Newer(version);
            } else if u64_at(copy, 16) == u64::from(number) {
                let (salt, id_floor) = (u64_at(copy, 24), u64_at(copy, 32));
                let previous = u32::try_from(u64_at(copy, 40)).unwrap_or(0);
                return Ok(Self { number, salt, id_floor, previous, vouched: u64_at(copy, 48) });
            } else if (1..u64::from(number)).contains(&u64_at(copy, 16)) {
                verdict = NoHeader::Recycled;
            }
        }
        Err(verdict)
    }
}

impl GroupHeader {
    pub(crate) fn encode(&self, seed: Seed, offset: u64) -> [u8; GROUP_HEADER] {
        let mut octets = [0; GROUP_HEADER];
        octets[..4].copy_from_slice(GROUP_MAGIC);
        octets[4..6].copy_from_slice(&self.flags.to_le_bytes());
        octets[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        octets[16..24].copy_from_slice(&self.synced.to_le_bytes());
        octets[24..28].copy_from_slice(&self.records.to_le_bytes());
        octets[28..32].copy_from_slice(&self.length.to_le_bytes());
        let crc = seed.checksum(offset, &octets[..44]);
        octets[44..].copy_from_slice(&crc.to_le_bytes());
        octets
    }

    pub(crate) fn parse(octets: &[u8], seed: Seed, offset: u64) -> Option<Self> {
        let octets = octets.get(..GROUP_HEADER)?;
        if &octets[..4] != GROUP_MAGIC || u32_at(octets, 44) != seed.checksum(offset, &octets[..44]) {
            return None;
        }
        Some(Self {
            flags: u16_at(octets, 4),
            sequence: u64_at(octets, 8),
            synced: u64_at(octets, 16),
            records: u32_at(octets, 24),
            length: u32_at(octets, 28),
        })
    }
}

impl RecordHeader {
    pub(crate) fn encode(&self, seed: Seed, offset: u64) -> [u8; RECORD_HEADER] {
        let mut octets = [0; RECORD_HEADER];
        octets[..4].copy_from_slice(RECORD_MAGIC);
        octets[4] = self.kind.number();
        octets[5] = self.flags;
        octets[8..16].copy_from_slice(&self.id.to_le_bytes());
        octets[16..20].copy_from_slice(&self.meta.to_le_bytes());
        octets[20..24].copy_from_slice(&self.body.to_le_bytes());
        octets[24..28].copy_from_slice(&self.crc_meta.to_le_bytes());
        octets[28..32].copy_from_slice(&self.crc_body.to_le_bytes());
        let crc = seed.checksum(offset, &octets[..36]);
        octets[36..].copy_from_slice(&crc.to_le_bytes());
        octets
    }

    pub(crate) fn parse(octets: &[u8], seed: Seed, offset: u64) -> Option<Self> {
        let octets = octets.get(..RECORD_HEADER)?;
        if &octets[..4] != RECORD_MAGIC || u32_at(octets, 36) != seed.checksum(offset, &octets[..36]) {
            return None;
        }
        Some(Self {
            kind: Kind::from_number(octets[4])?,
            flags: octets[5],
            id: u64_at(octets, 8),
            meta: u32_at(octets, 16),
            body: u32_at(octets, 20),
            crc_meta: u32_at(octets, 24),
            crc_body: u32_at(octets, 28),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader =
        SegmentHeader { number: 7, salt: 0x1234_5678_9abc_def0, id_floor: 99, previous: 6, vouched: 4096 };

    #[test]
    fn a_segment_header_survives_damage_to_one_copy() {
        let good = HEADER.encode();
        for at in 0..good.len() {
            let mut bad = good;
            bad[at] ^= 0x10;
            assert_eq!(SegmentHeader::parse(&bad, 7), Ok(HEADER), "{at}");
        }
        assert_eq!(SegmentHeader::parse(&good, 8), Err(NoHeader::Recycled));
        assert_eq!(SegmentHeader::parse(&good, 6), Err(NoHeader::Damaged));
        assert_eq!(SegmentHeader::parse(&[0; 100], 7), Err(NoHeader::Unwritten));
        assert_eq!(SegmentHeader::parse(&[], 7), Err(NoHeader::Unwritten));
    }

    #[test]
    fn a_newer_format_is_known_as_such() {
        let mut newer = HEADER.encode();
        newer[8] = 9;
        let crc = crc32c::crc32c(&newer[..508]).to_le_bytes();
        newer[508..512].copy_from_slice(&crc);
        newer[512..].fill(7);
        assert_eq!(SegmentHeader::parse(&newer, 7), Err(NoHeader::Newer(9)));
    }

    #[test]
    fn record_headers_hold_only_at_their_place_in_their_generation() {
        let record =
            RecordHeader { kind: Kind::PutDone, flags: 1, id: 5, meta: 1, body: 2, crc_meta: 3, crc_body: 4 };
        let seed = Seed::new(&HEADER);
        let octets = record.encode(seed, 1072);
        assert_eq!(RecordHeader::parse(&octets, seed, 1072), Some(record));
        assert_eq!(RecordHeader::parse(&octets, seed, 1080), None);
        assert_eq!(
            RecordHeader::parse(&octets, Seed::new(&SegmentHeader { number: 8, ..HEADER }), 1072),
            None
        );
        for bit in 0..octets.len() * 8 {
            let mut bad = octets;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RecordHeader::parse(&bad, seed, 1072), None, "bit {bit}");
        }
    }

    #[test]
    fn only_our_own_names_are_segments() {
        assert_eq!(segment_number("000000000000002a.seg"), Some(42));
        for foreign in
            ["2a.seg", "000000000000002A.seg", "0000000000000000.seg", "lock", "", "ffffffffffffffff.seg"]
        {
            assert_eq!(segment_number(foreign), None, "{foreign}");
        }
    }
}
