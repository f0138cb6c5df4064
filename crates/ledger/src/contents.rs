//! What is in a block: the facts as they are, so that each is read by its place in the file alone, and the records packed (docs/ledger-format.md, "Blocks").
//!
//! Records of a block are much alike: the same senders, servers and sentences, and some hundred octets of each that no other has (ids, times, the address). As
//! LZ4 that is a quarter of them. A dictionary helps a block of few records, which is what a quiet machine writes.

/// Octets ahead of the facts: their length, that of the records, and that of the records as they are written.
const LENGTHS: usize = 12;
/// Where in a payload the facts begin.
pub(crate) const FACTS_AT: usize = LENGTHS;
/// Octets left free behind the records, for what [`crate::Ledger::erase`] makes a little longer: stars in place of what was like another text.
pub(crate) const SLACK: usize = 16;

/// Part of version 2: what is in it never changes. What is met most stands last, where LZ4 finds it with the fewest octets.
const DICTIONARY: &[u8] = b"Host or domain name not found. Name service error for name=lost connection with conversation with timed out while \
    client TLS configuration problem: TLS is required, but was not offered by host Cannot start TLS: handshake failure: \
    server not trusted: certificate verification failed for 4.4.1 connect to []:25: Connection refusedConnection timed out\
    550 5.1.1 5.7.1 User unknown in virtual mailbox tableRelay access denied (in reply to MAIL FROM command)(in reply to end of DATA command)\
    421 451 4.7.1 Greylisted, try again latermailbox full452 4.2.2 over quota250 2.0.0 Ok: queued as 250 2.1.5 250 OK id=\
    @example.com>@mail.gmail.com>.JavaMail.\x19<20host mx.[]:25: host mx0.mail.protection.outlook.com[] said: 450 4.2.0 \
    mailbox busy, try again later (in reply to RCPT TO command)";

/// A block's facts and records, each with its length ahead of it. In files of version 1 facts stand among the records.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) facts: Vec<u8>,
    pub(crate) records: Vec<u8>,
}

/// Adds the payload of a block to `out`.
pub(crate) fn pack(facts: &[u8], records: &[u8], out: &mut Vec<u8>) {
    let packed = lz4_flex::block::compress_with_dict(records, DICTIONARY);
    // What packing makes no shorter stays as it is; then both lengths are the same.
    let written = if packed.len() < records.len() { &packed } else { records };
    for length in [facts.len(), records.len(), written.len()] {
        out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    }
    out.extend_from_slice(facts);
    out.extend_from_slice(written);
    out.resize(out.len() + SLACK, 0);
}

impl Contents {
    /// What a payload says; `None` where it is none. `most` is what the records may have.
    pub(crate) fn unpack(payload: &[u8], most: usize) -> Option<Self> {
        let (lengths, rest) = payload.split_at_checked(LENGTHS)?;
        let length = |at: usize| lengths.get(at..at + 4)?.try_into().map(u32::from_le_bytes).ok();
        let (facts, records, written) = (length(0)?, length(4)? as usize, length(8)? as usize);
        let (facts, rest) = rest.split_at_checked(facts as usize)?;
        let written = rest.get(..written)?;
        if records > most {
            return None;
        }
        let records = if written.len() == records {
            written.to_vec()
        } else {
            let unpacked = lz4_flex::block::decompress_with_dict(written, records, DICTIONARY).ok()?;
            (unpacked.len() == records).then_some(unpacked)?
        };
        Some(Self { facts: facts.to_vec(), records })
    }

    /// The payload again, in so many octets; `None` where they are too few.
    pub(crate) fn repack(&self, octets: usize) -> Option<Vec<u8>> {
        let mut payload = Vec::with_capacity(octets + SLACK);
        pack(&self.facts, &self.records, &mut payload);
        // The slack is for this.
        (payload.len() - SLACK <= octets).then(|| {
            payload.resize(octets, 0);
            payload
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_part_of_the_format() {
        assert_eq!((DICTIONARY.len(), crc32c::crc32c(DICTIONARY)), (774, 393_679_183));
    }

    #[test]
    fn what_was_packed_comes_back_and_what_was_not_is_none_or_something_else() {
        let records: Vec<u8> = (0..50u32)
            .flat_map(|n| {
                format!("host mx{n}.example[192.0.2.{n}] said: 450 4.2.0 later {}", n * n).into_bytes()
            })
            .collect();
        for (facts, records) in [(&b"facts"[..], &records[..]), (b"", b"short"), (b"", b"")] {
            let mut payload = Vec::new();
            pack(facts, records, &mut payload);
            let contents = Contents::unpack(&payload, 1 << 20).unwrap();
            assert_eq!((&contents.facts[..], &contents.records[..]), (facts, records));
            assert_eq!(contents.repack(payload.len()), Some(payload.clone()));
            assert_eq!(contents.repack(payload.len() - SLACK).map(|p| p.len()), Some(payload.len() - SLACK));
            assert_eq!(contents.repack(payload.len() - SLACK - 1), None);
            assert!(payload.len() <= LENGTHS + facts.len() + records.len() + SLACK);
            for upto in 0..payload.len() - SLACK {
                assert!(Contents::unpack(&payload[..upto], 1 << 20).is_none(), "{upto}");
            }
            for at in 0..payload.len() {
                let mut bad = payload.clone();
                bad[at] ^= 0x55;
                // Checksums stand before this; here it must only come back, and not take more than it may.
                assert!(Contents::unpack(&bad, 1 << 20).is_none_or(|c| c.records.len() <= 1 << 20));
            }
        }
        assert!(Contents::unpack(&[255; 64], 1 << 20).is_none());
    }

    #[test]
    fn records_that_are_alike_take_a_third() {
        let mut payload = Vec::new();
        let records = "lhost mx0.b.example[127.2.0.1] said: 450 4.2.0 mailbox busy, try again later (in reply to RCPT TO command)".repeat(2);
        pack(b"", records.as_bytes(), &mut payload);
        assert!(payload.len() < records.len() / 3, "{} of {}", payload.len(), records.len());
    }
}
