//! Braces and lists in table names, as all of Postfix has them.

/// postconf(5): between the words of a list.
const SEPARATORS: &[char] = &[',', ' ', '\t', '\r', '\n'];

/// Where the brace that `text` starts with is closed.
pub(crate) fn closing(text: &str) -> Option<usize> {
    if !text.starts_with('{') {
        return None;
    }
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Where the word ends that `text` starts with: at a separator outside braces.
fn word_end(text: &str) -> usize {
    let mut depth = 0_usize;
    let end = text.find(|c: char| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && SEPARATORS.contains(&c)
    });
    end.unwrap_or(text.len())
}

/// What is between the braces that all of `text` is in.
pub(crate) fn inner(text: &str) -> Option<&str> {
    let end = closing(text)?;
    (end + 1 == text.len()).then(|| &text[1..end])
}

/// The words of a list; separators inside braces separate nothing.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(SEPARATORS);
        if rest.is_empty() {
            return None;
        }
        let (word, tail) = rest.split_at(word_end(rest));
        rest = tail;
        Some(word)
    })
}
