use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::SOA},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinHandle,
};

use super::{
    answer::{Answer, answer},
    world::{Health, World},
    zone::{Fault, Zone},
};

/// Tries for a port that is free for UDP and TCP alike.
const PORT_TRIES: usize = 50;

/// A resolver on a loopback port. Dropping it closes the port.
#[derive(Debug)]
pub struct DnsServer {
    addr: SocketAddr,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

/// One question that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// In lower case, without the last dot.
    pub name: String,
    /// As in zone files: `A`, `TLSA`.
    pub kind: String,
    /// Over TCP.
    pub tcp: bool,
    /// With the DO bit: signatures wanted.
    pub dnssec: bool,
}

type Twist = Arc<dyn Fn(&mut Message) + Send + Sync>;

struct Shared {
    validates: bool,
    state: Mutex<State>,
}

struct State {
    zone: Zone,
    world: World,
    twist: Option<Twist>,
    asked: Vec<Asked>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("validates", &self.validates).finish_non_exhaustive()
    }
}

impl DnsServer {
    /// A resolver that validates: AD where all is secure, SERVFAIL where something is bogus.
    ///
    /// # Errors
    /// No port, or a name in the zone that is none.
    pub async fn start(zone: Zone) -> io::Result<Self> {
        Self::serve(zone, true).await
    }

    /// A resolver that passes everything on as it is, never with AD.
    ///
    /// # Errors
    /// No port, or a name in the zone that is none.
    pub async fn forwarder(zone: Zone) -> io::Result<Self> {
        Self::serve(zone, false).await
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The root's key, as a trust anchor file has it.
    #[must_use]
    pub fn trust_anchor(&self) -> String {
        self.shared.lock().world.root_keys().map(|keys| keys.anchor(&Name::root())).unwrap_or_default()
    }

    /// The key of the signed zone that `name` lies in, as a trust anchor file has it.
    #[must_use]
    pub fn trust_anchor_of(&self, name: &str) -> String {
        let state = self.shared.lock();
        let part = Name::from_ascii(format!("{}.", name.trim_end_matches('.'))).ok();
        let part = part.and_then(|name| state.world.part(&name));
        part.map(|part| part.keys.anchor(&part.apex)).unwrap_or_default()
    }

    /// What was asked since the start, or since the last [`DnsServer::forget`].
    #[must_use]
    pub fn questions(&self) -> Vec<Asked> {
        self.shared.lock().asked.clone()
    }

    /// How often `kind` of `name` was asked.
    #[must_use]
    pub fn count(&self, name: &str, kind: &str) -> usize {
        self.shared.lock().asked.iter().filter(|asked| asked.name == name && asked.kind == kind).count()
    }

    /// Clears the list of questions.
    pub fn forget(&self) {
        self.shared.lock().asked.clear();
    }

    /// Changes the zone from the next question on. Keys stay.
    ///
    /// # Errors
    /// A name in the zone that is none; the old zone stays then.
    pub fn edit(&self, change: impl FnOnce(Zone) -> Zone) -> io::Result<()> {
        let mut state = self.shared.lock();
        let zone = change(state.zone.clone());
        let empty = World::new(Zone::new(), None).map_err(invalid)?;
        let last = std::mem::replace(&mut state.world, empty);
        state.world = World::new(zone.clone(), Some(last)).map_err(invalid)?;
        state.zone = zone;
        Ok(())
    }

    /// Rewrites every reply on its way out: the lies that no zone can tell.
    pub fn twist(&self, twist: impl Fn(&mut Message) + Send + Sync + 'static) {
        self.shared.lock().twist = Some(Arc::new(twist));
    }

    async fn serve(zone: Zone, validates: bool) -> io::Result<Self> {
        let world = World::new(zone.clone(), None).map_err(invalid)?;
        let (udp, tcp) = bind().await?;
        let addr = udp.local_addr()?;
        let state = State { zone, world, twist: None, asked: Vec::new() };
        let shared = Arc::new(Shared { validates, state: Mutex::new(state) });
        let tasks = vec![
            tokio::spawn(serve_udp(udp, Arc::clone(&shared))),
            tokio::spawn(serve_tcp(tcp, Arc::clone(&shared))),
        ];
        Ok(Self { addr, shared, tasks })
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}

async fn bind() -> io::Result<(UdpSocket, TcpListener)> {
    let mut tries = 0;
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(problem) if tries == PORT_TRIES => return Err(problem),
            Err(_) => tries += 1,
        }
    }
}

async fn serve_udp(socket: UdpSocket, shared: Arc<Shared>) {
    let mut buffer = vec![0; 4096];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let Some(query) = buffer.get(..length).and_then(|packet| Message::from_vec(packet).ok()) else {
            continue;
        };
        for reply in shared.reply(&query, false) {
            let _ = socket.send_to(&reply, client).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_stream(stream, Arc::clone(&shared)));
        }
    }
}

