//! Authoritative servers, asked one by one and past every cache; and updates. The servers are a few lines each.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, ResponseCode},
    rr::{
        Name, RData, Record, RecordType, TSigResponseContext as Context, TSigner,
        rdata::{A, CNAME, NS, SOA, TLSA, tsig::TsigAlgorithm},
    },
    serialize::binary::BinEncodable as _,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
};
use waxseal_dns::{Authorities, Families, Settings, TlsaUpdate, TsigKey, UpdateError};
use waxseal_types::{DnsFailureKind, Domain, Tlsa};

const OWNER: &str = "_25._tcp.mx.z.test";

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).unwrap()
}

fn record(owner: &str, ttl: u32, data: RData) -> Record {
    Record::from_rdata(name(owner), ttl, data)
}

fn tlsa(octet: u8) -> RData {
    RData::TLSA(TLSA::new(3.into(), 1.into(), 1.into(), vec![octet; 32]))
}

/// What a server says; the next server may say something else.
#[derive(Clone, Default)]
struct Says {
    answers: HashMap<(String, RecordType), Vec<Record>>,
    authoritative: bool,
    code: Option<ResponseCode>,
}

impl Says {
    /// A resolver, or an authoritative server, that knows who serves the zone.
    fn zone(authoritative: bool) -> Self {
        let mut says = Self { authoritative, ..Self::default() };
        says.put("z.test", record("z.test", 60, RData::NS(NS(name("ns1.z.test")))));
        says.put("z.test", record("z.test", 60, RData::NS(NS(name("ns2.z.test")))));
        says.put("ns1.z.test", record("ns1.z.test", 60, RData::A(A::new(127, 0, 0, 1))));
        says.put("ns2.z.test", record("ns2.z.test", 60, RData::A(A::new(127, 0, 0, 2))));
        says
    }

    fn put(&mut self, owner: &str, record: Record) {
        self.answers.entry((owner.to_owned(), record.record_type())).or_default().push(record);
    }

    fn with(mut self, record: Record) -> Self {
        self.put(OWNER, record);
        self
    }

    fn answer(&self, asked: &Message) -> Message {
        let mut reply = Message::response(asked.metadata.id, OpCode::Query);
        reply.metadata.authoritative = self.authoritative;
        reply.metadata.recursion_available = true;
        let query = asked.queries[0].clone();
        let owner = query.name().to_ascii().trim_end_matches('.').to_owned();
        let kinds = [query.query_type(), RecordType::CNAME];
        let found = kinds.into_iter().find_map(|kind| self.answers.get(&(owner.clone(), kind)));
        if let Some(code) = self.code.filter(|_| owner == OWNER) {
            reply.metadata.response_code = code;
        } else if let Some(found) = found {
            reply.answers.extend(found.iter().cloned());
        } else {
            let soa = SOA::new(name("ns1.z.test"), name("h.z.test"), 1, 60, 60, 3600, 7);
            reply.authorities.push(record("z.test", 30, RData::SOA(soa)));
        }
        reply.add_query(query);
        reply
    }
}

async fn serve(address: SocketAddr, says: Says) -> SocketAddr {
    let socket = UdpSocket::bind(address).await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let reply = says.answer(&Message::from_vec(&buffer[..length]).unwrap());
            socket.send_to(&reply.to_vec().unwrap(), from).await.unwrap();
        }
    });
    at
}

/// A resolver and two name servers, which share a port as the real ones do.
async fn world(first: Says, second: Says) -> Authorities {
    let any = |host: u8| SocketAddr::new(IpAddr::from([127, 0, 0, host]), 0);
    let first = serve(any(1), first).await;
    serve(SocketAddr::new(any(2).ip(), first.port()), second).await;
    let resolver = serve(any(1), Says::zone(false)).await;
    authorities(resolver, first.port())
}

fn authorities(resolver: SocketAddr, port: u16) -> Authorities {
    let settings = Settings {
        servers: vec![resolver],
        timeout: Duration::from_secs(20),
        authority_port: port,
        ..Settings::default()
    };
    Authorities::new(&settings, Families::V4).unwrap()
}

fn owner() -> Domain {
    Domain::new(OWNER).unwrap()
}

#[tokio::test]
async fn each_server_is_asked_for_what_it_serves() {
    let first = Says::zone(true).with(record(OWNER, 60, tlsa(1))).with(record(OWNER, 60, tlsa(2)));
    let second = Says::zone(true).with(record(OWNER, 300, tlsa(1)));
    let asked = world(first, second).await;
    let zone = asked.zone(&owner()).await.unwrap().unwrap();
    assert_eq!((zone.apex.as_str(), zone.primary.as_str(), zone.servers.len()), ("z.test", "ns1.z.test", 2));
    let mut seen = Vec::new();
    for server in &zone.servers {
        let served = asked.tlsa(server, &owner()).await.unwrap();
        seen.push((server.name.as_str(), served.records.len(), served.ttl.as_secs(), served.signed_until));
    }
    assert_eq!(seen, [("ns1.z.test", 2, 60, None), ("ns2.z.test", 1, 300, None)]);
}

