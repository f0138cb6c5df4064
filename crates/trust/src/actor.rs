//! The actor: nothing but the calls.

use std::sync::Arc;

use actix::{Actor, Context, Handler, Message};
use waxseal_types::{AnchorFiles, ClientCertificate, Service};

use crate::{Anchors, Error, Notice, Store};

/// Answers from one [`Store`], which all cores share.
#[derive(Debug, Clone)]
pub struct TrustActor(Arc<Store>);

impl TrustActor {
    /// Over this store.
    #[must_use]
    pub const fn new(store: Arc<Store>) -> Self {
        Self(store)
    }
}

impl Actor for TrustActor {
    type Context = Context<Self>;
}

/// Asks for [`Store::anchors`].
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<Anchors>, Error>")]
pub struct AskAnchors {
    /// Whose configuration.
    pub service: Service,
    /// Which files.
    pub files: AnchorFiles,
}

impl Handler<AskAnchors> for TrustActor {
    type Result = Result<Arc<Anchors>, Error>;

    fn handle(&mut self, ask: AskAnchors, _: &mut Self::Context) -> Self::Result {
        self.0.anchors(&ask.service, &ask.files)
    }
}

/// Asks for [`Store::client`].
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<[ClientCertificate]>, Error>")]
pub struct AskClient {
    /// Whose configuration.
    pub service: Service,
}

impl Handler<AskClient> for TrustActor {
    type Result = Result<Arc<[ClientCertificate]>, Error>;

    fn handle(&mut self, ask: AskClient, _: &mut Self::Context) -> Self::Result {
        self.0.client(&ask.service)
    }
}

/// Asks for [`Store::reload`].
#[derive(Debug, Message)]
#[rtype(result = "Vec<Notice>")]
pub struct Reload;

impl Handler<Reload> for TrustActor {
    type Result = Vec<Notice>;

    fn handle(&mut self, _: Reload, _: &mut Self::Context) -> Self::Result {
        self.0.reload()
    }
}

/// Panics, so that tests see the service come back.
#[cfg(feature = "crash")]
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Crash;

#[cfg(feature = "crash")]
impl Handler<Crash> for TrustActor {
    type Result = ();

    #[expect(clippy::panic, reason = "the purpose of the message")]
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("asked to crash")
    }
}
