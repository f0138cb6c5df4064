//! The account: what one delivery asked, was answered, did, and why.
//!
//! The plan writes it step by step; delivery events, trace spans, `explain`, bounces and, later, TLS reports read it.
//! Nothing else is recorded about a decision, so that no two answers to "why did it go that way?" can differ.

use std::{net::IpAddr, sync::Arc, time::Duration};

use waxseal_policy::PolicySource;
use waxseal_types::{
    ConnectionId, DnsAnswer, DnsFailure, Domain, EnhancedStatus, Envelope, Mailbox, Proof, Reply,
    StatusClass, TlsFacts, TlsLevel, TlsStatus, UnixTime,
};

use crate::{CertificateFact, Destination, Trouble, plan::Downgrade};

/// The account of one attempt at one part of a message.
#[derive(Debug, Clone)]
pub struct Account {
    /// The message.
    pub envelope: Arc<Envelope>,
    /// Where it was to go.
    pub destination: Destination,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// When it began.
    pub started: UnixTime,
    /// When it ended.
    pub ended: UnixTime,
    /// What was asked and answered, in order.
    pub steps: Vec<Step>,
    /// The policies that were in force, by number; steps and connections refer to them.
    pub policies: Vec<PolicyFact>,
    /// The connections, in order.
    pub connections: Vec<Connection>,
    /// How it ended for each recipient that was to be delivered.
    pub results: Vec<RecipientResult>,
}

/// One question and its answer.
#[derive(Debug, Clone)]
pub struct Step {
    /// When it was asked.
    pub at: UnixTime,
    /// How long the answer took.
    pub took: Duration,
    /// What it was about.
    pub fact: Fact,
}

/// What DNSSEC says of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The state.
    pub proof: Proof,
    /// Why it is not secure, as far as the resolver can tell.
    pub why: Option<Arc<str>>,
    /// What the name stands for behind its aliases, where it is one.
    pub canonical: Option<Domain>,
}

impl Standing {
    pub(crate) fn of<T>(answer: &DnsAnswer<T>) -> Self {
        Self { proof: answer.proof, why: answer.why.clone(), canonical: answer.canonical.clone() }
    }
}

/// One TLSA record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsaFact {
    /// As written.
    pub text: String,
    /// Why it cannot be used, where it cannot.
    pub unusable: Option<String>,
}

/// What a step learnt.
#[derive(Debug, Clone)]
pub enum Fact {
    /// A TLS policy, by number.
    Policy(usize),
    /// No policy could be had.
    PolicyFailed(String),
    /// MX hosts in order of preference, and what DNSSEC says of them.
    Mx {
        /// The domain that was asked.
        domain: Domain,
        /// `preference host`, as published.
        hosts: Vec<(u16, Option<Domain>)>,
        /// Of the answer.
        standing: Standing,
    },
    /// Addresses of one host.
    Addresses {
        /// The host that was asked.
        host: Domain,
        /// What it has.
        addresses: Vec<IpAddr>,
        /// Of the answer.
        standing: Standing,
    },
    /// An alias, asked for as such (RFC 7672 §2.1.3).
    Alias {
        /// The name that was asked.
        name: Domain,
        /// What its own CNAME record says.
        target: Domain,
        /// Of the answer.
        standing: Standing,
    },
    /// TLSA records of one candidate base domain.
    Tlsa {
        /// The candidate.
        base: Domain,
        /// The port.
        port: u16,
        /// The records.
        records: Vec<TlsaFact>,
        /// Of the answer.
        standing: Standing,
    },
    /// A name or record does not exist.
    Absent {
        /// `MX example.com`, ...
        what: String,
        /// Of the denial.
        standing: Standing,
    },
    /// A lookup failed.
    DnsFailed(DnsFailure),
    /// A host was passed over, with the reason.
    Skipped {
        /// Which.
        host: String,
        /// Why.
        reason: String,
    },
    /// Less is demanded of a host than the policy's level would have: `dane` without TLSA records, and so on.
    Lowered {
        /// Which; `None` for an address literal.
        host: Option<Domain>,
        /// The level in effect.
        level: TlsLevel,
        /// Why.
        reason: Arc<str>,
    },
    /// A service was not there: restarting, or too late with its answer.
    Unavailable(&'static str),
    /// A connection, by number.
    Connection(usize),
}

/// The policy that was in force for one site.
#[derive(Debug, Clone)]
pub struct PolicyFact {
    /// As configured.
    pub level: TlsLevel,
    /// The table entry, or the default.
    pub source: PolicySource,
    /// The next hop that it was looked up for: the destination, or a fallback relay.
    pub nexthop: String,
}

/// One connection to one address.
#[derive(Debug, Clone)]
pub struct Connection {
    /// When it was asked for.
    pub at: UnixTime,
    /// The MX host, where it has a name.
    pub host: Option<Domain>,
    /// The address; `None` for a socket in the file system.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// The policy's number.
    pub policy: usize,
    /// The level in effect: `may` for `dane` without TLSA records, and so on.
    pub level: TlsLevel,
    /// Why that is not the policy's level, where it is not.
    pub lowered: Option<Arc<str>>,
    /// Its identity, where it came about.
    pub id: Option<ConnectionId>,
    /// Whether it came from the pool.
    pub pooled: bool,
    /// What the handshake produced.
    pub tls: Option<Arc<TlsFacts>>,
    /// The word for it.
    pub status: TlsStatus,
    /// What the verdict rests on.
    pub matched: Option<String>,
    /// Subjects and fingerprints of the chain, where it was refused.
    pub chain: Vec<String>,
    /// The certificates that were presented, in an account that was read back; [`Connection::certificates`] has them in any case.
    pub presented: Option<Arc<[CertificateFact]>>,
    /// Why it went in clear, where it did although the level would have had TLS.
    pub downgrade: Option<Downgrade>,
    /// Octets that came in clear behind the 220 to STARTTLS: a sign of attack.
    pub injected: usize,
    /// Durations: connect, greeting and EHLO, TLS handshake, transaction.
    pub times: Times,
    /// Why it came to an end without settling all recipients.
    pub failure: Option<Failure>,
    /// When it was over.
    pub ended: UnixTime,
}

/// How long the phases of a connection took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// Until the socket was connected.
    pub connect: Duration,
    /// Greeting and EHLO.
    pub greeting: Duration,
    /// STARTTLS, handshake and the second EHLO.
    pub tls: Duration,
    /// MAIL to the last final reply.
    pub transaction: Duration,
}

