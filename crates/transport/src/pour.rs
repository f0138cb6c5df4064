//! A text that is not at hand: read, looked through and written piece by piece, the next one being read while one is written.
//!
//! Nothing else is under way behind it, since nobody knows before its end whether it can be ended: where a piece cannot be read, or has a line end
//! that no text may have, the connection is closed without the final dot, and the server has no message.

use waxseal_smtp::{BareLineEnd, Stage, TextFlow, Unsupported};

use crate::{
    Cause, Session,
    flight::Break,
    text::{Pieces, Stored},
};

/// The text of one message under way.
pub(crate) struct Pour {
    pieces: Box<dyn Pieces>,
    flow: TextFlow,
}

impl Pour {
    pub(crate) fn new(stored: &dyn Stored, line_limit: usize) -> Self {
        Self { pieces: stored.pieces(), flow: TextFlow::new(line_limit) }
    }
}

impl std::fmt::Debug for Pour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pour({:?})", self.flow)
    }
}

/// Why a text was not ended.
enum Fault {
    /// The server or the way to it.
    Wire(Cause),
    /// The same, behind its very end.
    Ended(Cause),
    /// The text is bad.
    Bad(BareLineEnd),
    /// The text cannot be read.
    Unread(String),
}

impl Session {
    /// Writes the whole text of the last message under way, its end included.
    pub(crate) async fn pour(&mut self, mut pour: Pour) -> Result<(), Break> {
        let broken = |cause| Break::at(Stage::Body, cause);
        match self.pour_all(&mut pour).await {
            Ok(()) => {
                if let Some(last) = self.flights.back_mut() {
                    last.transaction.text_sent();
                }
                Ok(())
            }
            Err(Fault::Wire(cause)) => {
                self.hear_out();
                Err(broken(cause))
            }
            // All of it had left: the server may have the message.
            Err(Fault::Ended(cause)) => {
                if let Some(last) = self.flights.back_mut() {
                    last.transaction.text_sent();
                }
                self.hear_out();
                Err(broken(cause))
            }
            Err(Fault::Bad(bad)) => {
                if let Some(last) = self.flights.back_mut() {
                    last.transaction.text_unfit(Unsupported::BareLineEnd(bad));
                }
                Err(broken(Cause::Text(bad.to_string())))
            }
            Err(Fault::Unread(why)) => Err(broken(Cause::Text(why))),
        }
    }

    async fn pour_all(&mut self, pour: &mut Pour) -> Result<(), Fault> {
        let limit = self.settings.limit(Stage::Body);
        let mut next = pour.pieces.next_piece();
        while let Some(piece) = next.await.map_err(Fault::Unread)? {
            next = pour.pieces.next_piece();
            let piece = pour.flow.piece(piece).map_err(Fault::Bad)?;
            let written = self.channel.write_all(piece.segments(), limit).await;
            written.map_err(|(_, cause)| Fault::Wire(cause))?;
        }
        let end = pour.flow.end().map_err(Fault::Bad)?;
        let written = self.channel.write_all(std::iter::once(end), limit).await;
        written.map_err(|(octets, cause)| match octets == end.len() {
            true => Fault::Ended(cause),
            false => Fault::Wire(cause),
        })
    }
}
