//! Sets of characters between brackets.

use std::fmt::Write;

use super::{Target, text};

/// A set of octets.
#[derive(Debug, Clone)]
pub(super) struct Class {
    octets: [bool; 256],
    pub(super) negated: bool,
}

impl Class {
    /// No characters, or all.
    pub(super) const fn new(negated: bool) -> Self {
        Self { octets: [false; 256], negated }
    }

    /// The octets for which `member` holds.
    pub(super) fn of(member: impl Fn(u8) -> bool) -> Self {
        let mut class = Self::new(false);
        class.add_all(member);
        class
    }

    pub(super) fn add(&mut self, c: char) {
        for octet in c.encode_utf8(&mut [0; 4]).bytes() {
            self.octets[usize::from(octet)] = true;
        }
    }

    pub(super) fn add_octet(&mut self, octet: u8) {
        self.octets[usize::from(octet)] = true;
    }

    pub(super) fn add_all(&mut self, member: impl Fn(u8) -> bool) {
        for octet in 0..=255 {
            self.octets[usize::from(octet)] |= member(octet);
        }
    }

    /// Adds what another one has, which must not be negated.
    pub(super) fn include(&mut self, other: &Self) {
        for (octet, more) in self.octets.iter_mut().zip(other.octets) {
            *octet |= more;
        }
    }

    /// Writes it in brackets.
    pub(super) fn write(&self, out: &mut String, target: Target) {
        out.push_str(if self.negated { "[^" } else { "[" });
        let mut at = 0;
        let mut empty = true;
        while at < 256 {
            if !self.octets[at] {
                at += 1;
                continue;
            }
            let first = at;
            // A range ends with ASCII, since what follows it is elsewhere for text.
            while at < 256 && self.octets[at] && (at != 0x80 || first == 0x80) {
                at += 1;
            }
            push_range(out, first, at - 1, target);
            empty = false;
        }
        if empty {
            // The engines take no empty brackets: "none" is "not all".
            out.truncate(out.len() - if self.negated { 2 } else { 1 });
            let all = if target == Target::Octets { r"\x00-\xFF" } else { r"\x00-\x{10FFFF}" };
            let _ = write!(out, "[{}{all}", if self.negated { "" } else { "^" });
        }
        out.push(']');
    }
}

fn push_range(out: &mut String, first: usize, last: usize, target: Target) {
    let octet = |at: usize| u8::try_from(at).unwrap_or(u8::MAX);
    push_octet(out, octet(first), target);
    if last > first {
        out.push('-');
        push_octet(out, octet(last), target);
    }
}

/// An octet that means itself, in brackets and outside.
pub(super) fn push_octet(out: &mut String, octet: u8, target: Target) {
    if octet.is_ascii_alphanumeric() || octet == b'_' {
        out.push(char::from(octet));
    } else if octet.is_ascii() || target == Target::Octets {
        let _ = write!(out, r"\x{octet:02X}");
    } else {
        let _ = write!(out, r"\x{{{:X}}}", u32::from(text::stand_in(octet)));
    }
}

/// The members of `[:name:]` in the C locale.
pub(super) fn named(name: &str) -> Option<fn(u8) -> bool> {
    Some(match name {
        "alpha" => |b| b.is_ascii_alphabetic(),
        "digit" => |b| b.is_ascii_digit(),
        "alnum" => |b| b.is_ascii_alphanumeric(),
        "upper" => |b| b.is_ascii_uppercase(),
        "lower" => |b| b.is_ascii_lowercase(),
        "space" => is_space,
        "blank" => |b| b == b' ' || b == b'\t',
        "punct" => |b| b.is_ascii_punctuation(),
        "print" => |b| b.is_ascii_graphic() || b == b' ',
        "graph" => |b| b.is_ascii_graphic(),
        "cntrl" => |b| b.is_ascii_control(),
        "xdigit" => |b| b.is_ascii_hexdigit(),
        _ => return None,
    })
}

pub(super) const fn is_word(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'_'
}

/// isspace(3), which has the vertical tab that Rust's has not.
pub(super) const fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t'..=b'\r')
}
