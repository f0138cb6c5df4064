//! A text that comes piece by piece, as DATA wants it: what [`DataText`](super::DataText) is for one that is at hand as a whole.

use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;
use memchr::{memchr, memrchr};

use super::text::{BareLineEnd, Insert, is_plain, woven};

/// Follows a text through its pieces, wherever they were cut.
///
/// Each piece is looked through before any of it is sent. A text that turns out to be bad is not ended: the connection has to be closed without the final
/// dot, and the server throws away what it has (RFC 5321 §4.1.1.4).
#[derive(Debug, Clone)]
pub struct TextFlow {
    line_limit: usize,
    /// Octets of the line so far, as it is on the wire.
    column: usize,
    /// The last octet was a CR.
    cr: bool,
    /// Octets before this piece.
    passed: usize,
}

/// One piece, and what has to be put between its octets.
#[derive(Debug, Clone)]
pub struct FlowPiece {
    piece: Bytes,
    inserts: Vec<(usize, Insert)>,
}

impl FlowPiece {
    /// The octets to send, in order.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        woven(&self.piece, &self.inserts, false).filter(|segment| !segment.is_empty())
    }
}

impl TextFlow {
    /// The beginning of a text. Lines longer than `line_limit` octets are folded; 0 is no limit.
    #[must_use]
    pub const fn new(line_limit: usize) -> Self {
        Self { line_limit, column: 0, cr: false, passed: 0 }
    }

    /// Looks through the next piece.
    ///
    /// # Errors
    /// [`BareLineEnd`]: nothing more may be sent.
    pub fn piece(&mut self, piece: Bytes) -> Result<FlowPiece, BareLineEnd> {
        let mut inserts = Vec::new();
        // Whole lines in the middle are looked at in bulk; the line that was begun before, and the one that goes on behind, by themselves.
        let begun = self.column > 0 || self.cr;
        let first = if begun { memchr(b'\n', &piece).map_or(piece.len(), |end| end + 1) } else { 0 };
        let last = memrchr(b'\n', &piece[first..]).map_or(first, |end| first + end + 1);
        self.lines(&piece, 0..first, &mut inserts)?;
        if !is_plain(&piece[first..last], self.line_limit) {
            self.lines(&piece, first..last, &mut inserts)?;
        }
        self.lines(&piece, last..piece.len(), &mut inserts)?;
        self.passed += piece.len();
        Ok(FlowPiece { piece, inserts })
    }

