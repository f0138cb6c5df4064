//! What operators ask and order of the queue while it runs. An order to a million messages is carried out in slices, between which
//! deliveries go on.

use std::{cell::RefCell, collections::HashSet, rc::Rc, sync::Arc};

use actix::{Addr, AsyncContext as _, Context, Handler, Message, MessageResult, ResponseFuture};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use waxseal_spool::{Recovered, actor::StreamMsg};
use waxseal_types::{NextHop, UnixTime};

use super::{
    listing::{Look, outlined},
    manager::QueueManager,
    services::{Switchboard, answer, put},
    stored,
};
use crate::{
    Destination,
    levers::{Command, Entry, Levers, Selection, State, Tally},
};

/// Parts that are changed before others have their turn.
const SLICE: usize = 256;
/// Messages that are read from disk at a time.
const READS: usize = 16;

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

/// Does something to all parts that pass a selection, or counts them; right after a start, once all that the spool had is in the queue again.
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
        let limit = self.common.settings.bounce_size_limit;
        let (mut taken_up, spool) = (self.taken_up.subscribe(), self.spools.max(1));
        Box::pin(async move {
            // It ends early with the manager, and then there is nobody to give orders to.
            let _ = taken_up.wait_for(|last| *last >= spool).await;
            carry_out(act, &manager, (&board, limit)).await
        })
    }
}

/// A part that is to be changed, with its message where that has to be known, and its text where that has to be sent back.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) entry: Entry,
    /// Those of its recipients that are meant.
    pub(super) recipients: Vec<usize>,
    pub(super) outline: Option<Arc<Recovered>>,
    pub(super) body: Option<Bytes>,
}

async fn carry_out(
    Act { selection, command, dry_run }: Act,
    manager: &Addr<QueueManager>,
    (board, limit): (&RefCell<Switchboard>, usize),
) -> Tally {
    let mut tally = Tally::default();
    let (mut after, mut last, mut touched) = (None, None, HashSet::new());
    loop {
        let look = Look { selection: selection.clone(), after, limit: SLICE };
        let Ok(slice) = manager.send(look).await else { break };
        after = slice.next;
        let chosen = choose(slice.entries, (&selection, &command, dry_run), (board, limit)).await;
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

/// What is meant of some parts. A message that is gone by now is nothing that was selected.
async fn choose(
    entries: Vec<Entry>,
    what: (&Selection, &Command, bool),
    (board, limit): (&RefCell<Switchboard>, usize),
) -> Vec<Chosen> {
    let (selection, command, dry_run) = what;
    if !selection.asks_for_text() && (dry_run || !command.writes()) {
        let whole = |entry: Entry| {
            let recipients = entry.recipients.clone();
            Chosen { entry, recipients, outline: None, body: None }
        };
        return entries.into_iter().map(whole).collect();
    }
    let meant = |(entry, outline): (Entry, Arc<Recovered>)| {
        let said = |index: usize| Some(&*outline.states.get(index)?.last.as_ref()?.reason);
        let recipients = selection.recipients(&entry, &outline.envelope, said);
        (!recipients.is_empty()).then_some(Chosen { entry, recipients, outline: Some(outline), body: None })
    };
    let chosen = outlined(entries, board).await.into_iter().filter_map(meant);
    if dry_run || !command.sends_back() {
        return chosen.collect();
    }
    let with_text = async |chosen: Chosen| {
        let asked = put(board.borrow().spool.as_ref(), StreamMsg(chosen.entry.id));
        let mut stored = answer(asked, None).await?.ok()?;
        let body = stored::original(&mut stored.body, limit).await.ok()?;
        Some(Chosen { body: Some(body), ..chosen })
    };
    stream::iter(chosen).map(with_text).buffered(READS).filter_map(std::future::ready).collect().await
}

impl Command {
    /// Whether it changes what is on disk, and so has to know that.
    const fn writes(&self) -> bool {
        match self {
            Self::Hold | Self::Release | Self::Remove | Self::Bounce(_) => true,
            Self::Retry | Self::Reroute(_) => false,
        }
    }

    /// Whether it needs the texts of messages.
    const fn sends_back(&self) -> bool {
        match self {
            Self::Bounce(_) => true,
            Self::Hold | Self::Release | Self::Remove | Self::Retry | Self::Reroute(_) => false,
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
