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

#[derive(Debug)]
pub(crate) struct Shelf<V> {
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
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The chunk where `id` is, or would be.
    fn chunk(&self, id: u64) -> usize {
        self.chunks.partition_point(|chunk| chunk.first <= id).saturating_sub(1)
    }

    fn find(&self, id: u64) -> Option<(usize, usize)> {
        let at = self.chunk(id);
        let place = self.chunks.get(at)?.items.binary_search_by_key(&id, |item| item.0).ok()?;
        Some((at, place))
    }

    pub(crate) fn get(&self, id: u64) -> Option<V> {
        let (at, place) = self.find(id)?;
        Some(self.chunks[at].items[place].1)
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut V> {
        let (at, place) = self.find(id)?;
        Some(&mut self.chunks[at].items[place].1)
    }

    /// Takes an entry in; what was there under the same id goes.
    pub(crate) fn insert(&mut self, id: u64, value: V) {
        let mut at = self.chunk(id);
        let Some(chunk) = self.chunks.get_mut(at) else {
            self.push(0, id, value);
            return;
        };
        match chunk.items.binary_search_by_key(&id, |item| item.0) {
            Ok(place) => {
                chunk.items[place].1 = value;
                return;
            }
            Err(CHUNK) => return self.push(at + 1, id, value),
            Err(_) => {}
        }
        if chunk.items.len() == CHUNK {
            let mut items = Vec::with_capacity(CHUNK);
            items.extend(chunk.items.drain(CHUNK / 2..));
            let first = items[0].0;
            self.chunks.insert(at + 1, Chunk { first, items });
            at += usize::from(first <= id);
        }
        let chunk = &mut self.chunks[at];
        let place = chunk.items.partition_point(|item| item.0 < id);
        chunk.items.insert(place, (id, value));
        chunk.first = chunk.first.min(id);
        self.len += 1;
    }

    /// A chunk of its own.
    fn push(&mut self, at: usize, id: u64, value: V) {
        let mut items = Vec::with_capacity(CHUNK);
        items.push((id, value));
        self.chunks.insert(at, Chunk { first: id, items });
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<V> {
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
    pub(crate) fn next_after(&self, id: u64) -> Option<(u64, V)> {
        let at = self.chunk(id);
        let behind = |chunk: &Chunk<V>| {
            let place = chunk.items.partition_point(|item| item.0 <= id);
            chunk.items.get(place).copied()
        };
        self.chunks.get(at..)?.iter().take(2).find_map(behind)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, V)> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.items.iter().copied())
    }

    /// Octets that it takes.
    pub(crate) fn memory(&self) -> u64 {
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
        }
        assert!(shelf.iter().eq(map.into_iter()));
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
