//! `regexp:` and `pcre:` tables (regexp_table(5), pcre_table(5)).

use crate::{
    lines::LogicalLine,
    regex::{Dialect, Flags, Regex, Scan, Set},
    replacement::Replacement,
    script::{Script, Statement, negation},
};

/// The rules of a table.
#[derive(Debug)]
pub(crate) struct Patterns {
    script: Script<Pattern, Replacement>,
    regexes: Vec<Regex>,
    set: Set,
}

/// What must hold for a rule: `/one/`, `!/one/`, and in POSIX tables `/one/!/other/`.
#[derive(Debug)]
struct Pattern {
    first: Condition,
    second: Option<Condition>,
    /// As the operator wrote it.
    text: String,
}

#[derive(Debug)]
struct Condition {
    regex: usize,
    negated: bool,
}

/// A pattern as written: `!/text/flags`.
struct Written<'a> {
    negated: bool,
    text: &'a str,
    flags: Flags,
    /// It has the letter X.
    obsolete: bool,
}

/// Says what is odd in a line.
pub(crate) type Warn<'a> = dyn FnMut(u32, String) + 'a;

impl Written<'_> {
    fn warn(&self, line: u32, warn: &mut Warn<'_>) {
        if self.obsolete {
            warn(line, "ignoring obsolete regexp option \"X\"".to_owned());
        }
    }
}

impl Patterns {
    pub(crate) fn parse<'a>(
        dialect: Dialect,
        lines: impl Iterator<Item = LogicalLine<'a>>,
        warn: &mut Warn<'_>,
    ) -> Self {
        let mut parser = Parser { dialect, script: Script::new(), regexes: Vec::new() };
        for line in lines {
            if let Err(problem) = parser.line(&line, warn) {
                warn(line.line, problem);
            }
        }
        let Parser { script, mut regexes, .. } = parser;
        for line in script.unclosed() {
            warn(line, "if without endif: it holds for all rules below".to_owned());
        }
        let mut set = Set::new(&mut regexes);
        set.note_steps(
            &regexes,
            script.rule_patterns().map(|pattern| {
                // A rule whose pattern has to match, and does not, need not be looked at.
                pattern.filter(|pattern| !pattern.first.negated).map(|pattern| pattern.first.regex)
            }),
        );
        let patterns = Self { script, regexes, set };
        patterns.warn_of_unsupported(warn);
        patterns
    }

    fn warn_of_unsupported(&self, warn: &mut Warn<'_>) {
        for (pattern, line) in self.script.patterns() {
            for condition in [Some(&pattern.first), pattern.second.as_ref()].into_iter().flatten() {
                if let Some(trouble) = self.regexes.get(condition.regex).and_then(Regex::trouble) {
                    warn(line, format!("not supported: {trouble}; every lookup that gets here fails"));
                }
            }
        }
    }

    /// The value of the first rule that matches, and its line. The error has the line of a rule that cannot be decided.
    pub(crate) fn find(&self, key: &str) -> Result<Option<(String, u32)>, (u32, String)> {
        let holds = |scan: &mut Scan<'_>, condition: &Condition, line: u32| {
            let regex =
                self.regexes.get(condition.regex).ok_or((line, "a rule without a pattern".to_owned()))?;
            scan.matches(regex).map(|matched| matched != condition.negated).map_err(|problem| (line, problem))
        };
        let matches = |scan: &mut Scan<'_>, pattern: &Pattern, line: u32| match &pattern.second {
            Some(second) => Ok(holds(scan, &pattern.first, line)? && holds(scan, second, line)?),
            None => holds(scan, &pattern.first, line),
        };
        let found = self.script.find(&mut self.set.scan(key), |scan, at| scan.next(at), matches)?;
        let Some((pattern, replacement, line)) = found else { return Ok(None) };
        let groups = match self.regexes.get(pattern.first.regex) {
            Some(regex) if replacement.highest() > 0 => {
                regex.groups_in(key).map_err(|problem| (line, problem))?
            }
            Some(_) | None => Vec::new(),
        };
        match replacement.expand(&groups) {
            Some(value) => Ok(Some((value, line))),
            None => Err((line, "the result is not UTF-8".to_owned())),
        }
    }

    /// The rules whose result does not depend on the key: pattern, result, line.
    pub(crate) fn constant(&self) -> impl Iterator<Item = (&str, String, u32)> {
        self.script.rules().filter(|(_, replacement, _)| replacement.highest() == 0).filter_map(
            |(pattern, replacement, line)| {
                Some((pattern.text.as_str(), replacement.expand(&Vec::new())?, line))
            },
        )
    }
}

struct Parser {
    dialect: Dialect,
    script: Script<Pattern, Replacement>,
    regexes: Vec<Regex>,
}

