//! Reading replies (RFC 5321 §4.2) from a server that may be anything.

use alloc::{collections::VecDeque, string::String, vec::Vec};

use memchr::memchr;
use waxseal_types::{EnhancedStatus, Reply, StatusClass, Words};

/// Longest reply line in octets, its end not counted. RFC 5321 §4.5.3.1.5 says 512 with the code; servers write more; Postfix reads 2048.
const LINE_LIMIT: usize = 2048;

/// Most lines of one reply. The longest EHLO replies seen have some 30.
const LINES_LIMIT: usize = 100;

/// How much text of one reply is kept for [`ReplyReader::lines`]; what comes behind it is read and forgotten.
const KEPT_LIMIT: usize = 16 * 1024;

/// How much of it goes into a [`Reply`], and so into logs and bounces.
const TEXT_LIMIT: usize = 2048;

/// So many texts are remembered of a connection: a server says the same to each MAIL, RCPT, DATA and, some of them, text.
const KNOWN: usize = 4;

/// So many more are kept for their memory until nobody else has them: final replies of the messages that may be under way at once, and a few that are
/// still being told of.
const RETIRED: usize = 16;

/// What a server sent is no reply. The session cannot go on: nobody knows what the next line answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// A line without a reply code, or with one that does not start with 2 to 5.
    #[error("not an SMTP reply: {0:?}")]
    Malformed(String),
    /// A line longer than 2048 octets.
    #[error("reply line longer than {LINE_LIMIT} octets")]
    LineTooLong,
    /// A reply of more than 100 lines.
    #[error("reply of more than {LINES_LIMIT} lines")]
    TooManyLines,
}

/// Puts replies together from octets, however they were split on the way. Memory is bounded; text is made printable as it comes in.
#[derive(Debug, Default)]
pub struct ReplyReader {
    partial: Vec<u8>,
    text: String,
    last_line: usize,
    lines: usize,
    complete: bool,
    /// Texts of the last replies, the last one first; they take no memory when they come again.
    known: [Option<Words>; KNOWN],
    /// What was displaced from there while somebody had it, the oldest first.
    retired: VecDeque<Words>,
}

impl ReplyReader {
    /// A reader that expects the first line of a reply.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes octets from the front of `input`, at most up to the end of one reply, and returns that reply once it is whole.
    ///
    /// What follows it stays in `input`: it answers the next command, or nothing (behind the 220 to STARTTLS it is an attack).
    ///
    /// # Errors
    /// [`ReplyError`] where the server does not speak SMTP; the reader is of no use then.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Reply>, ReplyError> {
        if core::mem::take(&mut self.complete) {
            self.text.clear();
            self.lines = 0;
        }
        while let Some(end) = memchr(b'\n', input) {
            let (line, rest) = input.split_at(end + 1);
            *input = rest;
            if let Some(reply) = self.line(&line[..end])? {
                return Ok(Some(reply));
            }
        }
        self.keep_partial(input)?;
        *input = &[];
        Ok(None)
    }

    /// The printable lines of the last whole reply, without their codes; EHLO keywords are read from them.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n')
    }

    /// Whether the beginning of a reply has been read and its end has not.
    #[must_use]
    pub fn is_amid(&self) -> bool {
        !self.partial.is_empty() || (self.lines > 0 && !self.complete)
    }

    fn keep_partial(&mut self, part: &[u8]) -> Result<(), ReplyError> {
        // One octet more for the CR that may precede the LF.
        if self.partial.len() + part.len() > LINE_LIMIT + 1 {
            return Err(ReplyError::LineTooLong);
        }
        self.partial.extend_from_slice(part);
        Ok(())
    }

    fn line(&mut self, tail: &[u8]) -> Result<Option<Reply>, ReplyError> {
        if self.partial.is_empty() {
            return self.whole_line(tail);
        }
        self.keep_partial(tail)?;
        let mut line = core::mem::take(&mut self.partial);
        let result = self.whole_line(&line);
        line.clear();
        self.partial = line;
        result
    }

    fn whole_line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        // RFC 5321 §2.3.8 wants CRLF; a reply that ends in LF alone is understood all the same.
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > LINE_LIMIT {
            return Err(ReplyError::LineTooLong);
        }
        let (code, is_last, text) = split_line(line).ok_or_else(|| malformed(line))?;
        if self.lines == LINES_LIMIT {
            return Err(ReplyError::TooManyLines);
        }
        if self.lines > 0 {
            self.text.push('\n');
        }
        self.lines += 1;
        self.last_line = self.text.len();
        push_printable(&mut self.text, text);
        if !is_last {
            return Ok(None);
        }
        self.complete = true;
        Ok(Some(self.reply(code)))
    }

    fn reply(&mut self, code: u16) -> Reply {
        // RFC 5321 §4.2.1: the codes of all lines should agree; where they do not, the last one counts, as with Postfix.
        let status = EnhancedStatus::split_from(&self.text[self.last_line..]).map(|(status, _)| status);
        let status = status.filter(|status| class_digit(status.class()) == code / 100);
        let mut end = self.text.len().min(TEXT_LIMIT);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let text = &self.text[..end];
        if self.lines > 1 {
            return Reply { code, status, text: text.replace('\n', " ").into() };
        }
        let found = self.known.iter().position(|known| known.as_deref() == Some(text));
        let place = found.unwrap_or(KNOWN - 1);
        let old = self.known[place].take();
        let text = match (old, found) {
            (Some(known), Some(_)) => known,
            (displaced, _) => words(text, displaced, &mut self.retired),
        };
        self.known[..=place].rotate_right(1);
        self.known[0] = Some(text.clone());
        Reply { code, status, text }
    }
}