async fn serve_stream(mut stream: TcpStream, shared: Arc<Shared>) {
    while let Ok(length) = stream.read_u16().await {
        let mut packet = vec![0; usize::from(length)];
        if stream.read_exact(&mut packet).await.is_err() {
            return;
        }
        let Ok(query) = Message::from_vec(&packet) else { return };
        let replies = shared.reply(&query, true);
        if replies.is_empty() {
            return;
        }
        for reply in replies {
            let Ok(length) = u16::try_from(reply.len()) else { return };
            let framed = [&length.to_be_bytes()[..], &reply].concat();
            if stream.write_all(&framed).await.is_err() {
                return;
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The packets that answer `query`: mostly one, none for silence, several for a forger.
    fn reply(&self, query: &Message, tcp: bool) -> Vec<Vec<u8>> {
        let Some(question) = query.queries.first() else { return Vec::new() };
        let (name, kind) = (question.name().clone(), question.query_type());
        let dnssec = query.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
        let mut state = self.lock();
        let text = name.to_lowercase().to_ascii();
        let asked = if name.is_root() { ".".to_owned() } else { text.trim_end_matches('.').to_owned() };
        state.asked.push(Asked { name: asked, kind: kind.to_string(), tcp, dnssec });
        let fault = state.world.fault(&name, kind);
        let truth = || {
            let mut reply = self.truth(&state.world, query, question);
            if let Some(twist) = &state.twist {
                twist(&mut reply);
            }
            fit(reply, query, tcp)
        };
        match fault {
            None => vec![truth()],
            Some(Fault::Truncated) if tcp => vec![truth()],
            Some(Fault::ForgedFirst) => forged(query, question).into_iter().chain([truth()]).collect(),
            Some(fault) => faulty(fault, query, question, tcp),
        }
    }

    fn truth(&self, world: &World, query: &Message, question: &Query) -> Message {
        let found = answer(world, question.name(), question.query_type());
        let dnssec = query.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
        let mut reply = empty(query, question, ResponseCode::NoError);
        if self.validates && found.health == Health::Bogus && !query.metadata.checking_disabled {
            reply.metadata.response_code = ResponseCode::ServFail;
            return reply;
        }
        let wants_ad = dnssec || query.metadata.authentic_data;
        reply.metadata.authentic_data = self.validates && wants_ad && found.health == Health::Secure;
        let Answer { code, answers, authorities, .. } = found;
        reply.metadata.response_code = code;
        reply.add_answers(answers).add_authorities(authorities);
        reply.maybe_strip_dnssec_records(dnssec)
    }
}

fn empty(query: &Message, question: &Query, code: ResponseCode) -> Message {
    let mut reply = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    reply.metadata.recursion_desired = query.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.response_code = code;
    reply.add_query(question.clone());
    if let Some(asked) = &query.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(1232).set_dnssec_ok(asked.flags().dnssec_ok);
        reply.edns = Some(edns);
    }
    reply
}

/// As octets; truncated where they do not fit the client's UDP payload (RFC 6891 §6.2.3).
fn fit(reply: Message, query: &Message, tcp: bool) -> Vec<u8> {
    let octets = reply.to_vec().unwrap_or_default();
    let room = if tcp { u16::MAX } else { query.edns.as_ref().map_or(512, Edns::max_payload).max(512) };
    if octets.len() <= usize::from(room) { octets } else { reply.truncate().to_vec().unwrap_or_default() }
}

fn forged(query: &Message, question: &Query) -> Vec<Vec<u8>> {
    let mut other_id = empty(query, question, ResponseCode::NXDomain);
    other_id.metadata.id = query.metadata.id.wrapping_add(1);
    [other_id, other_question(query)].into_iter().filter_map(|message| message.to_vec().ok()).collect()
}

fn other_question(query: &Message) -> Message {
    let question = Query::query(Name::root(), RecordType::TXT);
    empty(query, &question, ResponseCode::NoError)
}

/// With an unsigned SOA record of the root, as an absence has.
fn absent(mut reply: Message) -> Vec<u8> {
    let soa = SOA::new(Name::root(), Name::root(), 1, 3600, 600, 86400, 60);
    reply.add_authority(Record::from_rdata(Name::root(), 60, RData::SOA(soa)));
    reply.to_vec().unwrap_or_default()
}

fn faulty(fault: Fault, query: &Message, question: &Query, tcp: bool) -> Vec<Vec<u8>> {
    let coded = |code| vec![empty(query, question, code).to_vec().unwrap_or_default()];
    match fault {
        Fault::Silent | Fault::ForgedFirst => Vec::new(),
        Fault::ServFail => coded(ResponseCode::ServFail),
        Fault::Refused => coded(ResponseCode::Refused),
        Fault::NotImp => coded(ResponseCode::NotImp),
        Fault::FormErr => coded(ResponseCode::FormErr),
        Fault::NxDomain => vec![absent(empty(query, question, ResponseCode::NXDomain))],
        Fault::NoData => vec![absent(empty(query, question, ResponseCode::NoError))],
        Fault::Empty => coded(ResponseCode::NoError),
        Fault::TruncatedTcpDead if tcp => Vec::new(),
        Fault::Truncated | Fault::TruncatedTcpDead => {
            let mut reply = empty(query, question, ResponseCode::NoError);
            reply.metadata.truncation = true;
            vec![reply.to_vec().unwrap_or_default()]
        }
        Fault::Garbage => {
            let mut octets = query.metadata.id.to_be_bytes().to_vec();
            octets.extend_from_slice(&[0x81, 0x80, 0, 1, 0, 9, 0, 0, 0, 0, 0xc0, 0xff, 1, 2, 3]);
            vec![octets]
        }
        Fault::WrongQuestion => vec![other_question(query).to_vec().unwrap_or_default()],
    }
}
