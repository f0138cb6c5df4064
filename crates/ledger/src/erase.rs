//! Taking one address out of a ledger, also while a process writes it.

use std::{fs::OpenOptions, path::Path};

use crate::{
    block::{self, Block},
    contents::Contents,
    decode::NoFacts,
    encode::kind,
    facts,
    octets::{Read, Reader},
    search::{self, Ledger, Record, fact_sum},
    settings::Error,
    veil::occurrences,
};

/// What was erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Places where the address stood.
    pub places: u64,
    /// Records that went whole, since there was no room for the same record without the address.
    pub records: u64,
    /// Blocks that could not be read, and so not be looked at.
    pub unreadable: u64,
}

impl Ledger {
    /// Writes stars over the local part of `address` wherever it stands, in the words of servers as well, and the same for its digest where
    /// addresses are redacted. What a running process has not written yet (a tenth of a second) is not touched.
    ///
    /// # Errors
    /// A file cannot be read or written. What was done until then is done.
    pub fn erase(&self, address: &str) -> Result<Erased, Error> {
        let mut wanted = vec![address.to_owned()];
        if !self.veil.is_none() {
            wanted.push(self.veil.address(address).into_owned());
        }
        let mut erased = Erased::default();
        for segment in self.segments()? {
            erase_from(&segment.path, &wanted, &mut erased)
                .map_err(|error| Error::file("erase from", &segment.path, error))?;
        }
        Ok(erased)
    }
}

fn erase_from(path: &Path, wanted: &[String], erased: &mut Erased) -> std::io::Result<()> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        // The writer made room meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let Some(block::Opening { packed, .. }) = block::opening(&file) else { return Ok(()) };
    for block in block::blocks(&file)? {
        let Some(mut contents) = block::contents(&file, &block, packed) else {
            erased.unreadable += 1;
            continue;
        };
        let Contents { facts, records } = &mut contents;
        let mut covered = Covered::default();
        cover(facts, &block, wanted, &mut covered);
        let of_facts = std::mem::take(&mut covered.records);
        cover(records, &block, wanted, &mut covered);
        erased.places += covered.places;
        if covered.records.is_empty() && of_facts.is_empty()
            || block::replace(&file, &block, &contents, packed)?
        {
            continue;
        }
        // Stars may need a few octets more than what was like another text, and the block has a few to spare. Where they do not suffice, the records go
        // whole: what was to be erased never stays.
        let records = &mut contents.records;
        covered.records.iter().for_each(|bounds| records[bounds.clone()].fill(0));
        erased.records += covered.records.len() as u64;
        if !block::replace(&file, &block, &contents, packed)? {
            erased.records += search::records(&contents.records).count() as u64;
            contents.records.clear();
            block::replace(&file, &block, &contents, packed)?;
        }
    }
    file.sync_data()
}

/// What was covered in a part of a block.
#[derive(Debug, Default)]
struct Covered {
    places: u64,
    /// The records and facts in which it stood.
    records: Vec<std::ops::Range<usize>>,
}

/// Covers the address in all texts of a block's facts or records.
fn cover(payload: &mut [u8], block: &Block, wanted: &[String], covered: &mut Covered) {
    let mut reader = Reader::new(payload);
    let mut bounds = Vec::new();
    while !reader.is_empty() {
        let Ok(length) = reader.small::<usize>() else { break };
        let start = reader.position();
        if reader.octets(length).is_err() {
            break;
        }
        bounds.push(start..start + length);
    }
    for bounds in bounds {
        let Some(record) = payload.get_mut(bounds.clone()) else { continue };
        let mut texts = texts(record, block.time).unwrap_or_default();
        texts.retain(|text| text.end <= record.len());
        let mut found = 0;
        for text in texts {
            let text = &mut record[text];
            for address in wanted {
                let local = address.rfind('@').unwrap_or(address.len());
                for at in occurrences(text, address) {
                    text[at..at + local].fill(b'*');
                    found += 1;
                }
            }
        }
        if found > 0 && record.first().is_some_and(|kind| *kind >= kind::CLIENT) && record.len() >= 5 {
            let sum = fact_sum(record[0], &record[5..]);
            record[1..5].copy_from_slice(&sum.to_le_bytes());
        }
        if found > 0 {
            covered.places += found;
            covered.records.push(bounds);
        }
    }
}

