//! A small collector takes the trace of a message.
#![expect(clippy::unwrap_used, reason = "a test that fails panics, its helpers as well")]

mod fixture;

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use fixture::{account, at, destination, envelope};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;
use waxseal_queue::{Event, Sink as _};
use waxseal_telemetry::{Settings, Telemetry};

/// Takes OTLP over HTTP; the path of each request and its spans come out of the channel.
fn collector() -> (String, Receiver<(String, ExportTraceServiceRequest)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            while let Some((path, body)) = request(&mut stream) {
                let decoded = ExportTraceServiceRequest::decode(&*body).unwrap();
                if sender.send((path, decoded)).is_err() {
                    return;
                }
                let answer =
                    "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    (endpoint, receiver)
}

fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut line = String::new();
    let mut next = || {
        line.clear();
        stream.read_line(&mut line).ok().filter(|length| *length > 0)?;
        Some(line.trim_end().to_owned())
    };
    let path = next()?.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let header = next()?.to_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if header.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((path, body))
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::ArrayValue(list)) => {
            list.values.iter().map(|value| text(Some(value))).collect::<Vec<_>>().join("; ")
        }
        other => format!("{other:?}"),
    }
}

fn attributes(list: &[KeyValue]) -> BTreeMap<&str, String> {
    list.iter().map(|pair| (pair.key.as_str(), text(pair.value.as_ref()))).collect()
}

/// `name from-to (milliseconds since the message arrived) = error`, children indented below.
fn tree(spans: &[Span], parent: &[u8], depth: usize, out: &mut Vec<String>) {
    let since = |nanos: u64| (nanos / 1000 - at(0).as_micros()) / 1000;
    for span in spans.iter().filter(|span| span.parent_span_id == parent) {
        let error = span.status.as_ref().filter(|status| status.code == 2);
        let error = error.map_or_else(String::new, |status| format!(" = {}", status.message));
        let times = format!("{}-{}", since(span.start_time_unix_nano), since(span.end_time_unix_nano));
        out.push(format!("{:depth$}{} {times}{error}", "", span.name));
        tree(spans, &span.span_id, depth + 2, out);
    }
}

const DEADLINE: Duration = Duration::from_secs(30);

