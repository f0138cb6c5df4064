//! Assembly.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix::Addr;
use actix_rt::Arbiter;
use waxseal_dns::Resolver;
use waxseal_intake::{Intake, actor::IntakeActor};
use waxseal_policy::{TableAnswer, TableName, Tables};
use waxseal_queue::{
    Sink,
    actor::{AskDoorway, DeathNotice, Doorway, Drain, Factories, QueueManager, SpoolParts, Stop, watch},
};
use waxseal_spool::actor::SpoolActor;
use waxseal_transport::Connector;
use waxseal_trust::Store;

use crate::{
    dnssec::watch_dnssec,
    neighbours::neighbours,
    readings::{HealthSlot, MeterSlot, Readings, Sources, lock, now},
};

/// Everything that an engine is made of.
#[derive(Clone)]
#[expect(missing_docs, reason = "each field is the settings of the crate of its name")]
pub struct EngineSettings {
    pub spool: waxseal_spool::Settings,
    pub intake: waxseal_intake::Settings,
    pub dns: waxseal_dns::Settings,
    pub policy: Arc<waxseal_policy::Settings>,
    /// The tables that `policy` names.
    pub tables: Arc<dyn Tables>,
    pub trust: waxseal_trust::Settings,
    pub transport: waxseal_transport::Settings,
    pub queue: waxseal_queue::Settings,
}

impl From<&waxseal_config::Config> for EngineSettings {
    fn from(config: &waxseal_config::Config) -> Self {
        Self {
            spool: config.spool.clone(),
            intake: config.intake.clone(),
            dns: config.dns.clone(),
            policy: Arc::clone(&config.policy),
            tables: Arc::clone(&config.tables) as Arc<dyn Tables>,
            trust: config.trust.clone(),
            transport: config.transport.clone(),
            queue: config.queue.clone(),
        }
    }
}

impl std::fmt::Debug for EngineSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineSettings").finish_non_exhaustive()
    }
}

/// No tables: every name in the settings is an error, which defers.
#[derive(Debug)]
struct NoTables;

impl Tables for NoTables {
    fn find<'a>(
        &'a self,
        table: &'a TableName,
        _key: &'a str,
    ) -> std::pin::Pin<Box<dyn Future<Output = TableAnswer> + Send + 'a>> {
        Box::pin(async move { TableAnswer::TempFail(format!("{table} is not open")) })
    }

    fn generation(&self) -> u64 {
        0
    }
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            spool: waxseal_spool::Settings::default(),
            intake: waxseal_intake::Settings::default(),
            dns: waxseal_dns::Settings::default(),
            policy: Arc::default(),
            tables: Arc::new(NoTables),
            trust: waxseal_trust::Settings::default(),
            transport: waxseal_transport::Settings::default(),
            queue: waxseal_queue::Settings::default(),
        }
    }
}