    /// What is to be sent behind the last piece.
    ///
    /// # Errors
    /// [`BareLineEnd`]: the text ends in a CR.
    pub const fn end(&self) -> Result<&'static [u8], BareLineEnd> {
        match (self.cr, self.column) {
            (true, _) => Err(BareLineEnd { at: self.passed - 1 }),
            (false, 0) => Ok(b".\r\n"),
            (false, _) => Ok(b"\r\n.\r\n"),
        }
    }

    /// Line by line; only the last range of a piece may end within a line.
    fn lines(
        &mut self,
        piece: &[u8],
        range: Range<usize>,
        inserts: &mut Vec<(usize, Insert)>,
    ) -> Result<(), BareLineEnd> {
        let mut at = range.start;
        while at < range.end {
            if core::mem::take(&mut self.cr) {
                if piece[at] != b'\n' {
                    return Err(BareLineEnd { at: self.passed + at - 1 });
                }
                self.column = 0;
                at += 1;
                continue;
            }
            let found = memchr(b'\n', &piece[at..range.end]);
            let end = found.map_or(range.end, |ahead| at + ahead);
            let has_cr = end > at && piece[end - 1] == b'\r';
            if found.is_some() && !has_cr {
                return Err(BareLineEnd { at: self.passed + end });
            }
            let line = at..end - usize::from(has_cr);
            if let Some(cr) = memchr(b'\r', &piece[line.clone()]) {
                return Err(BareLineEnd { at: self.passed + line.start + cr });
            }
            self.mark(piece, line, inserts);
            if found.is_some() {
                self.column = 0;
            } else {
                self.cr = has_cr;
            }
            at = end + usize::from(found.is_some());
        }
        Ok(())
    }

    /// Marks what a part of a line needs.
    fn mark(&mut self, piece: &[u8], mut line: Range<usize>, inserts: &mut Vec<(usize, Insert)>) {
        if self.column == 0 && !line.is_empty() && piece[line.start] == b'.' {
            inserts.push((line.start, Insert::Dot));
        }
        let mut room = self.line_limit.saturating_sub(self.column);
        while self.line_limit > 0 && line.len() > room {
            line.start += room;
            inserts.push((line.start, Insert::Fold));
            // The space in front of a continuation counts for it; a limit of 1 would leave no room.
            self.column = 1;
            room = (self.line_limit - 1).max(1);
        }
        self.column += line.len();
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::DataText;
    use proptest::prelude::*;

    fn flow(body: &[u8], cuts: &[usize], limit: usize) -> Result<Vec<u8>, BareLineEnd> {
        let mut flow = TextFlow::new(limit);
        let (mut wire, mut from) = (Vec::new(), 0);
        for to in cuts.iter().copied().chain([body.len()]) {
            let piece = flow.piece(Bytes::copy_from_slice(&body[from..to]))?;
            wire.extend(piece.segments().flatten().copied());
            from = to;
        }
        wire.extend_from_slice(flow.end()?);
        Ok(wire)
    }

    fn whole(body: &[u8], limit: usize) -> Option<Vec<u8>> {
        let text = DataText::new(Bytes::copy_from_slice(body), limit).ok()?;
        Some(text.segments().collect::<Vec<_>>().concat())
    }

    #[test]
    fn a_cut_in_front_of_a_dot_or_within_a_line_end_hides_nothing() {
        type Row = (&'static [u8], &'static [usize], Option<&'static [u8]>);
        let table: [Row; 9] = [
            (b"", &[], Some(b".\r\n")),
            (b"a\r\n.\r\n", &[3], Some(b"a\r\n..\r\n.\r\n")),
            (b"a\r\n.\r\n", &[2], Some(b"a\r\n..\r\n.\r\n")),
            (b"a\r\n.\r\n", &[1, 2, 3, 4, 5], Some(b"a\r\n..\r\n.\r\n")),
            (b"a.b", &[1], Some(b"a.b\r\n.\r\n")),
            (b"a\r\n", &[2, 2, 3], Some(b"a\r\n.\r\n")),
            // Line ends that smuggle.
            (b"a\r.\r\n", &[2], None),
            (b"a\n.\r\n", &[1], None),
            (b"a\r", &[1], None),
        ];
        for (body, cuts, expected) in table {
            assert_eq!(flow(body, cuts, 998).ok().as_deref(), expected, "{}", body.escape_ascii());
        }
        assert_eq!(flow(b"ab\r\nc\rd", &[6], 998), Err(BareLineEnd { at: 5 }));
    }

    proptest! {
        #[test]
        fn pieces_give_what_the_whole_gives(
            body in "([.ab]{0,9}(\r\n|\r\n|\r\n|\r|\n|)){0,40}",
            limit in 0usize..12,
            cuts in proptest::collection::vec(0usize..300, 0..8),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < body.len()).collect();
            cuts.sort_unstable();
            prop_assert_eq!(flow(body.as_bytes(), &cuts, limit).ok(), whole(body.as_bytes(), limit));
        }

        #[test]
        fn sound_pieces_give_what_the_whole_gives(
            body in "([.ab]{0,9}\r\n){0,60}[.a]{0,20}",
            limit in 0usize..12,
            cuts in proptest::collection::vec(0usize..500, 0..4),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < body.len()).collect();
            cuts.sort_unstable();
            prop_assert_eq!(flow(body.as_bytes(), &cuts, limit).ok(), whole(body.as_bytes(), limit));
        }
    }
}
