//! Whom the admin API asks: the queue manager, and what it works with.

mod ask;
mod change;
mod complaints;
mod count;
mod look;

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix::{Addr, Handler, Message, dev::ToEnvelope};
use bytes::Bytes;
use serde_json::Value;
use waxseal_admin::{
    Answer, Desk, Destination, Done, Filter, Lookup, Order, Overview, Page, Refusal, Shown, Switches,
    SwitchesChange,
};
use waxseal_ledger::Recorder;
use waxseal_queue::{
    Direct, Settings,
    actor::{AskLevers, QueueManager, Show, ShownMessage, Switch},
};
use waxseal_telemetry::Telemetry;
use waxseal_types::QueueId;

pub(crate) use self::{complaints::Complaints, count::Counted};
use crate::{attendant::Attendants, levers, readings::Readings, reloads::Asking};

/// The manager answers from memory, or reads one message from disk.
const PATIENCE: Duration = Duration::from_secs(30);
/// An order to a million messages takes minutes.
const ORDER_PATIENCE: Duration = Duration::from_secs(3600);

/// What the program around the engine has, for the API.
#[derive(Clone)]
pub struct Archive {
    /// Its metrics.
    pub telemetry: Arc<Telemetry>,
    /// Who keeps the ledger, where one is kept.
    pub ledger: Option<Arc<Recorder>>,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("ledger", &self.ledger.is_some()).finish_non_exhaustive()
    }
}

/// What a desk is made of.
pub(crate) struct EngineDesk {
    pub(crate) manager: Addr<QueueManager>,
    pub(crate) attendants: Attendants,
    pub(crate) direct: Direct,
    pub(crate) queue: Arc<Settings>,
    pub(crate) readings: Readings,
    pub(crate) complaints: Arc<Complaints>,
    pub(crate) archive: Arc<OnceLock<Archive>>,
    /// The spool's folder, where the switches are kept.
    pub(crate) folder: PathBuf,
    pub(crate) asking: Asking,
    pub(crate) counted: Counted,
}

impl EngineDesk {
    async fn ask_for<M>(&self, message: M, patience: Duration) -> Result<M::Result, Refusal>
    where
        QueueManager: Handler<M>,
        <QueueManager as actix::Actor>::Context: ToEnvelope<QueueManager, M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        let late = |_| Refusal::Unavailable("the queue manager does not answer".into());
        self.manager.send(message).timeout(patience).await.map_err(late)
    }

    async fn ask<M>(&self, message: M) -> Result<M::Result, Refusal>
    where
        QueueManager: Handler<M>,
        <QueueManager as actix::Actor>::Context: ToEnvelope<QueueManager, M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        self.ask_for(message, PATIENCE).await
    }

    async fn read(&self, id: QueueId) -> Result<ShownMessage, Refusal> {
        let found = self.ask(Show(id)).await?;
        found.ok_or_else(|| Refusal::Unknown(format!("there is no message {id} in the queue")))
    }

    fn archive(&self) -> Result<&Archive, Refusal> {
        self.archive.get().ok_or_else(|| Refusal::Unavailable("the program is just starting".into()))
    }
}

impl Desk for EngineDesk {
    fn ready(&self) -> Result<(), String> {
        if self.attendants.any() && self.manager.connected() {
            Ok(())
        } else {
            Err("nobody attends to clients".into())
        }
    }

    fn hostname(&self) -> String {
        self.queue.hostname.clone()
    }

    fn overview(&self) -> Answer<'_, Overview> {
        Box::pin(async { Ok(self.count().await?.overview.clone()) })
    }

    fn list(&self, filter: &Filter, after: Option<&str>, limit: usize) -> Answer<'_, Page> {
        let (filter, after) = (filter.clone(), after.map(str::to_owned));
        Box::pin(async move { self.look(&filter, after.as_deref(), limit).await })
    }

    fn message(&self, id: QueueId) -> Answer<'_, Shown> {
        Box::pin(async move { Ok(look::shown(&self.read(id).await?)) })
    }

    fn raw(&self, id: QueueId) -> Answer<'_, Bytes> {
        Box::pin(async move { Ok(self.read(id).await?.stored.body) })
    }

    fn destinations(&self, limit: usize) -> Answer<'_, Vec<Destination>> {
        Box::pin(async move { Ok(self.count().await?.destinations.iter().take(limit).cloned().collect()) })
    }

    fn act(&self, order: &Order) -> Answer<'_, Done> {
        let order = order.clone();
        Box::pin(async move { self.obey(order).await })
    }

    fn suspend(&self, nexthop: &str, closed: bool) -> Answer<'_, Done> {
        let nexthop = nexthop.to_owned();
        Box::pin(async move { self.close(&nexthop, closed).await })
    }

    fn switches(&self) -> Answer<'_, Switches> {
        Box::pin(async { Ok(change::switches(&self.ask(AskLevers).await?)) })
    }

    fn switch(&self, change: SwitchesChange) -> Answer<'_, Switches> {
        Box::pin(async move {
            let SwitchesChange { defer_all, soft_bounce } = change;
            let now = self.ask(Switch { defer_all, soft_bounce }).await?;
            levers::keep(&self.folder, &now).map_err(|error| Refusal::Unavailable(error.to_string()))?;
            Ok(change::switches(&now))
        })
    }

    fn reload(&self, switches: bool) -> Answer<'_, Vec<String>> {
        Box::pin(self.asking.reload(switches))
    }

    fn policy(&self, nexthop: &str) -> Answer<'_, Value> {
        let nexthop = nexthop.to_owned();
        Box::pin(async move { look::policy(&self.direct, &nexthop).await })
    }

    fn explain(&self, target: &str, connect: bool) -> Answer<'_, Value> {
        let target = target.to_owned();
        Box::pin(async move { self.rehearse(&target, connect).await })
    }

    fn story(&self, id: QueueId) -> Answer<'_, Value> {
        Box::pin(self.told(id))
    }

    fn ledger(&self, lookup: &Lookup) -> Answer<'_, Vec<Value>> {
        let lookup = lookup.clone();
        Box::pin(self.past(lookup))
    }

    fn metrics(&self) -> Answer<'_, String> {
        Box::pin(async { Ok(self.readings.page(&self.archive()?.telemetry).await.prometheus()) })
    }
}
