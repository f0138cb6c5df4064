//! One connection: open it, judge it, send over it, and what to do when that fails.

use std::{net::IpAddr, sync::Arc};

use waxseal_transport::{
    Cause, Endpoint, OpenError, OpenReport, OpenRequest, Stage, StarttlsOutcome, TlsUse,
};
use waxseal_types::{ConnectionId, Domain, Target, TlsFacts, TlsLevel, TlsStatus, UnixTime};
use waxseal_verify::{ClearReason, Question, RefusedKind, Verdict};

use super::{Plan, State, hosts::HostEndpoint, security::Security};
use crate::{
    Ask, Feedback, Release,
    account::{Connection, Fact, Failure},
    disposition::{self, Consequence, Peer},
};

/// Why mail went in clear although its level would have had TLS; each use is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downgrade {
    /// STARTTLS was not offered.
    NotOffered,
    /// EHLO was refused, HELO taken.
    EhloRefused,
    /// STARTTLS was answered with something else than 2xx.
    Refused,
    /// The handshake failed, and the message had waited for `minimal_backoff`.
    HandshakeFailed,
    /// A TLS session died before the message was settled, and the message had waited for `minimal_backoff`.
    SessionDied,
}

impl Downgrade {
    const fn reason(self) -> ClearReason {
        match self {
            Self::NotOffered => ClearReason::NotOffered,
            Self::EhloRefused => ClearReason::EhloRefused,
            Self::Refused => ClearReason::StarttlsRefused,
            Self::HandshakeFailed => ClearReason::HandshakeFailed,
            Self::SessionDied => ClearReason::SessionDied,
        }
    }
}

impl std::fmt::Display for Downgrade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "in clear: {}", self.reason())
    }
}

/// The state of the connection in work.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Its number in the account.
    pub(super) connection: Option<usize>,
    /// The address in work; kept for another try at the same one.
    pub(super) endpoint: Option<HostEndpoint>,
    /// The next connection to it is to be in clear, for this reason.
    pub(super) clear: Option<Downgrade>,
    /// The next connection to it is to be a new one, with a full handshake.
    pub(super) anew: bool,
    /// TLS facts of the open connection.
    pub(super) facts: Option<Arc<TlsFacts>>,
    /// What it came to: its name, its TLS, and why it is in clear where it is.
    pub(super) report: Option<(ConnectionId, Option<Arc<TlsFacts>>, Option<Downgrade>)>,
    /// Whether it may go to the pool.
    pub(super) poolable: bool,
}

impl Plan {
    /// Begins the next address of the host in work, or the same once more where that was decided.
    pub(super) fn next_address(&mut self, now: UnixTime) {
        if self.link.endpoint.is_none() {
            if self.limits_reached() {
                self.state = State::Site;
                return;
            }
            let next = self.site.host.as_mut().and_then(|host| host.endpoints.pop_front());
            let Some(endpoint) = next else {
                self.state = State::Host;
                return;
            };
            self.site.addresses_tried += 1;
            self.link = Link { endpoint: Some(endpoint), ..Link::default() };
        }
        self.open(now);
    }

    fn open(&mut self, now: UnixTime) {
        let (Some(endpoint), Some(security)) = (self.link.endpoint.clone(), self.guard.security.clone())
        else {
            self.state = State::Host;
            return;
        };
        let name = self.site.host.as_ref().and_then(|host| host.name.clone());
        let (address, port) = match &endpoint {
            HostEndpoint::Inet(at) => (Some(at.ip()), at.port()),
            HostEndpoint::Unix(_) => (None, 0),
        };
        self.link.connection = Some(self.account.connections.len());
        self.account.connections.push(new_connection(
            now,
            (name.clone(), address, port),
            &security,
            self.guard.policy_number,
        ));
        let in_clear = self.link.clear.is_some() || self.guard.disarmed.is_some();
        let tls = if in_clear { TlsUse::Never } else { security.tls_use() };
        let request = OpenRequest {
            endpoint: match endpoint {
                HostEndpoint::Inet(at) => Endpoint::Inet(at),
                HostEndpoint::Unix(path) => Endpoint::Unix(path),
            },
            host: name,
            service: self.order.destination.service.clone(),
            reuse: !self.link.anew && self.link.clear.is_none() && self.reuse_allowed(&tls),
            resume: !self.link.anew,
            tls,
        };
        self.ask(State::Open, Ask::Open(request));
    }

