//! The back end that believes, or does not believe, the resolver's AD bit.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use hickory_proto::rr::{Name, RecordType};
use waxseal_types::Proof;

use crate::{
    answer::{Reply, follow},
    exchange::Exchange,
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
    pub(crate) fn includes(&self, server: SocketAddr) -> bool {
        match self {
            Self::Nobody => false,
            Self::LoopbackAnd(others) => server.ip().is_loopback() || others.contains(&server.ip()),
        }
    }
}

impl Stub {
    pub(crate) async fn ask(&self, name: &Name, kind: RecordType) -> Result<Reply, Trouble> {
        let wanted = match self.belief {
            Belief::Nobody => Wanted::Plain,
            Belief::LoopbackAnd(_) => Wanted::Proof,
        };
        let answered = self.exchange.ask(name, kind, wanted).await?;
        // RFC 6840 §5.8: AD speaks of all of the answer and authority sections.
        let secure = answered.message.metadata.authentic_data && self.belief.includes(answered.server);
        follow(&answered.message, name, kind, if secure { Proof::Secure } else { Proof::Insecure })
    }
}
