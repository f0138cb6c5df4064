//! The resolver as an actor: it takes questions and gives the library's answers, many at a time.

use actix::{Actor, Context, Handler, Message, Response, ResponseFuture};
use waxseal_types::{DnsAnswer, DnsFailure, Domain, MxHost, Tlsa};

use crate::{DnssecHealth, Families, Resolver, respond::respond};

/// Answers from one [`Resolver`], which it may share with other actors.
#[derive(Debug)]
pub struct DnsActor {
    resolver: Resolver,
}

impl DnsActor {
    /// An actor over `resolver`.
    #[must_use]
    pub fn new(resolver: Resolver) -> Self {
        Self { resolver }
    }
}

impl Actor for DnsActor {
    type Context = Context<Self>;
}

/// [`Resolver::mx`].
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<DnsAnswer<Vec<MxHost>>, DnsFailure>")]
pub struct AskMx(pub Domain);

/// [`Resolver::addresses`].
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<DnsAnswer<Vec<std::net::IpAddr>>, DnsFailure>")]
pub struct AskAddresses {
    /// Whose addresses.
    pub host: Domain,
    /// Of which families.
    pub families: Families,
}

/// [`Resolver::tlsa`].
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<DnsAnswer<Vec<Tlsa>>, DnsFailure>")]
pub struct AskTlsa {
    /// The TLSA base domain.
    pub base: Domain,
    /// The real port.
    pub port: u16,
}

/// [`Resolver::cname`].
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<DnsAnswer<Domain>, DnsFailure>")]
pub struct AskCname(pub Domain);

/// [`Resolver::probe`].
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "DnssecHealth")]
pub struct Probe;

/// Makes the actor panic, for tests of its supervision.
#[cfg(feature = "crash")]
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Crash;

impl Handler<AskMx> for DnsActor {
    type Result = Response<Result<DnsAnswer<Vec<MxHost>>, DnsFailure>>;

    fn handle(&mut self, AskMx(domain): AskMx, _: &mut Self::Context) -> Self::Result {
        let resolver = self.resolver.clone();
        respond(async move { resolver.mx(&domain).await }, Response::reply, Response::fut)
    }
}

impl Handler<AskAddresses> for DnsActor {
    type Result = Response<Result<DnsAnswer<Vec<std::net::IpAddr>>, DnsFailure>>;

    fn handle(&mut self, ask: AskAddresses, _: &mut Self::Context) -> Self::Result {
        let dns = self.resolver.clone();
        respond(async move { dns.addresses(&ask.host, ask.families).await }, Response::reply, Response::fut)
    }
}

impl Handler<AskTlsa> for DnsActor {
    type Result = Response<Result<DnsAnswer<Vec<Tlsa>>, DnsFailure>>;

    fn handle(&mut self, ask: AskTlsa, _: &mut Self::Context) -> Self::Result {
        let resolver = self.resolver.clone();
        respond(async move { resolver.tlsa(&ask.base, ask.port).await }, Response::reply, Response::fut)
    }
}

impl Handler<AskCname> for DnsActor {
    type Result = Response<Result<DnsAnswer<Domain>, DnsFailure>>;

    fn handle(&mut self, AskCname(name): AskCname, _: &mut Self::Context) -> Self::Result {
        let resolver = self.resolver.clone();
        respond(async move { resolver.cname(&name).await }, Response::reply, Response::fut)
    }
}

impl Handler<Probe> for DnsActor {
    type Result = ResponseFuture<DnssecHealth>;

    fn handle(&mut self, Probe: Probe, _: &mut Self::Context) -> Self::Result {
        let resolver = self.resolver.clone();
        Box::pin(async move { resolver.probe().await })
    }
}

#[cfg(feature = "crash")]
impl Handler<Crash> for DnsActor {
    type Result = ();

    #[expect(clippy::panic, reason = "what the message is for")]
    fn handle(&mut self, Crash: Crash, _: &mut Self::Context) {
        panic!("crash of the dns actor, as asked for");
    }
}
