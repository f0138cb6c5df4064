//! `$name` and its relatives (postconf(5), "The general format of the main.cf file"; Postfix's `mac_expand`).

use std::cmp::Ordering;

use waxseal_types::Domain;

/// How deep values may refer to values: as in Postfix's `mac_expand`. Postfix does not count operands of comparisons, which cost it its stack; they count here.
const DEEPEST: usize = 100;

/// The white space of main.cf: C's `isspace`, which knows nothing of Unicode.
pub(super) const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\x0b' | '\x0c')
}

/// White space around the parts of an expression.
const SPACE: &[char] = &[' ', '\t', '\r', '\n'];

/// Replaces `$name`, `$(name)`, `${name}`, `${name?text}`, `${name:text}`, `${name?{text}:{text}}`, `${{left} op {right} ...}`,
/// `${domain_to_ascii{text}}` and `$$`. `lookup` has the raw values, which are expanded in turn; what it does not know is empty.
pub(crate) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    Expansion { lookup, seen: None }.all(text, 0)
}

/// The names that `text` refers to, in all branches; the error is the first fault of syntax, also one in a branch that is not taken, which
/// nobody finds in Postfix before it is.
pub(super) fn names_in(text: &str) -> Result<Vec<String>, String> {
    let names = std::cell::RefCell::new(Vec::new());
    Expansion { lookup: &|_| None, seen: Some(&names) }.all(text, 0)?;
    Ok(names.into_inner())
}

struct Expansion<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Where only names are wanted: what was seen so far. All branches are read then, and nothing is compared.
    seen: Option<&'a std::cell::RefCell<Vec<String>>>,
}

const fn name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

fn name_end(text: &str) -> usize {
    text.bytes().position(|b| !name_byte(b)).unwrap_or(text.len())
}

/// The text between the bracket that `text` starts with and its partner, and what is behind that.
fn enclosed(text: &str, open: char, close: char) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return Some((&text[1..at], &text[at + 1..]));
            }
        }
    }
    None
}

impl Expansion<'_> {
    fn all(&self, text: &str, depth: usize) -> Result<String, String> {
        if depth > DEEPEST && !text.is_empty() {
            return Err(format!("values refer to each other without end, at {text:?}"));
        }
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            let behind = &rest[at + 1..];
            let brackets = match behind.chars().next() {
                Some('$') => {
                    out.push('$');
                    rest = &behind[1..];
                    continue;
                }
                Some('{') => Some(('{', '}')),
                Some('(') => Some(('(', ')')),
                Some(_) | None => None,
            };
            let (inner, tail) = match brackets {
                Some((open, close)) => enclosed(behind, open, close)
                    .ok_or_else(|| format!("truncated macro reference: {:?}", &rest[at..]))?,
                None => behind.split_at(name_end(behind)),
            };
            if inner.is_empty() {
                return Err(format!("empty macro name: {:?}", &rest[at..]));
            }
            out.push_str(&self.one(inner, depth)?);
            rest = tail;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn look_up(&self, name: &str) -> Option<String> {
        if let Some(seen) = self.seen {
            seen.borrow_mut().push(name.to_owned());
        }
        (self.lookup)(name)
    }

    /// What is between the brackets.
    fn one(&self, inner: &str, depth: usize) -> Result<String, String> {
        let text = inner.trim_start_matches(SPACE);
        if text.starts_with('{') {
            let (truth, rest) = self.relation(text, depth)?;
            return match rest {
                "" => Ok(if truth { "true".into() } else { String::new() }),
                branches => self.branches(branches, truth, depth),
            };
        }
        let (name, rest) = text.split_at(name_end(text));
        match rest.trim_start_matches(SPACE) {
            "" => self.look_up(name).map_or_else(|| Ok(String::new()), |raw| self.all(&raw, depth + 1)),
            branches if branches.starts_with(['?', ':']) => {
                let truth = self.look_up(name).is_some_and(|raw| !raw.is_empty());
                self.branches(branches, truth, depth)
            }
            argument if argument.starts_with('{') => self.function(name, argument, depth),
            _ => Err(format!("attribute name syntax error in {inner:?}")),
        }
    }

    /// `?text`, `:text`, `?{text}`, `:{text}` or `?{text}:{text}`. Without braces, a text goes to the end.
    fn branches(&self, text: &str, truth: bool, depth: usize) -> Result<String, String> {
        let (mut rest, mut out) = (text, String::new());
        if let Some(behind) = rest.strip_prefix('?') {
            let (yes, tail) = braces(behind)?.unwrap_or((behind, ""));
            if truth || self.seen.is_some() {
                out = self.all(yes, depth + 1)?;
            }
            if tail.is_empty() {
                return Ok(out);
            }
            rest = tail;
        }
        let behind = rest.strip_prefix(':').ok_or_else(|| format!("\":\" expected at {rest:?}"))?;
        let (no, tail) = braces(behind)?.unwrap_or((behind, ""));
        if !truth || self.seen.is_some() {
            out = self.all(no, depth + 1)?;
        }
        if tail.is_empty() { Ok(out) } else { Err(format!("unexpected input {tail:?}")) }
    }

    /// `{left} op {right}`, and what follows.
    fn relation<'t>(&self, text: &'t str, depth: usize) -> Result<(bool, &'t str), String> {
        let operand = |text: &'t str| -> Result<(&'t str, &'t str), String> {
            braces(text)?.ok_or_else(|| format!("\"{{expression}}\" expected at {text:?}"))
        };
        let (left, rest) = operand(text)?;
        let (operator, rest) =
            rest.split_at(rest.find(|c| !"<>!=?+-*/~&|%".contains(c)).unwrap_or(rest.len()));
        let (suffix, rest) = rest.split_at(name_end(rest));
        let holds: fn(Ordering) -> bool = match operator {
            "==" => Ordering::is_eq,
            "!=" => Ordering::is_ne,
            "<" => Ordering::is_lt,
            "<=" => Ordering::is_le,
            ">" => Ordering::is_gt,
            ">=" => Ordering::is_ge,
            _ => return Err(format!("\"==\", \"!=\", \"<\", \"<=\", \">=\" or \">\" expected in {text:?}")),
        };
        let (right, rest) = operand(rest)?;
        let (left, right) = (self.all(left, depth + 1)?, self.all(right, depth + 1)?);
        let order = match suffix {
            "" | "length" | "level" if self.seen.is_some() => Ordering::Equal,
            "" => compare(&left, &right)?,
            "length" => left.len().cmp(&right.len()),
            "level" => level(&left)?.cmp(&level(&right)?),
            other => return Err(format!("bad operator suffix {other:?}")),
        };
        Ok((holds(order), rest))
    }

    /// `domain_to_ascii{text}`, the one function of Postfix 3.11.
    fn function(&self, name: &str, argument: &str, depth: usize) -> Result<String, String> {
        let (inner, tail) = braces(argument)?.unwrap_or((argument, ""));
        if !tail.is_empty() {
            return Err(format!("unexpected input {tail:?}"));
        }
        if name != "domain_to_ascii" {
            return Err(format!("unknown function {name:?}"));
        }
        let text = self.all(inner.trim_matches(SPACE), depth + 1)?;
        if text.is_ascii() {
            return Ok(text);
        }
        Domain::new(&text).map(|name| name.as_str().to_owned()).map_err(|error| format!("{text:?}: {error}"))
    }
}