#[tokio::test]
async fn an_absence_has_a_time_to_live_and_an_alias_is_told() {
    let alias = record(OWNER, 90, RData::CNAME(CNAME(name("tlsa.z.test"))));
    let asked = world(Says::zone(true), Says::zone(true).with(alias)).await;
    let zone = asked.zone(&owner()).await.unwrap().unwrap();
    let none = asked.tlsa(&zone.servers[0], &owner()).await.unwrap();
    // RFC 2308 §5: the lesser of the SOA record's TTL, 30, and its minimum, 7.
    assert_eq!((none.records.len(), none.ttl.as_secs(), none.alias), (0, 7, None));
    let alias = asked.tlsa(&zone.servers[1], &owner()).await.unwrap();
    assert_eq!((alias.alias.unwrap().as_str(), alias.ttl.as_secs()), ("tlsa.z.test", 90));
}

#[tokio::test]
async fn a_server_that_does_not_know_is_no_answer() {
    let lame = Says::zone(false).with(record(OWNER, 60, tlsa(1)));
    let broken = Says { code: Some(ResponseCode::ServFail), ..Says::zone(true) };
    let asked = world(lame, broken).await;
    let zone = asked.zone(&owner()).await.unwrap().unwrap();
    for (server, words) in zone.servers.iter().zip(["not authoritative", "SERVFAIL"]) {
        let failure = asked.tlsa(server, &owner()).await.unwrap_err();
        assert_eq!(failure.failure, DnsFailureKind::ServerFailure);
        assert!(failure.detail.contains(words) && failure.detail.contains(server.name.as_str()), "{failure}");
    }
}

#[tokio::test]
async fn a_name_server_without_an_address_spoils_the_zone() {
    let mut resolver = Says::zone(false);
    resolver.answers.remove(&("ns2.z.test".to_owned(), RecordType::A));
    let at = serve(SocketAddr::from(([127, 0, 0, 1], 0)), resolver).await;
    let failure = authorities(at, 53).zone(&owner()).await.unwrap_err();
    assert!(failure.detail.contains("ns2.z.test has no address"), "{failure}");
}

/// Takes one update over TCP, checks its signature, and answers with this code; signed with `with`.
async fn primary(code: ResponseCode, with: Option<TSigner>, seen: Arc<Mutex<Option<Message>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut octets = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut octets).await.unwrap();
        let (mac, ..) = signer(b"secret").verify_message_byte(&octets, None, true).unwrap();
        let asked = Message::from_vec(&octets).unwrap();
        let mut reply = Message::response(asked.metadata.id, OpCode::Update);
        reply.metadata.response_code = code;
        if let Some(with) = with {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            let context = Context::new(asked.metadata.id, now, with, mac, None);
            let signature = context.sign(&reply.to_bytes().unwrap()).unwrap();
            reply.set_signature(signature);
        }
        *seen.lock().unwrap() = Some(asked);
        let reply = reply.to_vec().unwrap();
        stream.write_u16(reply.len() as u16).await.unwrap();
        stream.write_all(&reply).await.unwrap();
    });
    at
}

fn signer(secret: &[u8]) -> TSigner {
    TSigner::new(secret.to_vec(), TsigAlgorithm::HmacSha256, name("k"), 300).unwrap()
}

#[tokio::test]
async fn an_update_replaces_the_set_it_was_thought_out_for_and_its_answer_is_signed() {
    use ResponseCode::{NXRRSet, NoError, NotAuth, Refused};
    // c2VjcmV0 is "secret".
    let key = TsigKey::parse("key \"k\" { algorithm hmac-sha256; secret \"c2VjcmV0\"; };").unwrap();
    let one = |octet| Tlsa::new(3, 1, 1, &[octet; 32]);
    let update = TlsaUpdate {
        zone: Domain::new("z.test").unwrap(),
        owner: owner(),
        before: vec![one(1)],
        after: vec![one(1), one(2)],
        ttl: Duration::from_secs(300),
    };
    let asked = authorities(SocketAddr::from(([127, 0, 0, 1], 9)), 53);
    for (code, with, verdict) in [
        (NoError, Some(signer(b"secret")), "done"),
        (NoError, Some(signer(b"guess")), "unsigned"),
        (NoError, None, "unsigned"),
        (NXRRSet, Some(signer(b"secret")), "changed"),
        (Refused, Some(signer(b"secret")), "refused"),
        (NotAuth, None, "refused"),
    ] {
        let seen = Arc::new(Mutex::new(None));
        let at = primary(code, with, Arc::clone(&seen)).await;
        let told = match asked.update(at, &key, &update).await {
            Ok(()) => "done",
            Err(UpdateError::Unsigned(_)) => "unsigned",
            Err(UpdateError::Changed(_)) => "changed",
            Err(UpdateError::Refused { .. }) => "refused",
            Err(other) => unreachable!("{other}"),
        };
        assert_eq!(told, verdict, "{code}");
        let message = seen.lock().unwrap().take().unwrap();
        assert_eq!(
            (message.metadata.op_code, message.metadata.message_type),
            (OpCode::Update, MessageType::Query)
        );
        assert_eq!(
            (message.answers.len(), message.authorities.len()),
            (1, 3),
            "what holds; all go, two come"
        );
    }
}
