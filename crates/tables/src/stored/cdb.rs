//! `cdb:` files (cdb_table(5); the format: D. J. Bernstein, "A structure for constant databases", 1996).

use super::{Records, damaged, u32_at};
use crate::{TableError, Warning, entries::Entries};

/// 256 pairs of numbers: where each hash table is, and how many slots it has.
const HEADER: usize = 256 * 8;

/// All records of the file. They stand one after the other behind the header, up to the first hash table.
pub(crate) fn parse(path: &str, data: &[u8]) -> Result<(Entries, Vec<Warning>), TableError> {
    check_tables(data).ok_or_else(|| damaged(path, "not a cdb file, or not all of one"))?;
    let end = u32_at(data, 0).map_or(0, |end| end as usize);
    let mut records = Records::new(path);
    let mut at = HEADER;
    while at < end {
        let (key, value) =
            record(data, at, end).ok_or_else(|| damaged(path, "a record that does not fit"))?;
        at += 8 + key.len() + value.len();
        records.add(key, value)?;
    }
    Ok(records.done())
}

/// Whether each hash table is where the header says: all of them are written last, so that a file that breaks off does not pass.
fn check_tables(data: &[u8]) -> Option<()> {
    let end = u32_at(data, 0)? as usize;
    let mut expected = end;
    (end >= HEADER).then_some(())?;
    for table in 0..256 {
        let (place, slots) = (u32_at(data, table * 8)? as usize, u32_at(data, table * 8 + 4)? as usize);
        (slots == 0 || place == expected).then_some(())?;
        expected = expected.checked_add(slots.checked_mul(8)?)?;
    }
    (expected == data.len()).then_some(())
}

/// The lengths of key and value, then both.
fn record(data: &[u8], at: usize, end: usize) -> Option<(&[u8], &[u8])> {
    let (key, value) = (u32_at(data, at)? as usize, u32_at(data, at + 4)? as usize);
    let middle = (at + 8).checked_add(key)?;
    let stop = middle.checked_add(value).filter(|stop| *stop <= end)?;
    Some((data.get(at + 8..middle)?, data.get(middle..stop)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with these records, without the pointers in its hash tables, which nobody reads here.
    fn file(records: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (key, value) in records {
            body.extend(u32::try_from(key.len()).unwrap().to_le_bytes());
            body.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
            body.extend(*key);
            body.extend(*value);
        }
        let end = u32::try_from(HEADER + body.len()).unwrap();
        let slots = u32::try_from(records.len() * 2).unwrap();
        let mut data: Vec<u8> = [end.to_le_bytes(), slots.to_le_bytes()].concat();
        data.extend([(end + slots * 8).to_le_bytes(), 0_u32.to_le_bytes()].concat().repeat(255));
        data.extend(body);
        data.extend(vec![0; slots as usize * 8]);
        data
    }

    #[test]
    fn records_are_read_with_and_without_nul_and_the_first_of_two_wins() {
        let data = file(&[(b"a", b"may"), (b"b\0", b"secure\0"), (b"a", b"none"), (b"\xff", b"x")]);
        let (entries, warnings) = parse("/t.cdb", &data).unwrap();
        let got = ["a", "b", "c"].map(|key| entries.get(key).map(|(value, _)| value));
        assert_eq!(got, [Some("may"), Some("secure"), None]);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert_eq!(parse("/t.cdb", &file(&[])).unwrap().0.len(), 0);
    }

    #[test]
    fn a_file_that_is_cut_off_anywhere_is_damaged() {
        let data = file(&[(b"a", b"may"), (b"b", b"secure")]);
        for end in 0..data.len() {
            assert!(matches!(parse("/t", &data[..end]), Err(TableError::Damaged { .. })), "{end}");
        }
        let value = file(&[(b"a", b"\xff")]);
        assert!(matches!(parse("/t", &value), Err(TableError::Damaged { .. })));
    }

    #[test]
    fn any_octet_may_be_wrong_without_a_panic() {
        let data = file(&[(b"a", b"may"), (b"b", b"secure")]);
        for at in (0..40).chain(HEADER..data.len()) {
            for bit in 0..8 {
                let mut bad = data.clone();
                bad[at] ^= 1 << bit;
                let _ = parse("/t", &bad);
            }
        }
    }
}
