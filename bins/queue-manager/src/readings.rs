//! The numbers of a running engine: copied together from the crates that count, when somebody asks.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use actix::Addr;
use waxseal_admin::TurnedAway;
use waxseal_dns::{DnssecHealth, Resolver};
use waxseal_intake::Intake;
use waxseal_ledger::Recorder;
use waxseal_policy::Tables;
use waxseal_queue::{
    Census,
    actor::{Count, QueueManager},
};
use waxseal_spool::{COMMIT_BOUNDS, Meter};
use waxseal_telemetry::{
    Telemetry,
    metrics::{self as m, Buckets, Outlook, Page},
};
use waxseal_transport::Connector;
use waxseal_types::UnixTime;

/// For how long a count of the queue is good enough for the next one who asks.
const FRESH: Duration = Duration::from_secs(5);

/// The meter of the log that is open at the moment: a spool that died is opened anew.
pub(crate) type MeterSlot = Arc<Mutex<Option<Meter>>>;
/// What the last probe of the resolver found.
pub(crate) type HealthSlot = Arc<Mutex<Option<DnssecHealth>>>;

/// Reads the numbers of an engine. Cloning is cheap; it works from any thread, and asks the queue manager at most every few seconds.
#[derive(Clone)]
pub struct Readings(Arc<Sources>);

pub(crate) struct Sources {
    pub(crate) manager: Addr<QueueManager>,
    pub(crate) resolver: Resolver,
    pub(crate) connector: Connector,
    pub(crate) intake: Arc<Intake>,
    pub(crate) meter: MeterSlot,
    pub(crate) health: HealthSlot,
    pub(crate) spool: PathBuf,
    pub(crate) started: UnixTime,
    /// The lock is held while the queue is counted: who comes meanwhile gets the same count.
    pub(crate) census: tokio::sync::Mutex<Option<(Instant, Census)>>,
    pub(crate) outlook: Mutex<Outlook>,
    /// Where one is kept.
    pub(crate) ledger: OnceLock<Arc<Recorder>>,
    pub(crate) tables: Arc<dyn Tables>,
    /// What the admin API refuses.
    pub(crate) turned_away: Arc<TurnedAway>,
}

impl std::fmt::Debug for Readings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readings").finish_non_exhaustive()
    }
}

pub(crate) fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

pub(crate) fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in these is whole between any two statements.
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Readings {
    pub(crate) fn new(sources: Sources) -> Self {
        Self(Arc::new(sources))
    }

    /// All numbers there are; [`Page::prometheus`] writes them as text. A queue manager that does not answer leaves its own out.
    pub async fn page(&self, telemetry: &Telemetry) -> Page {
        let sources = &*self.0;
        let mut page = Page::new(now(), sources.started);
        page.set(&m::BUILD, &[env!("CARGO_PKG_VERSION")], 1u64);
        page.set(&m::STARTED, &[], sources.started.as_secs());
        sources.queue(&mut page).await;
        telemetry.read(&mut page);
        sources.dns(&mut page);
        sources.transport(&mut page);
        sources.spool(&mut page);
        sources.intake(&mut page);
        sources.ledger(&mut page);
        sources.others(&mut page);
        page
    }

    /// What all connectors have done since the start.
    #[must_use]
    pub fn connections(&self) -> waxseal_transport::Statistics {
        self.0.connector.statistics()
    }

    /// Where the admin API counts what it refuses.
    pub(crate) fn turned_away(&self) -> Arc<TurnedAway> {
        Arc::clone(&self.0.turned_away)
    }

    /// A ledger is kept by this recorder.
    pub(crate) fn keep(&self, recorder: Arc<Recorder>) {
        // There is one for the process.
        let _ = self.0.ledger.set(recorder);
    }

    /// What the last probe of the resolver found; `None` before the first.
    #[must_use]
    pub fn dnssec(&self) -> Option<DnssecHealth> {
        lock(&self.0.health).clone()
    }
}

