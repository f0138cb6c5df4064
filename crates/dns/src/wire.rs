//! Questions and replies as octets: what is sent, and whether what came back belongs to it.

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RecordType},
};

use crate::trouble::Trouble;

/// The UDP payload that passes every path without fragments (DNS flag day 2020; RFC 9715 §3).
pub(crate) const UDP_PAYLOAD: u16 = 1232;
/// Octets before the question section (RFC 1035 §4.1.1).
const HEADER: usize = 12;

/// Whether DNSSEC is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// DO and AD set: signatures, and the resolver's own judgement (RFC 6840 §5.7).
    Proof,
    /// Plain DNS.
    Plain,
}

/// One question on the wire.
#[derive(Debug)]
pub(crate) struct Sent {
    id: u16,
    name: Name,
    kind: RecordType,
    pub(crate) octets: Vec<u8>,
}

/// What a packet turned out to be.
#[derive(Debug)]
pub(crate) enum Packet {
    /// The reply to this question.
    Reply(Box<Message>),
    /// The reply does not fit: ask again over TCP (RFC 7766 §5).
    Truncated,
    /// Somebody else's packet, or a forged one: go on waiting.
    Foreign,
    /// Ours by its id, but no DNS message.
    Broken(String),
}

pub(crate) fn question(name: &Name, kind: RecordType, wanted: Wanted) -> Result<Sent, Trouble> {
    // `query` draws the id from the thread's cryptographic generator (RFC 5452 §9.2).
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name.clone(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_PAYLOAD);
    match wanted {
        Wanted::Proof => {
            edns.enable_dnssec();
            message.metadata.authentic_data = true;
        }
        Wanted::Plain => {}
    }
    message.edns = Some(edns);
    let octets = message
        .to_vec()
        .map_err(|problem| Trouble::malformed(format!("the question cannot be written: {problem}")))?;
    Ok(Sent { id: message.metadata.id, name: name.clone(), kind, octets })
}

impl Sent {
    /// RFC 5452 §9.1: a reply counts only when address, port, id and question all match. The connected socket has
    /// seen to address and port.
    pub(crate) fn read(&self, packet: &[u8]) -> Packet {
        let Some(header) = packet.get(..HEADER) else { return Packet::Foreign };
        let (id, is_reply, truncated) =
            (u16::from_be_bytes([header[0], header[1]]), header[2] & 0x80 != 0, header[2] & 0x02 != 0);
        if id != self.id || !is_reply {
            return Packet::Foreign;
        }
        // A truncated message may end anywhere; what it says is not looked at.
        if truncated {
            return Packet::Truncated;
        }
        match Message::from_vec(packet) {
            Ok(message) if self.is_answered_by(&message) => Packet::Reply(Box::new(message)),
            Ok(_) => Packet::Foreign,
            Err(problem) => Packet::Broken(problem.to_string()),
        }
    }

    fn is_answered_by(&self, message: &Message) -> bool {
        let head = &message.metadata;
        if head.message_type != MessageType::Response || head.op_code != OpCode::Query {
            return false;
        }
        match message.queries.as_slice() {
            [query] => query.name() == &self.name && query.query_type() == self.kind,
            // A server that did not understand the question may not repeat it; that is a failure, never an answer.
            [] => !is_answer(head.response_code),
            _ => false,
        }
    }
}

/// RFC 7672 §2.1.1: only NOERROR and NXDOMAIN are answers.
pub(crate) fn is_answer(code: ResponseCode) -> bool {
    code == ResponseCode::NoError || code == ResponseCode::NXDomain
}

/// The operator's word for a response code: `SERVFAIL`, `REFUSED`, `RCODE 23`.
pub(crate) fn code_word(code: ResponseCode) -> String {
    if code == ResponseCode::ServFail {
        "SERVFAIL".into()
    } else if code == ResponseCode::Refused {
        "REFUSED".into()
    } else if code == ResponseCode::FormErr {
        "FORMERR".into()
    } else if code == ResponseCode::NotImp {
        "NOTIMP".into()
    } else {
        format!("RCODE {}", u16::from(code))
    }
}
