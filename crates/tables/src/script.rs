//! Rules in their order, with `if` and `endif` around some of them: what regexp, pcre and cidr tables have in common.

/// The rules of a table.
#[derive(Debug)]
pub(crate) struct Script<P, R> {
    steps: Vec<Step<P, R>>,
    /// The `if`s that wait for their `endif`: their places.
    open: Vec<usize>,
}

#[derive(Debug)]
enum Step<P, R> {
    /// Where the pattern does not match, the next step is at `end`.
    If { pattern: P, line: u32, end: usize },
    /// The first whose pattern matches is the answer.
    Rule { pattern: P, line: u32, result: R },
}

/// What one logical line is, in all three languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Statement<'a> {
    /// The text behind `if`.
    If(&'a str),
    /// The text behind `endif`.
    Endif(&'a str),
    /// Anything else.
    Other(&'a str),
}

impl<'a> Statement<'a> {
    /// regexp_table(5): `if` and `endif` in any case, not followed by a letter or digit.
    pub(crate) fn of(line: &'a str) -> Self {
        let behind = |word: &str| {
            let (start, rest) = line.split_at_checked(word.len())?;
            let ends = !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
            (ends && start.eq_ignore_ascii_case(word)).then(|| rest.trim_start())
        };
        if let Some(rest) = behind("if") {
            Statement::If(rest)
        } else if let Some(rest) = behind("endif") {
            Statement::Endif(rest)
        } else {
            Statement::Other(line)
        }
    }
}

/// Takes the `!`s and blanks off the front of a pattern; whether there was an odd number of them.
pub(crate) fn negation(text: &str) -> (bool, &str) {
    let rest = text.trim_start_matches(|c: char| c == '!' || c.is_ascii_whitespace());
    let marks = text[..text.len() - rest.len()].bytes().filter(|b| *b == b'!').count();
    (marks % 2 == 1, rest)
}

impl<P, R> Script<P, R> {
    pub(crate) const fn new() -> Self {
        Self { steps: Vec::new(), open: Vec::new() }
    }

    pub(crate) fn rule(&mut self, line: u32, pattern: P, result: R) {
        self.steps.push(Step::Rule { pattern, line, result });
    }

    pub(crate) fn open(&mut self, line: u32, pattern: P) {
        self.open.push(self.steps.len());
        self.steps.push(Step::If { pattern, line, end: usize::MAX });
    }

    /// Whether there was something to close.
    pub(crate) fn close(&mut self) -> bool {
        let here = self.steps.len();
        let Some(opened) = self.open.pop() else { return false };
        if let Some(Step::If { end, .. }) = self.steps.get_mut(opened) {
            *end = here;
        }
        true
    }

    /// The lines of the `if`s without an `endif`, innermost first: all that follows is inside.
    pub(crate) fn unclosed(&self) -> Vec<u32> {
        let lines = self.open.iter().rev().filter_map(|at| self.steps.get(*at));
        lines.filter_map(|step| if let Step::If { line, .. } = step { Some(*line) } else { None }).collect()
    }

    /// The first rule that matches. An error of `matches` is the answer, since the rules below are for what did not match. `next` may pass over
    /// steps that cannot match: it has the number of the one to look at, not less than the number that it is given.
    pub(crate) fn find<S, E>(
        &self,
        state: &mut S,
        next: impl Fn(&mut S, usize) -> usize,
        matches: impl Fn(&mut S, &P, u32) -> Result<bool, E>,
    ) -> Result<Option<(&P, &R, u32)>, E> {
        let mut at = next(state, 0);
        while let Some(step) = self.steps.get(at) {
            let following = match step {
                Step::If { pattern, line, end } if !matches(state, pattern, *line)? => *end,
                Step::Rule { pattern, line, result } if matches(state, pattern, *line)? => {
                    return Ok(Some((pattern, result, *line)));
                }
                Step::If { .. } | Step::Rule { .. } => at + 1,
            };
            at = next(state, following);
        }
        Ok(None)
    }

    /// The pattern of each step, in order, where it is a rule and not an `if`.
    pub(crate) fn rule_patterns(&self) -> impl Iterator<Item = Option<&P>> {
        self.steps.iter().map(|step| match step {
            Step::Rule { pattern, .. } => Some(pattern),
            Step::If { .. } => None,
        })
    }

    /// All patterns, those of the `if`s too.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = (&P, u32)> {
        self.steps.iter().map(|step| match step {
            Step::If { pattern, line, .. } | Step::Rule { pattern, line, .. } => (pattern, *line),
        })
    }

    /// All rules.
    pub(crate) fn rules(&self) -> impl Iterator<Item = (&P, &R, u32)> {
        self.steps.iter().filter_map(|step| match step {
            Step::Rule { pattern, result, line } => Some((pattern, result, *line)),
            Step::If { .. } => None,
        })
    }
}