impl Parser {
    /// The error is why the line is skipped.
    fn line(&mut self, line: &LogicalLine<'_>, warn: &mut Warn<'_>) -> Result<(), String> {
        let text = line.text.trim_end_matches(|c: char| c.is_ascii_whitespace());
        if text.contains(char::REPLACEMENT_CHARACTER) {
            return Err("not UTF-8: line ignored".to_owned());
        }
        match Statement::of(text) {
            Statement::If(rest) => {
                let (written, rest) = self.written(rest)?;
                written.warn(line.line, warn);
                if !rest.trim_start().is_empty() {
                    warn(
                        line.line,
                        format!(
                            "ignoring the text behind if: {rest:?}; do not indent the lines between if and endif"
                        ),
                    );
                }
                let first = self.condition(&written, 0)?;
                self.script.open(line.line, Pattern { first, second: None, text: text.to_owned() });
                Ok(())
            }
            Statement::Endif(rest) => {
                if !self.script.close() {
                    return Err("endif without if: line ignored".to_owned());
                }
                if !rest.is_empty() {
                    warn(line.line, "ignoring the text behind endif".to_owned());
                }
                Ok(())
            }
            Statement::Other(text) if text.starts_with(|c: char| c.is_ascii_alphanumeric()) => {
                Err(format!("neither a /pattern/ nor if nor endif: line ignored: {:?}", shorten(text)))
            }
            Statement::Other(text) => self.rule(text, line.line, warn),
        }
    }

    fn rule(&mut self, text: &str, line: u32, warn: &mut Warn<'_>) -> Result<(), String> {
        let skip = |problem: String| format!("{problem}: rule skipped");
        let (first, mut rest) = self.written(text)?;
        first.warn(line, warn);
        let mut second = None;
        // Not in the manual, but in the code from its beginning: /what matches/!/and what does not/.
        if self.dialect == Dialect::Posix && rest.starts_with('!') {
            let (written, behind) = self.written(rest)?;
            (second, rest) = (Some(written), behind);
        }
        let shown = text[..text.len() - rest.len()].to_owned();
        let rest = rest.trim_start();
        if rest.is_empty() {
            warn(line, "no replacement text: using empty string".to_owned());
        }
        let replacement = Replacement::parse(rest).map_err(skip)?;
        if first.negated && replacement.highest() > 0 {
            return Err(skip("$number in the replacement text of a negative match".to_owned()));
        }
        let before = self.regexes.len();
        let both = self.condition(&first, replacement.highest()).and_then(|first| {
            let second = second.as_ref().map(|written| self.condition(written, 0)).transpose()?;
            Ok(Pattern { first, second, text: shown })
        });
        match both {
            Ok(pattern) => self.script.rule(line, pattern, replacement),
            Err(problem) => {
                self.regexes.truncate(before);
                return Err(problem);
            }
        }
        Ok(())
    }

    /// Compiles a pattern of which `groups` groups are needed.
    fn condition(&mut self, written: &Written<'_>, groups: usize) -> Result<Condition, String> {
        let mut regex = Regex::new(self.dialect, written.text, written.flags)
            .map_err(|problem| format!("error in regular expression: {problem}: rule skipped"))?;
        if regex.groups().is_some_and(|there| there < groups) {
            return Err(format!("out of range replacement index \"{groups}\": rule skipped"));
        }
        if groups > 0 {
            regex.keep_groups();
        }
        self.regexes.push(regex);
        Ok(Condition { regex: self.regexes.len() - 1, negated: written.negated })
    }

    /// Takes one pattern with its flags off the front.
    fn written<'a>(&self, text: &'a str) -> Result<(Written<'a>, &'a str), String> {
        let (negated, text) = negation(text);
        let mut chars = text.char_indices();
        let Some((_, delimiter)) = chars.next() else {
            return Err("no regexp: rule skipped".to_owned());
        };
        let start = delimiter.len_utf8();
        let mut escaped = false;
        let end = chars.find(|(_, c)| {
            let here = *c == delimiter && !escaped;
            escaped = *c == '\\' && !escaped;
            here
        });
        let Some((end, _)) = end else {
            return Err(format!("no closing regexp delimiter {delimiter:?}: rule skipped"));
        };
        let behind = &text[end + delimiter.len_utf8()..];
        let letters =
            behind.find(|c: char| c.is_ascii_whitespace() || (c == '!' && self.dialect == Dialect::Posix));
        let (letters, rest) = behind.split_at(letters.unwrap_or(behind.len()));
        let flags = self.flags(letters)?;
        Ok((Written { negated, text: &text[start..end], flags, obsolete: letters.contains('X') }, rest))
    }

    /// Each letter toggles its flag.
    fn flags(&self, letters: &str) -> Result<Flags, String> {
        // regexp_table(5): REG_EXTENDED and REG_ICASE are on. pcre_table(5): PCRE_CASELESS and PCRE_DOTALL are on.
        let posix = self.dialect == Dialect::Posix;
        let mut flags = Flags {
            ignore_case: true,
            multi_line: false,
            dot_all: true,
            extended: posix,
            anchored: false,
            ungreedy: false,
        };
        for letter in letters.chars() {
            match letter {
                'i' => flags.ignore_case ^= true,
                // regcomp(3), REG_NEWLINE: neither does a dot match a newline then.
                'm' if posix => (flags.multi_line, flags.dot_all) = (!flags.multi_line, flags.multi_line),
                'm' => flags.multi_line ^= true,
                'x' => flags.extended ^= true,
                's' if !posix => flags.dot_all ^= true,
                'A' if !posix => flags.anchored ^= true,
                'U' if !posix => flags.ungreedy ^= true,
                // E: `$` never matches before a final newline here; no key has one. X: PCRE2 has no such flag any more.
                'E' | 'X' if !posix => {}
                other => return Err(format!("unknown regexp option {other:?}: rule skipped")),
            }
        }
        Ok(flags)
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}