impl Sources {
    async fn queue(&self, page: &mut Page) {
        let mut last = self.census.lock().await;
        if last.as_ref().is_none_or(|(at, _)| at.elapsed() > FRESH)
            && let Some(census) = self.count().await
        {
            *last = Some((Instant::now(), census));
        }
        if let Some((at, census)) = &*last {
            page.set_census(census, at.elapsed());
            page.set(&m::BOUNDS, &["queue.active"], census.held_back);
            page.set(&m::BOUNDS, &["queue.client"], census.quota_held);
            page.set(&m::BOUNDS, &["queue.memory"], census.beyond_memory);
        }
    }

    async fn count(&self) -> Option<Census> {
        let mut census = Census::new(now());
        while !census.is_complete() {
            census = self.manager.send(Count(census)).await.ok()?;
        }
        Some(census)
    }

    fn dns(&self, page: &mut Page) {
        if let Some(health) = &*lock(&self.health) {
            page.set(&m::DANE_BLIND, &[health.as_str()], health.is_blind());
        }
        let seen = self.resolver.statistics();
        for (result, count) in [("hit", seen.hits), ("joined", seen.joined), ("miss", seen.misses)] {
            page.set(&m::DNS_CACHE, &[result], count);
        }
        for (kind, count) in [("failed", seen.failures), ("bogus", seen.bogus), ("timeout", seen.timeouts)] {
            page.set(&m::DNS_FAILURES, &[kind], count);
        }
        for (transport, count) in [("udp", seen.udp), ("tcp", seen.tcp)] {
            page.set(&m::DNS_QUERIES, &[transport], count);
        }
        page.set(&m::DNS_PROBES, &["blind"], seen.blind);
        page.set(&m::DNS_PROBES, &["capable"], seen.probes.saturating_sub(seen.blind));
        page.set(&m::DNS_ENTRIES, &[], seen.entries);
        page.set(&m::DNS_OCTETS, &[], seen.octets);
        page.set(&m::BOUNDS, &["dns.cache"], seen.crowded);
        page.set(&m::BOUNDS, &["dns.questions"], seen.waited);
    }

    fn transport(&self, page: &mut Page) {
        let seen = self.connector.statistics();
        page.set(&m::POOL_IDLE, &[], seen.idle);
        page.set(&m::POOL_LOOKUPS, &["hit"], seen.pool_hits);
        page.set(&m::POOL_LOOKUPS, &["miss"], seen.pool_misses);
        page.set(&m::SESSION_LOOKUPS, &["hit"], seen.resumed);
        page.set(&m::SESSION_LOOKUPS, &["miss"], seen.full);
        page.set(&m::SESSIONS, &[], seen.sessions);
        page.set(&m::BOUNDS, &["pool.idle"], seen.crowded);
        page.set(&m::BOUNDS, &["connections.address"], seen.crowded_address);
        page.set(&m::BOUNDS, &["connections.all"], seen.crowded_all);
        page.set(&m::BOUNDS, &["connections.descriptors"], seen.crowded_descriptors);
        page.set(&m::CONNECTIONS_OPEN, &[], seen.open);
        page.set(&m::BOUNDS, &["tls.sessions"], seen.sessions_crowded);
        page.set(&m::BOUNDS, &["transport.graves"], seen.graves_crowded);
    }

