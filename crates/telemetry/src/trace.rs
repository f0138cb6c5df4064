//! Spans, built from the account after the fact and with its times.
//!
//! The trace id and the first span's id were minted at intake and travel in the envelope, so that all attempts at a message, days
//! apart and across restarts, are one trace.

use std::{
    cell::Cell,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{Event as SpanEvent, Link, SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator, SpanData, SpanEvents, SpanLinks};
use waxseal_queue::{Account, AccountStep, Connection, Event, Fact, Failure};
use waxseal_types::{Envelope, UnixTime};

use crate::{
    attributes as attribute,
    sampling::{Decision, Sampling},
};

/// Builds spans.
#[derive(Debug)]
pub(crate) struct Tracer {
    scope: InstrumentationScope,
    ids: RandomIdGenerator,
    sampling: Sampling,
}

thread_local! {
    /// The trace and first span of the message whose intake this thread has told last: a message that goes to several destinations is told of once for
    /// each, one after the other. Other messages, such as its bounce, may be in the same trace.
    static BEGUN: Cell<(u128, u64)> = const { Cell::new((0, 0)) };
}

impl Tracer {
    pub(crate) fn new() -> Self {
        let scope = InstrumentationScope::builder("waxseal").with_version(env!("CARGO_PKG_VERSION")).build();
        Self { scope, ids: RandomIdGenerator::default(), sampling: Sampling::default() }
    }

    /// What was decided about traces.
    pub(crate) const fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// The spans that `event` completes. None for a message that is not sampled, unless it failed; none for one without a trace id, which is from an older queue.
    pub(crate) fn spans(&self, event: &Event<'_>) -> Vec<SpanData> {
        let kept = self.sampling.decide(event);
        if kept == Decision::LeftOut {
            return Vec::new();
        }
        match event {
            Event::Queued { envelope, at, .. } => {
                let mut trace = Trace::of(self, envelope);
                trace.begin(*at);
                trace.spans
            }
            Event::Attempted { account, .. } => {
                let mut trace = Trace::of(self, &account.envelope);
                if kept == Decision::Kept && account.attempt == 1 {
                    trace.begin_late();
                }
                trace.attempt(account);
                trace.spans
            }
            Event::Settled { envelope, failure, attempts, at, how, .. } => {
                let mut trace = Trace::of(self, envelope);
                if *attempts == 0 {
                    trace.begin(*at);
                }
                let mut attributes = attribute::message(envelope);
                attributes.push(KeyValue::new("waxseal.outcome", format!("{how:?}").to_lowercase()));
                attributes.push(KeyValue::new("waxseal.attempt", i64::from(*attempts)));
                trace.add(
                    Draft::new("settle", (*at, *at), attributes).under(trace.root).failed(Some(failure)),
                );
                trace.spans
            }
            // About no message.
            Event::DestinationDead { .. } | Event::ServiceDied { .. } => Vec::new(),
            // `Event` may grow; what is unknown here has no span.
            _ => Vec::new(),
        }
    }
}

/// The spans of one event.
struct Trace<'a> {
    tracer: &'a Tracer,
    envelope: &'a Arc<Envelope>,
    id: TraceId,
    /// The intake's span.
    root: SpanId,
    spans: Vec<SpanData>,
}

/// One span to be.
struct Draft {
    name: &'static str,
    id: Option<SpanId>,
    parent: SpanId,
    kind: SpanKind,
    times: (UnixTime, UnixTime),
    attributes: Vec<KeyValue>,
    events: Vec<SpanEvent>,
    /// What it follows on.
    before: Option<SpanId>,
    status: Status,
}

impl Draft {
    const fn new(name: &'static str, times: (UnixTime, UnixTime), attributes: Vec<KeyValue>) -> Self {
        Self {
            name,
            id: None,
            parent: SpanId::INVALID,
            kind: SpanKind::Internal,
            times,
            attributes,
            events: Vec::new(),
            before: None,
            status: Status::Unset,
        }
    }

    fn under(self, parent: SpanId) -> Self {
        Self { parent, ..self }
    }

    fn kind(self, kind: SpanKind) -> Self {
        Self { kind, ..self }
    }

    fn failed(mut self, failure: Option<&Failure>) -> Self {
        if let Some(failure) = failure {
            self.attributes.push(KeyValue::new("error.type", failure.status.to_string()));
            attribute::reply(&mut self.attributes, failure.reply.as_ref());
            self.status = Status::error(failure.reason.clone());
        }
        self
    }

    fn broken(mut self, kind: &str, reason: &str) -> Self {
        self.attributes.push(KeyValue::new("error.type", kind.to_owned()));
        self.status = Status::error(reason.to_owned());
        self
    }
}

