//! A map from ids to small values in sorted chunks. Ids grow with time, so it is filled at its end and full chunks are really full: some 34 octets for an
//! entry of 32, where a hash table takes 38 to 75 and twice as much again while it grows.

/// Entries of a chunk; moving half of them costs less than a microsecond.
const CHUNK: usize = 512;

#[derive(Debug)]
struct Chunk<V> {
    /// No id in it is less.
    first: u64,
    items: Vec<(u64, V)>,
}

/// A map from ids, which grow, to small values; packed: some 34 octets for an entry of 32.
#[derive(Debug)]
pub struct Shelf<V> {
    /// Never an empty one.
    chunks: Vec<Chunk<V>>,
    len: usize,
}

impl<V> Default for Shelf<V> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<V: Copy> Shelf<V> {
    /// How many entries.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The chunk where `id` is, or would be.
    fn chunk(&self, id: u64) -> usize {
        // What is new is asked for most.
        if self.chunks.last().is_some_and(|last| last.first <= id) {
            return self.chunks.len() - 1;
        }
        self.chunks.partition_point(|chunk| chunk.first <= id).saturating_sub(1)
    }

    fn find(&self, id: u64) -> Option<(usize, usize)> {
        let at = self.chunk(id);
        let items = &self.chunks.get(at)?.items;
        if items.last()?.0 < id {
            return None;
        }
        let place = items.binary_search_by_key(&id, |item| item.0).ok()?;
        Some((at, place))
    }

