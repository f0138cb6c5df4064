//! Marks, packed. The last words of a server stand in a mark three times (as its reply, within the reason, and within what was tried), among words of ours
//! that every mark has: as LZ4 with a dictionary of these, a deferral takes 200 octets in place of 450.

/// What a mark begins with that is packed.
pub(crate) const PACKED: u8 = 2;

/// Part of format 3: what is in it never changes. What is met most stands last, where LZ4 finds it with the fewest octets.
const DICTIONARY: &[u8] = b"Host or domain name not found. Name service error for name=\
    client TLS configuration problem: TLS is required, but was not offered by host Cannot start TLS: handshake failure: \
    server not trusted: certificate verification failed for lost connection with conversation with timed out while \
    (in reply to MAIL FROM command)(in reply to end of DATA command)mailbox full over quota greylisted, try again later\
    Demanded: a server that proves itself by keys published in signed DNS (DANE), where the domain publishes them.\n\
    Demanded: a server with a certificate of a trusted authority for the destination's name.\n\
    Demanded: encryption, whoever the server is.\nDemanded: nothing: mail to this destination goes in clear.\n\
    Connection timed outnot-verified4.3.0no-such-hosthandshake4.7.5connect to []:25: Connection refusedunreachable4.4.1\
    Demanded: encryption where the server offers it.\nhost mx.[]:25: host [ said: 450 4.2.0 451 4.7.1 421 \
    mailbox busy, try again later (in reply to RCPT TO command)refused-for-now";

/// Below this, packing gains nothing.
const WORTHWHILE: usize = 96;
/// A mark is never longer than this: a thousand recipients at a time, each with a few hundred octets of text.
const LONGEST: usize = 64 << 20;

/// The mark as it is written: packed where that is shorter.
pub(crate) fn pack(plain: Vec<u8>) -> Vec<u8> {
    if plain.len() < WORTHWHILE || plain.len() > LONGEST {
        return plain;
    }
    let packed = lz4_flex::block::compress_with_dict(&plain, DICTIONARY);
    let mut out = Vec::with_capacity(packed.len() + 5);
    out.push(PACKED);
    out.extend_from_slice(&(plain.len() as u32).to_le_bytes());
    out.extend_from_slice(&packed);
    if out.len() < plain.len() { out } else { plain }
}

/// The plain form of what [`pack`] made, without its first octet; `None` if it is no such thing.
pub(crate) fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let (length, packed) = packed.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > LONGEST {
        return None;
    }
    let plain = lz4_flex::block::decompress_with_dict(packed, length, DICTIONARY).ok()?;
    (plain.len() == length).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_part_of_the_format() {
        assert_eq!((DICTIONARY.len(), crc32c::crc32c(DICTIONARY)), (995, 4_015_673_687));
    }

    #[test]
    fn what_is_no_packed_mark_is_none() {
        let plain =
            b"host mx.example[192.0.2.1] said: 450 4.2.0 later (in reply to RCPT TO command)".repeat(3);
        let packed = pack(plain.clone());
        assert!(packed.len() < 100 && packed[0] == PACKED, "{}", packed.len());
        assert_eq!(unpack(&packed[1..]), Some(plain));
        for upto in 0..packed.len() - 1 {
            assert_eq!(unpack(packed.get(1..upto).unwrap_or_default()), None, "{upto}");
        }
        // A length that nobody wrote takes no memory.
        assert_eq!(unpack(&[255, 255, 255, 255, 0]), None);
        for at in 1..packed.len() {
            let mut bad = packed.clone();
            bad[at] ^= 0x55;
            // Checksums stand before this; here it must only come back.
            let _ = unpack(&bad[1..]);
        }
    }
}
