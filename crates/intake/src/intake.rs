//! The bound sockets, and all that sessions share.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    task::JoinSet,
};
use waxseal_smtp::server;
use waxseal_spool::Accept;

use crate::{
    Error, Settings,
    client::{Client, Clients},
    ids::Ids,
    listener::{Bound, Listener},
    session,
};

/// An intake whose addresses are bound.
#[derive(Debug)]
pub struct Intake {
    pub(crate) settings: Settings,
    pub(crate) protocol: Arc<server::Settings>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) memory: Memory,
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
    /// An address that cannot be listened on, or none at all; see [`Error::is_configuration`].
    pub fn bind(settings: Settings) -> Result<Self, Error> {
        if settings.listen.is_empty() {
            return Err(Error::NoListeners);
        }
        let bound = settings.listen.iter().map(Bound::new).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            protocol: Arc::new(settings.protocol.clone()),
            settings,
            clients: Clients::new(),
            memory: Memory::default(),
            ids: Ids::new(),
            closing: watch::Sender::new(false),
            addresses: bound.iter().filter_map(Bound::local_addr).collect(),
            bound: Mutex::new(bound),
        })
    }

    /// The TCP addresses it listens on, in the order of the settings, ports filled in.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How many clients are connected.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.clients.count()
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
        session::run(stream, client, self, accept).await;
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

/// Octets of texts that sessions hold.
#[derive(Debug, Default)]
pub(crate) struct Memory(AtomicUsize);

impl Memory {
    pub(crate) fn is_full(&self, limit: usize) -> bool {
        self.0.load(Ordering::Relaxed) >= limit
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
