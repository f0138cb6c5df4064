//! The text of a message as DATA wants it.

use alloc::vec::Vec;

use bytes::Bytes;
use memchr::{memchr_iter, memrchr};

/// The end of mail data (RFC 5321 §4.1.1.4), behind a text that ends in CRLF.
const END: &[u8] = b".\r\n";

/// The text cannot be sent: somewhere a CR or LF stands alone, or a line has no end.
///
/// RFC 5321 §2.3.8 forbids them, and servers disagree on what they mean: this is how messages are smuggled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bare CR or LF in the message at octet {at}")]
pub struct BareLineEnd {
    /// Where in the text.
    pub at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Insert {
    /// RFC 5321 §4.5.2: a line that starts with a dot gets one more.
    Dot,
    /// A line longer than the limit goes on in the next one, behind a space (postconf(5), `smtp_line_length_limit`).
    Fold,
}

impl Insert {
    const fn octets(self) -> &'static [u8] {
        match self {
            Self::Dot => b".",
            Self::Fold => b"\r\n ",
        }
    }
}

/// A text and what has to be put between its octets: nothing of it is copied.
#[derive(Debug, Clone)]
pub struct DataText {
    body: Bytes,
    inserts: Vec<(usize, Insert)>,
    ends_open: bool,
}

impl DataText {
    /// Looks through `body` once. Lines longer than `line_limit` octets are folded; 0 is no limit.
    ///
    /// The text is always looked through, whoever says that it is clean: a line that starts with a dot and is not stuffed would end the message
    /// and turn the rest of it into commands.
    ///
    /// # Errors
    /// [`BareLineEnd`]: no text that has one is sent.
    pub fn new(body: Bytes, line_limit: usize) -> Result<Self, BareLineEnd> {
        if is_plain(&body, line_limit) {
            let ends_open = body.last().is_some_and(|last| *last != b'\n');
            return Ok(Self { body, inserts: Vec::new(), ends_open });
        }
        let (mut inserts, mut start, mut lines) = (Vec::new(), 0, 0);
        for end in memchr_iter(b'\n', &body) {
            let line = &body[start..end];
            if line.last() != Some(&b'\r') {
                return Err(BareLineEnd { at: end });
            }
            mark_line(&body, start..end - 1, line_limit, &mut inserts);
            start = end + 1;
            lines += 1;
        }
        // Each LF has a CR before it; so any CR more than there are lines stands alone. Counting is many times faster than looking at each.
        if memchr_iter(b'\r', &body).count() != lines {
            return Err(BareLineEnd { at: lone_cr(&body) });
        }
        let ends_open = start < body.len();
        if ends_open {
            mark_line(&body, start..body.len(), line_limit, &mut inserts);
        }
        Ok(Self { body, inserts, ends_open })
    }

    /// The octets to send behind DATA, the final dot included, in order.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.parts(false)
    }

    /// The octets to send behind BDAT, in order: no dot is doubled, and none ends the text (RFC 3030 §2).
    pub fn chunk(&self) -> impl Iterator<Item = &[u8]> {
        self.parts(true)
    }

    /// How many octets [`DataText::chunk`] has.
    #[must_use]
    pub fn chunk_length(&self) -> usize {
        let folds = self.inserts.iter().filter(|(_, insert)| *insert == Insert::Fold).count();
        self.body.len() + folds * Insert::Fold.octets().len() + if self.ends_open { 2 } else { 0 }
    }

    fn parts(&self, chunk: bool) -> impl Iterator<Item = &[u8]> {
        // A last line without an end gets one.
        let open: &[u8] = if self.ends_open { b"\r\n" } else { b"" };
        let end = if chunk { b"" } else { END };
        woven(&self.body, &self.inserts, chunk).chain([open, end]).filter(|segment| !segment.is_empty())
    }
}