/// Where the texts of a record or fact are.
fn texts(record: &[u8], block_time: u64) -> Read<Vec<std::ops::Range<usize>>> {
    let mut reader = Reader::noting(record);
    let fact = record.first().copied().filter(|kind| *kind >= kind::CLIENT);
    let Some(kind) = fact else {
        let mut record = Record::read(reader, block_time)?;
        let head = record.head()?;
        return Ok(record.entry(&head, &mut NoFacts)?.1.texts());
    };
    reader.octets(5)?;
    match kind {
        kind::CLIENT => drop(reader.text()?),
        kind::DESTINATION => drop(facts::read_destination(&mut reader)?),
        kind::WAY => drop(facts::read_way(&mut reader)?),
        kind::CONNECTION => drop(facts::read_connection(&mut reader)?),
        kind::CHAIN => drop(facts::read_chain(&mut reader)?),
        _ => {}
    }
    Ok(reader.texts())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::octets::{self, number};

    #[test]
    fn a_fact_that_was_covered_has_a_right_checksum_again() {
        let mut octets = Vec::new();
        crate::octets::text(&mut octets, "client of a@b.example");
        let mut payload = Vec::new();
        number(&mut payload, octets.len() as u64 + 5);
        payload.push(kind::CLIENT);
        payload.extend_from_slice(&fact_sum(kind::CLIENT, &octets).to_le_bytes());
        payload.extend_from_slice(&octets);
        let mut whole = vec![0; block::FILE_HEADER as usize];
        block::write(&payload, b"", 7, &mut whole);
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &whole).unwrap();
        let block = block::blocks(&file).unwrap()[0];
        let mut contents = block::contents(&file, &block, true).unwrap();
        let mut covered = Covered::default();
        cover(&mut contents.facts, &block, &["A@B.example".to_owned()], &mut covered);
        assert_eq!(covered.places, 1);
        assert!(block::replace(&file, &block, &contents, true).unwrap());
        let block = block::blocks(&file).unwrap()[0];
        let payload = block::contents(&file, &block, true).unwrap().facts;
        let fact = crate::search::fact(&payload[1..], kind::CLIENT).unwrap();
        assert_eq!(&fact[1..], b"client of *@b.example");
    }

    #[test]
    fn where_stars_have_no_room_records_go_whole_and_never_the_erasing() {
        let record = |id: u64, message_id: &str| {
            // An attempt without facts at time 0, and the head of it; a settled one needs no more than that to be looked through.
            let mut record = vec![kind::SETTLED, 0, 0, 0];
            record.extend_from_slice(&id.to_le_bytes());
            octets::maybe_text(&mut record, Some("a@b.example"));
            octets::maybe_text(&mut record, Some(message_id));
            record.extend_from_slice(&[1, 0]);
            octets::text(&mut record, "x@b.example");
            record.extend_from_slice(&[0, 0, 1]);
            record.extend_from_slice(&[7; 16]);
            record.extend_from_slice(&[0, 0, 0, 0]);
            octets::text(&mut record, "why");
            record.push(0);
            record
        };
        let mut records = Vec::new();
        for (id, message_id) in [(1, "x-a@b.example-x@b.example"), (2, "what else there is")] {
            let record = record(id, message_id);
            number(&mut records, record.len() as u64);
            records.extend_from_slice(&record);
        }
        let mut whole = vec![0; block::FILE_HEADER as usize];
        let header = block::file_header(block::Ring::Kept, 7);
        whole[..].copy_from_slice(&header);
        block::write(b"", &records, 7, &mut whole);
        block::tighten(&mut whole);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &whole).unwrap();
        let mut erased = Erased::default();
        erase_from(file.path(), &["a@b.example".to_owned()], &mut erased).unwrap();
        assert_eq!((erased.places, erased.unreadable), (2, 0));
        assert!(erased.records > 0, "{erased:?}");
        let left = std::fs::File::open(file.path()).unwrap();
        let block = block::blocks(&left).unwrap()[0];
        let left = block::contents(&left, &block, true).unwrap();
        assert!(memchr::memmem::find(&left.records, b"a@b.example").is_none());
    }
}
