//! From a question to its end, over as many replies as its aliases need.

use hickory_proto::rr::{Name, RData, RecordType};
use waxseal_types::{Lookup, Proof};

use crate::{
    answer::{End, MAX_ALIASES, Reply, alias_loop, too_many_aliases},
    records::printable,
    stub::Stub,
    trouble::Trouble,
    validate::Validator,
};

/// Where replies and their proofs come from.
#[derive(Debug)]
pub(crate) enum Backend {
    /// The resolver's AD bit, or no DNSSEC at all.
    Stub(Stub),
    /// Signatures checked here.
    Validate(Validator),
}

/// The end of a question.
#[derive(Debug)]
pub(crate) struct Chased {
    pub(crate) lookup: Lookup<Vec<RData>>,
    pub(crate) proof: Proof,
    /// Of the first step that is not secure.
    pub(crate) why: Option<String>,
    /// The last alias, where there was any.
    pub(crate) canonical: Option<Name>,
    /// Seconds.
    pub(crate) ttl: u32,
}

impl Backend {
    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Reply, Trouble> {
        match self {
            Self::Stub(stub) => stub.ask(name, kind).await,
            Self::Validate(validator) => validator.ask(name, kind).await,
        }
    }

    /// RFC 7672 §2.1.3: an error anywhere fails the whole, and one insecure step makes the whole insecure.
    pub(crate) async fn chase(&self, asked: &Name, kind: RecordType) -> Result<Chased, Trouble> {
        let mut path: Vec<Name> = Vec::new();
        let (mut proof, mut ttl, mut why) = (Proof::Secure, u32::MAX, None);
        loop {
            let name = path.last().unwrap_or(asked);
            let reply = self.ask(name, kind).await?;
            if reply.proof == Proof::Insecure && why.is_none() {
                why = Some(self.why_insecure(name, kind, &reply.end));
            }
            proof = proof.and(reply.proof);
            ttl = ttl.min(reply.ttl);
            for alias in reply.aliases {
                if &alias == asked || path.contains(&alias) {
                    return Err(alias_loop(&alias));
                }
                if path.len() >= MAX_ALIASES {
                    return Err(too_many_aliases());
                }
                path.push(alias);
            }
            let lookup = match reply.end {
                End::Found(records) => Lookup::Found(records),
                End::NoData => Lookup::NoData,
                End::NxDomain => Lookup::NxDomain,
                End::Elsewhere => continue,
            };
            return Ok(Chased { lookup, proof, why, canonical: path.pop(), ttl });
        }
    }

    /// Why one step is not secure, in the operator's words. A validator knows the name at which the chain of trust has ended; a resolver
    /// that is believed says no more than that it does not vouch.
    fn why_insecure(&self, name: &Name, kind: RecordType, end: &End) -> String {
        let name = printable(name);
        match (self, end) {
            (Self::Stub(stub), _) if stub.belief.is_nobody() => "DNSSEC is off".to_owned(),
            (Self::Stub(_), _) => format!(
                "no resolver that is believed vouches for {name}: it, or what it stands for, lies in a zone without signatures"
            ),
            (Self::Validate(_), End::Found(_) | End::Elsewhere) => {
                format!("the zone of {name} is not signed")
            }
            (Self::Validate(_), End::NoData | End::NxDomain) => {
                format!(
                    "the absence of {kind} at {name} is not proven: its zone is not signed, or leaves such names out (opt-out)"
                )
            }
        }
    }
}
