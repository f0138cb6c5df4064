//! What operators ask and order of the queue while it runs. An order to a million messages is carried out in slices, between which
//! deliveries go on.

use std::{collections::HashSet, rc::Rc};

use actix::{Addr, AsyncContext as _, Context, Handler, Message, MessageResult, ResponseFuture};
use futures_util::{StreamExt as _, stream};
use waxseal_spool::{Stored, actor::ReadMsg};
use waxseal_types::{NextHop, UnixTime};

use super::{
    manager::{QueueManager, now},
    services::{Switchboard, answer, put},
};
use crate::{
    Destination,
    levers::{Command, Entry, Levers, Selection, State, Tally},
    owner::Place,
};

/// Parts that are looked at before others have their turn: less than a millisecond.
const LOOKED_AT: usize = 4096;
/// Parts that are changed before others have their turn.
const SLICE: usize = 256;
/// Messages that are read from disk at a time.
const READS: usize = 16;

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

    fn handle(&mut self, Look { selection, after, limit }: Look, _: &mut Context<Self>) -> Self::Result {
        let now = now();
        let mut slice = Slice { entries: Vec::new(), next: None };
        for (looked_at, (place, entry)) in self.owner.parts(after).enumerate() {
            if slice.entries.len() >= limit || looked_at >= LOOKED_AT {
                return MessageResult(slice);
            }
            slice.next = Some(place);
            if selection.admits(&entry, now) {
                slice.entries.push(entry);
            }
        }
        slice.next = None;
        MessageResult(slice)
    }
}

/// What is known of a destination beyond what waits for it.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Which.
    pub destination: Destination,
    /// Parts that operators hold.
    pub held: usize,
    /// Nothing is tried until then, as its servers could not be reached.
    pub dead_until: Option<UnixTime>,
    /// Whether an operator suspended it.
    pub suspended: bool,
}

/// How destinations stand: these, and all that something is held for.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Standing>")]
pub struct AskStandings(pub Vec<Destination>);

impl Handler<AskStandings> for QueueManager {
    type Result = Vec<Standing>;

    fn handle(&mut self, AskStandings(asked): AskStandings, _: &mut Context<Self>) -> Self::Result {
        let named: HashSet<_> = asked.iter().collect();
        let others = self.owner.all_holds().map(|(destination, _)| destination);
        let others = others.filter(|destination| !named.contains(destination)).cloned().collect::<Vec<_>>();
        let standing = |destination: Destination| Standing {
            held: self.owner.holds(&destination),
            dead_until: self.schedule.dead_until(&destination),
            suspended: self.schedule.is_suspended(&destination),
            destination,
        };
        asked.into_iter().chain(others).map(standing).collect()
    }
}

/// How the switches stand.
#[derive(Debug, Message)]
#[rtype(result = "Levers")]
pub struct AskLevers;

impl Handler<AskLevers> for QueueManager {
    type Result = MessageResult<AskLevers>;

    fn handle(&mut self, _: AskLevers, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.levers.clone())
    }
}

/// Sets those that are named; how all of them stand then.
#[derive(Debug, Clone, Copy, Default, Message)]
#[rtype(result = "Levers")]
pub struct Switch {
    /// Nothing is delivered; mail is taken.
    pub defer_all: Option<bool>,
    /// What would be refused for good waits instead.
    pub soft_bounce: Option<bool>,
}

impl Handler<Switch> for QueueManager {
    type Result = MessageResult<Switch>;

    fn handle(&mut self, wanted: Switch, context: &mut Context<Self>) -> Self::Result {
        self.levers.soft_bounce = wanted.soft_bounce.unwrap_or(self.levers.soft_bounce);
        self.levers.defer_all = wanted.defer_all.unwrap_or(self.levers.defer_all);
        self.schedule.pause(self.levers.defer_all);
        self.pump(context);
        MessageResult(self.levers.clone())
    }
}

/// Closes a next hop to deliveries, or opens it again; how all switches stand then.
#[derive(Debug, Message)]
#[rtype(result = "Levers")]
pub struct Suspend {
    /// Which.
    pub nexthop: NextHop,
    /// Whether it is closed.
    pub closed: bool,
}

