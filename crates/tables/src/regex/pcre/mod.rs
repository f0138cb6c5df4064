//! Perl-compatible regular expressions (pcre2pattern(3)).

mod items;

use super::{
    Atom, Fault, Flags, Writer,
    class::{self, Class},
    malformed, unsupported,
};

pub(super) fn translate(pattern: &str, flags: Flags, writer: Writer) -> Result<Writer, Fault> {
    let mut parser = Parser {
        rest: pattern,
        out: writer,
        extended: flags.extended,
        quoted: false,
        open: Vec::new(),
        highest_back: 0,
    };
    while let Some(c) = parser.next() {
        parser.put(c)?;
    }
    if !parser.open.is_empty() {
        return malformed("missing closing parenthesis");
    }
    if parser.highest_back > parser.out.groups {
        return malformed("reference to non-existent subpattern");
    }
    Ok(parser.out)
}

/// An open group.
struct Open {
    start: usize,
    /// The `x` flag outside of it.
    extended: bool,
    assertion: bool,
    /// How many groups there were before.
    groups: usize,
    /// What `(?i)` and the like turned on or off in it. Written as groups, since fancy-regex 0.20 lets flags hold behind the end of theirs.
    flags: Vec<String>,
}

struct Parser<'a> {
    rest: &'a str,
    out: Writer,
    extended: bool,
    /// Between `\Q` and `\E`.
    quoted: bool,
    open: Vec<Open>,
    highest_back: usize,
}