    fn reuse_allowed(&self, tls: &TlsUse) -> bool {
        match tls {
            TlsUse::Never => self.reach.reuse_clear,
            TlsUse::IfOffered(_) => self.reach.reuse_clear || self.guard.reuse,
            TlsUse::Required(_) | TlsUse::Implicit(_) => self.guard.reuse,
        }
    }

    /// The level in effect is `may` and the message has waited long enough to go without (design §5.6; smtp.h, PLAINTEXT_FALLBACK).
    pub(super) fn may_fall_back(&self) -> bool {
        let may = self.guard.security.as_ref().is_some_and(|security| security.level == TlsLevel::May);
        let waited = self.account.started.since(self.order.envelope.arrived) >= self.settings.minimal_backoff;
        may && waited && self.link.clear.is_none()
    }

    pub(super) fn open_failed(&mut self, error: OpenError, now: UnixTime) {
        let peer = self.peer();
        let (failure, consequence) = disposition::open_failed(&peer, &error);
        let handshake = error.stage == Stage::Tls && !matches!(error.cause, Cause::Configuration(_));
        let broke = matches!(
            error.cause,
            Cause::Lost | Cause::Io(..) | Cause::Timeout | Cause::Protocol(_) | Cause::Handshake(_)
        );
        let died = error.report.facts().is_some() && broke;
        if let Some(number) = self.link.connection {
            self.note(Fact::Connection(number), now);
        }
        if let Some(connection) = self.current_connection() {
            fill(connection, &error.report);
            connection.failure = Some(failure.clone());
            connection.ended = now;
        }
        if self.feedback == Feedback::None {
            self.feedback = Feedback::Dead;
        }
        self.fail_all(&failure, consequence);
        self.state = State::Address;
        if (handshake || died) && self.may_fall_back() {
            self.again_in_clear(if handshake { Downgrade::HandshakeFailed } else { Downgrade::SessionDied });
        } else {
            self.link.endpoint = None;
        }
    }

    /// The same address again at once, on a new connection without STARTTLS, for this message alone.
    pub(super) fn again_in_clear(&mut self, why: Downgrade) {
        self.link = Link {
            endpoint: self.link.endpoint.take(),
            clear: Some(why),
            connection: self.link.connection,
            ..Link::default()
        };
    }

    /// The same address again at once, on a new connection with a full handshake.
    pub(super) fn again_anew(&mut self) {
        self.link = Link {
            endpoint: self.link.endpoint.take(),
            anew: true,
            connection: self.link.connection,
            ..Link::default()
        };
    }

    pub(super) fn opened(&mut self, report: OpenReport, now: UnixTime) {
        self.feedback = Feedback::Alive;
        if let Some(number) = self.link.connection {
            self.note(Fact::Connection(number), now);
        }
        let (facts, offered) = match &report.starttls {
            StarttlsOutcome::Established(facts) => (Some(Arc::clone(facts)), None),
            StarttlsOutcome::NotWanted => (None, self.link.clear),
            StarttlsOutcome::NotOffered => (None, Some(Downgrade::NotOffered)),
            StarttlsOutcome::EhloRefused => (None, Some(Downgrade::EhloRefused)),
            StarttlsOutcome::Refused(_) => (None, Some(Downgrade::Refused)),
        };
        self.link.facts.clone_from(&facts);
        if let Some(connection) = self.current_connection() {
            fill(connection, &report);
            connection.downgrade = offered;
        }
        if let Some(failure) = self.guard.disarmed.clone() {
            return self.refuse(failure, now);
        }
        self.link.report = Some((report.connection, facts, offered));
        self.judge(now);
    }

