//! The delivery plan: one part of one message on its way to one destination, as a pure state machine.
//!
//! [`Plan::poll`] says what to ask, or that it is done; [`Plan::answer`] takes the answer. No I/O and no clock: `now` is an
//! argument, and randomness a seed. The order of things is Postfix's (smtp(8), `smtp_connect.c`): for each site (the next hop, then
//! the fallback relays) its hosts by preference, for each host its addresses, until every recipient is settled or
//! nobody is left to ask. Hosts are in `hosts`, who must prove what in `security` and `discovery`, connections in
//! `connect`, and what goes over them in `send`.

mod connect;
mod discovery;
mod hosts;
mod security;
mod send;

use std::{collections::VecDeque, sync::Arc};

use waxseal_transport::Text;
use waxseal_types::{Envelope, NextHop, UnixTime};

use crate::{
    Answer, Ask, Destination, Feedback, Reach, Settings,
    account::{Account, Connection, Fact, Failure, Outcome, RecipientResult, Step as AccountStep},
    disposition::{self, Consequence},
};

pub use connect::Downgrade;

/// What the driver does next.
#[derive(Debug)]
pub enum Step {
    /// Answer this.
    Ask(Ask),
    /// The attempt is over: [`Plan::into_account`] says how.
    Done,
}

/// What is to be delivered where.
#[derive(Debug, Clone)]
pub struct Order {
    /// Where to.
    pub destination: Destination,
    /// Tried in turn when it cannot be reached, each under its own policy.
    pub alternatives: Vec<NextHop>,
    /// The message.
    pub envelope: Arc<Envelope>,
    /// Indices of the recipients that are not settled yet.
    pub recipients: Vec<usize>,
    /// The message's text.
    pub body: Text,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// For the order among hosts of equal preference (RFC 5321 §5.1 wants it random).
    pub seed: u64,
    /// Whether to stop where MAIL would be sent: for `explain`.
    pub rehearsal: bool,
}

impl Order {
    /// Who is tried, in order.
    fn sites(&self) -> VecDeque<NextHop> {
        std::iter::once(&self.destination.nexthop).chain(&self.alternatives).cloned().collect()
    }
}

/// How often one attempt begins anew because the policy changed before its MAIL; then it waits as after any failure. A change is an operator's reload, or
/// a table's new version, once a second at most; an attempt that meets more of them does better to wait.
const REPLANS: u32 = 3;

/// A recipient that is not settled, with what was said of it last.
#[derive(Debug)]
struct Pending {
    index: usize,
    last: Option<(Failure, Option<usize>)>,
}

/// What the plan waits for.
#[derive(Debug)]
enum State {
    /// The next site.
    Site,
    /// The MX hosts.
    Mx,
    /// The addresses of the first of these hosts of equal preference.
    Addresses,
    /// The next host that has addresses.
    Host,
    /// The policy of the site.
    Policy,
    /// What the store has for it.
    Trust,
    /// The answer to the CNAME question of RFC 7672 §2.1.3.
    Cname,
    /// TLSA records of a candidate base domain.
    Tlsa,
    /// The next address of the host.
    Address,
    /// A connection.
    Open,
    /// The verdict on it.
    Judge,
    /// The final replies.
    Send,
    /// The connection to be gone; then the next address.
    Release,
    /// Nothing.
    Done,
}

/// The state machine. See the module.
#[derive(Debug)]
pub struct Plan {
    settings: Arc<Settings>,
    reach: Reach,
    order: Order,
    state: State,
    /// The question that `poll` hands out, once.
    ask: Option<Ask>,
    asked_at: UnixTime,
    pending: Vec<Pending>,
    account: Box<Account>,
    sites: VecDeque<NextHop>,
    /// How often it may still begin anew because the policy changed under it.
    replans: u32,
    site: hosts::Site,
    guard: security::Guard,
    link: connect::Link,
    feedback: Feedback,
}

impl Plan {
    /// A plan for `order`; nothing happens before the first [`Plan::poll`].
    #[must_use]
    pub fn new(settings: Arc<Settings>, order: Order, now: UnixTime) -> Self {
        let sites = order.sites();
        let account = Box::new(Account {
            envelope: Arc::clone(&order.envelope),
            destination: order.destination.clone(),
            attempt: order.attempt,
            started: now,
            ended: now,
            steps: Vec::with_capacity(6),
            policies: Vec::with_capacity(1),
            connections: Vec::with_capacity(1),
            results: Vec::with_capacity(order.recipients.len()),
        });
        let pending = order.recipients.iter().map(|index| Pending { index: *index, last: None }).collect();
        Self {
            reach: settings.reach(&order.destination.service),
            settings,
            order,
            state: State::Site,
            ask: None,
            asked_at: now,
            pending,
            account,
            sites,
            replans: REPLANS,
            site: hosts::Site::default(),
            guard: security::Guard::default(),
            link: connect::Link::default(),
            feedback: Feedback::None,
        }
    }