/// What failed, for the operator and the bounce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The code.
    pub status: EnhancedStatus,
    /// One sentence.
    pub reason: String,
    /// The server's own words.
    pub reply: Option<Reply>,
    /// What sort of thing it was.
    pub trouble: Trouble,
}

impl Failure {
    /// The same as something that may pass (postconf(5) `soft_bounce`).
    #[must_use]
    pub fn softened(mut self) -> Self {
        self.status = self.status.with_class(StatusClass::Transient);
        self
    }
}

impl Account {
    /// Whether servers have taken it for all of its recipients: nothing of it is tried again.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.results.iter().all(|result| matches!(result.outcome, Outcome::Delivered { .. }))
    }

    /// With what was refused for good deferred instead (postconf(5) `soft_bounce`).
    pub fn soften(&mut self) {
        for result in &mut self.results {
            if let Outcome::Bounced(failure) = &result.outcome {
                result.outcome = Outcome::Deferred(failure.clone().softened());
            }
        }
    }
}

/// What became of one recipient in this attempt.
#[derive(Debug, Clone)]
pub struct RecipientResult {
    /// Its index in the envelope.
    pub index: usize,
    /// The end.
    pub outcome: Outcome,
    /// The connection that decided, by number.
    pub connection: Option<usize>,
}

/// The end of an attempt for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A server took the responsibility.
    Delivered {
        /// Its words.
        reply: Reply,
        /// The server does not offer DSN: notifications about success end with us ("relayed", RFC 3461 §5.2.2).
        without_dsn: bool,
    },
    /// Try again.
    Deferred(Failure),
    /// It will not work.
    Bounced(Failure),
}

impl Connection {
    /// What the presented certificates say, leaf first, whether they were accepted or not. Read when asked: the path of a message carries only
    /// the octets of the handshake, behind an [`Arc`].
    #[must_use]
    pub fn certificates(&self) -> Arc<[CertificateFact]> {
        match (&self.presented, &self.tls) {
            (Some(presented), _) => Arc::clone(presented),
            (None, Some(facts)) => CertificateFact::of_chain(&facts.chain),
            (None, None) => Arc::new([]),
        }
    }
}

impl Outcome {
    /// The failure in it.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Delivered { .. } => None,
            Self::Deferred(failure) | Self::Bounced(failure) => Some(failure),
        }
    }
}

impl Account {
    /// The address of a recipient.
    #[must_use]
    pub fn mailbox(&self, index: usize) -> Option<&Mailbox> {
        self.envelope.recipients.get(index).map(|recipient| &recipient.mailbox)
    }
}
