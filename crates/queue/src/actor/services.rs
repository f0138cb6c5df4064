//! The plan's questions as messages to the service actors.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::{
    Addr, Handler, Message,
    dev::{Request, ToEnvelope},
};
use waxseal_dns::actor::{AskAddresses, AskCname, AskMx, AskTlsa, DnsActor};
use waxseal_policy::{
    Tables,
    actor::{AskPolicy, PolicyActor},
};
use waxseal_spool::actor::SpoolActor;
use waxseal_transport::{
    Cause, Lead, Open, OpenError, OpenRequest, Opened, Park, Quit, Recall, Session, TransportActor,
};
use waxseal_trust::{AskAnchors, AskClient, TrustActor};
use waxseal_types::Service;
use waxseal_verify::{Clearance, Judge, VerifyActor};

use super::passage::Passage;
use crate::{Answer, Ask, Release, Services, TrustAnswer};

/// A question about DNS may take the resolver's time-outs for several servers and aliases; beyond this the actor is lost.
const DNS_DEADLINE: Duration = Duration::from_secs(120);
/// Tables may be remote. Trust stores and verification are at hand and bounded: an actor that does not answer has died, and that shows at once.
const TABLES_DEADLINE: Duration = Duration::from_secs(60);

/// Who is there at the moment. A service that died is `None` until it is back.
#[derive(Debug, Default)]
pub(super) struct Switchboard {
    pub(super) policy: Option<Addr<PolicyActor>>,
    pub(super) dns: Option<Addr<DnsActor>>,
    pub(super) trust: Option<Addr<TrustActor>>,
    pub(super) verify: Option<Addr<VerifyActor>>,
    pub(super) transport: Option<Addr<TransportActor>>,
    pub(super) spool: Option<Addr<SpoolActor>>,
}

/// The services of one delivery.
pub(super) struct Actors {
    pub(super) board: Rc<RefCell<Switchboard>>,
    pub(super) tables: Arc<dyn Tables>,
    pub(super) drain: Arc<DrainState>,
    /// How it comes to its connection.
    pub(super) passage: Passage,
}

/// Whether nothing new is taken and begun. The manager, its deliveries and the doorway look at the same one.
#[derive(Debug, Default)]
pub(super) struct DrainState {
    draining: AtomicBool,
    changed: tokio::sync::Notify,
}

