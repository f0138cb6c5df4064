//! Every metric there is, once: the instruments of OTLP, the text for Prometheus, `docs/metrics.md`, the dashboard and the alert rules all take their
//! names from here.
//!
//! Names are dotted and lower case, units are UCUM's (OpenTelemetry semantic conventions, "Metrics"). Labels have few values, known beforehand;
//! the one exception, `destination`, has at most [`super::LARGEST`] and `other`.

use super::histogram::{COMMIT, DELAY, NETWORK};

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// As OpenTelemetry calls it.
    pub name: &'static str,
    /// What its numbers are.
    pub kind: Kind,
    /// What they count, as UCUM writes it: `s`, `By`, `{message}`, ...
    pub unit: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// What tells its series apart.
    pub labels: &'static [&'static str],
}

/// What the numbers of a metric are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Grows from the start of the process on.
    Counter,
    /// How it is now.
    Gauge,
    /// Durations, sorted into these bounds (microseconds).
    Histogram(&'static [u64]),
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

impl Metric {
    /// As Prometheus calls it: underscores, the unit in full, and `_total` for what only grows (OpenTelemetry specification, "Prometheus and
    /// OpenMetrics Compatibility").
    #[must_use]
    pub fn prometheus_name(&self) -> String {
        let unit = match self.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            _ => "",
        };
        let mut name = self.name.replace('.', "_");
        if !name.ends_with(unit) {
            name.push_str(unit);
        }
        if self.kind == Kind::Counter {
            name.push_str("_total");
        }
        name
    }
}

