//! What an error leads to: the one place where a fault becomes a status code, a sentence, and "next host", "later" or "never".
//!
//! The texts follow those of Postfix's smtp(8) closely enough that an operator's eye and log filters find them.

use std::net::IpAddr;

use waxseal_policy::PolicyError;
use waxseal_transport::{Cause, OpenError, Stage};
use waxseal_types::{DnsFailure, DnsFailureKind, Domain, EnhancedStatus, Reply, StatusClass};

use crate::{account::Failure, trouble::Trouble};

/// What a failure means for the recipients that it concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// Another host may do better; without one the recipients wait.
    NextHost,
    /// No other host in this attempt; the recipients wait.
    Defer,
    /// It will not work.
    Bounce,
}

/// A server's name for the operator: `mx.example.com[192.0.2.1]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The MX host or next hop.
    pub host: String,
    /// Its address.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.address {
            Some(address) => write!(f, "{}[{address}]", self.host),
            None => f.write_str(&self.host),
        }
    }
}

const fn soft(subject: u16, detail: u16) -> EnhancedStatus {
    EnhancedStatus::transient(subject, detail)
}

fn failure(trouble: Trouble, status: EnhancedStatus, reason: String) -> Failure {
    Failure { status, reason, reply: None, trouble }
}

/// A lookup failed: the host, or the destination, has to wait. Never "there is none" (RFC 7672 §2.1.2).
#[must_use]
pub fn dns_failed(error: &DnsFailure) -> Failure {
    let status = match error.failure {
        // RFC 3463 §3.8: 4.7.0, security; an operator must see that it is not a mere outage.
        DnsFailureKind::Bogus | DnsFailureKind::Anchor => soft(7, 0),
        DnsFailureKind::Unavailable => soft(3, 0),
        DnsFailureKind::ServerFailure
        | DnsFailureKind::Timeout
        | DnsFailureKind::Malformed
        | DnsFailureKind::AliasLoop => soft(4, 3),
    };
    failure(
        dns_trouble(error.failure),
        status,
        format!(
            "Host or domain name not found. Name service error for name={} type={}: {}",
            error.name, error.kind, error.detail
        ),
    )
}

const fn dns_trouble(kind: DnsFailureKind) -> Trouble {
    match kind {
        DnsFailureKind::Bogus => Trouble::ForgedDns,
        DnsFailureKind::Anchor => Trouble::Resolver,
        DnsFailureKind::Unavailable => Trouble::Service,
        DnsFailureKind::ServerFailure
        | DnsFailureKind::Timeout
        | DnsFailureKind::Malformed
        | DnsFailureKind::AliasLoop => Trouble::SilentDns,
    }
}

/// A name does not exist, or has no address.
#[must_use]
pub fn no_such_host(name: &Domain, why: &str) -> Failure {
    failure(
        Trouble::NoSuchHost,
        EnhancedStatus::permanent(4, 4),
        format!("Host or domain name not found. Name service error for name={name}: {why}"),
    )
}

/// RFC 7505 §4.1.
#[must_use]
pub fn null_mx(domain: &Domain) -> Failure {
    failure(
        Trouble::NullMx,
        EnhancedStatus::permanent(1, 10),
        format!("Domain {domain} does not accept mail (null MX)"),
    )
}

/// This host is its own best next hop (RFC 5321 §5.1).
#[must_use]
pub fn loops_to_self(name: &str) -> Failure {
    failure(Trouble::Loop, EnhancedStatus::permanent(4, 6), format!("mail for {name} loops back to myself"))
}

/// The policy cannot be determined, so nothing may be sent (fails closed).
#[must_use]
pub fn policy_failed(error: &PolicyError) -> Failure {
    failure(Trouble::Policy, soft(7, 5), format!("client TLS configuration problem: {error}"))
}

/// No route can be found: a table failed, or its entry is none.
#[must_use]
pub fn route_failed(error: &PolicyError) -> Failure {
    failure(Trouble::Route, soft(3, 0), error.to_string())
}

/// A service of ours is not there.
#[must_use]
pub fn unavailable(service: &str) -> Failure {
    failure(
        Trouble::Service,
        soft(3, 0),
        format!("the {service} service is restarting or overloaded; the message waits"),
    )
}

/// The trust store that the policy needs cannot be used.
#[must_use]
pub fn trust_failed(reason: &str) -> Failure {
    failure(Trouble::Trust, soft(7, 5), format!("client TLS configuration problem: {reason}"))
}

/// DANE says that this host cannot be used, or the destination (RFC 7672 §2.2); `lookup` is what failed where records could not be had.
#[must_use]
pub fn dane_failed(error: &PolicyError, lookup: Option<DnsFailureKind>) -> Failure {
    failure(lookup.map_or(Trouble::NoDane, dns_trouble), soft(7, 5), error.reason.clone())
}

/// The peer is not who was demanded; `reason` is the sentence of the verdict.
#[must_use]
pub fn not_cleared(reason: &str) -> Failure {
    failure(Trouble::NotVerified, soft(7, 5), reason.into())
}