/// The text in the braces that `text` starts with, behind white space, and what follows behind more of it; `None` where there is none.
fn braces(text: &str) -> Result<Option<(&str, &str)>, String> {
    let text = text.trim_start_matches(SPACE);
    if !text.starts_with('{') {
        return Ok(None);
    }
    let (inner, tail) = enclosed(text, '{', '}')
        .ok_or_else(|| format!("unbalanced {{}} in attribute expression: {text:?}"))?;
    Ok(Some((inner, tail.trim_start_matches(SPACE))))
}

/// Numbers by value, everything else by its octets.
fn compare(left: &str, right: &str) -> Result<Ordering, String> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(left) || !digits(right) {
        return Ok(left.cmp(right));
    }
    let number = |text: &str| text.parse::<i64>().map_err(|_| format!("bad conversion: {text}"));
    Ok(number(left)?.cmp(&number(right)?))
}

/// `major.minor.patch` of a compatibility level; what is left out is 0. The limits are those of Postfix's encoding.
fn level(text: &str) -> Result<(u32, u32, u32), String> {
    let bad = || format!("malformed compatibility level syntax: {text:?}");
    // Each number is read with strtol(3).
    let mut parts = text.split('.').map(|part| {
        let part = part.trim_start_matches(is_space);
        let digits = part.strip_prefix('+').unwrap_or(part);
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse::<u32>().ok()).flatten()
    });
    let mut next = || parts.next().unwrap_or(Some(0));
    match (next(), next(), next(), parts.next()) {
        (Some(major), Some(minor), Some(patch), None) if minor < 1024 && patch < 1024 => {
            Ok((major, minor, patch))
        }
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)], text: &str) -> Result<String, String> {
        let lookup =
            |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        expand(text, &lookup)
    }

    #[test]
    fn values_refer_to_values() {
        let pairs = [
            ("a", "1"),
            ("b", "$a-${a}-$(a)"),
            ("empty", ""),
            ("loop", "x$loop"),
            ("compatibility_level", "3.6"),
        ];
        let table = [
            ("$b", Some("1-1-1")),
            ("$$b", Some("$b")),
            ("$nothing.", Some(".")),
            ("${a?yes}${empty?no}${empty:none}", Some("yesnone")),
            ("${a?{yes}:{no}}${nothing?{yes}:{no}}", Some("yesno")),
            ("${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}", Some("sha256")),
            ("${{$compatibility_level} <level {3.11} ? {} : {may}}", Some("")),
            ("${{10} > {9}}", Some("true")),
            ("$loop", None),
            ("${a", None),
            ("$ a", None),
        ];
        for (text, expected) in table {
            assert_eq!(with(&pairs, text).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn names_are_found_in_all_branches() {
        let names = names_in("$a ${b?{$c}:{${d:$e}}} ${{$f} ==level {3x} ? {$g}} $$h").unwrap();
        assert_eq!(names, ["a", "b", "c", "d", "e", "f", "g"]);
        assert!(names_in("${a?{b}:{$}}").is_err());
    }

    /// As far as Postfix goes, and not a step further: each value is one level.
    #[test]
    fn a_hundred_levels_are_enough() {
        let chain = |length: usize| {
            let lookup = |name: &str| {
                let at: usize = name.strip_prefix('v')?.parse().ok()?;
                Some(if at < length { format!("$v{}", at + 1) } else { "end".to_owned() })
            };
            expand("$v0", &lookup)
        };
        assert_eq!(chain(99).as_deref(), Ok("end"));
        assert!(chain(100).is_err());
    }
}
