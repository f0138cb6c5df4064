//! History, and what would happen: the ledger, and a rehearsal by the very plan that delivers.

use std::{cell::RefCell, sync::Arc};

use bytes::Bytes;
use serde_json::{Value, json};
use waxseal_admin::{Lookup, Refusal};
use waxseal_ledger::{Ended, Ledger, Query};
use waxseal_policy::{RouteKind, find_route};
use waxseal_queue::{Answer, Ask, Destination, Direct, Order, Plan, Services, drive};
use waxseal_transport::Session;
use waxseal_types::{
    BodyKind, Envelope, Mailbox, NextHop, QueueId, Recipient, Service, TlsStatus, TraceContext, UnixTime,
};

use super::{EngineDesk, tell};
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
        let folder = self.archive()?.ledger.clone().ok_or_else(none)?;
        let read = tokio::task::spawn_blocking(move || Ledger::open(&folder).and_then(work)).await;
        let fault = |error: String| Refusal::Unavailable(format!("the ledger: {error}"));
        read.map_err(|error| fault(error.to_string()))?.map_err(|error| fault(error.to_string()))
    }

    pub(super) async fn past(&self, lookup: Lookup) -> Result<Vec<Value>, Refusal> {
        let (query, limit) = (query(&lookup)?, lookup.limit.unwrap_or(STORIES));
        self.with_ledger(move |ledger| {
            Ok(ledger.search(query)?.take(limit).map(|entry| tell::entry(&entry)).collect())
        })
        .await
    }

    /// All that the ledger has of a message, and whether it waits.
    pub(super) async fn told(&self, id: QueueId) -> Result<Value, Refusal> {
        let entries = self.with_ledger(move |ledger| ledger.story(id)).await?;
        let waits = self.read(id).await.is_ok();
        if entries.is_empty() && !waits {
            return Err(Refusal::Unknown(format!("{id} is neither in the ledger nor in the queue")));
        }
        let entries: Vec<Value> = entries.iter().map(tell::entry).collect();
        Ok(json!({ "queue_id": id.to_string(), "entries": entries, "waits": waits }))
    }

    /// The plan itself, stopped where MAIL would be sent.
    pub(super) async fn rehearse(&self, target: &str, connect: bool) -> Result<Value, Refusal> {
        let (recipient, destination, alternatives, origin) = match self.way(target).await? {
            Ok(way) => way,
            Err(reason) => return Ok(json!({ "route": null, "ok": false, "reason": reason })),
        };
        let route = json!({
            "nexthop": destination.nexthop.as_str(),
            "protocol": destination.service.protocol().as_str(),
            "service": destination.service.as_str(),
            "source": origin,
        });
        let order = Order {
            destination,
            alternatives,
            envelope: Arc::new(envelope(recipient)),
            recipients: vec![0],
            body: Bytes::new(),
            attempt: 1,
            seed: now().as_micros(),
            rehearsal: true,
        };
        let plan = Plan::new(Arc::clone(&self.queue), order, now());
        let direct = self.direct.clone();
        // The plan is no `Send`; it runs on a thread of its own, with a runtime of its own, far from those that deliver.
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            let rehearsal = Rehearsal { direct, connect, calls: RefCell::default() };
            let (account, _) = runtime.block_on(drive(plan, &rehearsal, now));
            let calls = rehearsal.calls.into_inner();
            let ok = !calls.is_empty() || account.results.is_empty();
            let mut told = tell::account(&account);
            if !calls.is_empty() {
                // What was not tried did not fail.
                told["results"] = json!([]);
            }
            told["calls"] = json!(calls);
            told["ok"] = json!(ok);
            Some(told)
        };
        let told = tokio::task::spawn_blocking(run).await.ok().flatten();
        let mut told = told.ok_or_else(|| Refusal::Unavailable("the rehearsal came to no end".into()))?;
        told["route"] = route;
        Ok(told)
    }

    /// Where mail for a target goes; or why nowhere.
    async fn way(
        &self,
        target: &str,
    ) -> Result<Result<(Mailbox, Destination, Vec<NextHop>, Option<String>), String>, Refusal> {
        if !target.contains('@') {
            let nexthop: NextHop = target.parse().map_err(wrong)?;
            let recipient = Mailbox::new("postmaster").map_err(wrong)?;
            return Ok(Ok((recipient, Destination { service: Service::SMTP, nexthop }, Vec::new(), None)));
        }
        let recipient = Mailbox::new(target).map_err(wrong)?;
        let found = find_route(&self.direct.policy, &*self.direct.tables, &recipient).await;
        Ok(match found {
            Err(error) => Err(format!("waits with {}: {error}", error.status())),
            Ok(route) => {
                let origin = route.origin.as_ref().map(ToString::to_string);
                match route.kind {
                    RouteKind::Deliver { service, nexthop, alternatives } => {
                        Ok((recipient, Destination { service, nexthop }, alternatives, origin))
                    }
                    RouteKind::Error(status, text) => Err(format!("bounces with {status} {text}")),
                    RouteKind::Retry(status, text) => Err(format!("waits with {status} {text}")),
                    RouteKind::Discard(text) => Err(format!("is thrown away: {text}")),
                }
            }
        })
    }
}

/// Services that call nobody unless they are told to, and keep whom they would have called.
struct Rehearsal {
    direct: Direct,
    connect: bool,
    calls: RefCell<Vec<String>>,
}

impl Services for Rehearsal {
    async fn answer(&self, ask: Ask, session: &mut Option<Session>) -> Answer {
        if let (false, Ask::Open(request)) = (self.connect, &ask) {
            let host = request.host.as_ref().map_or("", |host| host.as_str());
            self.calls.borrow_mut().push(format!("would be to {host}{}", request.endpoint));
            return Answer::Unavailable("transport");
        }
        self.direct.answer(ask, session).await
    }
}

/// Of a message that there is not.
fn envelope(recipient: Mailbox) -> Envelope {
    Envelope {
        id: QueueId::from_u64(now().as_micros()),
        arrived: now(),
        sender: None,
        recipients: vec![Recipient { mailbox: recipient, notify: None, original: None }],
        body: BodyKind::SevenBit,
        smtputf8: false,
        envelope_id: None,
        ret: None,
        size: 0,
        leading_dots: false,
        message_id: None,
        client: "".into(),
        trace: TraceContext::default(),
    }
}
