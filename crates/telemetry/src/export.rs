//! Spans on their way to a collector, by OTLP over HTTP.
//!
//! A thread with a runtime of its own: the exporter's HTTP client needs a reactor, and the runtimes of the actors shall not wait
//! for it. The queue in between is bounded; while the collector is away, spans are counted and lost, mail is not.
//!
//! Not the SDK's batch processor: it does not tell how many spans it lost before the end, nor that an export failed.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{Protocol, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanExporter as _},
};
use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    watch,
};

use crate::Error;

/// Spans in one request (the SDK's own limit, `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`).
const BATCH: usize = 512;

/// How long spans gather before a request.
const GATHER: Duration = Duration::from_millis(500);

/// The longest wait for the collector.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often a collector that is away is complained about.
const ALERT_EVERY: Duration = Duration::from_secs(60);

/// The callers' end.
#[derive(Debug)]
pub(crate) struct Export {
    shared: Arc<Shared>,
    sender: UnboundedSender<Vec<SpanData>>,
    stop: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    limit: usize,
    /// Spans between a caller and the collector.
    waiting: AtomicUsize,
    lost: AtomicU64,
}

impl Export {
    /// Starts the thread.
    pub(crate) fn start(endpoint: &str, limit: usize) -> Result<Self, Error> {
        let exporter = exporter(endpoint)?;
        let shared = Arc::new(Shared { limit, waiting: AtomicUsize::new(0), lost: AtomicU64::new(0) });
        let (sender, receiver) = unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
        let worker =
            Worker { shared: Arc::clone(&shared), exporter, receiver, stop: stopped, last_alert: None };
        let thread = std::thread::Builder::new()
            .name("otlp".to_owned())
            .spawn(move || runtime.block_on(worker.run()))
            .map_err(Error::Thread)?;
        Ok(Self { shared, sender, stop, thread: Mutex::new(Some(thread)) })
    }

    /// Hands over spans. Never waits.
    pub(crate) fn push(&self, spans: Vec<SpanData>) {
        let count = spans.len();
        let before = self.shared.waiting.fetch_add(count, Ordering::Relaxed);
        if before + count > self.shared.limit || self.sender.send(spans).is_err() {
            self.shared.waiting.fetch_sub(count, Ordering::Relaxed);
            self.shared.lose(count);
        }
    }

    /// Spans that no collector has seen.
    pub(crate) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
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
    exporter: opentelemetry_otlp::SpanExporter,
    receiver: UnboundedReceiver<Vec<SpanData>>,
    stop: watch::Receiver<bool>,
    last_alert: Option<Instant>,
}

impl Worker {
    async fn run(mut self) {
        self.exporter.set_resource(&resource());
        while !*self.stop.borrow() {
            let first = tokio::select! {
                spans = self.receiver.recv() => spans,
                _ = self.stop.changed() => None,
            };
            let Some(mut batch) = first else { continue };
            self.fill(&mut batch);
            if batch.len() < BATCH {
                tokio::select! {
                    () = tokio::time::sleep(GATHER) => {}
                    _ = self.stop.changed() => {}
                }
                self.fill(&mut batch);
            }
            self.export(batch).await;
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
            let mut batch = Vec::new();
            self.fill(&mut batch);
            if batch.is_empty() {
                return;
            }
            self.export(batch).await;
        }
    }

    /// Takes more of what waits.
    fn fill(&mut self, batch: &mut Vec<SpanData>) {
        while batch.len() < BATCH {
            let Ok(mut more) = self.receiver.try_recv() else { return };
            batch.append(&mut more);
        }
    }

    /// One request.
    async fn export(&mut self, batch: Vec<SpanData>) {
        let count = batch.len();
        let outcome = tokio::time::timeout(TIMEOUT, self.exporter.export(batch)).await;
        self.shared.waiting.fetch_sub(count, Ordering::Relaxed);
        let reason = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", TIMEOUT.as_secs()),
        };
        self.shared.lose(count);
        self.complain(&reason);
    }

    fn complain(&mut self, reason: &str) {
        let now = Instant::now();
        if self.last_alert.is_none_or(|last| now.duration_since(last) >= ALERT_EVERY) {
            self.last_alert = Some(now);
            let lost = self.shared.lost.load(Ordering::Relaxed);
            tracing::warn!(lost, "traces cannot be exported: {}", reason.escape_debug());
        }
    }
}

fn exporter(endpoint: &str) -> Result<opentelemetry_otlp::SpanExporter, Error> {
    let bad = |reason: String| Error::Endpoint { endpoint: endpoint.to_owned(), reason };
    // The client speaks no TLS; a collector that is far away wants an agent near by.
    let rest = endpoint.strip_prefix("http://").ok_or_else(|| bad("only http:// is spoken".to_owned()))?;
    let address = match rest.split_once('/') {
        None => format!("{endpoint}/v1/traces"),
        Some((_, "")) => format!("{endpoint}v1/traces"),
        Some(_) => endpoint.to_owned(),
    };
    opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(address)
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(TIMEOUT)
        .build()
        .map_err(|error| bad(error.to_string()))
}

fn resource() -> Resource {
    Resource::builder()
        .with_service_name("waxseal")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_that_are_none_are_told() {
        for bad in
            ["", "127.0.0.1:4318", "https://127.0.0.1:4318", "http://", "http://a b", "http:///v1/traces"]
        {
            assert!(matches!(exporter(bad), Err(Error::Endpoint { .. })), "{bad}");
        }
        for good in ["http://127.0.0.1:4318", "http://collector:4318/", "http://[::1]:4318/custom"] {
            assert!(exporter(good).is_ok(), "{good}");
        }
    }
}