/// Octets with what has to be put between them; in a chunk no dot is doubled.
pub(super) fn woven<'a>(
    octets: &'a [u8],
    inserts: &'a [(usize, Insert)],
    chunk: bool,
) -> impl Iterator<Item = &'a [u8]> {
    let last = inserts.last().map_or(0, |(at, _)| *at);
    let starts = core::iter::once(0).chain(inserts.iter().map(|(at, _)| *at));
    let parts = starts.zip(inserts).flat_map(move |(from, (to, insert))| {
        let insert: &[u8] = match insert {
            Insert::Dot if chunk => b"",
            Insert::Dot | Insert::Fold => insert.octets(),
        };
        [&octets[from..*to], insert]
    });
    parts.chain([&octets[last..]])
}

/// Whether a text can go as it is, as nearly all can: each line ends in CRLF, none starts with a dot, none is too long. This looks at blocks of octets and
/// not at lines; a text that it does not like is looked through line by line.
pub(super) fn is_plain(body: &[u8], line_limit: usize) -> bool {
    let (Some(first), Some(last)) = (body.first(), body.last()) else { return true };
    if matches!(first, b'.' | b'\n') || *last == b'\r' {
        return false;
    }
    // CR and LF come in pairs, and no dot comes behind them. Without a branch, so that the compiler takes many octets at once.
    let odd = body.iter().zip(&body[1..]).fold(0u8, |odd, (a, b)| {
        odd | u8::from((*a == b'\r') != (*b == b'\n')) | u8::from((*a == b'\n') & (*b == b'.'))
    });
    odd == 0 && (line_limit == 0 || lines_fit(body, line_limit))
}

/// Whether no line is longer than `limit`, its end not counted.
fn lines_fit(body: &[u8], limit: usize) -> bool {
    let mut rest = body;
    while rest.len() > limit {
        // The line that begins here has to end within these octets.
        let window = &rest[..rest.len().min(limit.saturating_add(2))];
        let Some(end) = memrchr(b'\n', window) else { return false };
        rest = &rest[end + 1..];
    }
    true
}

/// Where the first CR is that no LF follows.
fn lone_cr(body: &[u8]) -> usize {
    memchr_iter(b'\r', body).find(|at| body.get(at + 1) != Some(&b'\n')).unwrap_or(body.len())
}