macro_rules! catalogue {
    ($($(#[doc = $help:literal])+ $name:ident = $kind:expr, $text:literal, $unit:literal, [$($label:literal),*];)+) => {
        $($(#[doc = $help])+ pub static $name: Metric = Metric {
            name: $text,
            kind: $kind,
            unit: $unit,
            help: concat!($($help),+).trim_ascii(),
            labels: &[$($label),*],
        };)+

        /// All of them, in the order of their documentation.
        pub static CATALOGUE: &[&Metric] = &[$(&$name),+];
    };
}

use Kind::{Counter, Gauge, Histogram};

catalogue! {
    /// Always 1; the label says which version runs.
    BUILD = Gauge, "waxseal.build", "1", ["version"];
    /// Since when the process runs, as seconds since 1970.
    STARTED = Gauge, "waxseal.start.time", "s", [];

    /// Deliveries that wait or are under way (a message for one destination each), by destination and by age of the message: up to 1 minute, 10 minutes, ...
    QUEUE_DELIVERIES = Gauge, "waxseal.queue.deliveries", "{delivery}", ["destination", "age"];
    /// Destinations with something to deliver, or something to remember.
    QUEUE_DESTINATIONS = Gauge, "waxseal.queue.destinations", "{destination}", ["state"];
    /// Age of the oldest message that no attempt was made at.
    QUEUE_UNTRIED_AGE = Gauge, "waxseal.queue.untried.age", "s", [];
    /// Age of the oldest message.
    QUEUE_OLDEST_AGE = Gauge, "waxseal.queue.oldest.age", "s", [];
    /// Attempts under way.
    QUEUE_ACTIVE = Gauge, "waxseal.queue.active", "{attempt}", [];
    /// Deliveries that operators hold.
    QUEUE_HELD = Gauge, "waxseal.queue.held", "{delivery}", [];
    /// Seconds since the queue was last counted; it is counted when somebody asks.
    QUEUE_CENSUS_AGE = Gauge, "waxseal.queue.census.age", "s", [];
    /// Recipients that came into the queue.
    QUEUED = Counter, "waxseal.queued.recipients", "{recipient}", [];

    /// Attempts that ended.
    ATTEMPTS = Counter, "waxseal.attempts", "{attempt}", [];
    /// How recipients fared: the outcome of an attempt, class and subject of the enhanced status code, and the verdict on the connection's TLS (`unconnected` without one).
    RECIPIENTS = Counter, "waxseal.recipients", "{recipient}", ["outcome", "status", "tls"];
    /// From acceptance to delivery, for each recipient delivered.
    DELIVERY_DELAY = Histogram(DELAY), "waxseal.delivery.delay", "s", [];
    /// Connections used by attempts: new ones and pooled ones, and whether they failed before all recipients were settled.
    CONNECTIONS = Counter, "waxseal.connections", "{connection}", ["source", "result"];
    /// Until the socket of a new connection was connected.
    CONNECT_TIME = Histogram(NETWORK), "waxseal.connect.duration", "s", [];
    /// Greeting and first EHLO of new connections.
    GREETING_TIME = Histogram(NETWORK), "waxseal.greeting.duration", "s", [];
    /// STARTTLS, handshake and second EHLO of new connections, by whether the session was resumed.
    HANDSHAKE_TIME = Histogram(NETWORK), "waxseal.tls.handshake.duration", "s", ["resumed"];
    /// MAIL to the last reply.
    TRANSACTION_TIME = Histogram(NETWORK), "waxseal.transaction.duration", "s", [];
    /// Connections by the level in effect, the verdict and the protocol: the posture of all that was sent.
    TLS_CONNECTIONS = Counter, "waxseal.tls.connections", "{connection}", ["level", "status", "protocol"];
    /// Mail in clear although its level would have had TLS, by reason.
    DOWNGRADES = Counter, "waxseal.tls.downgrades", "{connection}", ["reason"];
    /// Hosts of which less was demanded than the policy's level would have, such as `dane` without TLSA records.
    LOWERED = Counter, "waxseal.tls.lowered", "{host}", ["level"];
    /// Connections on which octets came in clear behind the reply to STARTTLS: a sign of attack.
    INJECTIONS = Counter, "waxseal.tls.injections", "{connection}", [];
    /// What DANE came to: TLSA lookups without usable outcome, and connections verified or refused by it.
    DANE = Counter, "waxseal.dane.outcomes", "{event}", ["outcome"];
    /// Policy lookups of deliveries.
    POLICY_TIME = Histogram(NETWORK), "waxseal.policy.lookup.duration", "s", [];
    /// DNS lookups of deliveries, answered by the cache or not, by type and by what DNSSEC says of the answer.
    DNS_TIME = Histogram(NETWORK), "waxseal.dns.lookup.duration", "s", ["type", "result"];
    /// Destinations that were given a rest because no server of theirs could be used.
    DEAD = Counter, "waxseal.destinations.died", "{destination}", [];
    /// Services that died and were started anew.
    SERVICE_DEATHS = Counter, "waxseal.service.deaths", "{death}", ["service"];

    /// 1 while no answer of DNS can be secure although DANE is wanted, by cause; 0 under `capable` or `off` otherwise.
    DANE_BLIND = Gauge, "waxseal.dane.blind", "1", ["cause"];
    /// Questions to the resolver's cache: answered by it, joined to the same question of somebody else, or asked.
    DNS_CACHE = Counter, "waxseal.dns.cache.lookups", "{question}", ["result"];
    /// Questions that got no answer, or a bogus one.
    DNS_FAILURES = Counter, "waxseal.dns.failures", "{question}", ["kind"];
    /// Queries sent to servers.
    DNS_QUERIES = Counter, "waxseal.dns.queries", "{query}", ["transport"];
    /// Probes of the resolver's DNSSEC.
    DNS_PROBES = Counter, "waxseal.dns.probes", "{probe}", ["result"];
    /// Answers in the cache.
    DNS_ENTRIES = Gauge, "waxseal.dns.cache.entries", "{answer}", [];
    /// About the memory that they take.
    DNS_OCTETS = Gauge, "waxseal.dns.cache.size", "By", [];

    /// Idle connections that are kept.
    POOL_IDLE = Gauge, "waxseal.pool.idle", "{connection}", [];
    /// Connections that are open, those too that are idle.
    CONNECTIONS_OPEN = Gauge, "waxseal.connections.open", "{connection}", [];
    /// Questions to the pool of idle connections.
    POOL_LOOKUPS = Counter, "waxseal.pool.lookups", "{question}", ["result"];
    /// Questions to the cache of TLS sessions.
    SESSION_LOOKUPS = Counter, "waxseal.tls.session.lookups", "{question}", ["result"];
    /// Servers with sessions in that cache.
    SESSIONS = Gauge, "waxseal.tls.sessions", "{server}", [];

    /// Messages in the spool.
    SPOOL_MESSAGES = Gauge, "waxseal.spool.messages", "{message}", [];
    /// Segments on disk.
    SPOOL_SEGMENTS = Gauge, "waxseal.spool.segments", "{segment}", [];
    /// Octets in segments: of messages that are still in the queue (`live`), and everything else (`dead`).
    SPOOL_SIZE = Gauge, "waxseal.spool.size", "By", ["state"];
    /// Octets that the spool's file system has left.
    SPOOL_FREE = Gauge, "waxseal.spool.free", "By", [];
    /// When the file system is full if the spool goes on growing as in the last minutes; absent where it does not grow.
    SPOOL_TIME_TO_FULL = Gauge, "waxseal.spool.time_to_full", "s", [];
    /// Memory of the index of messages.
    SPOOL_INDEX = Gauge, "waxseal.spool.index.size", "By", [];
    /// One commit: write, sync and answers.
    SPOOL_COMMIT_TIME = Histogram(COMMIT), "waxseal.spool.commit.duration", "s", [];
    /// Syncs of files and of the folder.
    SPOOL_SYNCS = Counter, "waxseal.spool.syncs", "{sync}", [];
    /// Records made durable.
    SPOOL_RECORDS = Counter, "waxseal.spool.records", "{record}", ["kind"];
    /// Octets written.
    SPOOL_WRITTEN = Counter, "waxseal.spool.written", "By", [];
    /// Marks not yet durable: the most duplicates that a loss of power can cause now.
    SPOOL_UNSYNCED_MARKS = Gauge, "waxseal.spool.unsynced_marks", "{mark}", [];
    /// Writes and syncs that failed.
    SPOOL_FAILURES = Counter, "waxseal.spool.failures", "{failure}", [];
    /// Damaged records found.
    SPOOL_DAMAGED = Counter, "waxseal.spool.damaged", "{record}", [];
    /// Segments kept aside because of damage.
    SPOOL_QUARANTINE = Gauge, "waxseal.spool.quarantine", "{segment}", [];
    /// Housekeeping: messages copied forward, segments reclaimed and recycled.
    SPOOL_HOUSEKEEPING = Counter, "waxseal.spool.housekeeping", "{operation}", ["operation"];
    /// What the last recovery found, and how much of it is in the schedule.
    RECOVERY = Gauge, "waxseal.spool.recovery", "{message}", ["state"];

    /// Clients connected.
    INTAKE_CONNECTIONS = Gauge, "waxseal.intake.connections", "{connection}", [];
    /// Messages that clients handed over, by whether they were taken.
    INTAKE_MESSAGES = Counter, "waxseal.intake.messages", "{message}", ["result"];
    /// Octets of texts that sessions hold.
    INTAKE_MEMORY = Gauge, "waxseal.intake.memory", "By", [];

    /// How far back the ledger reaches: age of the oldest plain success (`plain`), and of the oldest failure or downgrade (`kept`); absent where nothing is kept yet.
    LEDGER_HORIZON = Gauge, "waxseal.ledger.horizon", "s", ["ring"];
    /// Octets of the ledger on disk.
    LEDGER_SIZE = Gauge, "waxseal.ledger.size", "By", [];
    /// What was told to the ledger, by whether it was written, or lost because the disk was full, broken or too slow.
    LEDGER_RECORDS = Counter, "waxseal.ledger.records", "{record}", ["result"];

    /// How often a bound was reached, and something waited, was refused or was given up for it; [below](#bounds) is what each does.
    BOUNDS = Counter, "waxseal.bounds.reached", "{event}", ["bound"];
    /// What was not told: delivery events, spans, and exports of metrics.
    LOST = Counter, "waxseal.telemetry.lost", "{item}", ["what"];
    /// Attempts whose spans are exported because their message is sampled, kept because they failed, left out, and left out because too many failed (only counted with a collector).
    TRACES = Counter, "waxseal.telemetry.traces", "{attempt}", ["decision"];
}
