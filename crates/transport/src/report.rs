//! What is asked of the transport, and what it answers.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use waxseal_smtp::{Ehlo, Stage, Unsupported};
use waxseal_types::{ConnectionId, Domain, Envelope, Reply, Service, TlsFacts, TlsShape};
use waxseal_verify::DemandDigest;

use crate::{Cause, Session, Text};

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// An address and port.
    Inet(SocketAddr),
    /// The path of a unix socket.
    Unix(Arc<str>),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => write!(f, "[{}]:{}", address.ip(), address.port()),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

/// What TLS is for on a connection. Whether what comes of it is good enough is not decided here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsUse {
    /// In clear, offered or not.
    Never,
    /// STARTTLS where it is offered and taken; otherwise the session is handed out in clear.
    IfOffered(TlsShape),
    /// STARTTLS, or no session.
    Required(TlsShape),
    /// TLS from the first octet (RFC 8314 §3).
    Implicit(TlsShape),
}

impl TlsUse {
    /// The shape of its handshake.
    #[must_use]
    pub const fn shape(&self) -> Option<&TlsShape> {
        match self {
            Self::Never => None,
            Self::IfOffered(shape) | Self::Required(shape) | Self::Implicit(shape) => Some(shape),
        }
    }
}

/// A connection that is wanted.
#[derive(Debug, Clone)]
pub struct OpenRequest {
    /// To whom.
    pub endpoint: Endpoint,
    /// The server's name, for log lines.
    pub host: Option<Domain>,
    /// SMTP or LMTP, and by whose settings.
    pub service: Service,
    /// Its TLS.
    pub tls: TlsUse,
    /// Whether an idle connection of the same shape may be taken.
    pub reuse: bool,
    /// Whether a TLS session may be resumed; `false` drops what is cached for the server and makes one full handshake.
    pub resume: bool,
}

/// What became of STARTTLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StarttlsOutcome {
    /// It was not asked for, or the session ended before.
    #[default]
    NotWanted,
    /// EHLO was taken and did not offer it.
    NotOffered,
    /// EHLO was refused; HELO has no STARTTLS.
    EhloRefused,
    /// The server said this instead of 220.
    Refused(Reply),
    /// TLS stands, by STARTTLS or from the first octet.
    Established(Arc<TlsFacts>),
}

/// How long the parts of an opening took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenTimes {
    /// Until the connection stood.
    pub connect: Duration,
    /// From then until the greeting.
    pub greeting: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// All of it.
    pub total: Duration,
}

/// How a session came about, for the account of the delivery.
#[derive(Debug, Clone)]
pub struct OpenReport {
    /// The connection's name.
    pub connection: ConnectionId,
    /// Whether it was an idle one; the rest is then of its opening.
    pub pooled: bool,
    /// The greeting.
    pub greeting: Option<Reply>,
    /// What became of STARTTLS.
    pub starttls: StarttlsOutcome,
    /// Octets that arrived in clear behind the 220 to STARTTLS: thrown away, and a sign of attack (RFC 3207 §4.2).
    pub injected: usize,
    /// What the server offers, under TLS where TLS stands.
    pub ehlo: Arc<Ehlo>,
    /// Whether STARTTLS was offered in clear, wanted or not (postconf(5), `smtp_tls_note_starttls_offer`).
    pub starttls_offered: bool,
    /// Durations.
    pub times: OpenTimes,
}

impl OpenReport {
    pub(crate) fn new(connection: ConnectionId) -> Self {
        Self {
            connection,
            pooled: false,
            greeting: None,
            starttls: StarttlsOutcome::NotWanted,
            injected: 0,
            ehlo: Arc::default(),
            starttls_offered: false,
            times: OpenTimes::default(),
        }
    }

    /// The facts of TLS, where TLS stands.
    #[must_use]
    pub const fn facts(&self) -> Option<&Arc<TlsFacts>> {
        match &self.starttls {
            StarttlsOutcome::Established(facts) => Some(facts),
            StarttlsOutcome::NotWanted
            | StarttlsOutcome::NotOffered
            | StarttlsOutcome::EhloRefused
            | StarttlsOutcome::Refused(_) => None,
        }
    }
}

