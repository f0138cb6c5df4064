//! What is in the queue, slice by slice: from memory, and from the envelopes on disk. Texts are not read, and between two slices deliveries go on.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use actix::{Context, Handler, Message, MessageResult, ResponseFuture};
use waxseal_spool::{Recovered, actor::OutlinesMsg};
use waxseal_types::QueueId;

use super::{
    manager::{QueueManager, now},
    services::{Switchboard, answer, put},
};
use crate::{
    levers::{Entry, Selection},
    owner::Place,
};

/// Parts that are looked at before others have their turn: less than a millisecond.
const LOOKED_AT: usize = 4096;

/// Parts that pass a selection as far as memory tells, behind `after`, oldest first.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Slice")]
pub struct Look {
    /// Which.
    pub selection: Selection,
    /// Where the last slice ended.
    pub after: Option<Place>,
    /// So many at most.
    pub limit: usize,
}

/// The answer to [`Look`]. It may be empty although more follows.
#[derive(Debug)]
pub struct Slice {
    /// What was found.
    pub entries: Vec<Entry>,
    /// Where the next begins; `None` behind the last.
    pub next: Option<Place>,
}

impl Handler<Look> for QueueManager {
    type Result = MessageResult<Look>;

    fn handle(&mut self, look: Look, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.look(&look))
    }
}

impl QueueManager {
    pub(super) fn look(&self, look: &Look) -> Slice {
        let Look { selection, after, limit } = look;
        let mut slice = Slice { entries: Vec::new(), next: None };
        let parts = self.owner.parts(selection.span(now()), *after);
        for (looked_at, (place, entry)) in parts.enumerate() {
            if slice.entries.len() >= *limit || looked_at >= LOOKED_AT {
                return slice;
            }
            slice.next = Some(place);
            if selection.admits(&entry) {
                slice.entries.push(entry);
            }
        }
        slice.next = None;
        slice
    }
}

/// The same, with what the spool knows of each message besides its text.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Listing")]
pub struct List(pub Look);

/// The answer to [`List`].
#[derive(Debug)]
pub struct Listing {
    /// What was found and is still there. Parts of one message share what is told of it.
    pub entries: Vec<(Entry, Arc<Recovered>)>,
    /// Where the next begins; `None` behind the last.
    pub next: Option<Place>,
}

impl Handler<List> for QueueManager {
    type Result = ResponseFuture<Listing>;

    fn handle(&mut self, List(look): List, _: &mut Context<Self>) -> Self::Result {
        let (slice, board) = (self.look(&look), Rc::clone(&self.board));
        Box::pin(async move { Listing { entries: outlined(slice.entries, &board).await, next: slice.next } })
    }
}

/// Parts with their messages, as far as these are there. Texts are not read.
pub(super) async fn outlined(
    entries: Vec<Entry>,
    board: &RefCell<Switchboard>,
) -> Vec<(Entry, Arc<Recovered>)> {
    // Parts of one message are neighbours.
    let mut ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
    ids.dedup();
    let asked = put(board.borrow().spool.as_ref(), OutlinesMsg(ids.clone()));
    let Some(Ok(outlines)) = answer(asked, None).await else { return Vec::new() };
    let mut outlines = ids.into_iter().zip(outlines).peekable();
    let mut here: Option<(QueueId, Arc<Recovered>)> = None;
    let of = |entry: Entry| {
        while let Some((id, outline)) = outlines.next_if(|(id, _)| *id <= entry.id) {
            // A message that cannot be read is in the spool's log.
            here = outline.ok().map(|outline| (id, Arc::new(outline)));
        }
        let (_, outline) = here.as_ref().filter(|(id, _)| *id == entry.id)?;
        Some((entry, Arc::clone(outline)))
    };
    entries.into_iter().filter_map(of).collect()
}
