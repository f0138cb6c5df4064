//! Postfix's lists: words between separators, with braces around what has separators inside.

use alloc::vec::Vec;

/// Braces that do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWords {
    /// `{` without its `}`.
    #[error("missing '}}'")]
    Unclosed,
    /// Text behind the `}`.
    #[error("text after '}}'")]
    Trailing,
}

/// Commas and white space: the separators of most lists in `main.cf`.
pub(crate) const COMMA_SPACE: &[char] = &[',', ' ', '\t', '\r', '\n'];

/// The words of `text` between any of `separators`, which do not count inside `{...}`. Empty words do not exist.
pub(crate) fn words_at<'a>(text: &'a str, separators: &'a [char]) -> impl Iterator<Item = &'a str> {
    let mut rest = text;
    core::iter::from_fn(move || {
        rest = rest.trim_start_matches(separators);
        if rest.is_empty() {
            return None;
        }
        let mut depth = 0_usize;
        let end = rest.find(|c: char| {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && separators.contains(&c)
        });
        let (word, tail) = rest.split_at(end.unwrap_or(rest.len()));
        rest = tail;
        Some(word)
    })
}

/// The words of a list as `main.cf` has them: between commas and white space, `{...}` kept whole.
///
/// ```
/// let list = "texthash:/etc/a, inline:{ { a.example = encrypt }, b.example=may }";
/// assert_eq!(waxseal_policy::split_words(list), ["texthash:/etc/a", "inline:{ { a.example = encrypt }, b.example=may }"]);
/// ```
#[must_use]
pub fn split_words(text: &str) -> Vec<&str> {
    words_at(text, COMMA_SPACE).collect()
}

/// What is between the braces of `{ text }`, white space trimmed; `None` where `word` does not start with a brace.
///
/// # Errors
/// [`InvalidWords`] where the braces do not enclose the whole word.
pub fn braced(word: &str) -> Option<Result<&str, InvalidWords>> {
    if !word.starts_with('{') {
        return None;
    }
    let mut depth = 0_usize;
    for (at, c) in word.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let whole = at + 1 == word.len();
            return Some(if whole { Ok(word[1..at].trim()) } else { Err(InvalidWords::Trailing) });
        }
    }
    Some(Err(InvalidWords::Unclosed))
}

/// Whether each brace has its partner.
pub(crate) fn balanced(word: &str) -> bool {
    let mut depth = 0_usize;
    for c in word.chars() {
        match c {
            '{' => depth += 1,
            '}' => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            _ => {}
        }
    }
    depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_outside_braces() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            (" , ", &[]),
            ("a,b c\td", &["a", "b", "c", "d"]),
            ("a={ b, c },d", &["a={ b, c }", "d"]),
            ("{ a { b } } c", &["{ a { b } }", "c"]),
            ("{ a b", &["{ a b"]),
            ("a } b", &["a", "}", "b"]),
        ];
        for (text, expected) in table {
            assert_eq!(split_words(text), *expected, "{text:?}");
        }
    }

    #[test]
    fn braces_enclose_a_whole_word() {
        assert_eq!(braced("a"), None);
        assert_eq!(braced("{ a = b }"), Some(Ok("a = b")));
        assert_eq!(braced("{}"), Some(Ok("")));
        assert_eq!(braced("{ {a} b }"), Some(Ok("{a} b")));
        assert_eq!(braced("{a}x"), Some(Err(InvalidWords::Trailing)));
        assert_eq!(braced("{ a { b }"), Some(Err(InvalidWords::Unclosed)));
    }
}
