//! Dynamic updates (RFC 2136) with TSIG (RFC 8945): one set of TLSA records replaced by another, whole or not at all.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType, rdata::TLSA},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use waxseal_types::{Domain, Tlsa};

use super::{Authorities, TsigKey, wire};
use crate::wire::code_word;

/// One owner's set of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsaUpdate {
    /// The apex of the zone.
    pub zone: Domain,
    /// `_25._tcp.mx.example.org`
    pub owner: Domain,
    /// What has to be there: otherwise somebody else has changed it meanwhile, and nothing is done.
    pub before: Vec<Tlsa>,
    /// What shall be there.
    pub after: Vec<Tlsa>,
    /// Of the records.
    pub ttl: Duration,
}

/// Why a zone was not changed, or why nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// The primary server has no address.
    #[error("the primary server {0} has no address")]
    NoPrimary(Domain),
    /// The server cannot be talked to; whether it has changed anything is not known.
    #[error("{server}: {problem}")]
    Lost {
        /// Who.
        server: SocketAddr,
        /// What went wrong.
        problem: String,
    },
    /// RFC 2136 §3.2: the records are not those that were there when this change was thought out.
    #[error("{0}: the records have been changed by somebody else meanwhile")]
    Changed(SocketAddr),
    /// The server says no.
    #[error("{server} refuses the update: {code}")]
    Refused {
        /// Who.
        server: SocketAddr,
        /// Its response code.
        code: String,
    },
    /// The answer is not signed by the key (RFC 8945 §5.3): anybody could have written it.
    #[error("{0}: its answer is not signed with the key")]
    Unsigned(SocketAddr),
    /// The update cannot be written.
    #[error("the update cannot be written: {0}")]
    Unwritable(String),
}

impl Authorities {
    /// Where updates of a zone go: the addresses of its primary server.
    ///
    /// # Errors
    /// [`UpdateError::NoPrimary`].
    pub async fn primary(&self, zone: &super::Zone) -> Result<SocketAddr, UpdateError> {
        let found = self.addresses(std::slice::from_ref(&zone.primary)).await;
        let address = found.ok().and_then(|found| found.first().map(|server| server.address));
        address.ok_or_else(|| UpdateError::NoPrimary(zone.primary.clone()))
    }

    /// Replaces the records of one owner at `server`; over TCP, since nobody else can then answer in its place without the key, nor a packet
    /// be lost unseen.
    ///
    /// # Errors
    /// [`UpdateError`]; only after [`UpdateError::Lost`] and [`UpdateError::Unsigned`] the change may have been made.
    pub async fn update(
        &self,
        server: SocketAddr,
        key: &TsigKey,
        update: &TlsaUpdate,
    ) -> Result<(), UpdateError> {
        let mut message = message(update)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let unwritable = |problem: String| UpdateError::Unwritable(problem);
        let verifier = message.finalize(&key.signer, now).map_err(|e| unwritable(e.to_string()))?;
        let mut verifier = verifier.ok_or_else(|| unwritable("the key does not sign".into()))?;
        let octets = message.to_vec().map_err(|problem| unwritable(problem.to_string()))?;
        let lost = |problem: String| UpdateError::Lost { server, problem };
        let talk = timeout(self.timeout, exchange(server, &octets)).await;
        let reply = talk.map_err(|_| lost("no answer in time".into()))?.map_err(|e| lost(e.to_string()))?;
        let told = Message::from_vec(&reply).map_err(|problem| lost(problem.to_string()))?;
        if told.metadata.id != message.metadata.id || told.metadata.message_type != MessageType::Response {
            return Err(lost("it answers something else".into()));
        }
        let code = told.metadata.response_code;
        // RFC 8945 §5.3.2: BADKEY, BADSIG and the like come unsigned, with NOTAUTH; they are believed as a no, and nothing else is.
        let signed = verifier.verify(&reply).is_ok();
        match code {
            ResponseCode::NoError if signed => Ok(()),
            ResponseCode::NoError => Err(UpdateError::Unsigned(server)),
            ResponseCode::NXRRSet | ResponseCode::YXRRSet => Err(UpdateError::Changed(server)),
            ResponseCode::NotAuth => {
                let code =
                    "NOTAUTH: it does not know the key, or not for this zone, or the clocks differ".into();
                Err(UpdateError::Refused { server, code })
            }
            other => Err(UpdateError::Refused { server, code: code_word(other) }),
        }
    }
}

async fn exchange(server: SocketAddr, octets: &[u8]) -> std::io::Result<Vec<u8>> {
    let length = u16::try_from(octets.len()).map_err(std::io::Error::other)?;
    let mut stream = TcpStream::connect(server).await?;
    let mut request = Vec::with_capacity(octets.len() + 2);
    request.extend_from_slice(&length.to_be_bytes());
    request.extend_from_slice(octets);
    stream.write_all(&request).await?;
    let length = stream.read_u16().await?;
    let mut reply = vec![0; usize::from(length)];
    stream.read_exact(&mut reply).await?;
    Ok(reply)
}

/// RFC 2136 §2: the zone, what must hold, and what is to change.
fn message(update: &TlsaUpdate) -> Result<Message, UpdateError> {
    let name = |domain: &Domain| wire(domain).map_err(|trouble| UpdateError::Unwritable(trouble.detail));
    let (zone, owner) = (name(&update.zone)?, name(&update.owner)?);
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Update;
    message.metadata.recursion_desired = false;
    message.add_query(Query::query(zone, RecordType::SOA));
    if update.before.is_empty() {
        // §2.4.3: there must be none.
        message.answers.push(empty(&owner, DNSClass::NONE));
    } else {
        // §2.4.2: exactly these.
        message.answers.extend(update.before.iter().map(|tlsa| record(&owner, 0, tlsa)));
    }
    // §2.5.2: all go; §2.5.1: these come. The order counts (§3.4.2), and all of it is one change (§3.4).
    message.authorities.push(empty(&owner, DNSClass::ANY));
    let ttl = u32::try_from(update.ttl.as_secs()).unwrap_or(u32::MAX);
    message.authorities.extend(update.after.iter().map(|tlsa| record(&owner, ttl, tlsa)));
    Ok(message)
}

fn empty(owner: &Name, class: DNSClass) -> Record {
    let mut record = Record::update0(owner.clone(), 0, RecordType::TLSA).into_record_of_rdata();
    record.dns_class = class;
    record
}

fn record(owner: &Name, ttl: u32, tlsa: &Tlsa) -> Record {
    let numbers = (u8::from(tlsa.usage), u8::from(tlsa.selector), u8::from(tlsa.matching));
    let data = TLSA::new(numbers.0.into(), numbers.1.into(), numbers.2.into(), tlsa.data.to_vec());
    Record::from_rdata(owner.clone(), ttl, RData::TLSA(data))
}
