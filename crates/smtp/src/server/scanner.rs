//! The text of a message, octet by octet, wherever the network cut it.
//!
//! The end of data is CRLF.CRLF and nothing else. That rule is the whole defence against SMTP smuggling (CERT VU#302671): a server that also
//! takes `LF.LF` or `CR.CR` sees two messages where the server before it saw one. Here a stray CR, LF or NUL never ends a line and never
//! ends the message; it only marks the text as one that will be refused, once its real end has been read.

use bytes::BytesMut;
use memchr::memchr3;

/// Where in a line the next octet will stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Behind a CRLF, or before the first octet.
    LineStart,
    /// Within a line.
    Text,
    /// Behind a CR.
    Cr,
    /// Behind a dot that began a line; the dot has not been kept.
    Dot,
    /// Behind such a dot and a CR; neither has been kept.
    DotCr,
}

/// Collects one text: what DATA brings, or all chunks of BDAT.
#[derive(Debug)]
pub(super) struct Scanner {
    place: Place,
    text: BytesMut,
    /// Where the client's own text begins.
    head: usize,
    /// How many octets may still come.
    room: usize,
    /// A bare CR, a bare LF or a NUL was seen.
    pub(super) stray: bool,
    /// More octets came than there was room for.
    pub(super) overflow: bool,
    /// A line of the text begins with a dot.
    pub(super) leading_dots: bool,
}

impl Scanner {
    /// Collects behind what `text` has already; at most `limit` octets more.
    pub(super) fn new(text: BytesMut, limit: usize) -> Self {
        Self {
            place: Place::LineStart,
            head: text.len(),
            text,
            room: limit,
            stray: false,
            overflow: false,
            leading_dots: false,
        }
    }

    /// Takes octets of a DATA transfer, dot-stuffed (RFC 5321 §4.5.2). Gives the number of octets up to and including the end of data, or
    /// `None` when all were taken and the end was not among them.
    pub(super) fn stuffed(&mut self, input: &[u8]) -> Option<usize> {
        // `run..at` is what is to be kept and has not been copied yet.
        let (mut run, mut at) = (0, 0);
        while let Some(&byte) = input.get(at) {
            match self.place {
                Place::LineStart if byte == b'.' => {
                    self.keep(&input[run..at]);
                    at += 1;
                    run = at;
                    self.place = Place::Dot;
                }
                Place::LineStart => self.place = Place::Text,
                Place::Text => at += self.pass_text(&input[at..]),
                Place::Cr => at += self.behind_cr(byte),
                Place::Dot if byte == b'\r' => {
                    at += 1;
                    run = at;
                    self.place = Place::DotCr;
                }
                Place::Dot => {
                    self.leading_dots |= byte == b'.';
                    self.place = Place::Text;
                }
                Place::DotCr if byte == b'\n' => return Some(at + 1),
                Place::DotCr => {
                    self.stray = true;
                    self.place = Place::Text;
                }
            }
        }
        self.keep(&input[run..]);
        None
    }

    /// Takes octets of a BDAT chunk (RFC 3030 §2): no dot-stuffing, no end but the count.
    pub(super) fn plain(&mut self, input: &[u8]) {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match self.place {
                Place::LineStart => {
                    self.leading_dots |= byte == b'.';
                    self.place = Place::Text;
                }
                Place::Text | Place::Dot | Place::DotCr => at += self.pass_text(&input[at..]),
                Place::Cr => at += self.behind_cr(byte),
            }
        }
        self.keep(input);
    }

    /// The last chunk is in: a CR at the very end is a bare one, a last line without CRLF gets one.
    pub(super) fn end_of_chunks(&mut self) {
        match self.place {
            Place::LineStart => {}
            Place::Cr => self.stray = true,
            Place::Text | Place::Dot | Place::DotCr => self.keep(b"\r\n"),
        }
    }

    /// The text with what stood in front of it, and where the client's own begins.
    pub(super) fn into_text(self) -> (BytesMut, usize) {
        (self.text, self.head)
    }

    /// Octets held in memory.
    pub(super) fn held(&self) -> usize {
        self.text.len()
    }

    /// Passes over text until something decides; gives the number of octets passed.
    fn pass_text(&mut self, input: &[u8]) -> usize {
        let Some(ahead) = memchr3(b'\r', b'\n', 0, input) else { return input.len() };
        if input[ahead] == b'\r' {
            self.place = Place::Cr;
        } else {
            self.stray = true;
        }
        ahead + 1
    }

    fn behind_cr(&mut self, byte: u8) -> usize {
        if byte == b'\n' {
            self.place = Place::LineStart;
            return 1;
        }
        self.stray = true;
        self.place = Place::Text;
        0
    }

    /// Copies what is to be kept; of a text that will be refused nothing is.
    fn keep(&mut self, run: &[u8]) {
        match self.room.checked_sub(run.len()) {
            Some(room) => self.room = room,
            None => self.overflow = true,
        }
        if self.stray || self.overflow {
            self.text = BytesMut::new();
        } else {
            self.text.extend_from_slice(run);
        }
    }
}

#[cfg(test)]
mod tests;