    fn spool(&self, page: &mut Page) {
        let free = rustix::fs::statvfs(&self.spool).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        if let Ok(free) = free {
            page.set(&m::SPOOL_FREE, &[], free);
            if let Some(left) = lock(&self.outlook).observe(page.at, free) {
                page.set(&m::SPOOL_TIME_TO_FULL, &[], left);
            }
        }
        let Some(meter) = lock(&self.meter).clone() else { return };
        let seen = meter.metrics();
        page.set(&m::SPOOL_MESSAGES, &[], seen.live);
        page.set(&m::SPOOL_SEGMENTS, &[], seen.segments);
        page.set(&m::SPOOL_SIZE, &["live"], seen.live_bytes);
        page.set(&m::SPOOL_SIZE, &["dead"], seen.disk_bytes.saturating_sub(seen.live_bytes));
        page.set(&m::SPOOL_INDEX, &[], seen.index_bytes);
        let counts = meter.commit_times().to_vec();
        page.set_buckets(
            &m::SPOOL_COMMIT_TIME,
            &[],
            Buckets { bounds: COMMIT_BOUNDS, counts, sum: seen.commit_micros },
        );
        page.set(&m::SPOOL_SYNCS, &[], seen.syncs);
        page.set(&m::SPOOL_RECORDS, &["message"], seen.puts);
        page.set(&m::SPOOL_RECORDS, &["mark"], seen.marks);
        page.set(&m::SPOOL_WRITTEN, &[], seen.bytes);
        page.set(&m::SPOOL_UNSYNCED_MARKS, &[], seen.unsynced_marks);
        page.set(&m::SPOOL_FAILURES, &[], seen.failures);
        page.set(&m::SPOOL_DAMAGED, &[], seen.damaged);
        page.set(&m::SPOOL_QUARANTINE, &[], seen.quarantined);
        for (what, count) in
            [("copied", seen.copied), ("reclaimed", seen.reclaimed), ("recycled", seen.recycled)]
        {
            page.set(&m::SPOOL_HOUSEKEEPING, &[what], count);
        }
        page.set(&m::RECOVERY, &["found"], seen.found);
        page.set(&m::RECOVERY, &["done"], seen.recovered);
        let refused = meter.refused();
        for (bound, count) in
            [("spool.full", refused.full), ("spool.slow", refused.slow), ("spool.stale", refused.stale)]
        {
            page.set(&m::BOUNDS, &[bound], count);
        }
    }

    fn ledger(&self, page: &mut Page) {
        let Some(recorder) = self.ledger.get() else { return };
        let seen = recorder.statistics();
        page.set(&m::LEDGER_SIZE, &[], seen.octets);
        page.set(&m::LEDGER_RECORDS, &["written"], seen.written);
        page.set(&m::LEDGER_RECORDS, &["lost"], seen.lost);
        page.set(&m::BOUNDS, &["ledger.queue"], seen.crowded);
        let horizon = recorder.horizon();
        for (ring, oldest) in [("plain", horizon.plain), ("kept", horizon.kept)] {
            if let Some(oldest) = oldest {
                page.set(&m::LEDGER_HORIZON, &[ring], page.at.since(oldest));
            }
        }
    }

    fn others(&self, page: &mut Page) {
        let tables = self.tables.crowding();
        page.set(&m::BOUNDS, &["tables.cache"], tables.forgotten);
        page.set(&m::BOUNDS, &["tables.questions"], tables.waited);
        for (bound, count) in self.turned_away.counts() {
            page.set(&m::BOUNDS, &[bound], count);
        }
    }

    fn intake(&self, page: &mut Page) {
        let seen = self.intake.statistics();
        page.set(&m::INTAKE_CONNECTIONS, &[], seen.connections);
        page.set(&m::INTAKE_MESSAGES, &["taken"], seen.taken);
        page.set(&m::INTAKE_MESSAGES, &["refused"], seen.refused);
        page.set(&m::INTAKE_MEMORY, &[], seen.octets);
        for (bound, count) in [
            ("intake.connections", seen.crowded),
            ("intake.client_connections", seen.crowded_client),
            ("intake.memory", seen.memory),
            ("intake.rates", seen.rates),
            ("intake.rate_clients", seen.rates_forgotten),
            ("intake.auth", seen.crowded_auth),
            ("intake.descriptors", seen.exhausted),
        ] {
            page.set(&m::BOUNDS, &[bound], count);
        }
    }
}
