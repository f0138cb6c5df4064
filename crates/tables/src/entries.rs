//! Entries in memory: one text, one array, one index.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
};

/// One entry: slices of the text, and its line.
#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u32,
    key: u32,
    value: u32,
    line: u32,
}

/// One place of the index.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// Entry + 1; 0 is empty.
    entry: u32,
    /// Bits of the hash that do not choose the slot: keys that differ are told apart without a look at the text.
    tag: u32,
}

/// A map from keys to values with the lines they came from. 16 octets an entry besides the text, and 16 to 32 for the index.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    text: String,
    entries: Vec<Entry>,
    /// Open addressing, a power of two slots, at most half of them full.
    slots: Vec<Slot>,
    hasher: RandomState,
}

/// What happened to an entry that was to be added.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added {
    New,
    /// There is one with this key already, from this line.
    Duplicate(u32),
    /// The text would be larger than 4 GiB.
    Full,
}

impl Entries {
    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, key: &str) -> Option<(&str, u32)> {
        let found = self.find(key, self.hash(key))?;
        let value = (found.start + found.key) as usize;
        Some((self.text.get(value..value + found.value as usize)?, found.line))
    }

    /// All entries with their lines, in the order of the file.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, u32)> {
        self.entries.iter().map(|entry| {
            let value = (entry.start + entry.key) as usize;
            let value = self.text.get(value..value + entry.value as usize).unwrap_or_default();
            (self.key_of(*entry), value, entry.line)
        })
    }

    /// The key must be folded already.
    pub(crate) fn add(&mut self, key: &str, value: &str, line: u32) -> Added {
        let hash = self.hash(key);
        if let Some(first) = self.find(key, hash) {
            return Added::Duplicate(first.line);
        }
        let sizes = (u32::try_from(self.text.len()), u32::try_from(key.len()), u32::try_from(value.len()));
        let (Ok(start), Ok(key_len), Ok(value_len)) = sizes else { return Added::Full };
        if u32::try_from(self.text.len() + key.len() + value.len()).is_err() {
            return Added::Full;
        }
        self.text.push_str(key);
        self.text.push_str(value);
        self.entries.push(Entry { start, key: key_len, value: value_len, line });
        if self.entries.len() * 2 > self.slots.len() {
            self.grow();
        } else {
            self.link(self.entries.len() - 1, hash);
        }
        Added::New
    }

    /// Whether both have the same keys with the same values from the same lines.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        let same = |(a, b): (&Entry, &Entry)| a.start == b.start && a.key == b.key && a.line == b.line;
        self.text == other.text
            && self.entries.len() == other.entries.len()
            && self.entries.iter().zip(&other.entries).all(same)
    }

    pub(crate) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    fn key_of(&self, entry: Entry) -> &str {
        let start = entry.start as usize;
        self.text.get(start..start + entry.key as usize).unwrap_or_default()
    }

    fn find(&self, key: &str, hash: u64) -> Option<Entry> {
        let mask = self.slots.len().checked_sub(1)?;
        let (mut at, tag) = split(hash);
        loop {
            at &= mask;
            let slot = self.slots.get(at)?;
            let number = (slot.entry as usize).checked_sub(1)?;
            if slot.tag == tag
                && let Some(entry) = self.entries.get(number)
                && self.key_of(*entry) == key
            {
                return Some(*entry);
            }
            at += 1;
        }
    }

    fn grow(&mut self) {
        let slots = (self.entries.len() * 4).next_power_of_two().max(8);
        self.slots.clear();
        self.slots.resize(slots, Slot::default());
        for number in 0..self.entries.len() {
            let hash = self.entries.get(number).map_or(0, |entry| self.hash(self.key_of(*entry)));
            self.link(number, hash);
        }
    }

    fn link(&mut self, number: usize, hash: u64) {
        let mask = self.slots.len() - 1;
        let (mut at, tag) = split(hash);
        while self.slots[at & mask].entry != 0 {
            at = (at & mask) + 1;
        }
        // The text is shorter than 4 GiB, so there are fewer entries than that.
        self.slots[at & mask] = Slot { entry: u32::try_from(number + 1).unwrap_or(u32::MAX), tag };
    }

    fn hash(&self, key: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key.as_bytes());
        hasher.finish()
    }
}

/// The bits that choose a slot, and the others.
#[expect(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
const fn split(hash: u64) -> (usize, u32) {
    (hash as u32 as usize, (hash >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_of_entries_are_found_with_their_lines() {
        let mut entries = Entries::default();
        assert_eq!(entries.get("a"), None);
        for line in 0..5000 {
            assert_eq!(entries.add(&format!("key{line}"), &format!("value{line}"), line), Added::New);
        }
        for line in 0..5000 {
            assert_eq!(entries.get(&format!("key{line}")), Some((format!("value{line}").as_str(), line)));
        }
        assert_eq!(entries.get("key5000"), None);
        assert_eq!(entries.add("key7", "other", 9000), Added::Duplicate(7));
        assert_eq!(entries.len(), 5000);
    }
}