/// What an escape stands for.
enum Escape {
    Literal(char),
    Octet(u8),
    Class(Box<Class>),
    Nothing,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn put(&mut self, c: char) -> Result<(), Fault> {
        if self.quoted {
            if c == '\\' && self.take("E") {
                self.quoted = false;
            } else {
                self.out.literal(c);
            }
            return Ok(());
        }
        match c {
            '\\' => self.escape()?,
            '[' => {
                let class = self.class()?;
                self.out.class(&class);
            }
            '(' => self.group()?,
            ')' => {
                let Some(open) = self.open.pop() else { return malformed("unmatched closing parenthesis") };
                self.extended = open.extended;
                let closing = ")".repeat(open.flags.len() + 1);
                self.out.text.push_str(&closing);
                let (start, groups) = (open.start, self.out.groups > open.groups);
                self.out.atom =
                    if open.assertion { Atom::LookAround { start, groups } } else { Atom::At(start) };
            }
            '|' => self.branch(),
            '*' | '+' | '?' => self.repeat(&c.to_string())?,
            '{' => match self.interval()? {
                Some(interval) => self.repeat(&interval)?,
                None => self.out.literal('{'),
            },
            '.' => self.out.atom("."),
            '^' => self.out.assertion("^"),
            '$' => self.out.assertion("$"),
            c if self.extended && c.is_ascii() && class::is_space(c as u8) => {}
            // The rest of a comment would be the rest of the line, and a pattern is one line.
            '#' if self.extended => self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest),
            other => self.out.literal(other),
        }
        Ok(())
    }

    /// pcre2pattern(3), "Internal option setting": a change of options holds in the branches that follow, too.
    fn branch(&mut self) {
        let flags = self.open.last().map(|group| group.flags.as_slice()).unwrap_or_default();
        let branch = format!("{}|{}", ")".repeat(flags.len()), flags.concat());
        self.out.assertion(&branch);
    }

    fn repeat(&mut self, quantifier: &str) -> Result<(), Fault> {
        let start = match self.out.atom {
            Atom::At(start) => start,
            Atom::LookAround { start, groups } => return self.repeat_look_around(quantifier, start, groups),
            Atom::Nothing | Atom::Quantified(_) => {
                return malformed("quantifier does not follow a repeatable item");
            }
        };
        self.out.text.push_str(quantifier);
        if self.take("?") {
            self.out.text.push('?');
        } else if self.take("+") {
            // Possessive: what it took it keeps.
            self.out.fancy = true;
            self.out.text.insert_str(start, "(?>");
            self.out.text.push(')');
        }
        self.out.atom = Atom::Quantified(start);
        Ok(())
    }

    /// pcre2pattern(3), "Assertions": to look twice is no different from looking once; where not to look will do, nothing is asked for,
    /// unless the look is for what its groups take.
    fn repeat_look_around(&mut self, quantifier: &str, start: usize, groups: bool) -> Result<(), Fault> {
        if quantifier.starts_with(['*', '?']) || quantifier.starts_with("{0") {
            if groups {
                return unsupported("a look-around with groups that need not be");
            }
            self.out.text.truncate(start);
            self.out.text.push_str("(?:)");
        }
        // Lazy and possessive come to the same.
        let _ = self.take("?") || self.take("+");
        self.out.atom = Atom::Quantified(start);
        Ok(())
    }

    /// `{n}`, `{n,}` and `{n,m}`; other braces mean themselves.
    fn interval(&mut self) -> Result<Option<String>, Fault> {
        let Some((inner, rest)) = self.rest.split_once('}') else { return Ok(None) };
        let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (least, most) = inner.split_once(',').unwrap_or((inner, inner));
        if !number(least) || !(most.is_empty() || number(most)) {
            // PCRE2 10.43 reads `{,m}` and blanks as quantifiers, older ones do not.
            let doubtful = !inner.is_empty()
                && inner.bytes().all(|b| b.is_ascii_digit() || matches!(b, b',' | b' ' | b'\t'))
                && inner.bytes().any(|b| b.is_ascii_digit());
            return if doubtful {
                unsupported(format!("{{{inner}}}, which depends on the version of PCRE"))
            } else {
                Ok(None)
            };
        }
        // pcre2pattern(3): "all numbers must be less than 65536".
        let value = |text: &str| match text.parse::<u16>() {
            Ok(value) => Ok(value),
            Err(_) => malformed("number too big in {} quantifier"),
        };
        let least = value(least)?;
        let interval = if most.is_empty() {
            format!("{{{least},}}")
        } else {
            let most = value(most)?;
            if most < least {
                return malformed("numbers out of order in {} quantifier");
            }
            format!("{{{least},{most}}}")
        };
        self.rest = rest;
        Ok(Some(interval))
    }

    /// What follows a `(`.
    fn group(&mut self) -> Result<(), Fault> {
        let (start, extended, groups) = (self.out.text.len(), self.extended, self.out.groups);
        if self.rest.starts_with('*') {
            return unsupported("(* verbs");
        }
        let Some(rest) = self.rest.strip_prefix('?') else {
            return self.capture("(", start);
        };
        self.rest = rest;
        for (syntax, assertion) in
            [("=", true), ("!", true), ("<=", true), ("<!", true), (">", false), (":", false)]
        {
            if self.take(syntax) {
                self.out.fancy |= syntax != ":";
                self.open.push(Open { start, extended, assertion, groups, flags: Vec::new() });
                self.out.assertion(&format!("(?{syntax}"));
                return Ok(());
            }
        }
        if self.take("#") {
            let Some((_, rest)) = self.rest.split_once(')') else {
                return malformed("missing ) after (?# comment");
            };
            self.rest = rest;
            return Ok(());
        }
        if self.named_group(start)? {
            return Ok(());
        }
        self.flags(start)
    }

    /// `(?<name>`, in its three spellings, and `(?P=name)`.
    fn named_group(&mut self, start: usize) -> Result<bool, Fault> {
        for (opening, closing) in [("P<", '>'), ("<", '>'), ("'", '\'')] {
            if self.take(opening) {
                let Some((name, rest)) = self.rest.split_once(closing) else {
                    return malformed("syntax error in subpattern name (missing terminator?)");
                };
                let word = !name.is_empty() && name.bytes().all(class::is_word);
                if !word || name.starts_with(|c: char| c.is_ascii_digit()) {
                    return malformed("subpattern name expected");
                }
                self.rest = rest;
                return self.capture(&format!("(?P<{name}>"), start).map(|()| true);
            }
        }
        if let Some(name) = self.rest.strip_prefix("P=") {
            let Some((name, rest)) = name.split_once(')') else {
                return malformed("syntax error in subpattern name (missing terminator?)");
            };
            self.rest = rest;
            return self.named_reference(name).map(|()| true);
        }
        Ok(false)
    }

    fn capture(&mut self, text: &str, start: usize) -> Result<(), Fault> {
        self.out.groups += 1;
        let (extended, groups) = (self.extended, self.out.groups);
        self.open.push(Open { start, extended, assertion: false, groups, flags: Vec::new() });
        self.out.assertion(text);
        Ok(())
    }

    fn named_reference(&mut self, name: &str) -> Result<(), Fault> {
        if name.is_empty() || !name.bytes().all(class::is_word) {
            return malformed("subpattern name expected");
        }
        self.out.fancy = true;
        self.out.atom(&format!(r"\k<{name}>"));
        Ok(())
    }

    /// `(?i-x)` and `(?i-x:`.
    fn flags(&mut self, start: usize) -> Result<(), Fault> {
        let outside = self.extended;
        let mut flags = String::new();
        let mut on = true;
        loop {
            match self.next() {
                Some(flag @ ('i' | 'm' | 's' | 'U')) => flags.push(flag),
                Some('x') => self.extended = on,
                Some('-') if on => {
                    on = false;
                    flags.push('-');
                }
                Some(end @ (':' | ')')) => {
                    let flags = flags.trim_end_matches('-');
                    if end == ':' {
                        let groups = self.out.groups;
                        let open =
                            Open { start, extended: outside, assertion: false, groups, flags: Vec::new() };
                        self.open.push(open);
                        self.out.assertion(&format!("(?{flags}:"));
                    } else if !flags.is_empty() {
                        match self.open.last_mut() {
                            Some(group) => {
                                group.flags.push(format!("(?{flags}:"));
                                self.out.assertion(&format!("(?{flags}:"));
                            }
                            None => self.out.assertion(&format!("(?{flags})")),
                        }
                    } else {
                        self.out.atom = Atom::Nothing;
                    }
                    return Ok(());
                }
                Some(other) => return unsupported(format!("(?{flags}{other}")),
                None => return malformed("missing closing parenthesis"),
            }
        }
    }

    /// An escape outside brackets.
    fn escape(&mut self) -> Result<(), Fault> {
        let assertion = match self.rest.chars().next() {
            Some('b') => r"\b",
            Some('B') => r"\B",
            Some('A') => r"\A",
            Some('Z' | 'z') => r"\z",
            Some('Q') => {
                self.quoted = self.take("Q");
                return Ok(());
            }
            Some('1'..='9') => return self.numbered_reference(),
            Some('g') if self.take("g") => return self.reference_by_g(),
            Some('k') if self.take("k") => return self.reference_by_k(),
            Some(_) => "",
            None => return malformed("\\ at end of pattern"),
        };
        if !assertion.is_empty() {
            self.next();
            // The group keeps a brace that follows from joining it.
            self.out.assertion(&format!("(?:{assertion})"));
            return Ok(());
        }
        match self.escaped_item()? {
            Escape::Literal(c) => self.out.literal(c),
            Escape::Octet(octet) => self.out.octet(octet),
            Escape::Class(class) => self.out.class(&class),
            Escape::Nothing => {}
        }
        Ok(())
    }

    fn refer_to(&mut self, group: usize) -> Result<(), Fault> {
        self.highest_back = self.highest_back.max(group);
        self.out.back_reference(group);
        Ok(())
    }

    fn numbered_reference(&mut self) -> Result<(), Fault> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 1 {
            return unsupported(
                "a back reference or octal number of more than one digit; write \\g{..} or \\o{..}",
            );
        }
        let group = self.next().and_then(|c| c.to_digit(10)).unwrap_or_default() as usize;
        self.refer_to(group)
    }

    fn reference_by_g(&mut self) -> Result<(), Fault> {
        let inner = if self.take("{") {
            match self.rest.split_once('}') {
                Some((inner, rest)) => {
                    self.rest = rest;
                    inner
                }
                None => return malformed("\\g is not followed by a name or number"),
            }
        } else {
            let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
            let (inner, rest) = self.rest.split_at(digits);
            self.rest = rest;
            inner
        };
        let relative = inner.strip_prefix('-').and_then(|text| text.parse::<usize>().ok());
        match (relative, inner.parse::<usize>()) {
            (Some(back), _) => match (self.out.groups + 1).checked_sub(back) {
                Some(group) if group > 0 && back > 0 => self.refer_to(group),
                Some(_) | None => malformed("reference to non-existent subpattern"),
            },
            (None, Ok(group)) if group > 0 => self.refer_to(group),
            (None, Ok(_) | Err(_)) => unsupported(format!("\\g{inner}")),
        }
    }

    fn reference_by_k(&mut self) -> Result<(), Fault> {
        for (opening, closing) in [("<", '>'), ("{", '}'), ("'", '\'')] {
            if self.take(opening) {
                let Some((name, rest)) = self.rest.split_once(closing) else { break };
                self.rest = rest;
                return self.named_reference(name);
            }
        }
        malformed("\\k is not followed by a braced, angle-bracketed, or quoted name")
    }
}
