//! The linear patterns of a table, many at a time in one automaton.

use regex::bytes::{RegexSet, RegexSetBuilder, SetMatches};

use super::Regex;

/// So many patterns are searched for at once: more would cost more for each state of the automaton that is met for the first time, fewer would
/// search more often.
const CHUNK: usize = 512;

/// States that an automaton remembers, in octets, for each thread that searches at the same time; and what it is made from.
const CACHE_LIMIT: usize = 8 << 20;
const SIZE_LIMIT: usize = 64 << 20;

/// No step.
const NONE: usize = usize::MAX;

#[derive(Debug, Default)]
pub(crate) struct Set {
    chunks: Vec<Chunk>,
    /// The steps that are to be looked at whatever the patterns say, in order.
    stops: Vec<usize>,
}

#[derive(Debug)]
struct Chunk {
    set: RegexSet,
    /// The step of each pattern that decides about a rule alone.
    steps: Vec<usize>,
    /// The first and the last of those.
    first: usize,
    last: usize,
}

impl Set {
    /// Builds the set. What is too large for the engine is unsupported from here on.
    pub(crate) fn new(regexes: &mut [Regex]) -> Self {
        let mut set = Self::default();
        let mut linear: Vec<&mut Regex> =
            regexes.iter_mut().filter(|regex| regex.linear().is_some()).collect();
        for chunk in linear.chunks_mut(CHUNK) {
            if set.add(chunk).is_ok() {
                continue;
            }
            for regex in chunk {
                if let Err(problem) = set.add(std::slice::from_mut(regex)) {
                    regex.put(Err(problem));
                }
            }
        }
        set
    }

    fn add(&mut self, chunk: &mut [&mut Regex]) -> Result<(), String> {
        let texts = chunk.iter().filter_map(|regex| regex.linear());
        let mut builder = RegexSetBuilder::new(texts);
        let limits = builder.size_limit(SIZE_LIMIT).dfa_size_limit(CACHE_LIMIT);
        let set = limits.build().map_err(|error| error.to_string())?;
        for (index, regex) in chunk.iter_mut().enumerate() {
            regex.put(Ok((self.chunks.len(), index)));
        }
        self.chunks.push(Chunk { set, steps: vec![NONE; chunk.len()], first: NONE, last: 0 });
        Ok(())
    }

    /// Takes down the steps of a script: those that come to nothing unless a pattern matches, and `None` for all others.
    pub(crate) fn note_steps(&mut self, regexes: &[Regex], steps: impl Iterator<Item = Option<usize>>) {
        for (step, regex) in steps.enumerate() {
            let place = regex.and_then(|regex| regexes.get(regex)).and_then(Regex::place);
            match place.and_then(|(chunk, index)| Some((self.chunks.get_mut(chunk)?, index))) {
                Some((chunk, index)) => {
                    chunk.steps[index] = step;
                    chunk.first = chunk.first.min(step);
                    chunk.last = step;
                }
                None => self.stops.push(step),
            }
        }
    }

    /// Asks about one key.
    pub(crate) const fn scan<'a>(&'a self, key: &'a str) -> Scan<'a> {
        Scan { set: self, key, last: None }
    }
}

/// What is known about one key.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    set: &'a Set,
    key: &'a str,
    /// The chunk that was searched last: patterns are asked for in the order of the file.
    last: Option<(usize, SetMatches)>,
}

impl Scan<'_> {
    /// Whether the pattern matches somewhere in the key.
    pub(crate) fn matches(&mut self, regex: &Regex) -> Result<bool, String> {
        match regex.place() {
            Some((chunk, index)) => Ok(self.search(chunk).ok_or("a pattern without a set")?.matched(index)),
            None => regex.matches(self.key),
        }
    }

    /// The next step from `at` that may come to something.
    pub(crate) fn next(&mut self, at: usize) -> usize {
        let set = self.set;
        let stop = set.stops.get(set.stops.partition_point(|stop| *stop < at)).copied().unwrap_or(NONE);
        for (number, chunk) in set.chunks.iter().enumerate() {
            if chunk.last < at || chunk.first >= stop {
                continue;
            }
            let Some(matches) = self.search(number).filter(|matches| matches.matched_any()) else { continue };
            let steps = matches.iter().filter_map(|index| chunk.steps.get(index)).copied();
            if let Some(step) = steps.filter(|step| *step != NONE && *step >= at).min() {
                return step.min(stop);
            }
        }
        stop
    }

    fn search(&mut self, chunk: usize) -> Option<&SetMatches> {
        if self.last.as_ref().is_none_or(|(number, _)| *number != chunk) {
            self.last = Some((chunk, self.set.chunks.get(chunk)?.set.matches(self.key.as_bytes())));
        }
        self.last.as_ref().map(|(_, matches)| matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regex::{Dialect, Flags};

    fn regex(pattern: &str) -> Regex {
        let flags = Flags {
            ignore_case: true,
            multi_line: false,
            dot_all: true,
            extended: true,
            anchored: false,
            ungreedy: false,
        };
        Regex::new(Dialect::Posix, pattern, flags).unwrap()
    }

    #[test]
    fn only_steps_that_may_come_to_something_are_looked_at() {
        let count = CHUNK * 2 + 3;
        let mut regexes: Vec<Regex> = (0..count).map(|n| regex(&format!("^x{n}$"))).collect();
        let mut set = Set::new(&mut regexes);
        assert_eq!(set.chunks.len(), 3);
        // Each seventh step asks for its pattern whatever it says.
        set.note_steps(&regexes, (0..count).map(|n| (n % 7 != 0).then_some(n)));
        let last = count - 1;
        let mut scan = set.scan("nothing");
        assert_eq!([0, 1, 7, 8, last].map(|at| scan.next(at)), [0, 7, 7, 14, NONE]);
        let key = format!("X{last}");
        let mut scan = set.scan(&key);
        assert_eq!([1, last - 1, last].map(|at| scan.next(at)), [7, last, last]);
        assert_eq!(scan.matches(&regexes[last]), Ok(true));
        assert_eq!(scan.matches(&regexes[0]), Ok(false));
    }
}
