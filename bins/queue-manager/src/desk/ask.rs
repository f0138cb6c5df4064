//! History, and what would happen: the ledger, and a rehearsal by the very plan that delivers.

use std::sync::Arc;

use serde_json::{Value, json};
use waxseal_admin::{Lookup, Refusal};
use waxseal_ledger::{Ended, Ledger, Query};
use waxseal_queue::{Outset, rehearse};
use waxseal_types::{QueueId, TlsStatus, UnixTime};

use super::{EngineDesk, look};
use crate::readings::now;

/// Stories in one answer where nobody says.
const STORIES: usize = 100;

fn wrong(error: impl std::fmt::Display) -> Refusal {
    Refusal::Wrong(error.to_string())
}

fn query(lookup: &Lookup) -> Result<Query, Refusal> {
    let ended = |word: &str| match word {
        "delivered" => Ok(Ended::Delivered),
        "deferred" => Ok(Ended::Deferred),
        "bounced" => Ok(Ended::Bounced),
        "expired" => Ok(Ended::Expired),
        "removed" => Ok(Ended::Removed),
        _ => Err(wrong("status is delivered, deferred, bounced, expired or removed")),
    };
    let tls = |word: &str| match word {
        "verified" => Ok(TlsStatus::Verified),
        "trusted" => Ok(TlsStatus::Trusted),
        "untrusted" => Ok(TlsStatus::Untrusted),
        "none" => Ok(TlsStatus::None),
        _ => Err(wrong("tls is verified, trusted, untrusted or none")),
    };
    let now = now().as_micros();
    let ago = |span: std::time::Duration| {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        UnixTime::from_micros(now.saturating_sub(micros))
    };
    Ok(Query {
        id: lookup.queue_id.as_deref().map(|id| id.parse().map_err(wrong)).transpose()?,
        message_id: lookup.message_id.clone(),
        sender: lookup.sender.clone(),
        recipient: lookup.recipient.clone(),
        domain: lookup.domain.clone(),
        host: lookup.host.clone(),
        ended: lookup.status.as_deref().map(ended).transpose()?,
        tls: lookup.tls.as_deref().map(tls).transpose()?,
        since: lookup.since.map(ago),
        until: lookup.until.map(ago),
        ..Query::default()
    })
}

impl EngineDesk {
    /// Reads the ledger on a thread that may wait for the disk.
    async fn with_ledger<T: Send + 'static>(
        &self,
        work: impl FnOnce(Ledger) -> Result<T, waxseal_ledger::Error> + Send + 'static,
    ) -> Result<T, Refusal> {
        let none = || Refusal::Unavailable("no ledger is kept".into());
        let folder = self.archive()?.ledger.as_ref().ok_or_else(none)?.path().to_owned();
        let read = tokio::task::spawn_blocking(move || Ledger::open(&folder).and_then(work)).await;
        let fault = |error: String| Refusal::Unavailable(format!("the ledger: {error}"));
        read.map_err(|error| fault(error.to_string()))?.map_err(|error| fault(error.to_string()))
    }

    pub(super) async fn past(&self, lookup: Lookup) -> Result<Vec<Value>, Refusal> {
        let (query, limit) = (query(&lookup)?, lookup.limit.unwrap_or(STORIES));
        let hostname = self.queue.hostname.clone();
        self.with_ledger(move |ledger| {
            Ok(ledger.search(query)?.take(limit).map(|entry| entry.to_json(&hostname)).collect())
        })
        .await
    }

    /// All that the ledger has of a message, and what waits of it.
    pub(super) async fn told(&self, id: QueueId) -> Result<Value, Refusal> {
        let entries = self.with_ledger(move |ledger| ledger.story(id)).await?;
        let waiting = self.read(id).await.ok().map(|message| look::shown(&message));
        if entries.is_empty() && waiting.is_none() {
            return Err(Refusal::Unknown(format!("{id} is neither in the ledger nor in the queue")));
        }
        let entries: Vec<Value> = entries.iter().map(|entry| entry.to_json(&self.queue.hostname)).collect();
        Ok(json!({ "queue_id": id.to_string(), "entries": entries, "waiting": waiting }))
    }

    /// The plan itself, stopped where MAIL would be sent.
    pub(super) async fn rehearse(&self, target: &str, connect: bool) -> Result<Value, Refusal> {
        let way = match Outset::of(&self.direct, target).await.map_err(Refusal::Wrong)? {
            Outset::Goes(way) => way,
            Outset::Ends(reason) => return Ok(json!({ "route": null, "ok": false, "reason": reason })),
        };
        let (direct, settings) = (self.direct.clone(), Arc::clone(&self.queue));
        // The plan is no `Send`; it runs on a thread of its own, with a runtime of its own, far from those that deliver.
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            let rehearsed = runtime.block_on(rehearse(&direct, &settings, &way, connect, now));
            Some(rehearsed.to_json(&way, &settings.hostname))
        };
        let told = tokio::task::spawn_blocking(run).await.ok().flatten();
        let mut told = told.ok_or_else(|| Refusal::Unavailable("the rehearsal came to no end".into()))?;
        told["dnssec"] = json!(self.readings.dnssec().map(|health| health.as_str()));
        Ok(told)
    }
}
