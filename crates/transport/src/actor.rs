//! The actor: nothing but the calls.

use actix::{Actor, Context, Handler, Message, ResponseFuture};

use crate::{Connector, Lane, OpenError, OpenRequest, Opened, Session};

/// Owns a [`Connector`]; each arbiter has one of its own, so that connections stay on their core.
#[derive(Debug)]
pub struct TransportActor {
    connector: Connector,
}

impl TransportActor {
    /// Over this connector.
    #[must_use]
    pub const fn new(connector: Connector) -> Self {
        Self { connector }
    }
}

impl Actor for TransportActor {
    type Context = Context<Self>;
}

/// Asks for a session.
#[derive(Debug, Message)]
#[rtype(result = "Result<Opened, OpenError>")]
pub struct Open(pub OpenRequest);

/// Makes a lane of a session: several deliveries can then use it, one behind the other.
#[derive(Debug, Message)]
#[rtype(result = "Option<Lane>")]
pub struct Lead(pub Session);

/// Asks for [`Connector::recall`].
#[derive(Debug, Message)]
#[rtype(result = "Option<OpenError>")]
pub struct Recall(pub OpenRequest);

/// Keeps an idle session.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Park(pub Session);

/// Ends a session.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Quit(pub Session);

impl Handler<Open> for TransportActor {
    type Result = ResponseFuture<Result<Opened, OpenError>>;

    fn handle(&mut self, Open(request): Open, _: &mut Self::Context) -> Self::Result {
        let connector = self.connector.clone();
        Box::pin(async move { connector.open(&request).await })
    }
}

impl Handler<Lead> for TransportActor {
    type Result = Option<Lane>;

    fn handle(&mut self, Lead(session): Lead, _: &mut Self::Context) -> Self::Result {
        let (lane, conductor) = self.connector.lead(session);
        // A task of the arbiter: what is under way does not end with this actor.
        actix::spawn(conductor);
        Some(lane)
    }
}

impl Handler<Recall> for TransportActor {
    type Result = Option<OpenError>;

    fn handle(&mut self, Recall(request): Recall, _: &mut Self::Context) -> Self::Result {
        self.connector.recall(&request)
    }
}

impl Handler<Park> for TransportActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Park(session): Park, _: &mut Self::Context) -> Self::Result {
        let connector = self.connector.clone();
        Box::pin(async move { connector.park(session).await })
    }
}

impl Handler<Quit> for TransportActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Quit(session): Quit, _: &mut Self::Context) -> Self::Result {
        Box::pin(session.quit())
    }
}

/// Panics, so that tests see the service come back.
#[cfg(feature = "crash")]
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Crash;

#[cfg(feature = "crash")]
impl Handler<Crash> for TransportActor {
    type Result = ();

    #[expect(clippy::panic, reason = "the purpose of the message")]
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("asked to crash")
    }
}
