//! `$name` and its relatives (postconf(5), "The general format of the main.cf file"; Postfix's `mac_expand`).

use std::cmp::Ordering;

/// How deep values may refer to values. Postfix stops at 100, too.
const DEEPEST: usize = 100;

/// Replaces `$name`, `$(name)`, `${name}`, `${name?text}`, `${name:text}`, `${name?{text}:{text}}`, `${{left} op {right} ...}` and `$$`.
/// `lookup` has the raw values, which are expanded in turn; what it does not know is empty.
pub(crate) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    Expansion { lookup }.all(text, 0)
}

struct Expansion<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

const fn name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

fn name_end(text: &str) -> usize {
    text.bytes().position(|b| !name_byte(b)).unwrap_or(text.len())
}

/// The text before and behind the partner of the bracket that `text` starts with.
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
        if depth > DEEPEST {
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
            if let Some((open, close)) = brackets {
                let (inner, tail) = enclosed(behind, open, close)
                    .ok_or_else(|| format!("truncated macro reference: {:?}", &rest[at..]))?;
                out.push_str(&self.one(inner, depth)?);
                rest = tail;
            } else {
                let (name, tail) = behind.split_at(name_end(behind));
                if name.is_empty() {
                    return Err(format!("empty macro name: {:?}", &rest[at..]));
                }
                out.push_str(&self.value(name, depth)?);
                rest = tail;
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn value(&self, name: &str, depth: usize) -> Result<String, String> {
        (self.lookup)(name).map_or_else(|| Ok(String::new()), |raw| self.all(&raw, depth + 1))
    }

    /// What is between the brackets.
    fn one(&self, inner: &str, depth: usize) -> Result<String, String> {
        let text = inner.trim_start();
        if text.starts_with('{') {
            let (truth, rest) = self.relation(text, depth)?;
            return match rest.trim_start() {
                "" => Ok(if truth { "true".into() } else { String::new() }),
                branches => self.branches(branches, truth, depth),
            };
        }
        let (name, rest) = text.split_at(name_end(text));
        let syntax = || format!("attribute name syntax error in {inner:?}");
        if name.is_empty() {
            return Err(syntax());
        }
        match rest.trim_start() {
            "" => self.value(name, depth),
            branches if branches.starts_with(['?', ':']) => {
                let truth = (self.lookup)(name).is_some_and(|raw| !raw.is_empty());
                self.branches(branches, truth, depth)
            }
            _ => Err(syntax()),
        }
    }

    /// `?text`, `:text`, `?{text}`, `:{text}` or `?{text}:{text}`. Without braces, a text goes to the end.
    fn branches(&self, text: &str, truth: bool, depth: usize) -> Result<String, String> {
        let unexpected = |rest: &str| format!("unexpected input {rest:?}");
        let (yes, no) = if let Some(rest) = text.strip_prefix('?') {
            match braces(rest) {
                None => (rest, None),
                Some((yes, rest)) => match rest.trim_start() {
                    "" => (yes, None),
                    rest => (
                        yes,
                        Some(rest.strip_prefix(':').ok_or_else(|| format!("\":\" expected at {rest:?}"))?),
                    ),
                },
            }
        } else {
            let rest =
                text.strip_prefix(':').ok_or_else(|| format!("\"?\" or \":\" expected at {text:?}"))?;
            ("", Some(rest))
        };
        let no = match no.map(|no| (no, braces(no))) {
            None => "",
            Some((plain, None)) => plain,
            Some((_, Some((no, tail)))) if tail.trim().is_empty() => no,
            Some((_, Some((_, tail)))) => return Err(unexpected(tail)),
        };
        self.all(if truth { yes } else { no }, depth + 1)
    }

    /// `{left} op {right}`, and what follows.
    fn relation<'t>(&self, text: &'t str, depth: usize) -> Result<(bool, &'t str), String> {
        let operand =
            |text: &'t str| braces(text).ok_or_else(|| format!("\"{{expression}}\" expected at {text:?}"));
        let (left, rest) = operand(text)?;
        let rest = rest.trim_start();
        let (operator, rest) = rest.split_at(rest.find(|c| !"=!<>".contains(c)).unwrap_or(rest.len()));
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
        let (right, rest) = operand(rest.trim_start())?;
        let (left, right) = (self.all(left, depth + 1)?, self.all(right, depth + 1)?);
        let order = match suffix {
            "" => compare(&left, &right),
            "length" => left.len().cmp(&right.len()),
            "level" => level(&left)?.cmp(&level(&right)?),
            other => return Err(format!("bad operator suffix {other:?}")),
        };
        Ok((holds(order), rest))
    }
}

/// The text in the braces that `text` starts with, behind white space, and what follows.
fn braces(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    if text.starts_with('{') { enclosed(text, '{', '}') } else { None }
}

/// Numbers by value, everything else by its octets.
fn compare(left: &str, right: &str) -> Ordering {
    let number =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    match (number(left), number(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => left.cmp(right),
    }
}

/// `major.minor.patch` of a compatibility level; what is left out is 0.
fn level(text: &str) -> Result<(u32, u32, u32), String> {
    let mut parts = text.trim().split('.').map(|part| part.parse::<u32>().ok());
    let mut next = || parts.next().unwrap_or(Some(0));
    match (next(), next(), next(), parts.next()) {
        (Some(major), Some(minor), Some(patch), None) => Ok((major, minor, patch)),
        _ => Err(format!("bad compatibility level {text:?}")),
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

    /// Blocks of definitions, then expressions; the reference has the result of each. Compared are those without error.
    #[test]
    fn the_reference_of_mac_expand_agrees() {
        let shared = std::env::var("LAB_SHARED")
            .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").to_owned());
        let Ok(reference) =
            std::fs::read_to_string(format!("{shared}/data/postfix-refs/postfix/src/util/mac_expand.ref"))
        else {
            assert!(std::env::var_os("CI").is_none(), "{shared} is missing");
            println!("skipped: {shared} is missing");
            return;
        };
        let (mut pairs, mut defining, mut expression): (Vec<(&str, &str)>, bool, &str) =
            (Vec::new(), true, "");
        let (mut agree, mut failed) = (0, false);
        for line in reference.lines() {
            if let Some(input) = line.strip_prefix("<<") {
                let input = input.strip_prefix(' ').unwrap_or(input);
                match (defining, input.is_empty()) {
                    (true, true) => defining = false,
                    (true, false) => pairs.extend(input.split_once(" = ")),
                    (false, true) => {
                        pairs.clear();
                        defining = true;
                    }
                    (false, false) => expression = input,
                }
            } else if let Some(result) = line.strip_prefix("stat=") {
                let (status, result) = result.split_once(" result=").unwrap();
                // Bit 0 is a syntax error; named functions are of a test program only.
                let bad = status.parse::<u32>().unwrap() & 1 == 1;
                let got = with(&pairs, expression);
                if expression.contains("test_named_fn") || expression.contains("bogus") {
                    continue;
                }
                match got {
                    Ok(got) if !bad => {
                        assert_eq!(got, result, "{expression}");
                        agree += 1;
                    }
                    Err(_) if bad => agree += 1,
                    other => {
                        println!("{expression}: {other:?}, reference: {line}");
                        failed = true;
                    }
                }
            }
        }
        assert!(!failed && agree > 90, "{agree} agree");
    }
}