    /// The entry of an id.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<V> {
        let (at, place) = self.find(id)?;
        Some(self.chunks[at].items[place].1)
    }

    /// The entry of an id, to be changed.
    pub fn get_mut(&mut self, id: u64) -> Option<&mut V> {
        let (at, place) = self.find(id)?;
        Some(&mut self.chunks[at].items[place].1)
    }

    /// Takes an entry in; what was there under the same id goes.
    pub fn insert(&mut self, id: u64, value: V) {
        let mut at = self.chunk(id);
        let Some(chunk) = self.chunks.get_mut(at) else {
            self.push(0, id, value);
            return;
        };
        if chunk.items.len() < CHUNK && chunk.items.last().is_none_or(|last| last.0 < id) {
            chunk.items.push((id, value));
            self.len += 1;
            return;
        }
        if let Ok(place) = chunk.items.binary_search_by_key(&id, |item| item.0) {
            chunk.items[place].1 = value;
            return;
        }
        if chunk.items.len() == CHUNK && !self.move_over(at, id) {
            if self.chunks[at].items.last().is_some_and(|last| last.0 < id) {
                return self.push(at + 1, id, value);
            }
            let chunk = &mut self.chunks[at];
            let mut items = Vec::with_capacity(CHUNK);
            items.extend(chunk.items.drain(CHUNK / 2..));
            let first = items[0].0;
            self.chunks.insert(at + 1, Chunk { first, items });
        }
        at += usize::from(self.chunks.get(at + 1).is_some_and(|next| next.first <= id));
        let chunk = &mut self.chunks[at];
        let place = chunk.items.partition_point(|item| item.0 < id);
        chunk.items.insert(place, (id, value));
        chunk.first = chunk.first.min(id);
        self.len += 1;
    }

    /// Makes room in a full chunk for `id`, or before the next one, where that has some. What comes nearly in order leaves full chunks behind.
    fn move_over(&mut self, at: usize, id: u64) -> bool {
        if at + 1 == self.chunks.len()
            && let Some(last) = self.chunks[at].items.pop_if(|last| last.0 > id)
        {
            let mut items = Vec::with_capacity(CHUNK);
            items.push(last);
            self.chunks.push(Chunk { first: last.0, items });
            return true;
        }
        let Some([chunk, next]) = self.chunks.get_mut(at..at + 2) else { return false };
        if next.items.len() == CHUNK {
            return false;
        }
        match chunk.items.pop_if(|last| last.0 > id) {
            Some(last) => {
                next.items.insert(0, last);
                next.first = last.0;
            }
            None => next.first = id,
        }
        true
    }

    /// A chunk of its own.
    fn push(&mut self, at: usize, id: u64, value: V) {
        let mut items = Vec::with_capacity(CHUNK);
        items.push((id, value));
        self.chunks.insert(at, Chunk { first: id, items });
        self.len += 1;
    }

    /// Takes an entry out.
    pub fn remove(&mut self, id: u64) -> Option<V> {
        let (at, place) = self.find(id)?;
        let (_, value) = self.chunks[at].items.remove(place);
        self.len -= 1;
        if self.chunks[at].items.is_empty() {
            self.chunks.remove(at);
            return Some(value);
        }
        // Neighbours that fit into one with room to spare become one.
        let left = if at + 1 < self.chunks.len() { at } else { at.saturating_sub(1) };
        if let [one, two, ..] = &mut self.chunks[left..]
            && one.items.len() + two.items.len() <= CHUNK * 3 / 4
        {
            one.items.append(&mut two.items);
            self.chunks.remove(left + 1);
        }
        Some(value)
    }

    /// The first entry behind `id`.
    #[must_use]
    pub fn next_after(&self, id: u64) -> Option<(u64, V)> {
        let at = self.chunk(id);
        let behind = |chunk: &Chunk<V>| {
            let place = chunk.items.partition_point(|item| item.0 <= id);
            chunk.items.get(place).copied()
        };
        self.chunks.get(at..)?.iter().take(2).find_map(behind)
    }

    /// All entries, in the order of ids.
    pub fn iter(&self) -> impl Iterator<Item = (u64, V)> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.items.iter().copied())
    }

    /// The entries from `id` on.
    pub fn iter_from(&self, id: u64) -> impl Iterator<Item = (u64, V)> + '_ {
        let chunks = self.chunks.get(self.chunk(id)..).unwrap_or_default();
        let items = chunks.iter().flat_map(|chunk| chunk.items.iter().copied());
        items.skip_while(move |item| item.0 < id)
    }

    /// Octets that it takes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let chunks = self.chunks.iter().map(|chunk| chunk.items.capacity() * size_of::<(u64, V)>());
        (chunks.sum::<usize>() + self.chunks.capacity() * size_of::<Chunk<V>>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_does_what_a_map_does() {
        let (mut shelf, mut map, mut random) = (Shelf::default(), BTreeMap::new(), 1u64);
        for step in 0..60_000u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let id = (random >> 40) % 5_000;
            // Grows, then shrinks.
            if (random >> 33) % 100 < if step < 30_000 { 60 } else { 35 } {
                shelf.insert(id, step);
                map.insert(id, step);
            } else {
                assert_eq!(shelf.remove(id), map.remove(&id));
            }
            assert_eq!(shelf.len(), map.len());
            assert_eq!(shelf.get(id), map.get(&id).copied());
            let next = map.range(id + 1..).next().map(|(id, value)| (*id, *value));
            assert_eq!(shelf.next_after(id), next);
            assert_eq!(shelf.iter_from(id + 1).next(), next);
        }
        assert!(shelf.iter().eq(map.into_iter()));
    }

    #[test]
    fn what_comes_nearly_in_order_is_packed() {
        let mut shelf = Shelf::default();
        (1..100_000u64).for_each(|id| shelf.insert(id / 40 * 40 + id * 7 % 40, [0u8; 24]));
        assert!(shelf.memory() < 36 * shelf.len() as u64, "{} for {}", shelf.memory(), shelf.len());
        assert!(shelf.iter().is_sorted());
    }

    #[test]
    fn what_comes_in_order_is_packed() {
        let mut shelf = Shelf::default();
        (1..100_000u64).for_each(|id| shelf.insert(id, [0u8; 24]));
        assert!(shelf.memory() < 35 * 100_000, "{}", shelf.memory());
        (1..99_000u64).for_each(|id| assert!(shelf.remove(id).is_some()));
        assert!(shelf.memory() < 200_000, "{}", shelf.memory());
    }
}
