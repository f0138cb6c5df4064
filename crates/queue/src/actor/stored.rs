//! Texts that are in the spool: read while they are sent, so that no message has to fit into memory.

use std::sync::Arc;

use bytes::Bytes;
use waxseal_spool::{BodyReader, Error};
use waxseal_transport::{Piece, Pieces, Stored, Text};

/// A text in a file of its own, whose beginning has been read.
struct Spooled {
    head: Bytes,
    /// Behind the head.
    rest: BodyReader,
}

struct Reading {
    head: Option<Bytes>,
    rest: BodyReader,
}

impl Stored for Spooled {
    fn head(&self) -> &Bytes {
        &self.head
    }

    fn pieces(&self) -> Box<dyn Pieces> {
        Box::new(Reading { head: Some(self.head.clone()), rest: self.rest.clone() })
    }
}

impl Pieces for Reading {
    fn next_piece(&mut self) -> Piece {
        if let Some(head) = self.head.take() {
            return Box::pin(std::future::ready(Ok(Some(head))));
        }
        let next = self.rest.next_piece();
        Box::pin(async move { next.await.map_err(|error| error.to_string()) })
    }
}

/// The text to be sent.
pub(super) async fn text(mut body: BodyReader) -> Result<Text, Error> {
    if let Some(whole) = body.at_hand() {
        return Ok(Text::Whole(whole));
    }
    let head = body.next_piece().await?.unwrap_or_default();
    Ok(Text::Stored(Arc::new(Spooled { head, rest: body })))
}

/// The text for a notification: all of it where that is sent back, otherwise its beginning, which has the header.
pub(super) async fn original(body: &mut BodyReader, limit: usize) -> Result<Bytes, Error> {
    if let Some(whole) = body.at_hand() {
        return Ok(whole);
    }
    let whole = body.length() <= limit as u64;
    let mut text = Vec::new();
    while let Some(piece) = body.next_piece().await? {
        text.extend_from_slice(&piece);
        if !whole {
            break;
        }
    }
    Ok(text.into())
}
