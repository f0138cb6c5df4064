//! `lmdb:` files (lmdb_table(5)), read as they lie on disk.
//!
//! LMDB never overwrites a page that the last transaction can see, and writes one of two meta pages last. So the whole file, read while nobody
//! changed it, holds one consistent state: the tree under the meta page with the higher transaction number.
//! The layout is that of data version 1 (all of LMDB 0.9) on 64-bit little-endian machines; anything else is refused by its magic number.

use super::{Records, damaged, u16_at, u32_at, u64_at};
use crate::{TableError, Warning, entries::Entries};

/// `MDB_MAGIC` and `MDB_DATA_VERSION`.
const MAGIC: u32 = 0xBEEF_C0DE;
const VERSION: u32 = 1;
/// Octets before the content of each page: number, padding, flags, and two bounds or the number of overflow pages.
const PAGE_HEADER: usize = 16;
/// `P_BRANCH`, `P_LEAF`.
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
/// Octets before the key of a node: size or child (4), flags, size of the key.
const NODE_HEADER: usize = 8;
/// `F_BIGDATA`: the value stands on pages of its own. `F_SUBDATA` and `F_DUPDATA` are of kinds of databases that Postfix does not make.
const BIG: u16 = 1;
/// Deeper than a tree of 2^64 pages with two children each.
const DEPTH_LIMIT: usize = 64;
/// `P_INVALID`: no root, so no entries.
const NO_PAGE: u64 = u64::MAX;

/// All entries of the main database of the file.
pub(crate) fn parse(path: &str, data: &[u8]) -> Result<(Entries, Vec<Warning>), TableError> {
    let file =
        File::new(data).ok_or_else(|| damaged(path, "not an LMDB file of version 1, or not all of one"))?;
    let mut records = Records::new(path);
    if file.root != NO_PAGE {
        file.walk(&mut records, file.root, DEPTH_LIMIT)?;
    }
    if records.number as u64 != file.entries {
        return Err(damaged(path, "it has not as many entries as it says"));
    }
    Ok(records.done())
}

struct File<'a> {
    data: &'a [u8],
    page_size: usize,
    root: u64,
    entries: u64,
}

/// One of the two meta pages: the main database's root and number of entries, the last page, the transaction.
struct Meta {
    page_size: usize,
    root: u64,
    entries: u64,
    last_page: u64,
    transaction: u64,
}

impl Meta {
    fn at(data: &[u8], page: usize) -> Option<Self> {
        let at = page.checked_add(PAGE_HEADER)?;
        let known = u32_at(data, at)? == MAGIC && u32_at(data, at + 4)? == VERSION;
        known.then_some(())?;
        // magic, version, address, map size; then the free list's database and the main one, of 48 octets each.
        let (free, main) = (at + 24, at + 72);
        Some(Self {
            page_size: u32_at(data, free)? as usize,
            entries: u64_at(data, main + 32)?,
            root: u64_at(data, main + 40)?,
            last_page: u64_at(data, at + 120)?,
            transaction: u64_at(data, at + 128)?,
        })
    }
}

impl<'a> File<'a> {
    fn new(data: &'a [u8]) -> Option<Self> {
        let first = Meta::at(data, 0)?;
        let page_size = first.page_size;
        (page_size.is_power_of_two() && (512..=65536).contains(&page_size)).then_some(())?;
        let second = Meta::at(data, page_size)?;
        let meta = if second.transaction > first.transaction { second } else { first };
        let end = usize::try_from(meta.last_page).ok()?.checked_add(1)?.checked_mul(page_size)?;
        (end <= data.len()).then_some(Self { data, page_size, root: meta.root, entries: meta.entries })
    }

    fn page(&self, number: u64) -> Option<&'a [u8]> {
        let at = usize::try_from(number).ok()?.checked_mul(self.page_size)?;
        let page = self.data.get(at..at.checked_add(self.page_size)?)?;
        (u64_at(page, 0)? == number).then_some(page)
    }

    fn walk(&self, records: &mut Records<'_>, number: u64, depth: usize) -> Result<(), TableError> {
        let path = records.path;
        let fault = || damaged(path, "a page that does not fit");
        let depth = depth.checked_sub(1).ok_or_else(fault)?;
        let page = self.page(number).ok_or_else(fault)?;
        let flags = u16_at(page, 10).ok_or_else(fault)?;
        let count = nodes(page).ok_or_else(fault)?;
        for index in 0..count {
            // A page that is in the tree twice would be walked for ever; so many entries there are not.
            if records.number as u64 > self.entries {
                return Err(fault());
            }
            let node = Node::at(page, index).ok_or_else(fault)?;
            if flags & BRANCH != 0 {
                self.walk(records, node.child(), depth)?;
            } else if flags & LEAF != 0 && node.flags & !BIG == 0 {
                records.add(node.key, self.value(page, &node).ok_or_else(fault)?)?;
            } else {
                return Err(fault());
            }
        }
        Ok(())
    }

    fn value(&self, page: &'a [u8], node: &Node<'a>) -> Option<&'a [u8]> {
        if node.flags & BIG == 0 {
            return page.get(node.data..node.data.checked_add(node.size)?);
        }
        let at = usize::try_from(u64_at(page, node.data)?).ok()?.checked_mul(self.page_size)? + PAGE_HEADER;
        self.data.get(at..at.checked_add(node.size)?)
    }
}

