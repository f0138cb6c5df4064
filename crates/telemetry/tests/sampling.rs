//! Which spans are built, what they point to, and a collector that speaks gRPC.
#![expect(clippy::unwrap_used, reason = "a test that fails panics, its helpers as well")]

mod fixture;

use std::{convert::Infallible, sync::Arc, time::Duration};

use fixture::{account, at, destination, envelope};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::ExportMetricsServiceRequest,
        trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse},
    },
    metrics::v1::metric::Data,
    trace::v1::Span,
};
use prost::Message as _;
use tokio::{net::TcpListener, sync::mpsc};
use waxseal_queue::{Account, Event, Outcome, Sink as _};
use waxseal_telemetry::{
    Protocol, Settings, Telemetry,
    metrics::{ATTEMPTS, HANDSHAKE_TIME, Page, TRACES},
};
use waxseal_types::{Envelope, TraceContext};

type Seen = (String, Bytes);

/// A collector that answers every call as it is told, over gRPC.
async fn collector(status: &'static str, answer: Vec<u8>) -> (String, mpsc::UnboundedReceiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (sender, answer) = (sender.clone(), answer.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let (sender, answer) = (sender.clone(), answer.clone());
                async move {
                    assert_eq!(request.headers()["content-type"], "application/grpc");
                    assert_eq!(request.headers()["te"], "trailers");
                    let path = request.uri().path().to_owned();
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let _ = sender.send((path, body));
                    let mut framed = vec![0, 0, 0, 0, u8::try_from(answer.len()).unwrap()];
                    framed.extend_from_slice(&answer);
                    let mut trailers = HeaderMap::new();
                    trailers.insert("grpc-status", status.parse().unwrap());
                    let frames = [Frame::data(Bytes::from(framed)), Frame::trailers(trailers)]
                        .map(Ok::<_, Infallible>);
                    let body = StreamBody::new(futures_util::stream::iter(frames));
                    Ok::<_, Infallible>(Response::new(body))
                }
            });
            tokio::spawn(
                http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (endpoint, receiver)
}

fn start(endpoint: String, protocol: Protocol) -> Telemetry {
    let settings = Settings { otlp_endpoint: Some(endpoint), otlp_protocol: protocol, ..Settings::default() };
    Telemetry::start(settings).unwrap()
}

async fn stop(telemetry: Telemetry) -> Telemetry {
    let telemetry = Arc::new(telemetry);
    let same = Arc::clone(&telemetry);
    tokio::task::spawn_blocking(move || same.shutdown()).await.unwrap();
    Arc::try_unwrap(telemetry).ok().unwrap()
}

fn spans(seen: &mut mpsc::UnboundedReceiver<Seen>) -> Vec<Span> {
    let mut spans = Vec::new();
    while let Ok((path, body)) = seen.try_recv() {
        if path.ends_with("TraceService/Export") {
            let request = ExportTraceServiceRequest::decode(&body[5..]).unwrap();
            spans
                .extend(request.resource_spans.into_iter().flat_map(|r| r.scope_spans).flat_map(|s| s.spans));
        }
    }
    spans
}

fn with(trace: TraceContext, account: &Account) -> Account {
    Account { envelope: Arc::new(Envelope { trace, ..(*account.envelope).clone() }), ..account.clone() }
}

const UNSAMPLED: TraceContext = TraceContext { trace_id: 7, span_id: 0x5eed, sampled: false, parent_id: 0 };

/// The first attempt at a message, which went well or did not.
fn first(trace: TraceContext, well: bool) -> Account {
    let mut first = Account { attempt: 1, ..with(trace, &account(1)) };
    if well {
        first.connections.remove(0);
        first.results.truncate(1);
        first.results[0].connection = Some(0);
    }
    first
}

#[tokio::test]
async fn no_span_is_built_of_an_unsampled_message_unless_it_fails() {
    let (endpoint, mut seen) = collector("0", Vec::new()).await;
    let telemetry = start(endpoint, Protocol::Grpc);
    let unsampled = Arc::new(Envelope { trace: UNSAMPLED, ..(*envelope(1)).clone() });
    let destination = destination();
    telemetry.event(Event::Queued {
        envelope: &unsampled,
        destination: &destination,
        recipients: &[0],
        at: at(3),
    });
    let well = first(UNSAMPLED, true);
    assert!(matches!(well.results[0].outcome, Outcome::Delivered { .. }));
    telemetry.event(Event::Attempted { account: &well, next_attempt: None });
    let failed = first(TraceContext { trace_id: 8, ..UNSAMPLED }, false);
    telemetry.event(Event::Attempted { account: &failed, next_attempt: None });
    let telemetry = stop(telemetry).await;
    let spans = spans(&mut seen);
    assert_eq!(telemetry.lost_spans(), 0);
    assert!(spans.iter().all(|span| span.trace_id == 8u128.to_be_bytes()), "only of the one that failed");
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names[..3], ["intake", "queue", "attempt"]);
    let mut page = Page::new(at(0), at(0));
    telemetry.read(&mut page);
    let count = |word| page.number(&TRACES, &[word]).unwrap().as_f64();
    assert_eq!((count("sampled"), count("kept"), count("left-out")), (0.0, 1.0, 1.0));
}