/// All addresses were used up without an error of their own.
#[must_use]
pub fn nobody_left() -> Failure {
    failure(Trouble::Unreachable, soft(3, 0), "server unavailable or unable to receive mail".into())
}

/// The command that a reply answers, for "in reply to".
const fn in_reply_to(stage: Stage) -> &'static str {
    match stage {
        Stage::Connect | Stage::Greeting => "connection",
        Stage::Hello => "EHLO command",
        Stage::StartTls | Stage::Tls => "STARTTLS command",
        Stage::Mail => "MAIL FROM command",
        Stage::Rcpt => "RCPT TO command",
        Stage::Data => "DATA command",
        Stage::Body | Stage::EndOfData => "end of DATA command",
        Stage::Rset => "RSET command",
        Stage::Quit => "QUIT command",
    }
}

/// A connection that did not get to MAIL.
#[must_use]
pub fn open_failed(peer: &Peer, error: &OpenError) -> (Failure, Consequence) {
    match &error.cause {
        Cause::NotOffered => {
            let reason = format!("TLS is required, but was not offered by host {peer}");
            (failure(Trouble::NoStarttls, soft(7, 4), reason), Consequence::NextHost)
        }
        Cause::Refused(reply) => {
            // Not authenticated, so never final (RFC 7672 §2.2); Postfix bounces at 5xx.
            let status = reply.status.map_or(soft(7, 4), |status| status.with_class(StatusClass::Transient));
            let reason = format!("TLS is required, but host {peer} refused to start TLS: {reply}");
            let trouble = Trouble::StarttlsRefused;
            (Failure { status, reason, reply: Some(reply.clone()), trouble }, Consequence::NextHost)
        }
        Cause::LoopsToSelf => (loops_to_self(&peer.host), Consequence::Bounce),
        Cause::Reply(reply) => site_refused(peer, error.stage, reply),
        other => stage_failed(peer, error.stage, other),
    }
}

const fn refusal(permanent: bool) -> Trouble {
    if permanent { Trouble::Refused } else { Trouble::RefusedForNow }
}

/// The server refused to talk to us. A 5xx greeting is transient (`smtp_skip_5xx_greeting`), a 5xx to EHLO and HELO is not.
fn site_refused(peer: &Peer, stage: Stage, reply: &Reply) -> (Failure, Consequence) {
    let permanent = reply.is_permanent() && stage != Stage::Greeting;
    let class = if permanent { StatusClass::Permanent } else { StatusClass::Transient };
    let reason = if stage == Stage::Greeting {
        format!("host {peer} refused to talk to me: {reply}")
    } else {
        format!("host {peer} said: {reply} (in reply to {})", in_reply_to(stage))
    };
    let status = reply.enhanced().with_class(class);
    let failure = Failure { status, reason, reply: Some(reply.clone()), trouble: refusal(permanent) };
    (failure, if permanent { Consequence::Bounce } else { Consequence::NextHost })
}

/// Something broke on the way: no reply decided.
#[must_use]
pub fn stage_failed(peer: &Peer, stage: Stage, cause: &Cause) -> (Failure, Consequence) {
    let doing = stage.as_str();
    let (trouble, status, reason) = match cause {
        Cause::Handshake(text) => {
            (Trouble::Handshake, soft(7, 5), format!("Cannot start TLS: handshake failure: {text}"))
        }
        // Whatever ends a handshake is its failure.
        Cause::Timeout | Cause::Lost | Cause::Io(..) | Cause::Protocol(_) if stage == Stage::Tls => {
            (Trouble::Handshake, soft(7, 5), format!("Cannot start TLS: handshake failure: {cause}"))
        }
        Cause::Io(_, text) if stage == Stage::Connect => {
            (Trouble::Unreachable, soft(4, 1), format!("connect to {peer}:{}: {text}", peer.port))
        }
        Cause::Timeout if stage == Stage::Connect => (
            Trouble::Unreachable,
            soft(4, 1),
            format!("connect to {peer}:{}: Connection timed out", peer.port),
        ),
        Cause::Timeout => {
            (Trouble::Lost, soft(4, 2), format!("conversation with {peer} timed out while {doing}"))
        }
        Cause::Lost | Cause::Io(..) => {
            (Trouble::Lost, soft(4, 2), format!("lost connection with {peer} while {doing}"))
        }
        Cause::Protocol(text) => {
            (Trouble::Protocol, soft(5, 0), format!("host {peer} broke the protocol while {doing}: {text}"))
        }
        Cause::Configuration(text) => {
            (Trouble::Trust, soft(7, 5), format!("client TLS configuration problem: {text}"))
        }
        Cause::NotCleared(error) => {
            (Trouble::Policy, soft(7, 5), format!("the connection may not carry this message: {error}"))
        }
        Cause::Reply(reply) | Cause::Refused(reply) => return rejected(peer, stage, reply),
        // RFC 3463 §3.5, X.4.5: congestion, and here it is ours.
        Cause::Crowded(crowd) => {
            (Trouble::Service, soft(4, 5), format!("connect to {peer}:{}: {crowd}", peer.port))
        }
        Cause::NotOffered => {
            (Trouble::NoStarttls, soft(7, 4), format!("TLS is required, but was not offered by host {peer}"))
        }
        // RFC 3463 §3.4, X.3.0: a fault of ours, which no other host mends.
        Cause::Text(_) => {
            return (failure(Trouble::Service, soft(3, 0), cause.to_string()), Consequence::Defer);
        }
        Cause::LoopsToSelf => return (loops_to_self(&peer.host), Consequence::Bounce),
    };
    // After the final dot the server may have taken the message: nobody else gets it in this attempt (RFC 5321 §4.5.3.2.6).
    let consequence = if stage == Stage::EndOfData { Consequence::Defer } else { Consequence::NextHost };
    (failure(trouble, status, reason), consequence)
}

