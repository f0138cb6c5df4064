//! The engines: one that is linear in the text, for all patterns that it can have, and one that goes back and forth, with a limit.

use regex::bytes;

use super::{Dialect, Fault, Flags, Target, text, translate};

/// Steps of the engine that goes back and forth, for one pattern and one key: some 10 ms. PCRE's own default limit is ten times that.
const BACKTRACK_LIMIT: usize = 1_000_000;

/// A pattern.
#[derive(Debug)]
pub(crate) struct Regex {
    engine: Engine,
    groups: usize,
}

#[derive(Debug)]
enum Engine {
    Linear {
        text: String,
        /// Compiled by itself only where its groups are asked for.
        groups: Option<Box<bytes::Regex>>,
        /// Its chunk in the set, and its number there.
        place: (usize, usize),
    },
    Fancy(Box<fancy_regex::Regex>),
    /// It means something to Postfix but not here: whoever needs to know whether it matches must fail.
    Unsupported(String),
}

/// The groups of a match.
pub(crate) type Matched<'k> = Vec<Option<&'k [u8]>>;

impl Regex {
    /// `Err` is a pattern that Postfix refuses, too.
    pub(crate) fn new(dialect: Dialect, pattern: &str, flags: Flags) -> Result<Self, String> {
        let translation = match translate(dialect, pattern, flags, Target::Octets) {
            Ok(translation) => translation,
            Err(Fault::Malformed(problem)) => return Err(problem),
            Err(Fault::Unsupported(problem)) => return Ok(Self::unsupported(problem, 0)),
        };
        let groups = translation.groups;
        if !translation.fancy {
            let engine = Engine::Linear { text: translation.text, groups: None, place: (0, 0) };
            return Ok(Self { engine, groups });
        }
        let text = match translate(dialect, pattern, flags, Target::Text) {
            Ok(translation) => translation.text,
            Err(Fault::Malformed(problem) | Fault::Unsupported(problem)) => {
                return Ok(Self::unsupported(problem, groups));
            }
        };
        match fancy_regex::RegexBuilder::new(&text).backtrack_limit(BACKTRACK_LIMIT).build() {
            Ok(regex) => Ok(Self { engine: Engine::Fancy(Box::new(regex)), groups }),
            Err(error) => Ok(Self::unsupported(error.to_string(), groups)),
        }
    }

    fn unsupported(problem: String, groups: usize) -> Self {
        Self { engine: Engine::Unsupported(problem), groups }
    }

    /// How many groups it has; `None` when that is not known.
    pub(crate) const fn groups(&self) -> Option<usize> {
        match self.engine {
            Engine::Unsupported(_) => None,
            Engine::Linear { .. } | Engine::Fancy(_) => Some(self.groups),
        }
    }

    /// Why nobody can say what it matches.
    pub(crate) fn trouble(&self) -> Option<&str> {
        match &self.engine {
            Engine::Unsupported(problem) => Some(problem),
            Engine::Linear { .. } | Engine::Fancy(_) => None,
        }
    }

    /// Prepares it for questions for its groups.
    pub(crate) fn keep_groups(&mut self) {
        let Engine::Linear { text, groups, .. } = &mut self.engine else { return };
        match bytes::Regex::new(text) {
            Ok(regex) => *groups = Some(Box::new(regex)),
            Err(error) => self.engine = Engine::Unsupported(error.to_string()),
        }
    }

    /// Its text for the linear engine, if that can have it.
    pub(super) fn linear(&self) -> Option<&str> {
        match &self.engine {
            Engine::Linear { text, .. } => Some(text),
            Engine::Fancy(_) | Engine::Unsupported(_) => None,
        }
    }

    /// Where it is in the set.
    pub(super) fn place(&self) -> Option<(usize, usize)> {
        match &self.engine {
            Engine::Linear { place, .. } => Some(*place),
            Engine::Fancy(_) | Engine::Unsupported(_) => None,
        }
    }

    /// Whether it matches somewhere in the key, where that is not for the set to say.
    pub(super) fn matches(&self, key: &str) -> Result<bool, String> {
        match &self.engine {
            Engine::Linear { .. } => Err("a pattern without a set".to_owned()),
            // The limit was reached, or the stack: nobody knows.
            Engine::Fancy(regex) => regex.is_match(&*text::spread(key)).map_err(|error| error.to_string()),
            Engine::Unsupported(problem) => Err(problem.clone()),
        }
    }

    /// Puts it into the set, or says why it cannot be in one.
    pub(super) fn put(&mut self, result: Result<(usize, usize), String>) {
        match (result, &mut self.engine) {
            (Ok(new), Engine::Linear { place, .. }) => *place = new,
            (Ok(_), Engine::Fancy(_) | Engine::Unsupported(_)) => {}
            (Err(problem), engine) => *engine = Engine::Unsupported(problem),
        }
    }

    /// The groups of its match in `key`; empty when there is none.
    pub(crate) fn groups_in<'k>(&self, key: &'k str) -> Result<Matched<'k>, String> {
        match &self.engine {
            Engine::Linear { groups: Some(regex), .. } => Ok(regex
                .captures(key.as_bytes())
                .map(|found| found.iter().map(|group| group.map(|text| text.as_bytes())).collect())
                .unwrap_or_default()),
            Engine::Linear { groups: None, .. } => Ok(Matched::new()),
            Engine::Fancy(regex) => {
                let wide = text::spread(key);
                let found = regex.captures(&*wide).map_err(|error| error.to_string())?;
                let octets = |part: fancy_regex::Match<'_>| text::gather(key, &wide, part.range());
                Ok(found.map(|found| found.iter().map(|part| part.map(octets)).collect()).unwrap_or_default())
            }
            Engine::Unsupported(problem) => Err(problem.clone()),
        }
    }
}
