//! The bound sockets, and all that sessions share.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Notify, watch},
    task::JoinSet,
};
use waxseal_smtp::server;
use waxseal_spool::Accept;

use crate::{
    Error, Level, Neighbours, Settings,
    auth::Authenticator,
    client::{Client, Clients},
    counters::{Counters, Statistics},
    ids::Ids,
    listener::{Bound, Listener, Mode},
    protocols::Protocols,
    rates::Rates,
    session,
    tls::{Change, Front},
};

/// How often the files of certificates are looked at.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_FOR_NONE: Duration = Duration::from_secs(30);

/// An intake whose addresses are bound.
#[derive(Debug)]
pub struct Intake {
    pub(crate) settings: Settings,
    pub(crate) protocol: Arc<server::Settings>,
    pub(crate) protocols: Protocols,
    pub(crate) rates: Rates,
    /// TLS, where any listener has it.
    pub(crate) front: Option<Front>,
    pub(crate) authenticator: Option<Authenticator>,
    pub(crate) neighbours: Neighbours,
    reload: Notify,
    notices: Vec<String>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) memory: Memory,
    pub(crate) counters: Counters,
    pub(crate) ids: Ids,
    pub(crate) closing: watch::Sender<bool>,
    /// Outside of whatever serves, so that the ports stay bound, and clients wait, while that is started again.
    bound: Mutex<Vec<Bound>>,
    addresses: Vec<SocketAddr>,
}

impl Intake {
    /// Binds all of `settings.listen`.
    ///
    /// # Errors
    /// An address that cannot be listened on, or none at all; a certificate that cannot be used; see [`Error::is_configuration`].
    pub fn bind(settings: Settings) -> Result<Self, Error> {
        Self::bind_with(settings, Neighbours::default())
    }

    /// The same, with somebody to ask for tables and TLSA records.
    ///
    /// # Errors
    /// As [`Intake::bind`].
    pub fn bind_with(mut settings: Settings, neighbours: Neighbours) -> Result<Self, Error> {
        let bound = listeners(&settings)?;
        let addresses: Vec<_> = bound.iter().filter_map(Bound::local_addr).collect();
        let (mut front, mut notices) = (None, Vec::new());
        if settings.wants_tls() {
            let with_tls = bound.iter().filter(|one| one.mode().has_tls());
            let mut ports: Vec<u16> = with_tls.filter_map(|one| Some(one.local_addr()?.port())).collect();
            ports.dedup();
            let named = (settings.protocol.hostname.as_str(), ports);
            let (made, told) = Front::new(settings.tls.clone(), named, neighbours.clone())?;
            (front, notices) = (Some(made), told);
        }
        settings.protocol.auth = settings.auth.users.is_some();
        let tables = || Arc::clone(&neighbours.tables);
        Ok(Self {
            protocol: Arc::new(settings.protocol.clone()),
            protocols: Protocols::new(&settings.protocol),
            rates: Rates::new(settings.rates.clone()),
            authenticator: settings.auth.users.clone().map(|table| Authenticator::new(table, tables())),
            front,
            neighbours,
            reload: Notify::new(),
            notices,
            settings,
            clients: Clients::new(),
            memory: Memory::default(),
            counters: Counters::default(),
            ids: Ids::new(),
            closing: watch::Sender::new(false),
            addresses,
            bound: Mutex::new(bound),
        })
    }