impl DrainState {
    pub(super) fn begin(&self) {
        self.draining.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    pub(super) fn has_begun(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// A delivery has heard what it was owed.
    pub(super) fn look_again(&self) {
        if self.has_begun() {
            self.changed.notify_waiters();
        }
    }
}

/// Puts a question to a service; `None` where it is not there.
pub(super) fn put<A, M>(address: Option<&Addr<A>>, message: M) -> Option<Request<A, M>>
where
    A: Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + std::marker::Send + 'static,
    M::Result: std::marker::Send,
{
    address.map(|address| address.send(message))
}

/// The answer to a question; `None` where the service is not there, dies meanwhile, or takes longer than `deadline`.
pub(super) async fn answer<A, M>(
    request: Option<Request<A, M>>,
    deadline: Option<Duration>,
) -> Option<M::Result>
where
    A: Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + std::marker::Send + 'static,
    M::Result: std::marker::Send,
{
    let answer = match deadline {
        Some(deadline) => request?.timeout(deadline).await,
        None => request?.await,
    };
    // Closed or late: the service is not there either way.
    answer.ok()
}

impl Services for Actors {
    async fn answer(&self, question: Ask, session: &mut Option<Session>) -> Answer {
        match question {
            Ask::Policy { service, nexthop } => {
                let generation = crate::drive::generation(&self.tables);
                let asked = put(self.board.borrow().policy.as_ref(), AskPolicy { service, nexthop });
                answer(asked, Some(TABLES_DEADLINE)).await.map_or(Answer::Unavailable("policy"), |result| {
                    Answer::Policy(result.map(|policy| (policy, generation)))
                })
            }
            Ask::Mx(domain) => self.dns(AskMx(domain)).await.map_or(Answer::Unavailable("dns"), Answer::Mx),
            Ask::Addresses { host, families } => {
                let message = AskAddresses { host, families };
                self.dns(message).await.map_or(Answer::Unavailable("dns"), Answer::Addresses)
            }
            Ask::Cname(name) => {
                self.dns(AskCname(name)).await.map_or(Answer::Unavailable("dns"), Answer::Cname)
            }
            Ask::Tlsa { base, port } => {
                self.dns(AskTlsa { base, port }).await.map_or(Answer::Unavailable("dns"), Answer::Tlsa)
            }
            Ask::Trust { service, policy } => self.trust(service, &policy).await,
            Ask::Judge(question) => {
                let asked = put(self.board.borrow().verify.as_ref(), Judge(*question));
                answer(asked, None)
                    .await
                    .map_or(Answer::Unavailable("verify"), |verdict| Answer::Judge(Box::new(verdict)))
            }
            Ask::Open(_) | Ask::Send(..) | Ask::Release(_) => self.wire(question, session).await,
        }
    }
}

impl Actors {
    /// Resolves at shutdown, but not while a server owes us a final reply (design §6): what it says then decides.
    pub(super) async fn interrupted(&self) {
        loop {
            let changed = self.drain.changed.notified();
            if self.drain.has_begun() && !self.passage.is_sending() {
                return;
            }
            changed.await;
        }
    }

    async fn dns<M>(&self, message: M) -> Option<M::Result>
    where
        DnsActor: Handler<M>,
        <DnsActor as actix::Actor>::Context: ToEnvelope<DnsActor, M>,
        M: Message + std::marker::Send + 'static,
        M::Result: std::marker::Send,
    {
        let asked = put(self.board.borrow().dns.as_ref(), message);
        answer(asked, Some(DNS_DEADLINE)).await
    }

    async fn trust(&self, service: Service, policy: &waxseal_policy::TlsPolicy) -> Answer {
        let files = policy.anchors.clone();
        let asked = put(self.board.borrow().trust.as_ref(), AskAnchors { service: service.clone(), files });
        let Some(anchors) = answer(asked, None).await else { return Answer::Unavailable("trust") };
        let asked = put(self.board.borrow().trust.as_ref(), AskClient { service });
        let Some(client) = answer(asked, None).await else { return Answer::Unavailable("trust") };
        Answer::Trust(TrustAnswer {
            anchors: anchors.map_err(|error| error.to_string()),
            client: client.map_err(|error| error.to_string()),
        })
    }

    async fn open(&self, request: OpenRequest, session: &mut Option<Session>) -> Answer {
        self.passage.set_shares(request.reuse);
        let asked = put(self.board.borrow().transport.as_ref(), Open(request));
        match answer(asked, None).await {
            Some(Ok(Opened { session: opened, report })) => {
                *session = Some(opened);
                Answer::Open(Ok(Box::new(report)))
            }
            Some(Err(OpenError { cause: Cause::Crowded(_), .. })) => self.passage.crowded_out().await,
            Some(Err(error)) => Answer::Open(Err(Box::new(error))),
            None => Answer::Unavailable("transport"),
        }
    }

    /// Makes the connection one that others may share; `false` where the service is not there.
    async fn lead(&self, open: Session, clearance: &Clearance) -> bool {
        let asked = put(self.board.borrow().transport.as_ref(), Lead(open));
        let Some(Some(lane)) = answer(asked, None).await else { return false };
        self.passage.lead(lane, clearance);
        true
    }

    /// Connections have time-outs of their own for every stage, so these questions have no deadline.
    async fn wire(&self, question: Ask, session: &mut Option<Session>) -> Answer {
        match question {
            Ask::Open(request) if self.passage.rides() => {
                if let Some(report) = self.passage.seat(&request) {
                    return Answer::Open(Ok(Box::new(report)));
                }
                // An address that is known to be dead is passed over, as it was by whoever leads.
                let asked = put(self.board.borrow().transport.as_ref(), Recall(request));
                match answer(asked, None).await {
                    Some(Some(error)) => Answer::Open(Err(Box::new(error))),
                    Some(None) | None => self.passage.step_off().await,
                }
            }
            // Most messages ride on a connection that is there. They need not carry room for what opens one.
            Ask::Open(request) => Box::pin(self.open(request, session)).await,
            Ask::Send(clearance, message) => {
                if let Some(open) = session.take()
                    && !Box::pin(self.lead(open, &clearance)).await
                {
                    return Answer::Unavailable("transport");
                }
                match self.passage.send(clearance, message).await {
                    Some(sent) => {
                        self.drain.look_again();
                        Answer::Send(sent)
                    }
                    None => Answer::Unavailable("transport"),
                }
            }
            Ask::Release(release) => {
                self.passage.leave(release);
                if let (Some(address), Some(open)) = (&self.board.borrow().transport, session.take()) {
                    // Nobody waits for it: a notice.
                    match release {
                        Release::Keep => address.do_send(Park(open)),
                        Release::Quit => address.do_send(Quit(open)),
                    }
                }
                Answer::Released
            }
            Ask::Policy { .. }
            | Ask::Mx(_)
            | Ask::Addresses { .. }
            | Ask::Cname(_)
            | Ask::Tlsa { .. }
            | Ask::Trust { .. }
            | Ask::Judge(_) => Answer::Unavailable("transport"),
        }
    }
}
