//! Regular expressions as POSIX and PCRE write them, translated for the engines of Rust.
//!
//! A translation has one meaning only, so what the engine adds to either language (nested classes, `\<` in a PCRE pattern, lazy `a+?` in a POSIX
//! one) cannot leak in. It works on octets, as Postfix does, which compiles patterns in the C locale and without PCRE's UTF mode.

mod class;
mod engine;
mod pcre;
mod posix;
mod set;
mod text;

pub(crate) use engine::{Matched, Regex};
pub(crate) use set::{Scan, Set};

use class::Class;

/// Which language a pattern is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// regcomp(3), as in glibc.
    Posix,
    /// pcre2pattern(3).
    Pcre,
}

/// What the letters behind a pattern turned on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "these are independent flags in both languages")]
pub(crate) struct Flags {
    pub(crate) ignore_case: bool,
    pub(crate) multi_line: bool,
    pub(crate) dot_all: bool,
    /// POSIX: the extended syntax. PCRE: white space and comments are skipped.
    pub(crate) extended: bool,
    pub(crate) anchored: bool,
    pub(crate) ungreedy: bool,
}

/// Why a pattern has no translation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Postfix's library refuses it, too: the rule does not exist.
    Malformed(String),
    /// It means something to Postfix's library that cannot be had here: a rule that is there and must not be passed over.
    Unsupported(String),
}

fn malformed<T>(text: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Malformed(text.into()))
}

fn unsupported<T>(text: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Unsupported(text.into()))
}

/// Whose syntax the translation is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// The `regex` crate on octets.
    Octets,
    /// `fancy-regex`, which knows only text: each octet is a character.
    Text,
}

/// A pattern in the syntax of an engine.
#[derive(Debug)]
struct Translation {
    text: String,
    /// Look-around or back references: not for the linear engine.
    fancy: bool,
    groups: usize,
}

fn translate(dialect: Dialect, pattern: &str, flags: Flags, target: Target) -> Result<Translation, Fault> {
    let writer = Writer { text: String::new(), target, fancy: false, groups: 0, atom: Atom::Nothing };
    let writer = match dialect {
        Dialect::Posix => posix::translate(pattern, flags, writer)?,
        Dialect::Pcre => pcre::translate(pattern, flags, writer)?,
    };
    let mut on = String::new();
    for (letter, set) in
        [('i', flags.ignore_case), ('m', flags.multi_line), ('s', flags.dot_all), ('U', flags.ungreedy)]
    {
        on.extend(set.then_some(letter));
    }
    let off = if target == Target::Octets { "-u" } else { "" };
    let start = if flags.anchored { r"\A" } else { "" };
    let mode = if on.is_empty() && off.is_empty() { String::new() } else { format!("(?{on}{off})") };
    let text = format!("{mode}{start}(?:{})", writer.text);
    Ok(Translation { text, fancy: writer.fancy, groups: writer.groups })
}

/// What a quantifier would apply to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Atom {
    /// Nothing: the start of a branch, or an assertion.
    Nothing,
    /// The look-around that starts at this place and ends here; whether there are groups in it.
    LookAround { start: usize, groups: bool },
    /// What starts at this place of the translation.
    At(usize),
    /// The same, with a quantifier already.
    Quantified(usize),
}

/// A translation being written.
#[derive(Debug)]
struct Writer {
    text: String,
    target: Target,
    fancy: bool,
    groups: usize,
    atom: Atom,
}

impl Writer {
    fn atom(&mut self, text: &str) {
        self.atom = Atom::At(self.text.len());
        self.text.push_str(text);
    }

    /// Something that matches no text, and takes no quantifier.
    fn assertion(&mut self, text: &str) {
        self.text.push_str(text);
        self.atom = Atom::Nothing;
    }

    /// In the C locale a character beyond ASCII is several, and a quantifier takes the last.
    fn literal(&mut self, c: char) {
        for octet in c.encode_utf8(&mut [0; 4]).bytes() {
            self.octet(octet);
        }
    }

    fn octet(&mut self, octet: u8) {
        self.atom = Atom::At(self.text.len());
        class::push_octet(&mut self.text, octet, self.target);
    }

    fn class(&mut self, class: &Class) {
        self.atom = Atom::At(self.text.len());
        class.write(&mut self.text, self.target);
    }

    fn back_reference(&mut self, group: usize) {
        self.fancy = true;
        // The group keeps digits that follow from joining the number.
        self.atom(&format!(r"(?:\{group})"));
    }
}
