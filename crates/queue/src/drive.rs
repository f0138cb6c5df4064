//! Turns a plan's questions into calls.

use std::{future::Future, sync::Arc};

use waxseal_dns::Resolver;
use waxseal_policy::{PolicyLookup, Settings as PolicySettings, Step as LookupStep, Tables};
use waxseal_transport::{Connector, Generation, Opened, Session};
use waxseal_trust::Store;
use waxseal_types::{Service, UnixTime};

use crate::{Account, Answer, Ask, Feedback, Plan, Release, TrustAnswer, plan::Step};

/// Whoever can answer a plan's questions. The open connection stays with the driver; the plan only knows its number.
pub trait Services {
    /// Answers one. What cannot be answered is [`Answer::Unavailable`].
    fn answer(&self, ask: Ask, session: &mut Option<Session>) -> impl Future<Output = Answer>;
}

/// Runs a plan to its end.
pub fn drive(
    plan: Plan,
    services: &impl Services,
    clock: impl Fn() -> UnixTime,
) -> impl Future<Output = (Box<Account>, Feedback)> {
    // A future has room for its arguments and once more for what becomes of them: of the plan it gets a pointer.
    let mut plan = Box::new(plan);
    async move {
        let mut session = None;
        loop {
            match plan.poll(clock()) {
                Step::Ask(ask) => {
                    let answer = services.answer(ask, &mut session).await;
                    plan.answer(answer, clock());
                }
                Step::Done => {
                    let feedback = plan.feedback();
                    return (plan.into_account(clock()), feedback);
                }
            }
        }
    }
}

/// Services that are called directly: for `explain`, tests and programs without actors.
#[derive(Clone)]
pub struct Direct {
    /// Answers about DNS.
    pub resolver: Resolver,
    /// The policy parameters.
    pub policy: Arc<PolicySettings>,
    /// The tables that they name.
    pub tables: Arc<dyn Tables>,
    /// Anchors and certificates.
    pub store: Arc<Store>,
    /// Opens connections.
    pub connector: Connector,
}

impl std::fmt::Debug for Direct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Direct").finish_non_exhaustive()
    }
}

/// The generation of the policy, as it is when a lookup begins.
pub(crate) fn generation(tables: &Arc<dyn Tables>) -> Generation {
    let tables = Arc::clone(tables);
    Generation::watched(Arc::new(move || tables.generation()))
}

impl Services for Direct {
    async fn answer(&self, ask: Ask, session: &mut Option<Session>) -> Answer {
        match ask {
            Ask::Policy { service, nexthop } => {
                let generation = generation(&self.tables);
                let mut lookup = PolicyLookup::new(&self.policy, &service, &nexthop);
                loop {
                    let found = match lookup.step() {
                        LookupStep::NeedKey { table, key } => self.tables.find(table, key).await,
                        LookupStep::Done(result) => {
                            return Answer::Policy(result.map(|policy| (Arc::new(policy), generation)));
                        }
                    };
                    lookup.answer(found);
                }
            }
            Ask::Mx(domain) => Answer::Mx(self.resolver.mx(&domain).await),
            Ask::Addresses { host, families } => {
                Answer::Addresses(self.resolver.addresses(&host, families).await)
            }
            Ask::Cname(name) => Answer::Cname(self.resolver.cname(&name).await),
            Ask::Tlsa { base, port } => Answer::Tlsa(self.resolver.tlsa(&base, port).await),
            Ask::Trust { service, policy } => Answer::Trust(self.trust(&service, &policy)),
            Ask::Open(request) => match self.connector.open(&request).await {
                Ok(Opened { session: opened, report }) => {
                    *session = Some(opened);
                    Answer::Open(Ok(Box::new(report)))
                }
                Err(error) => Answer::Open(Err(Box::new(error))),
            },
            Ask::Judge(question) => Answer::Judge(Box::new(waxseal_verify::judge(&question))),
            Ask::Send(clearance, message) => match session.as_mut() {
                Some(session) => Answer::Send(session.send(&clearance, &message).await),
                None => Answer::Unavailable("transport"),
            },
            Ask::Release(release) => {
                match (release, session.take()) {
                    (Release::Keep, Some(session)) => self.connector.park(session).await,
                    (Release::Quit, Some(session)) => session.quit().await,
                    (Release::Keep | Release::Quit, None) => {}
                }
                Answer::Released
            }
        }
    }
}

impl Direct {
    fn trust(&self, service: &Service, policy: &waxseal_policy::TlsPolicy) -> TrustAnswer {
        TrustAnswer {
            anchors: self.store.anchors(service, &policy.anchors).map_err(|error| error.to_string()),
            client: self.store.client(service).map_err(|error| error.to_string()),
        }
    }
}
