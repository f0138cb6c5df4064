//! Logical lines, as in all of Postfix's text files.

use std::borrow::Cow;

/// One logical line: its text with the continuation lines joined on, and the number of its first line, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalLine<'a> {
    /// The text, without newlines. White space at the joints is kept; what starts with white space continues nothing and is no line.
    pub text: Cow<'a, str>,
    /// The number of the line that it starts on.
    pub line: u32,
}

/// The logical lines of `text` (postconf(5): "A logical line starts with non-whitespace text. A line that starts with whitespace continues a
/// logical line." Empty lines and lines whose first visible character is `#` do not count, not even inside a logical line).
pub fn logical_lines(text: &str) -> impl Iterator<Item = LogicalLine<'_>> {
    let mut lines = text.split_inclusive('\n').zip(1_u32..).filter_map(|(line, number)| {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let visible = line.trim_start();
        (!visible.is_empty() && !visible.starts_with('#')).then_some((line, number))
    });
    let mut next = lines.next();
    std::iter::from_fn(move || {
        let (line, number) = next.take()?;
        let mut text = Cow::Borrowed(line);
        loop {
            match lines.next() {
                Some((more, _)) if more.starts_with(|c: char| c.is_ascii_whitespace()) => {
                    text.to_mut().push_str(more)
                }
                other => {
                    next = other;
                    return Some(LogicalLine { text, line: number });
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continuation_lines_are_joined_and_comments_skipped() {
        let text = "# head\n\na b\n  c\n# inside\n\n\td\ne\n   # not a continuation\nf\r\ng";
        let lines: Vec<(String, u32)> = logical_lines(text).map(|l| (l.text.into_owned(), l.line)).collect();
        let expected = [("a b  c\td", 3), ("e", 8), ("f\r", 10), ("g", 11)];
        assert_eq!(lines, expected.map(|(text, line)| (text.to_owned(), line)));
        assert_eq!(logical_lines("").count(), 0);
        let odd: Vec<_> = logical_lines("  a\n b\nc").collect();
        assert_eq!((&*odd[0].text, odd[0].line, odd.len()), ("  a b", 1, 2));
    }
}