/// The server said no to a message or a recipient: the first digit decides (RFC 5321 §4.2.1).
#[must_use]
pub fn rejected(peer: &Peer, stage: Stage, reply: &Reply) -> (Failure, Consequence) {
    // RFC 5321 §4.5.3.1.10: 552 to RCPT once meant "too many recipients" and is as temporary as 452.
    let permanent = reply.is_permanent() && !(stage == Stage::Rcpt && reply.code == 552);
    let class = if permanent { StatusClass::Permanent } else { StatusClass::Transient };
    let status = reply.enhanced().with_class(class);
    let reason = format!("host {peer} said: {reply} (in reply to {})", in_reply_to(stage));
    let failure = Failure { status, reason, reply: Some(reply.clone()), trouble: refusal(permanent) };
    (failure, if permanent { Consequence::Bounce } else { Consequence::NextHost })
}

/// Whether the server wants fewer connections or messages: 421 (RFC 5321 §3.8), or a temporary refusal for its policy, 4.7.x (RFC 3463 §3.8).
#[must_use]
pub fn asks_for_less(reply: &Reply) -> bool {
    let policy = || reply.status.is_some_and(|status| status.to_string().starts_with("4.7."));
    reply.code == 421 || (reply.is_transient() && policy())
}

/// The message needs what the server does not offer.
#[must_use]
pub fn unsupported(peer: &Peer, what: &Unsupported) -> Failure {
    match what {
        Unsupported::SmtpUtf8 => failure(
            Trouble::Unsupported,
            EnhancedStatus::permanent(6, 7),
            format!("SMTPUTF8 is required, but was not offered by host {peer}"),
        ),
        Unsupported::Size { limit, .. } => failure(
            Trouble::Unsupported,
            EnhancedStatus::permanent(3, 4),
            format!("message size exceeds the limit of {limit} octets of host {peer}"),
        ),
        // The intake refuses such text; what comes from elsewhere is never mended behind the sender's back.
        Unsupported::BareLineEnd(_) => failure(
            Trouble::Unsupported,
            EnhancedStatus::permanent(6, 0),
            "the message has line ends that are not CRLF (RFC 5321 §2.3.8)".into(),
        ),
    }
}

pub use waxseal_transport::Unsupported;

/// A message has been in the queue for too long.
#[must_use]
pub fn expired(last: Option<&Failure>) -> Failure {
    let reason = last.map_or_else(|| "no attempt was possible".to_owned(), |failure| failure.reason.clone());
    let reply = last.and_then(|failure| failure.reply.clone());
    // RFC 3463 §3.5: 5.4.7, delivery time expired.
    Failure {
        status: EnhancedStatus::permanent(4, 7),
        reason: format!("delivery time expired; last: {reason}"),
        reply,
        trouble: last.map_or(Trouble::Untried, |failure| failure.trouble),
    }
}

/// An operator took recipients out, and nobody is told.
#[must_use]
pub fn removed() -> Failure {
    failure(Trouble::Operator, EnhancedStatus::success(0, 0), "removed from the queue by an operator".into())
}

/// An operator sent recipients back, and said why.
#[must_use]
pub fn returned(why: &str) -> Failure {
    // RFC 3463 §3.8: 5.7.1 is "delivery not authorized, message refused", which is what the operator decides.
    failure(Trouble::Operator, EnhancedStatus::permanent(7, 1), format!("returned by an operator: {why}"))
}

/// A route says that mail is to be thrown away (transport(5), `discard:`).
#[must_use]
pub fn discarded(text: String) -> Failure {
    failure(Trouble::Discarded, EnhancedStatus::success(0, 0), text)
}

/// Nothing is tried, since an operator wants it so.
#[must_use]
pub fn suspended() -> Failure {
    // Postfix's qmgr(8) says 4.3.2 of what `defer_transports` names.
    failure(
        Trouble::Suspended,
        soft(3, 2),
        "deliveries to this destination are suspended by an operator of this mail system".into(),
    )
}

/// Nothing is tried, since its servers could not be reached and are not tried again yet.
#[must_use]
pub fn resting() -> Failure {
    failure(
        Trouble::Unreachable,
        soft(4, 1),
        "the servers of this destination could not be reached; they are tried again later".into(),
    )
}