    /// What to do now.
    pub fn poll(&mut self, now: UnixTime) -> Step {
        loop {
            if let Some(ask) = self.ask.take() {
                self.asked_at = now;
                return Step::Ask(ask);
            }
            match self.state {
                State::Site => self.next_site(),
                State::Host => self.next_host(),
                State::Address => self.next_address(now),
                State::Done => return Step::Done,
                // The driver polled without having answered: the same question is not asked twice, so nothing is left to do
                // but to end; the recipients wait.
                State::Mx
                | State::Addresses
                | State::Policy
                | State::Trust
                | State::Cname
                | State::Tlsa
                | State::Open
                | State::Judge
                | State::Send
                | State::Release => self.state = State::Done,
            }
        }
    }

    /// Takes the answer to the last question.
    pub fn answer(&mut self, answer: Answer, now: UnixTime) {
        match (&self.state, answer) {
            (State::Mx, Answer::Mx(result)) => self.got_mx(result, now),
            (State::Addresses, Answer::Addresses(result)) => self.got_addresses(result, now),
            (State::Policy, Answer::Policy(result)) => self.got_policy(result, now),
            (State::Trust, Answer::Trust(answer)) => self.got_trust(answer),
            (State::Cname, Answer::Cname(result)) => self.got_cname(result, now),
            (State::Tlsa, Answer::Tlsa(result)) => self.got_tlsa(result, now),
            (State::Open, Answer::Open(Ok(report))) => self.opened(*report, now),
            (State::Open, Answer::Open(Err(error))) => self.open_failed(*error, now),
            (State::Judge, Answer::Judge(verdict)) => self.judged(*verdict, now),
            (State::Send, Answer::Send(sent)) => self.sent(sent, now),
            (State::Release, Answer::Released) => self.state = State::Address,
            (_, Answer::Unavailable(service)) => self.unavailable(service, now),
            // An answer of another kind is a fault of the driver. It must not pass for a good one.
            (_, _) => self.unavailable("delivery", now),
        }
        if self.pending.is_empty() && !matches!(self.state, State::Release) {
            self.state = State::Done;
        }
    }

    /// What the attempt taught about the destination.
    #[must_use]
    pub const fn feedback(&self) -> Feedback {
        self.feedback
    }

    fn ask(&mut self, state: State, ask: Ask) {
        self.state = state;
        self.ask = Some(ask);
    }

    fn note(&mut self, fact: Fact, now: UnixTime) {
        let took = now.since(self.asked_at);
        self.account.steps.push(AccountStep { at: self.asked_at, took, fact });
    }

    /// Something of ours is not there: no statement about the destination, and no other host would change it.
    fn unavailable(&mut self, service: &'static str, now: UnixTime) {
        self.note(Fact::Unavailable(service), now);
        let failure = disposition::unavailable(service);
        if let Some(connection) = self.current_connection() {
            connection.failure = Some(failure.clone());
            connection.ended = now;
        }
        self.fail_all(&failure, Consequence::Defer);
        self.state = State::Done;
    }

    /// All pending recipients failed in the same way.
    fn fail_all(&mut self, failure: &Failure, consequence: Consequence) {
        let connection = self.link.connection;
        match consequence {
            Consequence::NextHost => {
                for pending in &mut self.pending {
                    pending.last = Some((failure.clone(), connection));
                }
            }
            Consequence::Defer => self.settle_all(&Outcome::Deferred(failure.clone())),
            Consequence::Bounce => self.settle_all(&Outcome::Bounced(failure.clone())),
        }
    }

    fn settle_all(&mut self, outcome: &Outcome) {
        let connection = self.link.connection;
        for pending in self.pending.drain(..) {
            self.account.results.push(RecipientResult {
                index: pending.index,
                outcome: outcome.clone(),
                connection,
            });
        }
    }

    fn current_connection(&mut self) -> Option<&mut Connection> {
        self.link.connection.and_then(|number| self.account.connections.get_mut(number))
    }

    /// The account of the attempt, which ends here. Whoever nobody is left to ask for keeps what was said of it last.
    #[must_use]
    pub fn into_account(mut self, now: UnixTime) -> Box<Account> {
        for pending in self.pending {
            let (failure, connection) = pending.last.unwrap_or_else(|| (disposition::nobody_left(), None));
            let permanent = failure.status.class() == waxseal_types::StatusClass::Permanent;
            let outcome = if permanent { Outcome::Bounced(failure) } else { Outcome::Deferred(failure) };
            self.account.results.push(RecipientResult { index: pending.index, outcome, connection });
        }
        self.account.ended = now;
        self.account
    }
}