impl<'a> Trace<'a> {
    fn of(tracer: &'a Tracer, envelope: &'a Arc<Envelope>) -> Self {
        let id = TraceId::from(envelope.trace.trace_id);
        let root = SpanId::from(envelope.trace.span_id);
        Self { tracer, envelope, id, root, spans: Vec::new() }
    }

    fn add(&mut self, draft: Draft) -> SpanId {
        let id = draft.id.unwrap_or_else(|| self.tracer.ids.new_span_id());
        if self.id == TraceId::INVALID {
            return id;
        }
        let (start, end) = draft.times;
        let mut events = SpanEvents::default();
        events.events = draft.events;
        self.spans.push(SpanData {
            span_context: SpanContext::new(self.id, id, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: draft.parent,
            parent_span_is_remote: false,
            span_kind: draft.kind,
            name: draft.name.into(),
            start_time: system_time(start),
            end_time: system_time(end.max(start)),
            attributes: draft.attributes,
            dropped_attributes_count: 0,
            events,
            links: self.links(&draft.before),
            status: draft.status,
            instrumentation_scope: self.tracer.scope.clone(),
        });
        id
    }

    /// To the attempt before, and from the first span of a notification to the message that it is about.
    fn links(&self, before: &Option<SpanId>) -> SpanLinks {
        let mut links = SpanLinks::default();
        let link = |id: &SpanId| {
            Link::with_context(SpanContext::new(self.id, *id, TraceFlags::SAMPLED, true, TraceState::NONE))
        };
        links.links.extend(before.iter().map(link));
        links
    }

    /// The intake's span, once.
    fn begin(&mut self, at: UnixTime) {
        let trace = self.envelope.trace;
        let message = (trace.trace_id, trace.span_id);
        if BEGUN.replace(message) == message {
            return;
        }
        let attributes = attribute::intake(self.envelope);
        let mut draft = Draft::new("intake", (self.envelope.arrived, at), attributes).kind(SpanKind::Server);
        if self.envelope.sender.is_none() && self.envelope.trace.parent_id != 0 {
            draft.before = Some(self.above());
        }
        self.add(Draft { id: Some(self.root), ..draft.under(self.above()) });
    }

    /// The intake's span of a message that was not to be sampled, and failed.
    fn begin_late(&mut self) {
        let mut attributes = attribute::intake(self.envelope);
        attributes.push(KeyValue::new("waxseal.sampled", "failure"));
        let arrived = self.envelope.arrived;
        let draft = Draft::new("intake", (arrived, arrived), attributes).kind(SpanKind::Server);
        self.add(Draft { id: Some(self.root), ..draft.under(self.above()) });
    }

    /// The span that the intake's hangs on.
    fn above(&self) -> SpanId {
        SpanId::from(self.envelope.trace.parent_id)
    }

    fn attempt(&mut self, account: &Account) {
        let waited = (account.envelope.arrived, account.started);
        self.add(Draft::new("queue", waited, attribute::queue(account)).under(self.root));
        let failure = account.results.iter().find_map(|result| result.outcome.failure());
        let mut draft = Draft::new("attempt", (account.started, account.ended), attribute::attempt(account))
            .under(self.root);
        draft.events = events(account);
        draft.id = Some(attempt_id(account, account.attempt));
        draft.before = (account.attempt > 1).then(|| attempt_id(account, account.attempt - 1));
        let attempt = self.add(draft.kind(SpanKind::Producer).failed(failure));
        for step in &account.steps {
            self.step(account, step, attempt);
        }
        for connection in &account.connections {
            self.connection(account, connection, attempt);
        }
    }

    fn step(&mut self, account: &Account, step: &AccountStep, attempt: SpanId) {
        let times = (step.at, step.at + step.took);
        let policy = |attributes| Draft::new("policy", times, attributes).under(attempt);
        let dns = |attributes| Draft::new("dns", times, attributes).under(attempt).kind(SpanKind::Client);
        let draft = match &step.fact {
            Fact::Policy(number) => policy(attribute::policy(account, *number)),
            Fact::PolicyFailed(reason) => policy(Vec::new()).broken("policy", reason),
            Fact::Mx { domain, hosts, standing } => dns(attribute::mx(domain, hosts, standing)),
            Fact::Addresses { host, addresses, standing } => {
                dns(attribute::addresses(host, addresses, standing))
            }
            Fact::Alias { name, target, standing } => dns(attribute::alias(name, target, standing)),
            Fact::Tlsa { base, port, records, standing } => {
                dns(attribute::tlsa(&format!("_{port}._tcp.{base}"), records, standing))
            }
            Fact::Absent { what, standing } => dns(attribute::absent(what, standing)),
            Fact::DnsFailed(failure) => {
                let kind = format!("{:?}", failure.failure).to_lowercase();
                dns(attribute::lookup(&failure.name, &failure.kind)).broken(&kind, &failure.to_string())
            }
            // Events of the attempt: they took no time of their own.
            Fact::Skipped { .. } | Fact::Lowered { .. } | Fact::Unavailable(_) => return,
            // From the connection itself, which knows more.
            Fact::Connection(_) => return,
        };
        self.add(draft);
    }

    fn connection(&mut self, account: &Account, connection: &Connection, attempt: SpanId) {
        let phases = Phases::of(connection);
        let failure = connection.failure.as_ref();
        let in_phase = |phase| failure.filter(|_| phases.last() == phase);
        let span = |name, times, attributes| {
            Draft::new(name, times, attributes).under(attempt).kind(SpanKind::Client)
        };
        let mut attributes = attribute::peer(connection);
        if phases.last() == Phase::Connect {
            attributes.extend(attribute::security(account, connection));
        }
        let draft = span("connect", phases.connect, attributes);
        self.add(draft.failed(in_phase(Phase::Connect)));
        if let Some(times) = phases.tls {
            let mut attributes = attribute::peer(connection);
            attributes.extend(attribute::security(account, connection));
            attributes.extend(attribute::presented(connection));
            self.add(span("tls", times, attributes).failed(in_phase(Phase::Tls)));
        }
        if let Some(times) = phases.transaction {
            let mut attributes = attribute::peer(connection);
            attributes.extend(attribute::security(account, connection));
            attributes.extend(attribute::transaction(account, connection));
            self.add(span("transaction", times, attributes).failed(in_phase(Phase::Transaction)));
        }
    }
}

/// The span of an attempt, known by what it is of, so that the next one can point to it days later.
fn attempt_id(account: &Account, attempt: u32) -> SpanId {
    let mut hasher = DefaultHasher::new();
    (account.envelope.trace.span_id, &account.destination, attempt).hash(&mut hasher);
    SpanId::from(hasher.finish().max(1))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connect,
    Tls,
    Transaction,
}

/// When the parts of a connection began and ended.
struct Phases {
    connect: (UnixTime, UnixTime),
    tls: Option<(UnixTime, UnixTime)>,
    transaction: Option<(UnixTime, UnixTime)>,
}

impl Phases {
    fn of(connection: &Connection) -> Self {
        let times = connection.times;
        let connected = connection.at + times.connect + times.greeting;
        // One that came to nothing lasted until its end.
        let end = if connection.id.is_none() && times.tls.is_zero() { connection.ended } else { connected };
        let handshake = !times.tls.is_zero() && !connection.pooled;
        let begun = connection.ended.as_micros().saturating_sub(micros(times.transaction));
        let transaction = (UnixTime::from_micros(begun), connection.ended);
        Self {
            connect: (connection.at, end),
            tls: handshake.then(|| (connected, connected + times.tls)),
            transaction: (!times.transaction.is_zero()).then_some(transaction),
        }
    }

