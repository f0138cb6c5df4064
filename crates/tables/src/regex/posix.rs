//! POSIX regular expressions, extended and basic, with glibc's additions (regex(7)).

use std::{iter::Peekable, str::Chars};

use super::{
    Atom, Fault, Flags, Writer,
    class::{self, Class},
    malformed,
};

/// glibc: `RE_DUP_MAX`.
const MOST_REPETITIONS: u32 = 0x7fff;

/// What a piece of a pattern means, in either syntax.
enum Token {
    Literal(char),
    /// What matches nothing.
    Never,
    Open,
    Close,
    Or,
    Star,
    Plus,
    Question,
    Interval,
    Dot,
    Bracket,
    LineStart,
    LineEnd,
    Back(usize),
    Word {
        negated: bool,
    },
    Space {
        negated: bool,
    },
    Assertion(&'static str),
}

pub(super) fn translate(pattern: &str, flags: Flags, writer: Writer) -> Result<Writer, Fault> {
    let rest = pattern.chars().peekable();
    let mut parser =
        Parser { rest, flags, out: writer, open: Vec::new(), branches: Branches::default(), start: true };
    while let Some(token) = parser.token()? {
        parser.put(token)?;
    }
    if !parser.open.is_empty() {
        return malformed("unmatched ( or \\(");
    }
    Ok(parser.out)
}

/// Which groups can be referred to, as bits. glibc: those of another branch cannot, until the alternation ends.
#[derive(Debug, Default, Clone, Copy)]
struct Branches {
    /// Where the alternation began.
    before: u16,
    /// In the branches that are over.
    over: u16,
    /// Now.
    now: u16,
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    flags: Flags,
    out: Writer,
    /// The open groups: their numbers, where they start, and what could be referred to outside.
    open: Vec<(usize, usize, Branches)>,
    branches: Branches,
    /// At the start of a branch, where basic syntax has `^` as anchor and `*` as itself.
    start: bool,
}

impl Parser<'_> {
    fn token(&mut self) -> Result<Option<Token>, Fault> {
        let Some(c) = self.rest.next() else { return Ok(None) };
        let token = if c == '\\' {
            match self.rest.next() {
                Some(c) => self.escaped(c),
                None => return malformed("trailing backslash"),
            }
        } else if self.flags.extended {
            self.extended(c)
        } else {
            self.basic(c)
        };
        Ok(Some(token))
    }

    fn extended(&self, c: char) -> Token {
        match c {
            '(' => Token::Open,
            // glibc: one too many means itself.
            ')' if !self.open.is_empty() => Token::Close,
            '|' => Token::Or,
            '*' => Token::Star,
            '+' => Token::Plus,
            '?' => Token::Question,
            '{' => Token::Interval,
            '.' => Token::Dot,
            '[' => Token::Bracket,
            '^' => Token::LineStart,
            '$' => Token::LineEnd,
            other => Token::Literal(other),
        }
    }

    fn basic(&self, c: char) -> Token {
        match c {
            '*' if !self.start => Token::Star,
            '.' => Token::Dot,
            '[' => Token::Bracket,
            '^' if self.start => Token::LineStart,
            '$' if self.at_branch_end() => Token::LineEnd,
            other => Token::Literal(other),
        }
    }

    fn at_branch_end(&self) -> bool {
        let mut ahead = self.rest.clone();
        match (ahead.next(), ahead.next()) {
            (None, _) => true,
            (Some('\\'), Some(next)) => matches!(next, ')' | '|'),
            (Some(_), _) => false,
        }
    }

