//! Opening sessions.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    net::{TcpSocket, UnixStream},
    time::Instant,
};
use waxseal_smtp::{Hello, Offer, Opening, OpeningError, OpeningStep, Stage, StartTls};
use waxseal_types::{ConnectionId, Protocol, Service, TlsFacts, TlsShape};

use crate::{
    Cause, Endpoint, Error, Lane, OpenError, OpenReport, OpenRequest, Opened, Session, Settings,
    StarttlsOutcome, Statistics, TlsUse,
    channel::{Channel, connecting},
    counters::Counters,
    graves::Graves,
    limits::Limits,
    pool::Pool,
    shape::Key,
    socket::{Socket, Stream},
    tls::Tls,
};

/// Numbers connections for the life of the process, whichever connector made them.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

/// Opens sessions and keeps idle ones. Cloning is cheap; clones share everything.
#[derive(Debug, Clone)]
pub struct Connector {
    main: Manner,
    /// Services with settings of their own.
    named: Arc<BTreeMap<Service, Manner>>,
    pool: Arc<Pool>,
    limits: Arc<Limits>,
    counters: Arc<Counters>,
}

/// How the connections of one service are made, and what is known from those that were.
#[derive(Debug, Clone)]
struct Manner {
    settings: Arc<Settings>,
    tls: Arc<Tls>,
    graves: Arc<Graves>,
}

impl Manner {
    fn new(settings: Settings) -> Result<Self, Error> {
        let name = settings.helo_name.as_str();
        let speakable =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']');
        if name.is_empty() || name.len() > 255 || !name.bytes().all(speakable) {
            return Err(Error::HeloName(settings.helo_name));
        }
        let settings = Arc::new(settings);
        let tls = Arc::new(Tls::new(Arc::clone(&settings))?);
        let graves = Arc::new(Graves::new(settings.dead_address_time));
        Ok(Self { settings, tls, graves })
    }
}

impl Connector {
    /// A connector with its own TLS session cache and its own idle connections.
    ///
    /// # Errors
    /// [`Error`] names the setting that cannot be.
    pub fn new(mut settings: Settings) -> Result<Self, Error> {
        let mut named = BTreeMap::new();
        for (service, settings) in std::mem::take(&mut settings.services) {
            named.insert(service, Manner::new(settings)?);
        }
        let main = Manner::new(settings)?;
        let counters = Arc::<Counters>::default();
        let pool = Arc::new(Pool::new(Arc::clone(&main.settings), Arc::clone(&counters)));
        let limits = Arc::new(Limits::new(&main.settings, Arc::clone(&counters)));
        Ok(Self { main, named: Arc::new(named), pool, limits, counters })
    }

    /// One more with idle connections of its own; TLS sessions, limits, and what is known of dead addresses, are shared: for another core.
    #[must_use]
    pub fn sibling(&self) -> Self {
        let counters = Arc::clone(&self.counters);
        let pool = Arc::new(Pool::new(Arc::clone(&self.main.settings), Arc::clone(&counters)));
        let (named, limits) = (Arc::clone(&self.named), Arc::clone(&self.limits));
        Self { main: self.main.clone(), named, pool, limits, counters }
    }

    fn manner(&self, service: &Service) -> Option<&Manner> {
        if service.name().is_none() { Some(&self.main) } else { self.named.get(service) }
    }

    /// Takes an idle connection or makes one, up to a session that takes mail.
    ///
    /// Nothing but EHLO, STARTTLS and QUIT is sent: whether the connection may carry mail is for the judge of its TLS to say.
    ///
    /// # Errors
    /// [`OpenError`] has the stage, the cause and how far it came. The connection is closed then.
    pub async fn open(&self, request: &OpenRequest) -> Result<Opened, OpenError> {
        let Some(manner) = self.manner(&request.service) else {
            let cause = Cause::Configuration(format!("there is no service {}", request.service));
            return Err(fresh_failure(cause));
        };
        let key = Key::of(request, &manner.settings);
        let idle = if request.reuse { self.pool.take(&key, &request.tls) } else { None };
        if request.reuse {
            let counter = if idle.is_some() { &self.counters.pool_hits } else { &self.counters.pool_misses };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(session) = idle {
            let report = OpenReport { pooled: true, ..session.report.clone() };
            return Ok(Opened { session, report });
        }
        if let Some(error) = self.recall(request) {
            return Err(error);
        }
        let started = Instant::now();
        let report = OpenReport::new(ConnectionId(CONNECTIONS.fetch_add(1, Ordering::Relaxed)));
        let berth = self.limits.berth(&request.endpoint, &self.pool).await;
        let berth = berth.map_err(|crowd| fresh_failure(Cause::Crowded(crowd)))?;
        let attempt = Attempt { counters: &self.counters, manner, request, key, report, started };
        let mut opened = match attempt.run().await {
            Ok(opened) => opened,
            Err(error) => {
                self.limits.heed(&error.cause, &self.pool).await;
                return Err(error);
            }
        };
        opened.session.berth = Some(berth);
        Ok(opened)
    }

    /// What [`Connector::open`] would say at once: the address did not answer a while ago ([`Settings::dead_address_time`]).
    #[must_use]
    pub fn recall(&self, request: &OpenRequest) -> Option<OpenError> {
        let cause = self.manner(&request.service)?.graves.find(&request.endpoint)?;
        self.counters.remembered.fetch_add(1, Ordering::Relaxed);
        Some(fresh_failure(cause))
    }

    /// Makes a lane of a session, and the task that moves it; it gives the connection back here in the end.
    pub fn lead(&self, session: Session) -> (Lane, impl Future<Output = ()> + use<>) {
        Lane::new(session, self.clone())
    }

    /// Keeps an idle session for [`Settings::cache_time_limit`]; one that is not to be kept is told QUIT.
    pub async fn park(&self, session: Session) {
        if let Some(session) = self.pool.put(session) {
            session.quit().await;
        }
    }

    /// What this connector and its siblings have done, and what they keep.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let manners = || std::iter::once(&self.main).chain(self.named.values());
        Statistics {
            sessions_crowded: manners().map(|manner| manner.tls.sessions_crowded()).sum(),
            graves_crowded: manners().map(|manner| manner.graves.crowded()).sum(),
            ..self.counters.read(manners().map(|manner| manner.tls.sessions()).sum())
        }
    }

