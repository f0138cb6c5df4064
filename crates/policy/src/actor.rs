//! The policy service as an actor: it asks the tables, the library decides.

use alloc::sync::Arc;

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use waxseal_types::{Mailbox, NextHop, Service};

use crate::{PolicyError, Route, Settings, Tables, TlsPolicy, find_policy, find_route};

/// Answers for the policies and routes of one arbiter.
pub struct PolicyActor {
    settings: Arc<Settings>,
    tables: Arc<dyn Tables>,
}

impl PolicyActor {
    /// Over these settings and tables.
    #[must_use]
    pub fn new(settings: Arc<Settings>, tables: Arc<dyn Tables>) -> Self {
        Self { settings, tables }
    }
}

impl Actor for PolicyActor {
    type Context = Context<Self>;
}

/// Asks for the TLS policy of a next hop.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<TlsPolicy, PolicyError>")]
pub struct AskPolicy {
    /// By whose settings.
    pub service: Service,
    /// To whom.
    pub nexthop: NextHop,
}

/// Asks where the mail of a recipient goes.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Route, PolicyError>")]
pub struct AskRoute {
    /// The recipient.
    pub recipient: Mailbox,
}

impl Handler<AskPolicy> for PolicyActor {
    type Result = ResponseFuture<Result<TlsPolicy, PolicyError>>;

    fn handle(&mut self, ask: AskPolicy, _: &mut Self::Context) -> Self::Result {
        let (settings, tables) = (Arc::clone(&self.settings), Arc::clone(&self.tables));
        alloc::boxed::Box::pin(
            async move { find_policy(&settings, &*tables, &ask.service, &ask.nexthop).await },
        )
    }
}

impl Handler<AskRoute> for PolicyActor {
    type Result = ResponseFuture<Result<Route, PolicyError>>;

    fn handle(&mut self, ask: AskRoute, _: &mut Self::Context) -> Self::Result {
        let (settings, tables) = (Arc::clone(&self.settings), Arc::clone(&self.tables));
        alloc::boxed::Box::pin(async move { find_route(&settings, &*tables, &ask.recipient).await })
    }
}

/// Makes the actor panic: for tests of supervision.
#[cfg(feature = "crash")]
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Crash;

#[cfg(feature = "crash")]
impl Handler<Crash> for PolicyActor {
    type Result = ();

    #[expect(clippy::panic, reason = "panicking is what it is for")]
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crash asked for");
    }
}