/// A session that takes mail, once its TLS is judged.
#[derive(Debug)]
pub struct Opened {
    /// The session.
    pub session: Session,
    /// How it came about.
    pub report: OpenReport,
}

/// There is no session.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{cause} while {stage}")]
pub struct OpenError {
    /// Where it failed.
    pub stage: Stage,
    /// Why. At [`Stage::Tls`] every cause but [`Cause::Configuration`] counts as a failed handshake.
    pub cause: Cause,
    /// How far it came; [`OpenReport::facts`] tells whether TLS stood.
    pub report: Box<OpenReport>,
}

/// A message, and to whom of its recipients it is to go.
#[derive(Debug, Clone)]
pub struct OutMessage {
    /// The envelope.
    pub envelope: Arc<Envelope>,
    /// Indices into its recipients.
    pub recipients: Vec<usize>,
    /// The text, lines ending in CRLF, not dot-stuffed.
    pub body: Text,
    /// The demand that the message is under now; the clearance must have been given for it.
    pub demand: DemandDigest,
    /// The policy that the demand came from, likewise: read when the MAIL is made, since a message may have waited for its turn.
    pub policy: Generation,
}

/// The generation of the policy that a demand came from, and a way to learn of a newer one.
#[derive(Clone)]
pub struct Generation {
    given: u64,
    now: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl Generation {
    /// The generation of this moment; `now` tells it at any later one.
    #[must_use]
    pub fn watched(now: Arc<dyn Fn() -> u64 + Send + Sync>) -> Self {
        Self { given: now(), now }
    }

    /// A policy that never changes.
    #[must_use]
    pub fn fixed(generation: u64) -> Self {
        Self::watched(Arc::new(move || generation))
    }

    /// That of the policy which was asked for.
    #[must_use]
    pub const fn given(&self) -> u64 {
        self.given
    }

    /// That of the policy in force.
    #[must_use]
    pub fn now(&self) -> u64 {
        (self.now)()
    }
}

/// Of no policy at all: nothing was given, and nothing changes.
impl Default for Generation {
    fn default() -> Self {
        Self::fixed(0)
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation").field("given", &self.given).finish_non_exhaustive()
    }
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RcptOutcome {
    /// The server took responsibility.
    Delivered(Reply),
    /// The server refused.
    Rejected {
        /// The recipient at [`Stage::Rcpt`], the message elsewhere.
        stage: Stage,
        /// Its words.
        reply: Reply,
    },
    /// The session broke, or the clearance did not cover the message.
    Failed {
        /// Where.
        stage: Stage,
        /// Why.
        cause: Cause,
    },
    /// The message cannot be sent to this server as it is.
    Unsupported(Unsupported),
}

/// Whether a session can carry more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionAfter {
    /// It can.
    Usable,
    /// It is over.
    Closed,
}

/// What became of a message.
#[derive(Debug, Clone)]
pub struct Sent {
    /// For each recipient that was asked for, by index.
    pub recipients: Vec<(usize, RcptOutcome)>,
    /// Whether the session goes on.
    pub session: SessionAfter,
    /// The connection was lost between the final dot and its reply: the message may have been taken all the same.
    pub ambiguous: bool,
    /// Whether the server knows DSN; a success for a server that does not is reported as "relayed" (RFC 3461 §5.2.2).
    pub dsn: bool,
    /// From MAIL to the last reply.
    pub took: Duration,
}

impl Sent {
    /// Nothing was sent, and this is why.
    pub(crate) fn nothing(recipients: &[usize], outcome: &RcptOutcome, session: SessionAfter) -> Self {
        Self {
            recipients: recipients.iter().map(|index| (*index, outcome.clone())).collect(),
            session,
            ambiguous: false,
            dsn: false,
            took: Duration::ZERO,
        }
    }
}
