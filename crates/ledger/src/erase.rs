//! Taking one address out of a ledger, also while a process writes it.

use std::{fs::OpenOptions, path::Path};

use crate::{
    block::{self, Block},
    decode::NoFacts,
    encode::kind,
    facts,
    octets::{Read, Reader},
    search::{Ledger, Record, fact_sum},
    settings::Error,
    veil::occurrences,
};

/// What was erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Places where the address stood.
    pub places: u64,
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
    if block::created(&file).is_none() {
        return Ok(());
    }
    for block in block::blocks(&file)? {
        let Some(mut payload) = block::payload(&file, &block) else {
            erased.unreadable += 1;
            continue;
        };
        let places = cover(&mut payload, &block, wanted);
        if places > 0 {
            block::replace(&file, &block, &payload)?;
            erased.places += places;
        }
    }
    file.sync_data()
}

/// Covers the address in all texts of a block; how often it stood there.
fn cover(payload: &mut [u8], block: &Block, wanted: &[String]) -> u64 {
    let mut places = 0;
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
        let Some(record) = payload.get_mut(bounds) else { continue };
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
        places += found;
    }
    places
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
    use crate::octets::number;

    #[test]
    fn a_fact_that_was_covered_has_a_right_checksum_again() {
        let mut octets = Vec::new();
        crate::octets::text(&mut octets, "client of a@b.example");
        let mut payload = Vec::new();
        number(&mut payload, octets.len() as u64 + 5);
        payload.push(kind::CLIENT);
        payload.extend_from_slice(&fact_sum(kind::CLIENT, &octets).to_le_bytes());
        payload.extend_from_slice(&octets);
        let mut file = tempfile::tempfile().unwrap();
        let mut whole = vec![0; block::FILE_HEADER as usize + block::BLOCK_HEADER];
        whole.extend_from_slice(&payload);
        block::seal(&mut whole[block::FILE_HEADER as usize..], 7);
        std::io::Write::write_all(&mut file, &whole).unwrap();
        let block = block::blocks(&file).unwrap()[0];
        assert_eq!(cover(&mut payload, &block, &["A@B.example".to_owned()]), 1);
        let fact = crate::search::fact(&payload[1..], kind::CLIENT).unwrap();
        assert_eq!(&fact[1..], b"client of *@b.example");
    }
}
