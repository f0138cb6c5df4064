//! Assembly.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix::Addr;
use actix_rt::Arbiter;
use waxseal_dns::{Authorities, Resolver};
use waxseal_intake::{Intake, actor::IntakeActor};
use waxseal_queue::{
    Direct, Several, Sink,
    actor::{AskDoorway, Drain, QueueManager, SpoolParts, Stop, Threads},
};
use waxseal_rollover::{Gate, Lookups};
use waxseal_transport::Connector;
use waxseal_trust::Store;

use crate::{
    attendant::{Attendants, intake_factory},
    desk::{Archive, Complaints, Counted, EngineDesk},
    dnssec::watch_dnssec,
    factories::{LONG_LOG, factories, open_spool},
    levers,
    neighbours::{neighbours, tend},
    readings::{HealthSlot, MeterSlot, Readings, Sources, now},
    reloads::{ReloadRequest, Reloads},
    settings::{EngineSettings, StartError},
};

/// Where the gate before the intake's certificates keeps its memory of TLSA records, in the folder of the spool.
pub const GATE_FILE: &str = "tlsa-seen.json";

/// What is opened before anything runs, so that a mistake of the operator ends the start.
pub struct Opened {
    settings: EngineSettings,
    spool: SpoolParts,
    intake: Arc<Intake>,
    resolver: Resolver,
    gate: Arc<Gate>,
    store: Arc<Store>,
    connector: Connector,
    admin: waxseal_admin::Bound,
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

/// What the program around an engine has to do.
#[derive(Debug)]
pub enum EngineEvent {
    /// The manager has come to an end by itself, which is a fault.
    Died,
    /// What SIGHUP does, asked for by an operator, who waits for it.
    Reload(Option<ReloadRequest>),
}

/// A running engine.
pub struct Engine {
    manager: Addr<QueueManager>,
    life: tokio::task::JoinHandle<()>,
    intake: Arc<Intake>,
    attendants: Attendants,
    store: Arc<Store>,
    resolver: Resolver,
    readings: Readings,
    fronts: Vec<Arbiter>,
    deliveries: Vec<Arbiter>,
    grace: Duration,
    admin: Option<waxseal_admin::Running>,
    reloads: Reloads,
    archive: Arc<OnceLock<Archive>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("intake", &self.intake).finish_non_exhaustive()
    }
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
        mut settings: EngineSettings,
        between: impl FnOnce(&Store) -> Result<Vec<String>, String>,
    ) -> Result<Opened, StartError> {
        // Privileges may be needed for ports and keys; the resolver needs none, and its sockets come later.
        let resolver = Resolver::new(settings.dns.clone())?;
        let authorities = Authorities::new(&settings.dns, settings.queue.families)?;
        let kept = settings.spool.path.join(GATE_FILE);
        let gate = Arc::new(Gate::new(Lookups::new(authorities, resolver.clone()), Some(kept)));
        let neighbours = neighbours(Arc::clone(&settings.tables), Arc::clone(&gate));
        let intake = Arc::new(Intake::bind_with(settings.intake.clone(), neighbours)?);
        let (admin, admin_notice) = waxseal_admin::Bound::bind(&settings.admin)?;
        let (store, trust_notices) = Store::open(settings.trust.clone())?;
        let mut notices: Vec<String> = trust_notices.iter().map(ToString::to_string).collect();
        notices.extend(intake.notices().iter().cloned());
        notices.extend(admin_notice.map(|notice| format!("{notice}; the page is not there")));
        notices.extend(between(&store).map_err(StartError::Host)?);
        notices.extend(resolver.notices());
        let mut transport = settings.transport.clone();
        // What is remembered of an address must be forgotten by the time a message comes again.
        for transport in std::iter::once(&mut transport.dead_address_time)
            .chain(transport.services.values_mut().map(|settings| &mut settings.dead_address_time))
        {
            *transport = (*transport).min(settings.queue.minimal_backoff / 2);
        }
        let connector = Connector::new(transport)?;
        let meter = MeterSlot::default();
        let place = (settings.spool.clone(), settings.storage.clone());
        let spool = open_spool(&place, &meter, LONG_LOG)?;
        settings.queue.levers = levers::kept(&settings.spool.path).map_err(StartError::Host)?;
        Ok(Opened {
            settings,
            spool,
            intake,
            resolver,
            gate,
            store: Arc::new(store),
            connector,
            admin,
            meter,
            notices,
        })
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
        let Opened { mut settings, spool, intake, resolver, gate, store, connector, admin, meter, .. } =
            opened;
        // What is delivered to our own addresses comes back to us (RFC 5321 §5.1).
        settings.queue.own_endpoints.extend_from_slice(intake.local_addrs());
        let (fronts, deliveries, threads) = start_threads(&settings);
        let attendants = Attendants::new(fronts.len());
        let (posture, complaints) =
            (Arc::new(waxseal_admin::Posture::default()), Arc::new(Complaints::default()));
        let sinks = vec![sink, Arc::clone(&posture) as Arc<dyn Sink>, Arc::clone(&complaints) as _];
        let sink: Arc<dyn Sink> = Arc::new(Several::of(sinks));
        let (policy, tables) = (settings.policy, settings.tables);
        let health = HealthSlot::default();
        actix_rt::spawn(watch_dnssec(resolver.clone(), Arc::clone(&health)));
        tend(&intake, gate);
        let direct = Direct {
            resolver: resolver.clone(),
            policy: Arc::clone(&policy),
            tables: Arc::clone(&tables),
            store: Arc::clone(&store),
            connector: connector.clone(),
        };
        let intakes = intake_factory(Arc::clone(&intake), attendants.clone(), &fronts);
        let place = (settings.spool.clone(), settings.storage.clone());
        let factories = factories(&direct, (spool, place, Arc::clone(&meter)), intakes);
        let (grace, queue) = (settings.queue.shutdown_grace, Arc::new(settings.queue));
        let manager = QueueManager::new(Arc::clone(&queue), (policy, tables), sink, factories, threads);
        let context = actix::Context::new();
        let address = actix::AsyncContext::address(&context);
        let life = actix_rt::spawn(async move {
            context.into_future(manager).await;
        });
        let folder = settings.spool.path.clone();
        wait_for_attendance(&address, &attendants).await?;
        let readings = Readings::new(Sources {
            manager: address.clone(),
            resolver: resolver.clone(),
            connector,
            intake: Arc::clone(&intake),
            meter,
            health,
            spool: folder.clone(),
            started: now(),
            census: Default::default(),
            outlook: Default::default(),
            ledger: OnceLock::new(),
            tables: Arc::clone(&direct.tables),
            turned_away: Arc::default(),
        });
        let (reloads, asking) = Reloads::new();
        let archive = Arc::new(OnceLock::new());
        let desk = EngineDesk {
            manager: address.clone(),
            attendants: attendants.clone(),
            direct,
            queue,
            readings: readings.clone(),
            complaints,
            archive: Arc::clone(&archive),
            folder,
            asking,
            counted: Counted::default(),
        };
        let admin = serve(admin, desk, posture);
        Ok(Self {
            manager: address,
            life,
            intake,
            attendants,
            store,
            resolver,
            readings,
            fronts,
            deliveries,
            grace,
            admin,
            reloads,
            archive,
        })
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

    /// The intake's actor of the moment, for questions such as how many clients are connected; where clients have several threads, that of the
    /// thread with this number.
    #[must_use]
    pub fn intake(&self, number: usize) -> Option<Addr<IntakeActor>> {
        self.attendants.get(number)
    }

    /// Reads trust stores and certificates anew; what is broken keeps its last good version and is told. `switches` has the intake take what
    /// its files hold, whatever TLSA records say.
    #[must_use]
    pub fn reload(&self, switches: bool) -> Vec<String> {
        if switches {
            self.intake.switch_certificates()
        } else {
            self.intake.reload()
        }
        self.store.reload().iter().map(ToString::to_string).collect()
    }

    /// What the program has for the API, once. Without it there are no metrics and no history there.
    pub fn provide(&self, archive: Archive) {
        if let Some(recorder) = &archive.ledger {
            self.readings.keep(Arc::clone(recorder));
        }
        let _ = self.archive.set(archive);
    }

    /// Where the page is, if anywhere.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.address()
    }

    /// Resolves when the program has something to do: see [`EngineEvent`].
    pub async fn next_event(&mut self) -> EngineEvent {
        tokio::select! {
            _ = &mut self.life => EngineEvent::Died,
            request = self.reloads.next() => EngineEvent::Reload(Some(request)),
        }
    }

    /// Whether the queue manager answers, which it does within moments, and the spool is there.
    pub async fn is_well(&self) -> bool {
        let asked = self.manager.send(AskDoorway).timeout(Duration::from_secs(5)).await;
        matches!(asked, Ok(Some(_)))
    }

    /// What was noticed about trust stores and certificates since the last call.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        self.store.notices().iter().map(ToString::to_string).collect()
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
        if let Some(admin) = &self.admin {
            admin.stop().await;
        }
        let _ = self.manager.send(Stop).await;
        let _ = self.life.await;
        for thread in self.fronts.iter().chain(&self.deliveries) {
            thread.stop();
        }
        // The spool actor lived on the first of them; with it the log is closed, which writes and syncs what it was given.
        let join = || self.fronts.into_iter().chain(self.deliveries).try_for_each(Arbiter::join);
        let _ = tokio::task::spawn_blocking(join).await;
        in_time
    }
}

