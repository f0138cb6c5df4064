//! The plan's questions as messages to the service actors.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix::{Addr, Handler, Message, dev::ToEnvelope};
use waxseal_dns::{
    Families,
    actor::{AskAddresses, AskCname, AskMx, AskTlsa, DnsActor},
};
use waxseal_policy::{
    Tables,
    actor::{AskPolicy, PolicyActor},
};
use waxseal_spool::actor::SpoolActor;
use waxseal_transport::{Open, Opened, Park, Quit, Send, Session, TransportActor};
use waxseal_trust::{AskAnchors, AskClient, TrustActor};
use waxseal_types::Protocol;
use waxseal_verify::{Judge, VerifyActor};

use crate::{Answer, Ask, Release, Services, TrustAnswer};

/// A question about DNS may take the resolver's time-outs for several servers and aliases; beyond this the actor is lost.
const DNS_DEADLINE: Duration = Duration::from_secs(120);
/// Tables may be remote; files and verification take microseconds.
const LOCAL_DEADLINE: Duration = Duration::from_secs(60);

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
#[derive(Clone)]
pub(super) struct Actors {
    pub(super) board: Rc<RefCell<Switchboard>>,
    pub(super) families: Families,
    pub(super) tables: Arc<dyn Tables>,
    pub(super) drain: Rc<DrainState>,
    /// Whether this delivery is sending: then it may end as it will, also at shutdown.
    pub(super) sending: Rc<Cell<bool>>,
}

/// Whether the manager takes nothing new.
#[derive(Debug, Default)]
pub(super) struct DrainState {
    draining: Cell<bool>,
    changed: tokio::sync::Notify,
}

impl DrainState {
    pub(super) fn begin(&self) {
        self.draining.set(true);
        self.changed.notify_waiters();
    }
}

/// Asks a service; `None` where it is not there, dies meanwhile, or takes longer than `deadline`.
pub(super) async fn ask<A, M>(
    address: Option<Addr<A>>,
    message: M,
    deadline: Option<Duration>,
) -> Option<M::Result>
where
    A: Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + std::marker::Send + 'static,
    M::Result: std::marker::Send,
{
    let request = address?.send(message);
    let answer = match deadline {
        Some(deadline) => request.timeout(deadline).await,
        None => request.await,
    };
    // Closed or late: the service is not there either way.
    answer.ok()
}

impl Services for Actors {
    async fn answer(&self, question: Ask, session: &mut Option<Session>) -> Answer {
        match question {
            Ask::Policy { protocol, nexthop } => {
                let generation = self.tables.generation();
                let address = self.board.borrow().policy.clone();
                let answer = ask(address, AskPolicy { protocol, nexthop }, Some(LOCAL_DEADLINE)).await;
                answer.map_or(Answer::Unavailable("policy"), |result| {
                    Answer::Policy(result.map(|policy| (Arc::new(policy), generation)))
                })
            }
            Ask::Mx(domain) => self.dns(AskMx(domain)).await.map_or(Answer::Unavailable("dns"), Answer::Mx),
            Ask::Addresses(host) => {
                let message = AskAddresses { host, families: self.families };
                self.dns(message).await.map_or(Answer::Unavailable("dns"), Answer::Addresses)
            }
            Ask::Cname(name) => {
                self.dns(AskCname(name)).await.map_or(Answer::Unavailable("dns"), Answer::Cname)
            }
            Ask::Tlsa { base, port } => {
                self.dns(AskTlsa { base, port }).await.map_or(Answer::Unavailable("dns"), Answer::Tlsa)
            }
            Ask::Trust { protocol, policy } => self.trust(protocol, &policy).await,
            Ask::Judge(question) => {
                let address = self.board.borrow().verify.clone();
                let answer = ask(address, Judge(*question), Some(LOCAL_DEADLINE)).await;
                answer.map_or(Answer::Unavailable("verify"), |verdict| Answer::Judge(Box::new(verdict)))
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
            if self.drain.draining.get() && !self.sending.get() {
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
        let address = self.board.borrow().dns.clone();
        ask(address, message, Some(DNS_DEADLINE)).await
    }

    async fn trust(&self, protocol: Protocol, policy: &waxseal_policy::TlsPolicy) -> Answer {
        let address = self.board.borrow().trust.clone();
        let files = policy.anchors.clone();
        let Some(anchors) = ask(address.clone(), AskAnchors { protocol, files }, Some(LOCAL_DEADLINE)).await
        else {
            return Answer::Unavailable("trust");
        };
        let Some(client) = ask(address, AskClient { protocol }, Some(LOCAL_DEADLINE)).await else {
            return Answer::Unavailable("trust");
        };
        Answer::Trust(TrustAnswer {
            anchors: anchors.map_err(|error| error.to_string()),
            client: client.map_err(|error| error.to_string()),
        })
    }

    /// Connections have time-outs of their own for every stage, so these questions have no deadline.
    async fn wire(&self, question: Ask, session: &mut Option<Session>) -> Answer {
        let address = self.board.borrow().transport.clone();
        match question {
            Ask::Open(request) => match ask(address, Open(request), None).await {
                Some(Ok(Opened { session: opened, report })) => {
                    *session = Some(opened);
                    Answer::Open(Ok(Box::new(report)))
                }
                Some(Err(error)) => Answer::Open(Err(Box::new(error))),
                None => Answer::Unavailable("transport"),
            },
            Ask::Send(clearance, message) => {
                let Some(open) = session.take() else { return Answer::Unavailable("transport") };
                self.sending.set(true);
                let sent = ask(address, Send { session: open, clearance, message, next: None }, None).await;
                self.sending.set(false);
                if self.drain.draining.get() {
                    self.drain.changed.notify_waiters();
                }
                match sent {
                    Some((open, sent)) => {
                        *session = Some(open);
                        Answer::Send(sent)
                    }
                    None => Answer::Unavailable("transport"),
                }
            }
            Ask::Release(release) => {
                if let (Some(address), Some(open)) = (address, session.take()) {
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
            | Ask::Addresses(_)
            | Ask::Cname(_)
            | Ask::Tlsa { .. }
            | Ask::Trust { .. }
            | Ask::Judge(_) => Answer::Unavailable("transport"),
        }
    }
}
