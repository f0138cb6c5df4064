//! The actor: nothing but the calls.

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use waxseal_verify::Clearance;

use crate::{Connector, OpenError, OpenRequest, Opened, OutMessage, Sent, Session};

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

/// Sends one message; the session comes back.
#[derive(Debug, Message)]
#[rtype(result = "(Session, Sent)")]
pub struct Send {
    /// Over this session,
    pub session: Session,
    /// for which this was given,
    pub clearance: Clearance,
    /// this message.
    pub message: OutMessage,
    /// The message that is sent next over it, see [`Session::send_then`].
    pub next: Option<(Clearance, OutMessage)>,
}

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

impl Handler<Send> for TransportActor {
    type Result = ResponseFuture<(Session, Sent)>;

    fn handle(&mut self, send: Send, _: &mut Self::Context) -> Self::Result {
        let Send { mut session, clearance, message, next } = send;
        Box::pin(async move {
            let next = next.as_ref().map(|(clearance, message)| (clearance, message));
            let sent = session.send_then(&clearance, &message, next).await;
            (session, sent)
        })
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