/// The manager runs on the arbiter of the caller, clients on others, the first of which has the spool as well; deliveries have the other cores, or share
/// the manager's.
fn start_threads(settings: &EngineSettings) -> (Vec<Arbiter>, Vec<Arbiter>, Threads) {
    let make = |count: usize| (0..count).map(|_| Arbiter::new()).collect::<Vec<_>>();
    let clients = settings.intake.threads_for_clients();
    let (front, others) = (Arbiter::new(), make(clients.saturating_sub(1)));
    let deliveries = make(settings.queue.threads_for_deliveries());
    let deliver = deliveries.iter().map(Arbiter::handle).collect();
    let threads = Threads { front: front.handle(), intakes: clients, deliveries: deliver };
    (std::iter::once(front).chain(others).collect(), deliveries, threads)
}

/// Opens the doors for operators. That they stay shut is no reason not to deliver.
fn serve(
    doors: waxseal_admin::Bound,
    desk: EngineDesk,
    posture: Arc<waxseal_admin::Posture>,
) -> Option<waxseal_admin::Running> {
    let (folder, turned_away) = (desk.folder.clone(), desk.readings.turned_away());
    doors
        .serve(&folder, Arc::new(desk), posture, turned_away)
        .inspect_err(|error| tracing::warn!("{error}; neither waxseal queue nor the page can be used"))
        .ok()
}

/// Resolves when the spool is open and somebody attends to clients.
async fn wait_for_attendance(
    manager: &Addr<QueueManager>,
    attendants: &Attendants,
) -> Result<(), StartError> {
    loop {
        let open = manager.send(AskDoorway).await.map_err(|_| StartError::Manager)?.is_some();
        if open && attendants.are_there() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
