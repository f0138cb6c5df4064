//! A text that is too large for memory, on its way through it: pieces in, pieces out.

use bytes::{Bytes, BytesMut};
use waxseal_spool::{Accept, Inflow, Later, Refusal};
use waxseal_types::{Envelope, QueueId};

use crate::traceparent::{self, TraceParent};

/// From this size on a text goes to the spool while it comes in; the spool keeps larger ones in files of their own.
pub(crate) const PIECE: usize = 256 << 10;

/// How the text under way is kept.
pub(crate) enum Large {
    /// In memory, since nobody takes pieces of it.
    Whole,
    /// Its pieces go on as they come.
    Passing(Passing),
}

/// A text whose beginning is in the spool.
pub(crate) struct Passing {
    inflow: Box<dyn Inflow>,
    /// The piece that is being written, so that its memory can be used again.
    writing: Option<(Bytes, Later<Result<(), Refusal>>)>,
    /// Octets that went on.
    octets: u64,
    parent: Option<TraceParent>,
}

/// What to do with the trace that a text names.
#[derive(Clone, Copy)]
pub(crate) struct Traced {
    /// It names one, and may.
    pub(crate) heeded: bool,
    /// The fields stay in the text.
    pub(crate) kept: bool,
}

impl Large {
    /// Ready for pieces of the text `id`, if anybody takes them.
    pub(crate) async fn begin(accept: &dyn Accept, id: QueueId) -> Self {
        match accept.inflow(id).await {
            Some(inflow) => Self::Passing(Passing { inflow, writing: None, octets: 0, parent: None }),
            None => Self::Whole,
        }
    }

    /// Octets on their way to the disk.
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::Whole => 0,
            Self::Passing(passing) => passing.writing.as_ref().map_or(0, |(piece, _)| piece.len()),
        }
    }
}

impl Passing {
    /// Passes a piece on once the one before it is written, whose memory it gives back. What fails is told at the end: until then the client has to be
    /// listened to all the same (RFC 5321 §4.1.1.4).
    pub(crate) async fn pass(&mut self, mut piece: Bytes, traced: Traced) -> BytesMut {
        if self.octets == 0 && traced.heeded {
            // The first piece has the whole header.
            self.parent = traceparent::find(&piece);
            if !traced.kept {
                piece = traceparent::remove(piece);
            }
        }
        let spare = self.written().await;
        self.octets += piece.len() as u64;
        let writing = self.inflow.write(piece.clone());
        self.writing = Some((piece, writing));
        spare
    }

    async fn written(&mut self) -> BytesMut {
        let Some((piece, writing)) = self.writing.take() else { return BytesMut::new() };
        // The spool remembers what failed.
        let _ = writing.await;
        piece.try_into_mut().map_or_else(
            |_| BytesMut::new(),
            |mut piece| {
                piece.clear();
                piece
            },
        )
    }

    /// Octets that went on, and the trace that they belong to.
    pub(crate) const fn passed(&self) -> (u64, Option<TraceParent>) {
        (self.octets, self.parent)
    }

    /// The last of the text, and its envelope.
    pub(crate) async fn end(mut self, rest: Bytes, envelope: Envelope) -> Result<(), Refusal> {
        if !rest.is_empty() {
            drop(self.inflow.write(rest));
        }
        self.inflow.accept(envelope).await
    }
}
