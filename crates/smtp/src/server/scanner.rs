//! The text of a message, octet by octet, wherever the network cut it.
//!
//! The end of data is CRLF.CRLF and nothing else. That rule is the whole defence against SMTP smuggling (CERT VU#302671): a server that also
//! takes `LF.LF` or `CR.CR` sees two messages where the server before it saw one. Here a stray CR, LF or NUL never ends a line and never
//! ends the message; it only marks the text as one that will be refused, once its real end has been read.

use alloc::boxed::Box;

use bytes::{Bytes, BytesMut};
use memchr::{memchr3, memmem, memrchr};

use super::header::Header;

/// How much is looked at in bulk: what is looked at twice is still in the fastest cache then.
const BLOCK: usize = 16 << 10;
/// Most messages fit; larger ones make the buffer grow.
const MOST: usize = 16 << 10;

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
    /// Octets that were taken out before the end, and what the header in them says.
    taken: u64,
    header: Option<Box<Header>>,
    /// How much of the text had no end of the header in it when that was last looked for.
    looked: usize,
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
            taken: 0,
            header: None,
            looked: 0,
            stray: false,
            overflow: false,
            leading_dots: false,
        }
    }

    /// Takes octets of a DATA transfer, dot-stuffed (RFC 5321 §4.5.2). Gives the number of octets up to and including the end of data, or
    /// `None` when all were taken and the end was not among them.
    pub(super) fn stuffed(&mut self, input: &[u8]) -> Option<usize> {
        // Where the end of data is at the end, the text is everything before the dot.
        self.make_room(input.strip_suffix(b".\r\n").filter(|text| text.ends_with(b"\r\n")));
        // `run..at` is what is to be kept and has not been copied yet; `sound` is how far it need not be looked at in bulk again.
        let (mut run, mut at, mut sound) = (0, 0, 0);
        while let Some(&byte) = input.get(at) {
            match self.place {
                Place::LineStart if at >= sound && byte != b'.' => {
                    let block = lines(&input[at..], true);
                    sound = at + block.len().max(1);
                    if is_sound(block) {
                        at += block.len();
                    } else {
                        self.place = Place::Text;
                    }
                }
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
        self.make_room(None);
        let (mut at, mut sound) = (0, 0);
        while let Some(&byte) = input.get(at) {
            match self.place {
                Place::LineStart if at >= sound => {
                    let block = lines(&input[at..], false);
                    sound = at + block.len().max(1);
                    if is_sound(block) {
                        self.leading_dots |=
                            block.first() == Some(&b'.') || memmem::find(block, b"\n.").is_some();
                        at += block.len();
                    }
                }
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

    /// The text, or what has not been taken out of it, and what the header says.
    pub(super) fn into_text(self) -> (BytesMut, Header) {
        let header = self.header.map_or_else(|| Header::inspect(&self.text[self.head..]), |header| *header);
        (self.text, header)
    }

    /// Octets held in memory.
    pub(super) fn held(&self) -> usize {
        self.text.len()
    }

    /// Whether the header of what was taken out has a `Traceparent:`.
    pub(super) fn is_traced(&self) -> bool {
        self.header.as_ref().is_some_and(|header| header.traceparent)
    }

    /// Octets taken out.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Takes out what there is, once that is more than `least` and, the first time, has the whole header in it; `spare` collects what comes. A text that will
    /// be refused is not given out.
    pub(super) fn take(&mut self, least: usize, spare: BytesMut) -> Result<Bytes, BytesMut> {
        if self.stray || self.overflow || self.text.len() <= least {
            return Err(spare);
        }
        if self.header.is_none() {
            // A header is read from its beginning: one that never ends is looked at again when a quarter has come on top, and not with each octet.
            if self.text.len() < self.looked + self.looked / 4 {
                return Err(spare);
            }
            self.looked = self.text.len();
            let Some(header) = Header::inspect_whole(&self.text[self.head..]) else { return Err(spare) };
            self.header = Some(Box::new(header));
        }
        self.taken += self.text.len() as u64;
        Ok(core::mem::replace(&mut self.text, spare).freeze())
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

    /// Room for a text that begins: as much as it needs, where all of it seems to be there, so that nothing is left over; else what most need.
    fn make_room(&mut self, whole: Option<&[u8]>) {
        if self.text.len() == self.head && self.taken == 0 {
            self.text.reserve(whole.map_or(MOST.min(self.room), <[u8]>::len));
        }
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

/// Whole lines from the front of `input`, not more than a block of them; `stuffed`: up to the first that begins with a dot.
fn lines(input: &[u8], stuffed: bool) -> &[u8] {
    let block = &input[..input.len().min(BLOCK)];
    let dot = if stuffed { memmem::find(block, b"\n.") } else { None };
    let end = dot.or_else(|| memrchr(b'\n', block)).map_or(0, |end| end + 1);
    &block[..end]
}

/// Whether lines can be taken as they are: CR and LF come in pairs only, and there is no NUL. At least one line, and nothing behind the last.
fn is_sound(lines: &[u8]) -> bool {
    if matches!(lines.first(), None | Some(b'\n')) {
        return false;
    }
    // Without a branch, so that the compiler takes many octets at once. The last octet is a LF.
    let odd = lines
        .iter()
        .zip(&lines[1..])
        .fold(0u8, |odd, (a, b)| odd | u8::from((*a == b'\r') != (*b == b'\n')) | u8::from(*a == 0));
    odd == 0
}

#[cfg(test)]
mod tests;