/// How many nodes are on a page: `mp_lower` is the end of their offsets.
fn nodes(page: &[u8]) -> Option<usize> {
    Some(usize::from(u16_at(page, 12)?).checked_sub(PAGE_HEADER)? / 2)
}

struct Node<'a> {
    size: usize,
    flags: u16,
    key: &'a [u8],
    /// Where the value, or the number of its page, is on this page.
    data: usize,
}

impl<'a> Node<'a> {
    fn at(page: &'a [u8], index: usize) -> Option<Self> {
        let at = usize::from(u16_at(page, PAGE_HEADER + 2 * index)?);
        let (size, flags, key) = (u32_at(page, at)? as usize, u16_at(page, at + 4)?, u16_at(page, at + 6)?);
        let data = at + NODE_HEADER + usize::from(key);
        Some(Self { size, flags, key: page.get(at + NODE_HEADER..data)?, data })
    }

    /// In a branch: 48 bits of a page's number.
    const fn child(&self) -> u64 {
        self.size as u64 | ((self.flags as u64) << 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of one leaf page with one node, as LMDB writes it.
    fn file() -> Vec<u8> {
        const SIZE: usize = 4096;
        let mut data = vec![0; SIZE * 3];
        let mut put = |at: usize, octets: &[u8]| data[at..at + octets.len()].copy_from_slice(octets);
        for page in 0..2_usize {
            let at = page * SIZE + PAGE_HEADER;
            put(page * SIZE, &(page as u64).to_le_bytes());
            put(at, &MAGIC.to_le_bytes());
            put(at + 4, &VERSION.to_le_bytes());
            put(at + 24, &4096_u32.to_le_bytes());
            put(at + 72 + 32, &(page as u64).to_le_bytes());
            put(at + 72 + 40, &if page == 0 { NO_PAGE } else { 2 }.to_le_bytes());
            put(at + 120, &if page == 0 { 1_u64 } else { 2 }.to_le_bytes());
            put(at + 128, &(page as u64).to_le_bytes());
        }
        let leaf = 2 * SIZE;
        put(leaf, &2_u64.to_le_bytes());
        put(leaf + 10, &LEAF.to_le_bytes());
        put(leaf + 12, &18_u16.to_le_bytes());
        put(leaf + 16, &4000_u16.to_le_bytes());
        put(leaf + 4000, &6_u32.to_le_bytes());
        put(leaf + 4006, &1_u16.to_le_bytes());
        put(leaf + 4008, b"asecure");
        data
    }

    #[test]
    fn the_newer_of_both_states_is_read() {
        let (entries, warnings) = parse("/t.lmdb", &file()).unwrap();
        assert_eq!((entries.get("a").map(|(value, _)| value), warnings.len()), (Some("secure"), 0));
        let mut older = file();
        older[4096 + 16 + 128] = 0;
        assert_eq!(parse("/t.lmdb", &older).unwrap().0.len(), 0);
    }

    #[test]
    fn what_is_cut_off_or_counts_wrong_is_damaged() {
        let data = file();
        for end in (0..data.len()).step_by(97) {
            assert!(matches!(parse("/t", &data[..end]), Err(TableError::Damaged { .. })), "{end}");
        }
        let mut wrong = file();
        wrong[4096 + 16 + 72 + 32] = 2;
        assert!(matches!(parse("/t", &wrong), Err(TableError::Damaged { .. })));
    }

    #[test]
    fn any_octet_may_be_wrong_without_a_panic_or_an_endless_walk() {
        let data = file();
        for at in (0..160).chain(4096..4256).chain(8192..8216).chain(12192..12208) {
            for bit in 0..8 {
                let mut bad = data.clone();
                bad[at] ^= 1 << bit;
                let _ = parse("/t", &bad);
            }
        }
    }
}