/// The engine cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The spool cannot be opened.
    #[error("{0}")]
    Spool(#[from] waxseal_spool::Error),
    /// An address cannot be listened on.
    #[error("{0}")]
    Intake(#[from] waxseal_intake::Error),
    /// There is no usable resolver.
    #[error("dns: {0}")]
    Dns(#[from] waxseal_dns::Error),
    /// The trust store cannot be made.
    #[error("{0}")]
    Trust(#[from] waxseal_trust::Error),
    /// No connector can be made of the settings.
    #[error("transport: {0}")]
    Transport(#[from] waxseal_transport::Error),
    /// The host does not allow what is configured.
    #[error("{0}")]
    Host(String),
    /// The manager died while starting.
    #[error("the queue manager died while starting")]
    Manager,
}

/// What is opened before anything runs, so that a mistake of the operator ends the start.
pub struct Opened {
    settings: EngineSettings,
    spool: SpoolParts,
    intake: Arc<Intake>,
    resolver: Resolver,
    store: Arc<Store>,
    connector: Connector,
    meter: MeterSlot,
    /// What the operator should know: of the resolver and the trust store.
    pub notices: Vec<String>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

impl Opened {
    /// The TCP addresses of the intake.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        self.intake.local_addrs()
    }
}

/// A running engine.
pub struct Engine {
    manager: Addr<QueueManager>,
    life: tokio::task::JoinHandle<()>,
    intake: Arc<Intake>,
    attendant: Attendant,
    store: Arc<Store>,
    resolver: Resolver,
    readings: Readings,
    front: Arbiter,
    grace: Duration,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("intake", &self.intake).finish_non_exhaustive()
    }
}

fn open_spool(
    settings: &waxseal_spool::Settings,
    meter: &MeterSlot,
) -> Result<SpoolParts, waxseal_spool::Error> {
    let (log, recovery) = waxseal_spool::open(settings.clone())?;
    *lock(meter) = Some(log.meter());
    let gate = log.gate().clone();
    Ok(SpoolParts { actor: SpoolActor::new(log), gate, recovered: Box::new(recovery) })
}

impl Engine {
    /// Opens spool, addresses, resolver and stores. No thread of ours takes mail yet.
    ///
    /// # Errors
    /// [`StartError`] says what the operator has to change.
    pub fn open(settings: EngineSettings) -> Result<Opened, StartError> {
        Self::open_with(settings, |_| Ok(Vec::new()))
    }

    /// As [`Engine::open`], with something to do between binding the addresses, which may need privileges, and everything else, which needs
    /// none; it is shown the trust store, whose files must still be readable afterwards.
    ///
    /// # Errors
    /// As there, and what `between` says.
    pub fn open_with(
        settings: EngineSettings,
        between: impl FnOnce(&Store) -> Result<Vec<String>, String>,
    ) -> Result<Opened, StartError> {
        // Privileges may be needed for ports and keys; the resolver needs none, and its sockets come later.
        let resolver = Resolver::new(settings.dns.clone())?;
        let neighbours = neighbours(Arc::clone(&settings.tables), resolver.clone());
        let intake = Arc::new(Intake::bind_with(settings.intake.clone(), neighbours)?);
        let (store, trust_notices) = Store::open(settings.trust.clone())?;
        let mut notices: Vec<String> = trust_notices.iter().map(ToString::to_string).collect();
        notices.extend(intake.notices().iter().cloned());
        notices.extend(between(&store).map_err(StartError::Host)?);
        notices.extend(resolver.notices());
        let mut transport = settings.transport.clone();
        // What is remembered of an address must be forgotten by the time a message comes again.
        transport.dead_address_time = transport.dead_address_time.min(settings.queue.minimal_backoff / 2);
        let connector = Connector::new(transport)?;
        let meter = MeterSlot::default();
        let spool = open_spool(&settings.spool, &meter)?;
        Ok(Opened { settings, spool, intake, resolver, store: Arc::new(store), connector, meter, notices })
    }

    /// [`Engine::open`] and [`Engine::run`].
    ///
    /// # Errors
    /// As those.
    pub async fn start(settings: EngineSettings, sink: Arc<dyn Sink>) -> Result<Self, StartError> {
        Self::run(Self::open(settings)?, sink).await
    }

    /// Runs what was opened; returns when mail is taken.
    ///
    /// # Errors
    /// [`StartError::Manager`].
    pub async fn run(opened: Opened, sink: Arc<dyn Sink>) -> Result<Self, StartError> {
        let Opened { mut settings, spool, intake, resolver, store, connector, meter, .. } = opened;
        // What is delivered to our own addresses comes back to us (RFC 5321 §5.1).
        settings.queue.own_endpoints.extend_from_slice(intake.local_addrs());
        // Deliveries run on the arbiter of the caller, clients and the spool's answers on one of their own.
        let front = Arbiter::new();
        let attendant = Attendant::default();
        let policy = settings.policy;
        let tables = settings.tables;
        let health = HealthSlot::default();
        actix_rt::spawn(watch_dnssec(resolver.clone(), Arc::clone(&health)));
        let tended = Arc::clone(&intake);
        actix_rt::spawn(async move { tended.tend().await });
        let numbers = connector.clone();
        let factories = Factories {
            policy: {
                let (policy, tables) = (Arc::clone(&policy), Arc::clone(&tables));
                Box::new(move || {
                    waxseal_policy::actor::PolicyActor::new(Arc::clone(&policy), Arc::clone(&tables))
                })
            },
            dns: {
                let resolver = resolver.clone();
                Box::new(move || waxseal_dns::actor::DnsActor::new(resolver.clone()))
            },
            trust: {
                let store = Arc::clone(&store);
                Box::new(move || waxseal_trust::TrustActor::new(Arc::clone(&store)))
            },
            verify: Box::new(waxseal_verify::VerifyActor::default),
            transport: Box::new(move || waxseal_transport::TransportActor::new(connector.clone())),
            spool: {
                let first = Mutex::new(Some(spool));
                let (settings, meter) = (settings.spool.clone(), Arc::clone(&meter));
                Arc::new(move || {
                    let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
                    first.map_or_else(|| open_spool(&settings, &meter), Ok)
                })
            },
            intake: intake_factory(Arc::clone(&intake), Arc::clone(&attendant), front.handle()),
        };
        let grace = settings.queue.shutdown_grace;
        let manager =
            QueueManager::new(Arc::new(settings.queue), (policy, tables), sink, factories, front.handle());
        let context = actix::Context::new();
        let address = actix::AsyncContext::address(&context);
        let life = actix_rt::spawn(async move {
            context.into_future(manager).await;
        });
        let folder = settings.spool.path.clone();
        let readings = Readings::new(Sources {
            manager: address.clone(),
            resolver: resolver.clone(),
            connector: numbers,
            intake: Arc::clone(&intake),
            meter,
            health,
            spool: folder.clone(),
            started: now(),
            census: Default::default(),
            outlook: Default::default(),
        });
        let engine =
            Self { manager: address, life, intake, attendant, store, resolver, readings, front, grace };
        engine.wait_for_attendance().await?;
        if let Err(error) = crate::control::serve(&folder, engine.manager.clone()) {
            tracing::warn!(
                "no control socket in {}: {error}; waxseal queue cannot be used",
                folder.display()
            );
        }
        Ok(engine)
    }

    /// Resolves when the spool is open and somebody attends to clients.
    async fn wait_for_attendance(&self) -> Result<(), StartError> {
        loop {
            let open = self.manager.send(AskDoorway).await.map_err(|_| StartError::Manager)?.is_some();
            if open && self.intake().is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// What the resolver has done since the start: hits, questions, failures, how often it found DANE blind.
    #[must_use]
    pub fn dns_statistics(&self) -> waxseal_dns::Statistics {
        self.resolver.statistics()
    }

    /// All numbers, for the metrics.
    #[must_use]
    pub const fn readings(&self) -> &Readings {
        &self.readings
    }

    /// The TCP addresses that mail is taken on.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        self.intake.local_addrs()
    }

    /// The manager, for questions and orders.
    #[must_use]
    pub const fn manager(&self) -> &Addr<QueueManager> {
        &self.manager
    }

    /// The intake's actor of the moment, for questions such as how many clients are connected.
    #[must_use]
    pub fn intake(&self) -> Option<Addr<IntakeActor>> {
        self.attendant.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads trust stores and certificates anew; what is broken keeps its last good version and is told.
    #[must_use]
    pub fn reload(&self) -> Vec<String> {
        self.intake.reload();
        self.store.reload().iter().map(ToString::to_string).collect()
    }

    /// What was noticed about trust stores and certificates since the last call.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        self.store.notices().iter().map(ToString::to_string).collect()
    }

    /// Resolves when the manager has come to an end by itself, which is a fault.
    pub async fn died(&mut self) {
        let _ = (&mut self.life).await;
    }

    /// Takes no more mail, begins nothing, waits for final replies that are owed, and closes the spool.
    /// `true` when all that was begun came to its end in time.
    pub async fn shut_down(self) -> bool {
        self.intake.shut_down();
        let drained = tokio::time::timeout(self.grace, async {
            let _ = self.manager.send(Drain).await;
            self.intake.drained().await;
            let _ = self.manager.send(Drain).await;
        });
        let in_time = drained.await.is_ok();
        let _ = self.manager.send(Stop).await;
        let _ = self.life.await;
        self.front.stop();
        // The spool actor lived on that thread; with it the log is closed, which writes and syncs what it was given.
        let _ = tokio::task::spawn_blocking(move || self.front.join()).await;
        in_time
    }
}

/// Who attends to clients at the moment.
type Attendant = Arc<Mutex<Option<Addr<IntakeActor>>>>;

fn intake_factory(
    intake: Arc<Intake>,
    attendant: Attendant,
    front: actix_rt::ArbiterHandle,
) -> Box<dyn Fn(Arc<Doorway>, DeathNotice)> {
    Box::new(move |door, notice| {
        let (intake, attendant) = (Arc::clone(&intake), Arc::clone(&attendant));
        front.spawn(async move {
            let address = watch(IntakeActor::new(intake, door), notice);
            *attendant.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
        });
    })
}