    /// How many idle connections there are.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.pool.len()
    }

    /// Says QUIT on all idle connections: at the end of the process, or when the policy was loaded anew.
    pub async fn close_idle(&self) {
        for session in self.pool.clear() {
            session.quit().await;
        }
    }
}

/// Before anybody was called.
fn fresh_failure(cause: Cause) -> OpenError {
    let report = OpenReport::new(ConnectionId(CONNECTIONS.fetch_add(1, Ordering::Relaxed)));
    OpenError { stage: Stage::Connect, cause, report: Box::new(report) }
}

/// One connection being opened.
struct Attempt<'a> {
    counters: &'a Counters,
    manner: &'a Manner,
    request: &'a OpenRequest,
    key: Key,
    report: OpenReport,
    started: Instant,
}

impl Attempt<'_> {
    async fn run(mut self) -> Result<Opened, OpenError> {
        let limit = self.manner.settings.connect_timeout;
        let connected = connecting(limit, self.connect()).await;
        self.report.times.connect = self.started.elapsed();
        let mut channel = match connected {
            Ok(socket) => Channel::new(socket),
            Err(cause) => {
                self.manner.graves.bury(&self.request.endpoint, &cause);
                return Err(self.failed(Stage::Connect, cause));
            }
        };
        if let TlsUse::Implicit(shape) = &self.request.tls {
            let facts;
            (channel, facts) = match self.handshake(channel, shape).await {
                Ok(done) => done,
                Err(cause) => return Err(self.failed(Stage::Tls, cause)),
            };
            self.report.starttls = StarttlsOutcome::Established(facts);
        }
        self.converse(channel).await
    }

    async fn connect(&self) -> std::io::Result<Socket> {
        let settings = &self.manner.settings;
        let (socket, source): (_, Option<SocketAddr>) = match &self.request.endpoint {
            Endpoint::Unix(path) => return UnixStream::connect(&**path).await.map(Socket::Unix),
            Endpoint::Inet(SocketAddr::V4(_)) => {
                (TcpSocket::new_v4()?, settings.bind_address.map(|ip| (ip, 0).into()))
            }
            Endpoint::Inet(SocketAddr::V6(_)) => {
                (TcpSocket::new_v6()?, settings.bind_address6.map(|ip| (ip, 0).into()))
            }
        };
        // A flight is one write; waiting for more to fill a segment only costs a round trip.
        socket.set_nodelay(true)?;
        if let Some(source) = source {
            socket.bind(source)?;
        }
        match &self.request.endpoint {
            Endpoint::Inet(address) => socket.connect(*address).await.map(Socket::Tcp),
            Endpoint::Unix(path) => UnixStream::connect(&**path).await.map(Socket::Unix),
        }
    }

    /// From the greeting to a session, as the machine says.
    async fn converse(mut self, mut channel: Channel) -> Result<Opened, OpenError> {
        let mut opening = Opening::new(self.hello());
        let mut step = OpeningStep::Await(Stage::Greeting);
        loop {
            step = match step {
                OpeningStep::Await(stage) => match self.answer(&mut channel, &mut opening, stage).await {
                    Ok(step) => step,
                    Err(cause) => return Err(self.broken(stage, cause)),
                },
                OpeningStep::StartTls => match self.start_tls(channel).await {
                    Ok(secured) => {
                        channel = secured;
                        opening.secured(&mut channel.output)
                    }
                    Err(cause) => return Err(self.failed(Stage::Tls, cause)),
                },
                OpeningStep::Ready(ehlo, offer) => {
                    self.report.starttls_offered |= ehlo.starttls;
                    self.report.ehlo = Arc::new(ehlo);
                    self.note(offer);
                    return Ok(self.opened(channel));
                }
                OpeningStep::Failed(error) => {
                    channel.quit(self.manner.settings.quit_timeout).await;
                    return Err(self.refused(error));
                }
            };
        }
    }

    fn hello(&self) -> Hello {
        let settings = &self.manner.settings;
        let detect_loop = match &self.request.endpoint {
            Endpoint::Inet(address) => address.port() == settings.loop_port,
            Endpoint::Unix(_) => false,
        };
        Hello {
            protocol: self.request.service.protocol(),
            name: settings.helo_name.clone(),
            starttls: match &self.request.tls {
                TlsUse::Never | TlsUse::Implicit(_) => StartTls::Never,
                TlsUse::IfOffered(_) => StartTls::IfOffered,
                TlsUse::Required(_) => StartTls::Required,
            },
            detect_loop: detect_loop && self.request.service.protocol() == Protocol::Smtp,
            discard: match self.request.service.protocol() {
                Protocol::Smtp => settings.discard,
                Protocol::Lmtp => settings.lmtp_discard,
            },
        }
    }

    async fn answer(
        &mut self,
        channel: &mut Channel,
        opening: &mut Opening,
        stage: Stage,
    ) -> Result<OpeningStep, Cause> {
        let limit = self.manner.settings.limit(stage);
        channel.flush(limit).await?;
        let reply = channel.reply(limit).await?;
        if stage == Stage::Greeting {
            self.report.times.greeting = self.started.elapsed() - self.report.times.connect;
            self.report.greeting = Some(reply.clone());
        }
        let mut output = std::mem::take(&mut channel.output);
        let step = opening.reply(&reply, channel.lines(), &mut output);
        channel.output = output;
        Ok(step)
    }

    /// The 220 has been read; whatever fails from here on is a failed handshake. RFC 3207 §4.2: whatever else came in clear is not looked at.
    async fn start_tls(&mut self, mut channel: Channel) -> Result<Channel, Cause> {
        self.report.starttls_offered = true;
        self.report.injected = channel.discard_input();
        let Some(shape) = self.request.tls.shape() else {
            return Err(Cause::Configuration("no shape for a handshake".into()));
        };
        let (channel, facts) = self.handshake(channel, shape).await?;
        self.report.starttls = StarttlsOutcome::Established(facts);
        Ok(channel)
    }

    async fn handshake(
        &mut self,
        mut channel: Channel,
        shape: &TlsShape,
    ) -> Result<(Channel, Arc<TlsFacts>), Cause> {
        let started = Instant::now();
        let output = std::mem::take(&mut channel.output);
        let Stream::Clear(socket) = channel.into_stream() else {
            return Err(Cause::Configuration("TLS within TLS".into()));
        };
        let hello = self.manner.tls.hello(shape, self.key, self.request.resume)?;
        let limit = self.manner.settings.starttls_timeout;
        let handshake = tokio::time::timeout(limit, hello.shake(socket)).await;
        self.report.times.tls = started.elapsed();
        let (stream, facts) = handshake.unwrap_or(Err(Cause::Timeout))?;
        let counter = if facts.resumed { &self.counters.resumed } else { &self.counters.full };
        counter.fetch_add(1, Ordering::Relaxed);
        Ok((Channel::over(Stream::Tls(Box::new(stream)), output), Arc::new(facts)))
    }

    fn note(&mut self, offer: Offer) {
        let outcome = match offer {
            // Under TLS already, by STARTTLS or from the first octet; or not wanted.
            Offer::Taken | Offer::NotWanted => return,
            Offer::NotOffered => StarttlsOutcome::NotOffered,
            Offer::EhloRefused => StarttlsOutcome::EhloRefused,
            Offer::Refused(reply) => {
                self.report.starttls_offered = true;
                StarttlsOutcome::Refused(reply)
            }
        };
        self.report.starttls = outcome;
    }

    fn opened(mut self, channel: Channel) -> Opened {
        self.report.times.total = self.started.elapsed();
        let settings = Arc::clone(&self.manner.settings);
        let session =
            Session::new(channel, settings, self.request.service.protocol(), self.report.clone(), self.key);
        Opened { session, report: self.report }
    }

    fn refused(mut self, error: OpeningError) -> OpenError {
        match error {
            OpeningError::Rejected { stage, reply } => self.failed(stage, Cause::Reply(reply)),
            OpeningError::LoopsToSelf => self.failed(Stage::Hello, Cause::LoopsToSelf),
            OpeningError::NoStartTls(offer) => {
                let cause = match &offer {
                    Offer::Refused(reply) => Cause::Refused(reply.clone()),
                    Offer::NotWanted | Offer::NotOffered | Offer::EhloRefused | Offer::Taken => {
                        Cause::NotOffered
                    }
                };
                self.note(offer);
                self.failed(Stage::StartTls, cause)
            }
        }
    }

    /// With TLS 1.3 the server's last word on a handshake, such as "certificate required", comes with the first data.
    fn broken(self, stage: Stage, cause: Cause) -> OpenError {
        let stage = if matches!(cause, Cause::Handshake(_)) { Stage::Tls } else { stage };
        self.failed(stage, cause)
    }

    fn failed(mut self, stage: Stage, cause: Cause) -> OpenError {
        self.report.times.total = self.started.elapsed();
        OpenError { stage, cause, report: Box::new(self.report) }
    }
}