    /// Asks whether the open connection proved what is demanded.
    fn judge(&mut self, now: UnixTime) {
        let (Some(security), Some((id, facts, offered))) =
            (self.guard.security.clone(), self.link.report.clone())
        else {
            self.state = State::Done;
            return;
        };
        // A connection that was opened without TLS by order of the policy says so; any other reason is a downgrade of `may`.
        let clear = facts.is_none().then(|| offered.map_or(ClearReason::LevelNone, Downgrade::reason));
        let aged = clear.is_some_and(ClearReason::is_aged);
        self.link.poolable = !aged;
        let question = Question {
            demand: Arc::clone(&security.demand),
            facts,
            clear,
            anchors: self.guard.anchors.clone(),
            strength: security.strength,
            connection: id,
            policy_generation: self.guard.generation.given(),
            expires: security.expires,
            only_message: aged.then_some(self.order.envelope.id),
            now,
        };
        self.ask(State::Judge, Ask::Judge(Box::new(question)));
    }

    pub(super) fn judged(&mut self, verdict: Verdict, now: UnixTime) {
        let resumed = self.link.facts.as_ref().is_some_and(|facts| facts.resumed);
        if let Some(connection) = self.current_connection() {
            connection.status = verdict.status;
            connection.matched = verdict.matched;
            if verdict.outcome.is_err() {
                connection.chain = verdict.detail;
            }
        }
        match verdict.outcome {
            Ok(clearance) => self.send(clearance, now),
            Err(refused) => {
                if refused.kind == RefusedKind::NothingToMatch && self.step_down_to_encrypt() {
                    if let Some(security) = self.guard.security.clone()
                        && let Some(connection) = self.current_connection()
                    {
                        connection.level = security.level;
                        connection.lowered.clone_from(&security.lowered);
                    }
                    return self.judge(now);
                }
                // A pooled connection or a resumed session shows an older chain; only a full handshake tells what the server is
                // now (design §5.1).
                let pooled = self.current_connection().is_some_and(|connection| connection.pooled);
                let again = (resumed || pooled) && !self.link.anew;
                let endpoint = self.link.endpoint.clone();
                self.refuse(disposition::not_cleared(&refused.reason), now);
                if again {
                    self.link.endpoint = endpoint;
                    self.again_anew();
                }
            }
        }
    }

    /// The open connection may not carry this mail.
    fn refuse(&mut self, failure: Failure, now: UnixTime) {
        if let Some(connection) = self.current_connection() {
            connection.failure = Some(failure.clone());
            connection.ended = now;
        }
        self.fail_all(&failure, Consequence::NextHost);
        self.link.endpoint = None;
        self.ask(State::Release, Ask::Release(Release::Quit));
    }

    pub(super) fn peer(&self) -> Peer {
        let connection = self.link.connection.and_then(|number| self.account.connections.get(number));
        let nexthop = || {
            let nexthop = self.site.nexthop.as_ref();
            nexthop.map_or_else(String::new, |hop| match hop.target() {
                Target::Mx(name) | Target::Host(name) => name.to_string(),
                Target::Address(address) => address.to_string(),
                Target::Unix(path) => path.to_string(),
            })
        };
        Peer {
            host: connection.and_then(|c| c.host.as_ref()).map_or_else(nexthop, ToString::to_string),
            address: connection.and_then(|c| c.address),
            port: connection.map_or(0, |c| c.port),
        }
    }
}

fn new_connection(
    now: UnixTime,
    to: (Option<Domain>, Option<IpAddr>, u16),
    security: &Security,
    policy: usize,
) -> Connection {
    let (host, address, port) = to;
    Connection {
        at: now,
        host,
        address,
        port,
        policy,
        level: security.level,
        lowered: security.lowered.clone(),
        id: None,
        pooled: false,
        tls: None,
        status: TlsStatus::None,
        matched: None,
        chain: Vec::new(),
        presented: None,
        downgrade: None,
        injected: 0,
        times: crate::account::Times::default(),
        failure: None,
        ended: now,
    }
}

fn fill(connection: &mut Connection, report: &OpenReport) {
    let facts = report.facts().cloned();
    connection.id = Some(report.connection);
    connection.pooled = report.pooled;
    connection.injected = report.injected;
    connection.times.connect = report.times.connect;
    connection.times.greeting = report.times.greeting;
    connection.times.tls = report.times.tls;
    if facts.is_some() {
        connection.status = TlsStatus::Untrusted;
    }
    connection.tls = facts;
}