    fn escaped(&self, c: char) -> Token {
        match c {
            '1'..='9' => Token::Back(c.to_digit(10).unwrap_or_default() as usize),
            'w' | 'W' => Token::Word { negated: c == 'W' },
            's' | 'S' => Token::Space { negated: c == 'S' },
            'b' => Token::Assertion(r"\b"),
            'B' => Token::Assertion(r"\B"),
            '<' => Token::Assertion(r"\b{start}"),
            '>' => Token::Assertion(r"\b{end}"),
            '`' => Token::Assertion(r"\A"),
            '\'' => Token::Assertion(r"\z"),
            '(' if !self.flags.extended => Token::Open,
            ')' if !self.flags.extended => Token::Close,
            '|' if !self.flags.extended => Token::Or,
            '+' if !self.flags.extended && !self.start => Token::Plus,
            '?' if !self.flags.extended && !self.start => Token::Question,
            '{' if !self.flags.extended => Token::Interval,
            // glibc folds the key and not the escaped letter, which so never matches: `\d` is no digit here.
            c if self.flags.ignore_case && c.is_ascii_lowercase() => Token::Never,
            other => Token::Literal(other),
        }
    }

    fn put(&mut self, token: Token) -> Result<(), Fault> {
        self.start = matches!(token, Token::Open | Token::Or | Token::LineStart);
        match token {
            Token::Literal(c) => self.out.literal(c),
            Token::Never => self.out.class(&Class::new(false)),
            Token::Open => {
                self.out.groups += 1;
                self.open.push((self.out.groups, self.out.text.len(), self.branches));
                self.branches = Branches { before: self.branches.now, over: 0, now: self.branches.now };
                self.out.assertion("(");
            }
            Token::Close => {
                let Some((number, start, outside)) = self.open.pop() else {
                    return malformed("unmatched ) or \\)");
                };
                let closed = self.branches.now
                    | self.branches.over
                    | 1_u16.checked_shl(u32::try_from(number).unwrap_or(u32::MAX)).unwrap_or(0);
                self.branches = Branches { now: closed, ..outside };
                self.out.text.push(')');
                self.out.atom = Atom::At(start);
            }
            Token::Or => {
                self.branches.over |= self.branches.now;
                self.branches.now = self.branches.before;
                self.out.assertion("|");
            }
            Token::Star => self.repeat("*")?,
            Token::Plus => self.repeat("+")?,
            Token::Question => self.repeat("?")?,
            Token::Interval => {
                let interval = self.interval()?;
                self.repeat(&interval)?;
            }
            Token::Dot => self.out.atom("."),
            Token::Bracket => {
                let class = self.bracket()?;
                self.out.class(&class);
            }
            Token::LineStart => self.out.assertion("^"),
            Token::LineEnd => self.out.assertion("$"),
            Token::Back(group) => {
                if self.branches.now >> group & 1 == 0 {
                    return malformed("invalid back reference");
                }
                self.out.back_reference(group);
            }
            Token::Word { negated } => self.out.class(&Class::of(|b| class::is_word(b) != negated)),
            Token::Space { negated } => self.out.class(&Class::of(|b| class::is_space(b) != negated)),
            Token::Assertion(text) => self.out.assertion(text),
        }
        Ok(())
    }

    /// Here `a+?` is `(a+)?`, not a lazy `a+`.
    fn repeat(&mut self, quantifier: &str) -> Result<(), Fault> {
        let start = match self.out.atom {
            Atom::Nothing | Atom::LookAround { .. } => {
                return malformed("invalid preceding regular expression");
            }
            Atom::At(start) => start,
            Atom::Quantified(start) => {
                self.out.text.insert_str(start, "(?:");
                self.out.text.push(')');
                start
            }
        };
        self.out.text.push_str(quantifier);
        self.out.atom = Atom::Quantified(start);
        Ok(())
    }

