//! Escapes and bracket expressions of PCRE.

use super::{
    Class, Escape, Fault, Parser,
    class::{self, is_space, is_word},
    malformed, unsupported,
};

/// pcre2pattern(3), `\h` and `\v`, in octets.
const fn is_horizontal(octet: u8) -> bool {
    matches!(octet, b'\t' | b' ' | 0xa0)
}

const fn is_vertical(octet: u8) -> bool {
    matches!(octet, b'\n'..=b'\r' | 0x85)
}

impl Parser<'_> {
    /// An escape that stands for a character or a set of them.
    pub(super) fn escaped_item(&mut self) -> Result<Escape, Fault> {
        let Some(c) = self.next() else { return malformed("\\ at end of pattern") };
        let class = |member: fn(u8) -> bool| Escape::Class(Box::new(Class::of(member)));
        Ok(match c {
            'd' => class(|b| b.is_ascii_digit()),
            'D' => class(|b| !b.is_ascii_digit()),
            'w' => class(is_word),
            'W' => class(|b| !is_word(b)),
            's' => class(is_space),
            'S' => class(|b| !is_space(b)),
            'h' => class(is_horizontal),
            'H' => class(|b| !is_horizontal(b)),
            'v' => class(is_vertical),
            'V' => class(|b| !is_vertical(b)),
            'N' if !self.rest.starts_with('{') => class(|b| b != b'\n'),
            'a' => Escape::Octet(0x07),
            'e' => Escape::Octet(0x1b),
            'f' => Escape::Octet(0x0c),
            'n' => Escape::Octet(b'\n'),
            'r' => Escape::Octet(b'\r'),
            't' => Escape::Octet(b'\t'),
            'x' => Escape::Octet(self.hexadecimal()?),
            'o' => Escape::Octet(self.braced(8, "\\o")?),
            '0' => Escape::Octet(self.digits(8, 2)),
            'c' => match self.next() {
                Some(c) if c.is_ascii_graphic() || c == ' ' => {
                    Escape::Octet((c as u8).to_ascii_uppercase() ^ 0x40)
                }
                Some(_) | None => return malformed("\\c must be followed by a printable ASCII character"),
            },
            'E' => Escape::Nothing,
            'R' | 'X' | 'C' | 'G' | 'K' | 'p' | 'P' | 'N' => return unsupported(format!("\\{c}")),
            c if c.is_ascii_alphanumeric() => return malformed("unrecognized character follows \\"),
            other => Escape::Literal(other),
        })
    }

    fn digits(&mut self, radix: u32, most: usize) -> u8 {
        let count = self.rest.chars().take(most).take_while(|c| c.is_digit(radix)).count();
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        u8::from_str_radix(digits, radix).unwrap_or_default()
    }

    fn hexadecimal(&mut self) -> Result<u8, Fault> {
        if self.rest.starts_with('{') { self.braced(16, "\\x") } else { Ok(self.digits(16, 2)) }
    }

    fn braced(&mut self, radix: u32, what: &str) -> Result<u8, Fault> {
        let inner = self.rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let Some((digits, rest)) = inner else { return malformed(format!("missing braces after {what}")) };
        self.rest = rest;
        if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
            return malformed(format!("wrong digits in {what}{{}}"));
        }
        match u8::from_str_radix(digits, radix) {
            Ok(octet) => Ok(octet),
            Err(_) => malformed(format!("character code point value in {what}{{}} is too large")),
        }
    }

    /// What follows a `[`.
    pub(super) fn class(&mut self) -> Result<Class, Fault> {
        if self.rest.starts_with([':', '.', '=']) && self.named_outside() {
            return malformed("POSIX named classes are supported only within a class");
        }
        let mut class = Class::new(self.take("^"));
        let mut first = true;
        loop {
            let Some(c) = self.next() else { return malformed("missing terminating ] for character class") };
            if c == ']' && !first {
                return Ok(class);
            }
            let item = self.class_item(c)?;
            if matches!(item, Escape::Nothing) {
                continue;
            }
            first = false;
            match (item, self.range_follows()) {
                (Escape::Class(inner), false) => class.include(&inner),
                (Escape::Literal(c), false) => class.add(c),
                (Escape::Octet(octet), false) => class.add_octet(octet),
                (Escape::Nothing, false) => {}
                (start, true) => self.range(&mut class, &start)?,
            }
        }
    }

    /// `[:alpha:]` by itself.
    fn named_outside(&self) -> bool {
        let mark = self.rest.chars().next().unwrap_or_default();
        let inner = self.rest.get(1..).and_then(|rest| rest.split_once(']'));
        inner.is_some_and(|(name, _)| name.len() > 1 && name.ends_with(mark) && !name.contains('['))
    }

    fn class_item(&mut self, c: char) -> Result<Escape, Fault> {
        if self.quoted {
            if c == '\\' && self.take("E") {
                self.quoted = false;
                return Ok(Escape::Nothing);
            }
            return Ok(Escape::Literal(c));
        }
        match c {
            '\\' if self.take("Q") => {
                self.quoted = true;
                Ok(Escape::Nothing)
            }
            '\\' if self.take("b") => Ok(Escape::Octet(0x08)),
            '\\' if self.rest.starts_with(|c: char| matches!(c, '1'..='7')) => {
                Ok(Escape::Octet(self.digits(8, 3)))
            }
            '\\' if self.rest.starts_with(['B', 'R', 'X', 'N']) => {
                malformed("escape sequence is invalid in character class")
            }
            '\\' => self.escaped_item(),
            '[' if self.rest.starts_with([':', '.', '=']) => self.named_class(),
            other => Ok(Escape::Literal(other)),
        }
    }

    /// `[:name:]` and `[:^name:]`; a bracket that only looks like one means itself.
    fn named_class(&mut self) -> Result<Escape, Fault> {
        let mark = self.rest.chars().next().unwrap_or_default();
        let close = [mark, ']'].iter().collect::<String>();
        let Some((name, rest)) = self.rest[1..].split_once(close.as_str()) else {
            return Ok(Escape::Literal('['));
        };
        if name.contains([']', '[', '\\']) {
            return Ok(Escape::Literal('['));
        }
        if mark != ':' {
            return malformed("POSIX collating elements are not supported");
        }
        let (negated, word) = match name.strip_prefix('^') {
            Some(word) => (true, word),
            None => (false, name),
        };
        let member: fn(u8) -> bool = match word {
            "word" => is_word,
            "ascii" => |b| b.is_ascii(),
            // pcre2pattern(3): "if the caseless option is set, upper and lower match any letter" follows from folding.
            other => match class::named(other) {
                Some(member) => member,
                None => return malformed("unknown POSIX class name"),
            },
        };
        self.rest = rest;
        Ok(Escape::Class(Box::new(Class::of(|b| member(b) != negated))))
    }

    fn range_follows(&self) -> bool {
        !self.quoted && self.rest.starts_with('-') && !self.rest.starts_with("-]") && self.rest.len() > 1
    }

    fn range(&mut self, class: &mut Class, start: &Escape) -> Result<(), Fault> {
        self.take("-");
        let Some(c) = self.next() else { return malformed("missing terminating ] for character class") };
        let end = self.class_item(c)?;
        let octet = |item: &Escape| match item {
            Escape::Literal(c) if c.is_ascii() => Ok(*c as u8),
            Escape::Octet(octet) => Ok(*octet),
            Escape::Literal(_) | Escape::Nothing => unsupported("a range beyond ASCII"),
            Escape::Class(_) => malformed("invalid range in character class"),
        };
        let (start, end) = (octet(start)?, octet(&end)?);
        if start > end {
            return malformed("range out of order in character class");
        }
        class.add_all(|b| (start..=end).contains(&b));
        Ok(())
    }
}