fn received(requests: &Receiver<(String, ExportTraceServiceRequest)>) -> Vec<Span> {
    let mut spans = Vec::new();
    while let Ok((path, request)) = requests.try_recv() {
        assert_eq!(path, "/v1/traces");
        for resource in request.resource_spans {
            let about = resource.resource.unwrap();
            assert_eq!(attributes(&about.attributes)["service.name"], "waxseal");
            spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    spans
}

/// Tells of a message that was queued for two destinations and tried once.
fn tell(telemetry: &Telemetry, trace_id: u128) {
    let (envelope, destination, account) = (envelope(trace_id), destination(), account(trace_id));
    for recipient in [0, 1] {
        telemetry.event(Event::Queued {
            envelope: &envelope,
            destination: &destination,
            recipients: &[recipient],
            at: at(3),
        });
    }
    telemetry.event(Event::Attempted { account: &account, next_attempt: None });
}

fn start(endpoint: String) -> Telemetry {
    Telemetry::start(Settings { otlp_endpoint: Some(endpoint), ..Settings::default() }).unwrap()
}

#[test]
fn one_message_is_one_trace_from_intake_to_transaction() {
    let (endpoint, requests) = collector();
    let telemetry = start(endpoint);
    tell(&telemetry, 0xabc);
    telemetry.shutdown();
    let spans = received(&requests);
    assert_eq!(telemetry.lost_spans(), 0);
    assert!(spans.iter().all(|span| span.trace_id == 0xabc_u128.to_be_bytes()));
    assert_eq!(spans.iter().find(|span| span.name == "intake").unwrap().span_id, 0x5eed_u64.to_be_bytes());
    let mut lines = Vec::new();
    tree(&spans, &[], 0, &mut lines);
    let bounced = "host mx2.example.com[2001:db8::2] said: 550 5.1.1 no such \"user\" (in reply to RCPT TO)";
    let expected = [
        "intake 0-3".to_owned(),
        "  queue 0-300000".to_owned(),
        format!("  attempt 300000-300201 = {bounced}"),
        "    policy 300000-300001".to_owned(),
        "    dns 300001-300003".to_owned(),
        "    dns 300003-300008 = A lookup of mx0.example.com failed: no answer".to_owned(),
        "    dns 300008-300009".to_owned(),
        "    dns 300009-300010".to_owned(),
        "    dns 300010-300011".to_owned(),
        "    connect 300020-300030 = connect to mx1.example.com[192.0.2.1]:25: Connection refused".to_owned(),
        "    connect 300030-300060".to_owned(),
        "    tls 300060-300100".to_owned(),
        "    transaction 300100-300200".to_owned(),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn spans_carry_what_the_account_knows() {
    let (endpoint, requests) = collector();
    let telemetry = start(endpoint);
    tell(&telemetry, 0xdef);
    telemetry.shutdown();
    let spans = received(&requests);
    let all =
        |name| spans.iter().filter(move |span| span.name == name).map(|span| attributes(&span.attributes));
    let one = |name, number| all(name).nth(number).unwrap();
    let table = [
        (one("intake", 0), "messaging.system", "smtp"),
        (one("intake", 0), "messaging.message.id", "dZCyJSqXd"),
        (one("intake", 0), "messaging.message.body.size", "1234"),
        (one("attempt", 0), "messaging.destination.name", "example.com"),
        (one("attempt", 0), "waxseal.attempt", "2"),
        (one("attempt", 0), "waxseal.recipients.delivered", "1"),
        (one("attempt", 0), "error.type", "5.1.1"),
        (one("dns", 0), "dns.answers", "5 mx0.example.com; 10 mx1.example.com"),
        (one("dns", 0), "waxseal.dns.security", "secure"),
        (one("dns", 1), "error.type", "timeout"),
        (one("dns", 3), "waxseal.dns.absent", "true"),
        (one("dns", 2), "waxseal.dns.security", "insecure"),
        (one("dns", 2), "waxseal.dns.why", "the zone of host.example.net is not signed"),
        (one("dns", 2), "waxseal.dns.canonical", "host.example.net"),
        (one("dns", 4), "dns.question.name", "_25._tcp.mx1.example.com"),
        (one("dns", 4), "dns.answers", "3 1 1 0123ABCD; 1 1 1 4567CDEF"),
        (one("dns", 4), "waxseal.tlsa.unusable", "1 1 1 4567CDEF: usage 1 is not for SMTP (RFC 7672 §3.1.3)"),
        (one("connect", 0), "server.address", "mx1.example.com"),
        (one("connect", 0), "network.peer.address", "192.0.2.1"),
        (one("connect", 0), "error.type", "4.4.1"),
        (one("tls", 0), "tls.protocol.version", "1.3"),
        (one("tls", 0), "tls.cipher", "TLS_AES_256_GCM_SHA384"),
        (one("tls", 0), "waxseal.tls.level", "dane"),
        (one("tls", 0), "waxseal.tls.status", "verified"),
        (one("tls", 0), "waxseal.tls.matched", "TLSA 3 1 1 0123ABCD"),
        (one("transaction", 0), "server.port", "25"),
        (one("transaction", 0), "waxseal.reply", "250 2.0.0 taken as X1"),
    ];
    for (attributes, key, value) in &table {
        assert_eq!(attributes.get(key).map(String::as_str), Some(*value), "{key} in {attributes:?}");
    }
    let attempt = spans.iter().find(|span| span.name == "attempt").unwrap();
    let events: Vec<_> = attempt.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(events, ["skipped", "lowered", "unavailable", "recipient", "recipient"]);
}

#[test]
fn spans_are_sent_while_the_process_runs() {
    let (endpoint, requests) = collector();
    let telemetry = start(endpoint);
    tell(&telemetry, 0x123);
    let (_, request) = requests.recv_timeout(DEADLINE).unwrap();
    assert!(!request.resource_spans.is_empty());
    drop(telemetry);
}

#[test]
fn a_collector_that_is_away_costs_spans_and_no_time() {
    // Bound and closed again: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let telemetry = start(format!("http://{address}"));
    tell(&telemetry, 0x456);
    telemetry.shutdown();
    assert_eq!(telemetry.lost_spans(), 13);
    tell(&telemetry, 0x457);
    assert_eq!(telemetry.lost_spans(), 26);
}

#[test]
fn spans_that_wait_are_bounded() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = Some(format!("http://{address}"));
    let settings = Settings { otlp_endpoint: endpoint, span_limit: 10, ..Settings::default() };
    let telemetry = Telemetry::start(settings).unwrap();
    // The attempt alone has twelve.
    tell(&telemetry, 0x789);
    assert_eq!(telemetry.lost_spans(), 12);
}