    /// The TCP addresses it listens on, in the order of the settings, ports filled in.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What the operator should know of the certificates' files.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Whether a client that says STARTTLS can have it now.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.front.as_ref().is_some_and(Front::is_ready)
    }

    /// Looks after the certificates for as long as it is polled: files that change are read and, where DNS allows it, served from then on;
    /// where none is configured, one is made. To be run once, beside [`Intake::serve`].
    pub async fn tend(&self) {
        let Some(front) = &self.front else { return std::future::pending().await };
        let mut forced = false;
        loop {
            match front.refresh(forced).await {
                Change::None => {}
                Change::Switched => tracing::info!("the intake has new certificates"),
                Change::Trouble(what) => tracing::error!("{what}"),
            }
            // While there is none, DNS is asked for it less often than files are looked at.
            let pause = if front.is_ready() { LOOK } else { LOOK_FOR_NONE };
            forced = tokio::time::timeout(pause, self.reload.notified()).await.is_ok();
        }
    }

    /// Names and ports at which clients may hold its certificates against TLSA records; none without TLS.
    #[must_use]
    pub fn places(&self) -> Vec<(String, u16)> {
        self.front.as_ref().map(Front::places).unwrap_or_default()
    }

    /// Has [`Intake::tend`] put into use what the files hold, whatever TLSA records say: for an operator who knows better.
    pub fn switch_certificates(&self) {
        if let Some(front) = &self.front {
            front.insist();
        }
        self.reload();
    }

    /// Has [`Intake::tend`] read everything again, changed or not (SIGHUP).
    pub fn reload(&self) {
        self.reload.notify_one();
    }

    /// How many clients are connected.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.clients.count()
    }

    /// What it has done and is doing.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics {
            rates: self.rates.reached(),
            rates_forgotten: self.rates.forgotten(),
            crowded_auth: self.authenticator.as_ref().map_or(0, Authenticator::crowded),
            ..self.counters.read(self.connections(), self.memory.octets())
        }
    }

    /// Accepts clients until [`Intake::shut_down`]. Has to be polled within a `LocalSet`, on which its sessions run as tasks of their own:
    /// dropping this future stops the accepting, not them. To be called on each thread that shall serve.
    ///
    /// # Errors
    /// A listener that broke; the future may be made again.
    pub async fn serve(self: Arc<Self>, accept: Arc<dyn Accept>) -> Result<(), Error> {
        let mut closing = self.closing.subscribe();
        let mut listeners = JoinSet::new();
        for listener in self.listeners()? {
            listeners.spawn_local(listener.run(Arc::clone(&self), Arc::clone(&accept)));
        }
        tokio::select! {
            biased;
            // The sender is in `self`: this resolves for no other reason.
            _ = closing.wait_for(|closing| *closing) => Ok(()),
            ended = listeners.join_next() => match ended {
                None => Ok(()),
                Some(_) => Err(Error::Died),
            },
        }
    }

    /// Speaks with one client that came some other way, to the end. Without an address it counts as local, and may relay.
    pub async fn attend<S>(self: Arc<Self>, stream: S, address: Option<IpAddr>, accept: Arc<dyn Accept>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let client =
            address.map_or_else(|| Client::local(None), |address| Client::inet(address, &self.settings));
        let mode = Mode::StartTls(self.settings.tls.level);
        session::run(stream, (client, mode), self, accept).await;
    }

    /// Stops accepting and frees the addresses. Clients hear 421 as soon as they are not in the middle of a text; a message that is under
    /// way may end and gets its reply.
    pub fn shut_down(&self) {
        self.closing.send_replace(true);
        self.bound.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Resolves when the last session has ended. How long that may take is the caller's to bound.
    pub async fn drained(&self) {
        self.clients.gone().await;
    }

    fn listeners(&self) -> Result<Vec<Listener>, Error> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner).iter().map(Bound::listen).collect()
    }
}

fn listeners(settings: &Settings) -> Result<Vec<Bound>, Error> {
    let plain = if settings.tls.wrapper { Mode::Wrapped } else { Mode::StartTls(settings.tls.level) };
    let bound = [
        (&settings.listen, plain),
        (&settings.submission, Mode::StartTls(Level::Encrypt)),
        (&settings.submissions, Mode::Wrapped),
    ]
    .into_iter()
    .flat_map(|(addresses, mode)| addresses.iter().map(move |address| Bound::new(address, mode)))
    .collect::<Result<Vec<_>, _>>()?;
    if bound.is_empty() { Err(Error::NoListeners) } else { Ok(bound) }
}

/// Octets of texts that sessions hold.
#[derive(Debug, Default)]
pub(crate) struct Memory(AtomicUsize);

impl Memory {
    fn octets(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn is_full(&self, limit: usize) -> bool {
        self.octets() >= limit
    }
}

/// One session's part of it.
#[derive(Debug)]
pub(crate) struct Share {
    intake: Arc<Intake>,
    octets: usize,
}

impl Share {
    pub(crate) const fn new(intake: Arc<Intake>) -> Self {
        Self { intake, octets: 0 }
    }

    /// The session holds so much now. `false` when all together hold far too much.
    pub(crate) fn set(&mut self, octets: usize) -> bool {
        let memory = &self.intake.memory.0;
        if octets > self.octets {
            memory.fetch_add(octets - self.octets, Ordering::Relaxed);
        } else if octets < self.octets {
            memory.fetch_sub(self.octets - octets, Ordering::Relaxed);
        }
        let grows = octets > self.octets;
        self.octets = octets;
        // Texts that were begun below the limit may grow to twice the limit together.
        !(grows && self.intake.memory.is_full(self.intake.settings.memory_limit.saturating_mul(2)))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}