/// `text` in the memory of words that nobody needs any more, if there are any.
fn words(text: &str, displaced: Option<Words>, retired: &mut VecDeque<Words>) -> Words {
    if let Some(mut displaced) = displaced {
        if displaced.refill(text) {
            return displaced;
        }
        if retired.len() == RETIRED {
            retired.pop_front();
        }
        retired.push_back(displaced);
    }
    // The oldest is the first that its message's end lets go of.
    match retired.front_mut().is_some_and(|oldest| oldest.refill(text)).then(|| retired.pop_front()) {
        Some(Some(refilled)) => refilled,
        Some(None) | None => text.into(),
    }
}

const fn class_digit(class: StatusClass) -> u16 {
    match class {
        StatusClass::Success => 2,
        StatusClass::Transient => 4,
        StatusClass::Permanent => 5,
    }
}

/// Code, whether it is the last line, and the text. RFC 5321 §4.2: a code, then a space, a hyphen, or nothing at all.
fn split_line(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (code, rest) = line.split_first_chunk::<3>()?;
    // RFC 5321 §4.2: only the first digit must be understood; 1yz and 6yz mean nothing in SMTP.
    if !code.iter().all(u8::is_ascii_digit) || !(b'2'..=b'5').contains(&code[0]) {
        return None;
    }
    let code = code.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    match rest.split_first() {
        None => Some((code, true, b"")),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

fn malformed(line: &[u8]) -> ReplyError {
    let mut text = String::new();
    push_printable(&mut text, &line[..line.len().min(100)]);
    ReplyError::Malformed(text)
}

/// Appends `bytes` with everything replaced that could deceive a terminal, a log or a reader.
fn push_printable(text: &mut String, bytes: &[u8]) {
    let room = KEPT_LIMIT.saturating_sub(text.len());
    let bytes = &bytes[..bytes.len().min(room)];
    if bytes.iter().all(|b| (b' '..=b'~').contains(b)) {
        // Printable ASCII is the rule; the loop below would do the same, slower.
        text.push_str(core::str::from_utf8(bytes).unwrap_or_default());
        return;
    }
    for chunk in bytes.utf8_chunks() {
        text.extend(chunk.valid().chars().map(|c| if is_deceiving(c) { '?' } else { c }));
        if !chunk.invalid().is_empty() {
            text.push('?');
        }
    }
}

/// Control characters, line separators and those that turn the direction of writing.
fn is_deceiving(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use alloc::{format, string::ToString, vec};
    use proptest::prelude::*;

    #[test]
    fn what_a_server_says_again_takes_no_memory_again() {
        let mut reader = ReplyReader::new();
        let mut round = |number: u32| -> Vec<Words> {
            let wire = format!(
                "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 Go ahead\r\n250 2.0.0 Ok: queued as {number}\r\n"
            );
            let mut wire = wire.as_bytes();
            core::iter::from_fn(|| reader.read(&mut wire).unwrap()).map(|reply| reply.text).collect()
        };
        let first = round(0);
        // The last reply is another each time, and displaces only itself.
        for number in 1..9 {
            let next = round(number);
            let same: Vec<_> = first.iter().zip(&next).map(|(first, next)| first.is_same(next)).collect();
            assert_eq!(same, [true, true, true, false]);
            assert_eq!(*next[3], *format!("2.0.0 Ok: queued as {number}"));
        }
    }

    #[test]
    fn words_that_somebody_has_are_not_written_over() {
        let mut reader = ReplyReader::new();
        let mut read = |number: usize| {
            let wire = format!("250 2.0.0 queued as {number}\r\n");
            reader.read(&mut wire.as_bytes()).unwrap().unwrap().text
        };
        // All kept, then let go in their order: what is still held says what it said.
        let mut kept: VecDeque<Words> = VecDeque::new();
        for number in 0..200 {
            if number >= 50 {
                kept.pop_front();
            }
            kept.push_back(read(number));
            let first = (number + 1) - kept.len();
            for (at, words) in kept.iter().enumerate() {
                assert_eq!(**words, *format!("2.0.0 queued as {}", first + at));
            }
        }
        assert!(reader.retired.len() <= RETIRED);
    }

    type Outcome = Result<Vec<(u16, Option<String>, String)>, ReplyError>;

    /// Reads `wire` in pieces that end at the positions `cuts`.
    fn read(wire: &[u8], cuts: &[usize]) -> Outcome {
        let (mut reader, mut replies, mut from) = (ReplyReader::new(), Vec::new(), 0);
        for to in cuts.iter().copied().chain([wire.len()]) {
            let mut piece = &wire[from..to];
            while let Some(reply) = reader.read(&mut piece)? {
                replies.push((reply.code, reply.status.map(|s| s.to_string()), reply.text.to_string()));
            }
            assert!(piece.is_empty());
            from = to;
        }
        Ok(replies)
    }

    #[test]
    fn rfc5321_4_2_replies_are_read_however_they_are_split() {
        let one =
            |code, status: Option<&str>, text: &str| Ok(vec![(code, status.map(String::from), text.into())]);
        let bad = |text: &str| Err(ReplyError::Malformed(text.into()));
        let table: [(&[u8], Outcome); 27] = [
            (b"220 mx.example.com ESMTP\r\n", one(220, None, "mx.example.com ESMTP")),
            (b"250\r\n", one(250, None, "")),
            (b"250 \r\n", one(250, None, "")),
            (b"250 ok\n", one(250, None, "ok")),
            (b"250-a\r\n250-b\r\n250 c\r\n", one(250, None, "a b c")),
            (b"250-a\r\n250\r\n", one(250, None, "a ")),
            // Mixed codes: the last line's counts.
            (b"250-a\r\n550 b\r\n", one(550, None, "a b")),
            (b"550 5.1.1 unknown\r\n", one(550, Some("5.1.1"), "5.1.1 unknown")),
            (
                b"550-5.1.1 unknown\r\n550 5.1.1 really\r\n",
                one(550, Some("5.1.1"), "5.1.1 unknown 5.1.1 really"),
            ),
            // An enhanced code of another class says nothing.
            (b"450 5.1.1 unknown\r\n", one(450, None, "5.1.1 unknown")),
            (b"354 go\r\n", one(354, None, "go")),
            (b"299 odd but positive\r\n", one(299, None, "odd but positive")),
            (b"599 odd but permanent\r\n", one(599, None, "odd but permanent")),
            (b"250 a\r\r\n", one(250, None, "a?")),
            (b"250 a\0b\x1b[31m\r\n", one(250, None, "a?b?[31m")),
            (b"250 gr\xc3\xbc\xc3\x9fe\r\n", one(250, None, "grüße")),
            (b"250 gr\xfc\xdfe\r\n", one(250, None, "gr??e")),
            ("250 \u{202e}evil\r\n".as_bytes(), one(250, None, "?evil")),
            (b"25\r\n", bad("25")),
            (b"2500 a\r\n", bad("2500 a")),
            (b"150 a\r\n", bad("150 a")),
            (b"600 a\r\n", bad("600 a")),
            (b"\r\n", bad("")),
            (b"-1 a\r\n", bad("-1 a")),
            (b"250_a\r\n", bad("250_a")),
            (b"+OK POP3 ready\r\n", bad("+OK POP3 ready")),
            (b"HTTP/1.1 400 Bad Request\r\n", bad("HTTP/1.1 400 Bad Request")),
        ];
        for (wire, expected) in &table {
            assert_eq!(&read(wire, &[]), expected, "{}", wire.escape_ascii());
            for cut in 0..wire.len() {
                assert_eq!(&read(wire, &[cut]), expected, "{} cut at {cut}", wire.escape_ascii());
            }
            let all: Vec<usize> = (0..wire.len()).collect();
            assert_eq!(&read(wire, &all), expected, "{} octet by octet", wire.escape_ascii());
        }
    }

    #[test]
    fn several_replies_in_one_segment_are_told_apart() {
        let wire = b"250-a\r\n250 b\r\n354 c\r\n421 d\r\n";
        for cut in 0..wire.len() {
            let codes: Vec<u16> = read(wire, &[cut]).unwrap().iter().map(|(code, ..)| *code).collect();
            assert_eq!(codes, [250, 354, 421]);
        }
        let mut rest = &b"220 go ahead\r\n250 injected\r\n"[..];
        assert!(ReplyReader::new().read(&mut rest).unwrap().is_some());
        assert_eq!(rest, b"250 injected\r\n", "what follows a reply is left alone");
    }

    #[test]
    fn endless_lines_and_replies_are_cut_off() {
        let endless = vec![b'2'; 10 << 20];
        assert_eq!(read(&endless, &[]), Err(ReplyError::LineTooLong));
        let cuts: Vec<usize> = (0..endless.len()).step_by(1000).collect();
        assert_eq!(read(&endless, &cuts), Err(ReplyError::LineTooLong));
        let line = |octets: usize| [b"250 ".as_slice(), &vec![b'a'; octets - 4], b"\r\n"].concat();
        assert_eq!(read(&line(LINE_LIMIT), &[]).unwrap()[0].2.len(), LINE_LIMIT - 4);
        assert_eq!(read(&line(LINE_LIMIT + 1), &[]), Err(ReplyError::LineTooLong));
        let lines = |n: usize| [b"250-x\r\n".repeat(n - 1), b"250 x\r\n".to_vec()].concat();
        assert!(read(&lines(LINES_LIMIT), &[]).is_ok());
        assert_eq!(read(&lines(LINES_LIMIT + 1), &[]), Err(ReplyError::TooManyLines));
    }

    #[test]
    fn long_texts_are_read_and_only_partly_kept() {
        let wire = [format!("250-{}\r\n", "x".repeat(2000)).repeat(99).into_bytes(), b"250 end\r\n".to_vec()]
            .concat();
        let mut reader = ReplyReader::new();
        let reply = reader.read(&mut &wire[..]).unwrap().unwrap();
        assert_eq!((reply.code, reply.text.len()), (250, TEXT_LIMIT));
        assert!(reader.text.len() <= KEPT_LIMIT + LINES_LIMIT);
    }

    proptest! {
        #[test]
        fn no_octets_panic_or_grow(wire in proptest::collection::vec(any::<u8>(), 0..4096), cut in 0usize..4096) {
            let mut reader = ReplyReader::new();
            let (a, b) = wire.split_at(cut.min(wire.len()));
            for mut piece in [a, b] {
                while let Ok(Some(reply)) = reader.read(&mut piece) {
                    prop_assert!((200..600).contains(&reply.code));
                    prop_assert!(!reply.text.chars().any(char::is_control));
                }
            }
            prop_assert!(reader.partial.len() <= LINE_LIMIT + 1);
        }

        #[test]
        fn splitting_changes_nothing(
            text in proptest::collection::vec("[2-5][0-9][0-9][ -][ -~]{0,20}\r?\n", 1..8),
            cuts in proptest::collection::vec(0usize..200, 0..6),
        ) {
            let wire = text.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|c| *c < wire.len()).collect();
            cuts.sort_unstable();
            prop_assert_eq!(read(&wire, &cuts), read(&wire, &[]));
        }
    }
}
