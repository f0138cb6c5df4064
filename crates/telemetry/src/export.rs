//! Spans and metrics on their way to a collector, by OTLP.
//!
//! A thread with a runtime of its own: the HTTP client needs a reactor, and the runtimes of the actors shall not wait
//! for it. The queue in between is bounded; while the collector is away, spans are counted and lost, mail is not.
//!
//! Not the SDK's batch processor: it does not tell how many spans it lost before the end, nor that an export failed.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use opentelemetry::KeyValue;
use opentelemetry_proto::{
    tonic::{
        collector::{
            metrics::v1::ExportMetricsServiceRequest,
            trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
        },
        metrics::v1::ResourceMetrics,
        resource::v1::Resource as ResourceData,
    },
    transform::{
        common::tonic::ResourceAttributesWithSchema, trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{Resource, trace::SpanData};
use prost::Message as _;
use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    watch,
};

use crate::{
    Error, Settings,
    metrics::Page,
    wire::{Collector, Signal, TIMEOUT},
};

/// Spans in one request (the SDK's own limit, `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`).
const BATCH: usize = 512;

/// How long spans gather before a request.
const GATHER: Duration = Duration::from_millis(500);

/// How often a collector that is away is complained about.
const ALERT_EVERY: Duration = Duration::from_secs(60);

/// The callers' end.
#[derive(Debug)]
pub(crate) struct Export {
    shared: Arc<Shared>,
    sender: UnboundedSender<Parcel>,
    stop: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    limit: usize,
    /// Spans between a caller and the collector.
    waiting: AtomicUsize,
    lost: AtomicU64,
    /// Whether a page is under way.
    page: AtomicBool,
    lost_pages: AtomicU64,
}

#[derive(Debug)]
enum Parcel {
    Spans(Vec<SpanData>),
    Page(Box<Page>),
}

impl Export {
    /// Starts the thread, where there is a collector.
    pub(crate) fn start(settings: &Settings) -> Result<Option<Self>, Error> {
        let Some(endpoint) = &settings.otlp_endpoint else { return Ok(None) };
        let collector = Collector::new(endpoint, settings.otlp_protocol)?;
        if !collector.takes(Signal::Metrics) {
            tracing::warn!(
                "no metrics are exported: telemetry.otlp_endpoint has a path of its own that does not end in /v1/traces"
            );
        }
        let shared = Arc::new(Shared {
            limit: settings.span_limit,
            waiting: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            page: AtomicBool::new(false),
            lost_pages: AtomicU64::new(0),
        });
        let (sender, receiver) = unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
        let worker = Worker {
            shared: Arc::clone(&shared),
            collector,
            resource: resource(),
            receiver,
            stop: stopped,
            last_alert: None,
        };
        let thread = std::thread::Builder::new()
            .name("otlp".to_owned())
            .spawn(move || runtime.block_on(worker.run()))
            .map_err(Error::Thread)?;
        Ok(Some(Self { shared, sender, stop, thread: Mutex::new(Some(thread)) }))
    }

    /// Hands over spans. Never waits.
    pub(crate) fn push(&self, spans: Vec<SpanData>) {
        let count = spans.len();
        let before = self.shared.waiting.fetch_add(count, Ordering::Relaxed);
        if before + count > self.shared.limit || self.sender.send(Parcel::Spans(spans)).is_err() {
            self.shared.waiting.fetch_sub(count, Ordering::Relaxed);
            self.shared.lose(count);
        }
    }

    /// Hands over a page. Never waits; while one is under way, the next is lost.
    pub(crate) fn push_page(&self, page: Page) {
        let busy = self.shared.page.swap(true, Ordering::AcqRel);
        if busy || self.sender.send(Parcel::Page(Box::new(page))).is_err() {
            self.shared.lost_pages.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Spans that no collector has seen.
    pub(crate) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Pages that no collector has seen.
    pub(crate) fn lost_pages(&self) -> u64 {
        self.shared.lost_pages.load(Ordering::Relaxed)
    }

    /// Sends what waits, as far as the collector takes it in [`TIMEOUT`], and ends the thread.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the exporter of traces has panicked");
        }
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lose(&self, count: usize) {
        self.lost.fetch_add(crate::events::count(count), Ordering::Relaxed);
    }
}

struct Worker {
    shared: Arc<Shared>,
    collector: Collector,
    resource: Resource,
    receiver: UnboundedReceiver<Parcel>,
    stop: watch::Receiver<bool>,
    last_alert: Option<Instant>,
}

/// What one request, or two, will carry.
#[derive(Default)]
struct Load {
    spans: Vec<SpanData>,
    page: Option<Box<Page>>,
}

impl Load {
    fn add(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Spans(mut spans) => self.spans.append(&mut spans),
            Parcel::Page(page) => self.page = Some(page),
        }
    }
}

impl Worker {
    async fn run(mut self) {
        while !*self.stop.borrow() {
            let first = tokio::select! {
                parcel = self.receiver.recv() => parcel,
                _ = self.stop.changed() => None,
            };
            let Some(first) = first else { continue };
            let mut load = Load::default();
            load.add(first);
            self.fill(&mut load);
            if load.spans.len() < BATCH {
                tokio::select! {
                    () = tokio::time::sleep(GATHER) => {}
                    _ = self.stop.changed() => {}
                }
                self.fill(&mut load);
            }
            self.export(load).await;
        }
        self.receiver.close();
        // In all: the process wants to end.
        let late = tokio::time::timeout(TIMEOUT, self.export_rest()).await.is_err();
        let left = self.shared.waiting.swap(0, Ordering::Relaxed);
        self.shared.lose(left);
        if late {
            self.complain("the collector was too slow at the end");
        }
    }

    async fn export_rest(&mut self) {
        loop {
            let mut load = Load::default();
            self.fill(&mut load);
            if load.spans.is_empty() && load.page.is_none() {
                return;
            }
            self.export(load).await;
        }
    }

    /// Takes more of what waits.
    fn fill(&mut self, load: &mut Load) {
        while load.spans.len() < BATCH {
            let Ok(more) = self.receiver.try_recv() else { return };
            load.add(more);
        }
    }

    async fn export(&mut self, load: Load) {
        if !load.spans.is_empty() {
            self.export_spans(load.spans).await;
        }
        if let Some(page) = load.page {
            self.export_page(&page).await;
        }
    }

    /// One request.
    async fn export_spans(&mut self, batch: Vec<SpanData>) {
        let count = batch.len();
        let about = ResourceAttributesWithSchema::from(&self.resource);
        let request =
            ExportTraceServiceRequest { resource_spans: group_spans_by_resource_and_scope(batch, &about) };
        let outcome = self.collector.send(Signal::Traces, request.encode_to_vec()).await;
        self.shared.waiting.fetch_sub(count, Ordering::Relaxed);
        match outcome {
            Ok(answer) => self.partly(count, &answer),
            Err(problem) => {
                self.shared.lose(count);
                self.complain(&problem.to_string());
            }
        }
    }

    /// OTLP specification, "Partial Success": the collector may say yes and keep less. An answer that cannot be read says nothing.
    fn partly(&mut self, count: usize, answer: &[u8]) {
        let Ok(answer) = ExportTraceServiceResponse::decode(answer) else { return };
        let Some(partial) = answer.partial_success else { return };
        let rejected = usize::try_from(partial.rejected_spans).unwrap_or_default().min(count);
        if rejected > 0 {
            self.shared.lose(rejected);
            self.complain(&format!("the collector rejects {rejected} spans: {}", partial.error_message));
        }
    }

    async fn export_page(&mut self, page: &Page) {
        if self.collector.takes(Signal::Metrics) {
            let about = ResourceAttributesWithSchema::from(&self.resource);
            let resource = ResourceData { attributes: about.attributes.0.clone(), ..ResourceData::default() };
            let resource_metrics = vec![ResourceMetrics {
                resource: Some(resource),
                scope_metrics: vec![page.otlp()],
                schema_url: String::new(),
            }];
            let request = ExportMetricsServiceRequest { resource_metrics };
            if let Err(problem) = self.collector.send(Signal::Metrics, request.encode_to_vec()).await {
                self.shared.lost_pages.fetch_add(1, Ordering::Relaxed);
                self.complain(&problem.to_string());
            }
        }
        self.shared.page.store(false, Ordering::Release);
    }

    fn complain(&mut self, reason: &str) {
        let now = Instant::now();
        if self.last_alert.is_none_or(|last| now.duration_since(last) >= ALERT_EVERY) {
            self.last_alert = Some(now);
            let lost = self.shared.lost.load(Ordering::Relaxed);
            tracing::warn!(lost, "telemetry cannot be exported: {}", reason.escape_debug());
        }
    }
}

fn resource() -> Resource {
    Resource::builder()
        .with_service_name("waxseal")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}
