//! A message's text on its way out: at hand, or read in pieces while it is sent.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;

/// See the module.
#[derive(Clone)]
pub enum Text {
    /// At hand.
    Whole(Bytes),
    /// Somewhere else, and too large to be held.
    Stored(Arc<dyn Stored>),
}

/// A text that is read while it is sent.
pub trait Stored: Send + Sync {
    /// Its beginning, with the header as far as that is of reasonable size.
    fn head(&self) -> &Bytes;

    /// A reader at the beginning.
    fn pieces(&self) -> Box<dyn Pieces>;
}

/// Reads a text.
pub trait Pieces: Send + Sync {
    /// The next piece; `None` behind the last. What is wrong where it cannot be read: the message is not ended then, so that no server takes a part of it.
    fn next_piece(&mut self) -> Piece;
}

/// What [`Pieces::next_piece`] gives. The piece was asked for when the call returned.
pub type Piece = Pin<Box<dyn Future<Output = Result<Option<Bytes>, String>> + Send>>;

impl Text {
    /// Its beginning, or all of it.
    #[must_use]
    pub fn head(&self) -> &Bytes {
        match self {
            Self::Whole(whole) => whole,
            Self::Stored(stored) => stored.head(),
        }
    }
}

impl From<Bytes> for Text {
    fn from(whole: Bytes) -> Self {
        Self::Whole(whole)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(whole) => write!(f, "Whole({} octets)", whole.len()),
            Self::Stored(_) => f.write_str("Stored"),
        }
    }
}