    const fn last(&self) -> Phase {
        match (self.tls, self.transaction) {
            (_, Some(_)) => Phase::Transaction,
            (Some(_), None) => Phase::Tls,
            (None, None) => Phase::Connect,
        }
    }
}

/// What happened in an attempt without taking time: hosts that were passed over, services that were not there, and the recipients' ends.
fn events(account: &Account) -> Vec<SpanEvent> {
    let steps = account.steps.iter().filter_map(|step| {
        let (name, attributes) = match &step.fact {
            Fact::Skipped { host, reason } => ("skipped", attribute::skipped(host, reason)),
            Fact::Lowered { host, level, reason } => {
                ("lowered", attribute::lowered(host.as_ref(), *level, reason))
            }
            Fact::Unavailable(service) => ("unavailable", vec![KeyValue::new("waxseal.service", *service)]),
            Fact::Policy(_)
            | Fact::PolicyFailed(_)
            | Fact::Mx { .. }
            | Fact::Addresses { .. }
            | Fact::Alias { .. }
            | Fact::Tlsa { .. }
            | Fact::Absent { .. }
            | Fact::DnsFailed(_)
            | Fact::Connection(_) => return None,
        };
        Some(SpanEvent::new(name, system_time(step.at), attributes, 0))
    });
    let results = account.results.iter().map(|result| {
        SpanEvent::new("recipient", system_time(account.ended), attribute::result(account, result), 0)
    });
    steps.chain(results).take(EVENT_LIMIT).collect()
}

/// Events of one span (OpenTelemetry specification, "Span Limits": the default `EventCountLimit`).
const EVENT_LIMIT: usize = 128;

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn system_time(time: UnixTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(time.as_micros())
}