impl Handler<Suspend> for QueueManager {
    type Result = MessageResult<Suspend>;

    fn handle(&mut self, Suspend { nexthop, closed }: Suspend, context: &mut Context<Self>) -> Self::Result {
        self.schedule.suspend(&nexthop, closed);
        if closed {
            self.levers.suspended.insert(nexthop);
        } else {
            self.levers.suspended.remove(&nexthop);
        }
        self.pump(context);
        MessageResult(self.levers.clone())
    }
}

/// Does something to all parts that pass a selection, or counts them.
#[derive(Debug, Message)]
#[rtype(result = "Tally")]
pub struct Act {
    /// Which.
    pub selection: Selection,
    /// What.
    pub command: Command,
    /// Only counts.
    pub dry_run: bool,
}

impl Handler<Act> for QueueManager {
    type Result = ResponseFuture<Tally>;

    fn handle(&mut self, act: Act, context: &mut Context<Self>) -> Self::Result {
        let (manager, board) = (context.address(), Rc::clone(&self.board));
        Box::pin(async move { carry_out(act, &manager, &board).await })
    }
}

/// A part that is to be changed, with its message where that has to be read.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) entry: Entry,
    /// Those of its recipients that are meant.
    pub(super) recipients: Vec<usize>,
    pub(super) stored: Option<Stored>,
}

async fn carry_out(
    Act { selection, command, dry_run }: Act,
    manager: &Addr<QueueManager>,
    board: &std::cell::RefCell<Switchboard>,
) -> Tally {
    let reads = selection.asks_for_text() || (!dry_run && command.writes());
    let mut tally = Tally::default();
    let (mut after, mut last, mut touched) = (None, None, HashSet::new());
    loop {
        let look = Look { selection: selection.clone(), after, limit: SLICE };
        let Ok(slice) = manager.send(look).await else { break };
        after = slice.next;
        let chosen = stream::iter(slice.entries).map(|entry| choose(entry, &selection, reads, board));
        let chosen: Vec<_> = chosen.buffered(READS).filter_map(async |chosen| chosen).collect().await;
        let mut done = Vec::with_capacity(chosen.len());
        if dry_run {
            done.extend(chosen.iter().map(|chosen| (chosen.entry.id, command.suits(chosen.entry.state))));
        } else if !chosen.is_empty() {
            touched.extend(chosen.iter().map(|chosen| chosen.entry.destination.clone()));
            let order = super::obey::Obey { command: command.clone(), chosen };
            done = manager.send(order).await.unwrap_or_default();
        }
        for (id, obeyed) in done {
            tally.parts += usize::from(obeyed);
            tally.refused += usize::from(!obeyed);
            tally.messages += usize::from(obeyed && last != Some(id));
            last = if obeyed { Some(id) } else { last };
        }
        if after.is_none() {
            break;
        }
    }
    manager.do_send(super::obey::Sweep(touched.into_iter().collect()));
    tally
}

/// What is meant of a part. A message that is gone by now is nothing that was selected.
async fn choose(
    entry: Entry,
    selection: &Selection,
    reads: bool,
    board: &std::cell::RefCell<Switchboard>,
) -> Option<Chosen> {
    if !reads {
        let recipients = entry.recipients.clone();
        return Some(Chosen { entry, recipients, stored: None });
    }
    let asked = put(board.borrow().spool.as_ref(), ReadMsg(entry.id));
    let stored = answer(asked, None).await?.ok()?;
    let said = |index: usize| Some(&*stored.states.get(index)?.last.as_ref()?.reason);
    let recipients = selection.recipients(&entry, &stored.envelope, said);
    (!recipients.is_empty()).then_some(Chosen { entry, recipients, stored: Some(stored) })
}

impl Command {
    /// Whether it changes what is on disk.
    const fn writes(&self) -> bool {
        match self {
            Self::Hold | Self::Release | Self::Remove | Self::Bounce(_) => true,
            Self::Retry | Self::Reroute(_) => false,
        }
    }

    /// Whether it can be done to a part in this state.
    pub(super) const fn suits(&self, state: State) -> bool {
        match state {
            State::Active => false,
            State::Held => !matches!(self, Self::Retry),
            State::Waiting => true,
        }
    }
}
