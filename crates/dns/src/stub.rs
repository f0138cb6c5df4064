//! The back end that believes, or does not believe, the resolver's AD bit.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use hickory_proto::rr::{Name, RecordType};
use waxseal_types::{DnsFailureKind, Proof};

use crate::{
    BlindCause, DnssecHealth,
    answer::{Reply, follow},
    exchange::{Answered, Exchange, SIGNATURE_EXPIRED, SIGNATURE_TO_COME},
    trouble::Trouble,
    wire::Wanted,
};

#[derive(Debug)]
pub(crate) struct Stub {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) belief: Belief,
}

/// Whose AD bit counts.
#[derive(Debug)]
pub(crate) enum Belief {
    /// Nobody's: DNSSEC is off, and not asked for.
    Nobody,
    /// That of loopback and of these (RFC 7672 §2.1.1: a validating resolver must be trusted and reached securely).
    LoopbackAnd(Vec<IpAddr>),
}

impl Belief {
    pub(crate) fn is_nobody(&self) -> bool {
        matches!(self, Self::Nobody)
    }

    pub(crate) fn includes(&self, server: SocketAddr) -> bool {
        match self {
            Self::Nobody => false,
            Self::LoopbackAnd(others) => server.ip().is_loopback() || others.contains(&server.ip()),
        }
    }

    /// RFC 6840 §5.8: AD speaks of all of the answer and authority sections.
    fn proof(&self, ad: bool, server: SocketAddr) -> Proof {
        if ad && self.includes(server) { Proof::Secure } else { Proof::Insecure }
    }
}

impl Stub {
    pub(crate) async fn ask(&self, name: &Name, kind: RecordType) -> Result<Reply, Trouble> {
        let wanted = match self.belief {
            Belief::Nobody => Wanted::Plain,
            Belief::LoopbackAnd(_) => Wanted::Proof,
        };
        let answered = self.exchange.ask(name, kind, wanted).await?;
        let proof = self.belief.proof(answered.message.metadata.authentic_data, answered.server);
        follow(&answered.message, name, kind, proof)
    }

    /// Whether the resolver vouches for the root.
    pub(crate) async fn probe(&self) -> DnssecHealth {
        let blind = |cause, reason| DnssecHealth::Blind { cause, reason };
        let Answered { message, server } =
            match self.exchange.ask(&Name::root(), RecordType::NS, Wanted::Proof).await {
                Ok(answered) => answered,
                Err(trouble) => return unanswered(trouble),
            };
        if !self.belief.includes(server) {
            return blind(BlindCause::Untrusted, format!("the AD bit of {server} is not believed"));
        }
        if !message.metadata.authentic_data {
            let signed = message.answers.iter().any(|record| record.record_type() == RecordType::RRSIG);
            let but = if signed { ", though it passes signatures on" } else { "" };
            return blind(
                BlindCause::NotValidating,
                format!("{server} does not set the AD bit for the root{but}"),
            );
        }
        DnssecHealth::Capable
    }
}

/// What a failure to ask says of a resolver that validates.
fn unanswered(trouble: Trouble) -> DnssecHealth {
    let reason = trouble.detail;
    let cause = match trouble.failure {
        DnsFailureKind::Timeout => return DnssecHealth::Unreachable { reason },
        DnsFailureKind::ServerFailure
        | DnsFailureKind::Malformed
        | DnsFailureKind::Bogus
        | DnsFailureKind::Anchor
        | DnsFailureKind::AliasLoop
        | DnsFailureKind::Unavailable => {
            // The resolver's clock, by the codes of RFC 8914 §4.8 and §4.9.
            let is_clock = [SIGNATURE_EXPIRED, SIGNATURE_TO_COME].iter().any(|hint| reason.contains(hint));
            if is_clock { BlindCause::Clock } else { BlindCause::Refusing }
        }
    };
    DnssecHealth::Blind { cause, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7672 §2.1.1, RFC 6698 §4.1.
    #[test]
    fn ad_counts_from_loopback_and_from_whom_the_operator_trusts() {
        let trusting = Belief::LoopbackAnd(vec!["192.0.2.53".parse().unwrap()]);
        for (belief, server, ad, expected) in [
            (&trusting, "127.0.0.1:53", true, Proof::Secure),
            (&trusting, "[::1]:53", true, Proof::Secure),
            (&trusting, "192.0.2.53:53", true, Proof::Secure),
            (&trusting, "127.0.0.1:53", false, Proof::Insecure),
            (&trusting, "192.0.2.54:53", true, Proof::Insecure),
            (&trusting, "10.0.0.53:53", true, Proof::Insecure),
            (&trusting, "[2001:db8::53]:53", true, Proof::Insecure),
            (&Belief::Nobody, "127.0.0.1:53", true, Proof::Insecure),
        ] {
            assert_eq!(belief.proof(ad, server.parse().unwrap()), expected, "{server} {ad}");
        }
    }
}
