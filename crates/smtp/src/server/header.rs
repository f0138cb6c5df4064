//! What the server wants to know of a message's header (RFC 5322 §2.2).

use alloc::{string::String, sync::Arc};
use core::ops::Range;

use memchr::memchr;

/// The longest `Message-ID:` that is kept for logs and events.
const LONGEST_ID: usize = 250;

/// The findings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// `Received:` fields.
    pub(super) received: usize,
    /// The first `Message-ID:`.
    pub(super) message_id: Option<Arc<str>>,
    /// Whether there is a `Traceparent:` (W3C Trace Context §3.2).
    pub(super) traceparent: bool,
    /// The longest field, continuation lines included.
    pub(super) longest_field: usize,
}

/// One field of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderField<'a> {
    name: &'a [u8],
    /// What stands behind the colon, line ends included.
    pub value: &'a [u8],
    /// Where the whole field is in the text.
    pub range: Range<usize>,
}

impl HeaderField<'_> {
    /// Whether it has this name; case does not matter (RFC 5322 §1.2.2).
    #[must_use]
    pub const fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The fields of a text's header, up to the empty line, or to the first line that is no field.
pub fn header_fields(text: &[u8]) -> impl Iterator<Item = HeaderField<'_>> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let rest = text.get(at..)?;
        let name = field_name(rest)?;
        let end = field_end(rest);
        let colon = memchr(b':', &rest[..end]).map_or(end, |colon| colon + 1);
        let range = at..at + end;
        at = range.end;
        Some(HeaderField { name, value: &rest[colon..end], range })
    })
}

impl Header {
    /// Reads fields up to the empty line, or to the first line that is no field.
    pub(super) fn inspect(text: &[u8]) -> Self {
        Self::read(text).0
    }

    /// The same of the beginning of a text; `None` where the header goes on behind it.
    pub(super) fn inspect_whole(beginning: &[u8]) -> Option<Self> {
        let (header, rest) = Self::read(beginning);
        // What stands behind the last field is known for what it is once its line has ended.
        memchr(b'\n', rest).is_some().then_some(header)
    }

    /// The findings, and what stands behind the last field.
    fn read(text: &[u8]) -> (Self, &[u8]) {
        let mut header = Self::default();
        let mut rest = text;
        while let Some(name) = field_name(rest) {
            let end = field_end(rest);
            let (field, behind) = rest.split_at(end);
            header.longest_field = header.longest_field.max(field.len());
            if name.eq_ignore_ascii_case(b"Received") {
                header.received += 1;
            } else if name.eq_ignore_ascii_case(b"Traceparent") {
                header.traceparent = true;
            } else if header.message_id.is_none() && name.eq_ignore_ascii_case(b"Message-ID") {
                let colon = memchr(b':', field).map_or(field.len(), |colon| colon + 1);
                header.message_id = printable(&field[colon..]);
            }
            rest = behind;
        }
        (header, rest)
    }
}

/// The name of the field that begins here. A space before the colon is obsolete, not wrong (RFC 5322 §4.5).
fn field_name(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|b| !b.is_ascii_graphic() || *b == b':')?;
    let colon = text[end..].iter().find(|b| !matches!(b, b' ' | b'\t'))?;
    (end > 0 && *colon == b':').then(|| &text[..end])
}

/// Where the field that begins here ends: behind the first line end that no white space follows (RFC 5322 §2.2.3).
fn field_end(text: &[u8]) -> usize {
    let mut end = 0;
    while let Some(line) = memchr(b'\n', &text[end..]) {
        end += line + 1;
        if !matches!(text.get(end), Some(b' ' | b'\t')) {
            return end;
        }
    }
    text.len()
}

fn printable(value: &[u8]) -> Option<Arc<str>> {
    // A few octets more than are kept, for the white space in front.
    let value = value[..value.len().min(2 * LONGEST_ID)].trim_ascii();
    let id: String = value
        .iter()
        .filter(|b| !matches!(b, b'\r' | b'\n'))
        .take(LONGEST_ID)
        .map(|b| if *b == b' ' || b.is_ascii_graphic() { char::from(*b) } else { '?' })
        .collect();
    (!id.is_empty()).then(|| id.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_to_the_end_of_the_header() {
        let text = b"Received: from a\r\n\tby b; date\r\nRECEIVED : x\r\nReceived-SPF: none\r\n\
            Message-Id:\r\n <id@example.com>\r\nMessage-ID: <second@example.com>\r\n\r\nReceived: in the body\r\n";
        let header = Header::inspect(text);
        assert_eq!(header.received, 2);
        assert_eq!(header.message_id.as_deref(), Some("<id@example.com>"));
        assert_eq!(header.longest_field, b"Message-ID: <second@example.com>\r\n".len());
    }

    #[test]
    fn a_line_that_is_no_field_ends_the_header() {
        for text in
            ["no field\r\nReceived: x\r\n", "\r\nReceived: x\r\n", ": x\r\nReceived: x\r\n", "", "abc"]
        {
            assert_eq!(Header::inspect(text.as_bytes()), Header::default(), "{text:?}");
        }
    }

    #[test]
    fn a_header_that_may_go_on_is_not_judged() {
        let header = "Received: x\r\nSubject: a\r\n b\r\n";
        let whole = |text: &str| Header::inspect_whole(text.as_bytes()).map(|header| header.received);
        for (behind, expected) in [
            ("", None),
            ("Received", None),
            ("Received: y", None),
            ("Received: y\r\n", None),
            ("no fiel", None),
            ("\r", None),
            ("\r\n", Some(1)),
            ("no field\r\n", Some(1)),
            ("Received: y\r\n\r\nReceived: z\r\n", Some(2)),
        ] {
            assert_eq!(whole(&alloc::format!("{header}{behind}")), expected, "{behind:?}");
        }
    }

    #[test]
    fn a_message_id_is_fit_for_logs() {
        let id = |text: &str| Header::inspect(text.as_bytes()).message_id;
        assert_eq!(id("Message-ID: <a\u{1b}[2J@b>\r\n").as_deref(), Some("<a?[2J@b>"));
        assert_eq!(id("Message-ID: \r\n\r\n"), None);
        let long = alloc::format!("Message-ID: {}\r\n", "x".repeat(5000));
        assert_eq!(id(&long).map(|id| id.len()), Some(250));
    }
}