    /// `{n}`, `{n,}`, `{,m}`, `{n,m}`, and glibc's `{,}`.
    fn interval(&mut self) -> Result<String, Fault> {
        let end = if self.flags.extended { "}" } else { "\\}" };
        let mut text = String::new();
        while !text.ends_with(end) {
            match self.rest.next() {
                Some(c) => text.push(c),
                None => return malformed("unmatched { or \\{"),
            }
        }
        text.truncate(text.len() - end.len());
        let number = |text: &str| match text.parse::<u32>() {
            Ok(number) if text.bytes().all(|b| b.is_ascii_digit()) && number <= MOST_REPETITIONS => {
                Ok(number)
            }
            Ok(_) | Err(_) => malformed("invalid content of {}"),
        };
        let (least, most) = match text.split_once(',') {
            None => (number(&text)?, Some(number(&text)?)),
            Some((least, most)) => (
                if least.is_empty() { 0 } else { number(least)? },
                if most.is_empty() { None } else { Some(number(most)?) },
            ),
        };
        match most {
            Some(most) if most < least => malformed("invalid content of {}"),
            Some(most) => Ok(format!("{{{least},{most}}}")),
            None => Ok(format!("{{{least},}}")),
        }
    }

    /// regex(7), "bracket expression": no escapes; `]` comes first, `-` first or last.
    fn bracket(&mut self) -> Result<Class, Fault> {
        let mut class = Class::new(self.rest.next_if_eq(&'^').is_some());
        let mut first = true;
        loop {
            let c = match self.rest.next() {
                None => return malformed("unmatched [, [^, [:, [., or [="),
                Some(']') if !first => break,
                Some('[') if self.rest.next_if_eq(&':').is_some() => {
                    let name = self.until(":]")?;
                    // With case folding, lower and upper are one (glibc: "the same as alpha").
                    let name = match name.as_str() {
                        "upper" | "lower" if self.flags.ignore_case => "alpha",
                        other => other,
                    };
                    let Some(member) = class::named(name) else {
                        return malformed("invalid character class name");
                    };
                    class.add_all(member);
                    first = false;
                    self.no_range()?;
                    continue;
                }
                Some('[') if self.rest.next_if_eq(&'=').is_some() => {
                    class.add(self.collating("=]")?);
                    first = false;
                    self.no_range()?;
                    continue;
                }
                Some('[') if self.rest.next_if_eq(&'.').is_some() => self.collating(".]")?,
                // glibc: a dash means itself only as the first, the last, or an end of a range.
                Some('-') if !first && self.rest.peek() != Some(&']') => {
                    return malformed("invalid range end");
                }
                Some(c) => c,
            };
            first = false;
            match self.range_end()? {
                None => class.add(c),
                Some(end) if c.is_ascii() && end.is_ascii() && c <= end => {
                    class.add_all(|b| (c as u8..=end as u8).contains(&b));
                }
                Some(end) if c.is_ascii() && end.is_ascii() => {
                    return malformed(format!("invalid range end {end:?}"));
                }
                Some(_) => return super::unsupported("a range beyond ASCII"),
            }
        }
        if class.negated && self.flags.multi_line {
            // regcomp(3), REG_NEWLINE: what is not listed does not match a newline, either.
            class.add('\n');
        }
        Ok(class)
    }

    /// A set of characters does not start a range.
    fn no_range(&mut self) -> Result<(), Fault> {
        if self.range_end()?.is_some() { malformed("invalid range end") } else { Ok(()) }
    }

    /// The right side of a range, if there is one.
    fn range_end(&mut self) -> Result<Option<char>, Fault> {
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('-') || ahead.next().is_none_or(|c| c == ']') {
            return Ok(None);
        }
        self.rest.next();
        match self.rest.next() {
            Some('[') if self.rest.next_if_eq(&'.').is_some() => self.collating(".]").map(Some),
            Some('[') if matches!(self.rest.peek(), Some(':' | '=')) => malformed("invalid range end"),
            other => Ok(other),
        }
    }

    fn collating(&mut self, end: &str) -> Result<char, Fault> {
        let name = self.until(end)?;
        let mut chars = name.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) => Ok(c),
            (_, _) => malformed("invalid collation character"),
        }
    }

    fn until(&mut self, end: &str) -> Result<String, Fault> {
        let mut text = String::new();
        while !text.ends_with(end) {
            match self.rest.next() {
                Some(c) => text.push(c),
                None => return malformed("unmatched [, [^, [:, [., or [="),
            }
        }
        text.truncate(text.len() - end.len());
        Ok(text)
    }
}