#[tokio::test]
async fn spans_point_to_the_client_the_attempt_before_and_the_message_of_a_bounce() {
    let (endpoint, mut seen) = collector("0", Vec::new()).await;
    let telemetry = start(endpoint, Protocol::Grpc);
    let trace = TraceContext { trace_id: 9, span_id: 1, sampled: true, parent_id: 0xc11e };
    let message = Arc::new(Envelope { trace, ..(*envelope(1)).clone() });
    let destination = destination();
    let queued =
        |envelope| Event::Queued { envelope, destination: &destination, recipients: &[0], at: at(3) };
    telemetry.event(queued(&message));
    for attempt in [1, 2] {
        let account = Account { attempt, ..with(trace, &account(1)) };
        telemetry.event(Event::Attempted { account: &account, next_attempt: None });
    }
    let about = TraceContext { trace_id: 10, span_id: 2, sampled: true, parent_id: 1 };
    let bounce = Arc::new(Envelope { trace: about, sender: None, ..(*envelope(1)).clone() });
    telemetry.event(queued(&bounce));
    stop(telemetry).await;
    let spans = spans(&mut seen);
    let named = |name: &'static str| spans.iter().filter(move |span| span.name == name).collect::<Vec<_>>();
    let intakes = named("intake");
    assert_eq!(intakes[0].parent_span_id, 0xc11e_u64.to_be_bytes(), "the client's span");
    assert_eq!(intakes[1].parent_span_id, 1u64.to_be_bytes());
    assert_eq!(intakes[1].links[0].span_id, 1u64.to_be_bytes(), "the bounced message");
    let attempts = named("attempt");
    assert!(attempts[0].links.is_empty());
    assert_eq!(attempts[1].links[0].span_id, attempts[0].span_id, "the second follows on the first");
    assert_ne!(attempts[1].span_id, attempts[0].span_id);
}

#[tokio::test]
async fn metrics_are_exported_with_their_units_and_buckets() {
    let (endpoint, mut seen) = collector("0", Vec::new()).await;
    let telemetry = start(endpoint, Protocol::Grpc);
    let account = account(1);
    telemetry.event(Event::Attempted { account: &account, next_attempt: None });
    let mut page = Page::new(at(10), at(0));
    telemetry.read(&mut page);
    telemetry.export(page);
    let mut metrics = Vec::new();
    while metrics.is_empty() {
        let (path, body) = tokio::time::timeout(Duration::from_secs(30), seen.recv()).await.unwrap().unwrap();
        if path == "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" {
            let request = ExportMetricsServiceRequest::decode(&body[5..]).unwrap();
            metrics = request
                .resource_metrics
                .into_iter()
                .flat_map(|r| r.scope_metrics)
                .flat_map(|s| s.metrics)
                .collect();
        }
    }
    let find = |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap();
    let Some(Data::Sum(sum)) = &find(ATTEMPTS.name).data else { panic!("a counter is a sum") };
    assert!(sum.is_monotonic && sum.data_points.len() == 1);
    let handshakes = find(HANDSHAKE_TIME.name);
    assert_eq!(handshakes.unit, "s");
    let Some(Data::Histogram(histogram)) = &handshakes.data else { panic!("a histogram") };
    let full = histogram.data_points.iter().find(|point| point.count == 1).unwrap();
    assert_eq!(full.bucket_counts.len(), full.explicit_bounds.len() + 1);
    assert!((full.sum.unwrap() - 0.04).abs() < 1e-9);
    stop(telemetry).await;
}

#[tokio::test]
async fn what_a_collector_refuses_or_rejects_is_lost_and_counted() {
    let partial = ExportTracePartialSuccess { rejected_spans: 5, error_message: "too many".to_owned() };
    let answer = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    for (status, answer, expected) in [("8", Vec::new(), 12), ("0", answer, 5)] {
        let (endpoint, _seen) = collector(status, answer).await;
        let telemetry = start(endpoint, Protocol::Grpc);
        let account = account(1);
        telemetry.event(Event::Attempted { account: &account, next_attempt: None });
        let telemetry = stop(telemetry).await;
        assert_eq!(telemetry.lost_spans(), expected, "status {status}");
    }
}