fn mark_line(body: &[u8], line: core::ops::Range<usize>, limit: usize, inserts: &mut Vec<(usize, Insert)>) {
    if body.get(line.start) == Some(&b'.') {
        inserts.push((line.start, Insert::Dot));
    }
    if limit == 0 || line.len() <= limit {
        return;
    }
    // The space in front of a continuation counts for it; a limit of 1 would leave no room.
    let mut at = line.start + limit;
    while at < line.end {
        inserts.push((at, Insert::Fold));
        at += limit.saturating_sub(1).max(1);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    fn wire(body: &[u8], limit: usize) -> Result<Vec<u8>, BareLineEnd> {
        let text = DataText::new(Bytes::copy_from_slice(body), limit)?;
        Ok(text.segments().collect::<Vec<_>>().concat())
    }

    #[test]
    fn rfc5321_4_5_2_texts_on_the_wire() {
        let bad = |at| Err(BareLineEnd { at });
        type Row = (&'static [u8], Result<&'static [u8], BareLineEnd>);
        let table: [Row; 20] = [
            (b"", Ok(b".\r\n")),
            (b"a\r\n", Ok(b"a\r\n.\r\n")),
            (b"a", Ok(b"a\r\n.\r\n")),
            (b".", Ok(b"..\r\n.\r\n")),
            (b".\r\n", Ok(b"..\r\n.\r\n")),
            (b"..\r\n", Ok(b"...\r\n.\r\n")),
            (b".a\r\n.b\r\n", Ok(b"..a\r\n..b\r\n.\r\n")),
            (b"a\r\n.\r\nMAIL FROM:<>\r\n", Ok(b"a\r\n..\r\nMAIL FROM:<>\r\n.\r\n")),
            (b"a.b\r\n", Ok(b"a.b\r\n.\r\n")),
            (b"\r\n\r\n", Ok(b"\r\n\r\n.\r\n")),
            (b"a\0b\xff\r\n", Ok(b"a\0b\xff\r\n.\r\n")),
            // Line ends that smuggle.
            (b"a\n.\nb\r\n", bad(1)),
            (b"a\n.\r\nb\r\n", bad(1)),
            (b"a\r.\rb\r\n", bad(1)),
            (b"a\r.\r\nb\r\n", bad(1)),
            (b"a\r\n.\nb\r\n", bad(4)),
            (b"a\r\n.\rb\r\n", bad(4)),
            (b"a\r\r\n.\r\n", bad(1)),
            (b"a\r", bad(1)),
            (b"a\n", bad(1)),
        ];
        for (body, expected) in table {
            assert_eq!(wire(body, 998), expected.map(<[u8]>::to_vec), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn rfc3030_a_chunk_is_counted_and_not_stuffed() {
        let table: [(&[u8], usize, &[u8]); 6] = [
            (b"", 998, b""),
            (b".a\r\n.\r\n", 998, b".a\r\n.\r\n"),
            (b"a", 998, b"a\r\n"),
            (b".", 998, b".\r\n"),
            (b"abcdefghi\r\n", 8, b"abcdefgh\r\n i\r\n"),
            (b".bcdefghijklmnopq", 8, b".bcdefgh\r\n ijklmno\r\n pq\r\n"),
        ];
        for (body, limit, expected) in table {
            let text = DataText::new(Bytes::copy_from_slice(body), limit).unwrap();
            let chunk = text.chunk().collect::<Vec<_>>().concat();
            assert_eq!((chunk.as_slice(), text.chunk_length()), (expected, expected.len()));
        }
    }

    #[test]
    fn long_lines_are_folded_within_the_limit() {
        assert_eq!(wire(b"abcdefgh\r\n", 8).unwrap(), b"abcdefgh\r\n.\r\n");
        assert_eq!(wire(b"abcdefghi\r\n", 8).unwrap(), b"abcdefgh\r\n i\r\n.\r\n");
        assert_eq!(wire(b".bcdefghijklmnopq", 8).unwrap(), b"..bcdefgh\r\n ijklmno\r\n pq\r\n.\r\n");
        assert_eq!(wire(b"abcdefghi\r\n", 0).unwrap(), b"abcdefghi\r\n.\r\n");
    }

    proptest! {
        #[test]
        fn a_text_that_is_plain_needs_nothing(body in "([.ab]{0,9}(\r\n|\r|\n)){0,80}[.a]{0,3}", limit in 0usize..12) {
            let plain = is_plain(body.as_bytes(), limit);
            let lines: Vec<&str> = body.split("\r\n").collect();
            let stray = lines.iter().any(|line| line.contains(['\r', '\n']));
            let stuffed = lines.iter().any(|line| line.starts_with('.'));
            let folded = limit > 0 && lines.iter().any(|line| line.len() > limit);
            prop_assert_eq!(plain, !(stray || stuffed || folded));
        }

        #[test]
        fn the_wire_ends_once_and_gives_the_text_back(body in "([.ab]{0,4}(\r\n|\r|\n|)){0,12}", limit in 0usize..6) {
            let Ok(wire) = wire(body.as_bytes(), limit) else { return Ok(()) };
            let wire = std::string::String::from_utf8(wire).unwrap();
            let (text, end) = wire.split_at(wire.len() - 3);
            prop_assert_eq!(end, ".\r\n");
            prop_assert!(text.is_empty() || text.ends_with("\r\n"));
            let lines: Vec<&str> = text.split_terminator("\r\n").collect();
            prop_assert!(lines.iter().all(|line| *line != "." && !line.contains(['\r', '\n'])));
            if limit == 0 {
                let back: Vec<&str> = lines.iter().map(|line| line.strip_prefix('.').unwrap_or(line)).collect();
                prop_assert_eq!(back.join("\r\n"), body.strip_suffix("\r\n").unwrap_or(&body));
            }
        }
    }
}
