//! The policy service as an actor: it asks the tables, the library decides.

use alloc::{boxed::Box, sync::Arc};
use core::{
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll, Waker},
};

use actix::{Actor, Context, Handler, Message, Response};
use waxseal_types::{Mailbox, NextHop, Service};

use crate::{PolicyError, Route, Settings, Tables, TlsPolicy, find_policy, find_route, known::Known};

/// Answers for the policies and routes of one arbiter.
pub struct PolicyActor {
    settings: Arc<Settings>,
    tables: Arc<dyn Tables>,
    known: Known,
}

impl PolicyActor {
    /// Over these settings and tables.
    #[must_use]
    pub fn new(settings: Arc<Settings>, tables: Arc<dyn Tables>) -> Self {
        Self { settings, tables, known: Known::default() }
    }
}

impl Actor for PolicyActor {
    type Context = Context<Self>;
}

/// Asks for the TLS policy of a next hop.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Arc<TlsPolicy>, PolicyError>")]
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
    type Result = Response<Result<Arc<TlsPolicy>, PolicyError>>;

    fn handle(&mut self, AskPolicy { service, nexthop }: AskPolicy, _: &mut Self::Context) -> Self::Result {
        // Before the tables are looked at: what they say may be newer, and is never older.
        let generation = self.tables.generation();
        if let Some(policy) = self.known.find(&service, &nexthop, generation) {
            return Response::reply(Ok(policy));
        }
        let (settings, tables) = (Arc::clone(&self.settings), Arc::clone(&self.tables));
        let about = (service.clone(), nexthop.clone());
        let found = async move { find_policy(&settings, &*tables, &service, &nexthop).await.map(Arc::new) };
        match at_once(Box::pin(found)) {
            Ok(found) => {
                if let Ok(policy) = &found
                    && self.settings.is_steady(&about.0, &*self.tables)
                {
                    self.known.keep(about, policy, generation);
                }
                Response::reply(found)
            }
            Err(later) => Response::fut(later),
        }
    }
}

impl Handler<AskRoute> for PolicyActor {
    type Result = Response<Result<Route, PolicyError>>;

    fn handle(&mut self, ask: AskRoute, _: &mut Self::Context) -> Self::Result {
        let (settings, tables) = (Arc::clone(&self.settings), Arc::clone(&self.tables));
        let found = async move { find_route(&settings, &*tables, &ask.recipient).await };
        at_once(Box::pin(found)).map_or_else(Response::fut, Response::reply)
    }
}

/// What a future has at once, so that no task is made for it; or the future, to be waited for.
fn at_once<F: Future>(mut future: Pin<Box<F>>) -> Result<F::Output, Pin<Box<F>>> {
    // Whoever waits for it afterwards polls it anew, with a waker of its own.
    match future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => Err(future),
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
