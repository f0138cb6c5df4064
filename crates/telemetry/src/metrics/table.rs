//! Counts for all combinations of a few words.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Metric, Page};

/// One counter for each combination; adding is one addition to one of them.
#[derive(Debug)]
pub(crate) struct Table {
    words: &'static [&'static [&'static str]],
    cells: Box<[AtomicU64]>,
}

impl Table {
    /// With these words for each label.
    pub(crate) fn new(words: &'static [&'static [&'static str]]) -> Self {
        let size = words.iter().map(|words| words.len()).product();
        Self { words, cells: (0..size).map(|_| AtomicU64::new(0)).collect() }
    }

    /// One more; `at` has the number of the word for each label.
    pub(crate) fn add<const N: usize>(&self, at: [usize; N]) {
        self.add_many(at, 1);
    }

    pub(crate) fn add_many<const N: usize>(&self, at: [usize; N], more: u64) {
        let place = at.iter().zip(self.words).fold(0, |place, (at, words)| place * words.len() + at);
        if let Some(cell) = self.cells.get(place) {
            cell.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Writes down those combinations that have occurred.
    pub(crate) fn read(&self, page: &mut Page, metric: &'static Metric) {
        for (place, cell) in self.cells.iter().enumerate() {
            let count = cell.load(Ordering::Relaxed);
            if count == 0 {
                continue;
            }
            let mut rest = place;
            let mut labels: Vec<_> = self
                .words
                .iter()
                .rev()
                .map(|words| {
                    let word = words[rest % words.len()];
                    rest /= words.len();
                    word
                })
                .collect();
            labels.reverse();
            page.set(metric, &labels, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use waxseal_types::UnixTime;

    use super::super::{Number, TLS_CONNECTIONS};
    use super::*;

    #[test]
    fn each_combination_is_counted_by_itself() {
        let table = Table::new(&[&["a", "b"], &["x", "y", "z"], &["0", "1"]]);
        let mut page = Page::new(UnixTime::default(), UnixTime::default());
        for a in 0..2 {
            for b in 0..3 {
                for c in 0..2 {
                    table.add_many([a, b, c], (100 * a + 10 * b + c) as u64);
                }
            }
        }
        table.add([1, 2, 0]);
        table.read(&mut page, &TLS_CONNECTIONS);
        let number = |labels: &[&str]| page.number(&TLS_CONNECTIONS, labels).map(Number::as_f64);
        assert_eq!(number(&["a", "x", "0"]), None, "it has not occurred");
        assert_eq!(number(&["a", "y", "1"]), Some(11.0));
        assert_eq!(number(&["b", "z", "0"]), Some(121.0));
        assert_eq!(number(&["b", "z", "1"]), Some(121.0));
    }
}
