//! A collector of OpenTelemetry traces, for what it is sent by OTLP over HTTP.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// Listens, and keeps what comes.
#[derive(Debug)]
pub struct Collector {
    /// `http://127.0.0.1:port`.
    pub endpoint: String,
    requests: mpsc::UnboundedReceiver<Vec<u8>>,
}

impl Collector {
    /// Starts to listen.
    ///
    /// # Panics
    ///
    /// If there is no port to be had.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(attend(stream, sender.clone()));
            }
        });
        Self { endpoint, requests }
    }

    /// The spans that have come so far.
    ///
    /// # Panics
    ///
    /// If something else came.
    pub fn spans(&mut self) -> Vec<Span> {
        let mut spans = Vec::new();
        while let Ok(body) = self.requests.try_recv() {
            let request = ExportTraceServiceRequest::decode(&*body).expect("OTLP");
            let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            spans.extend(scopes.flat_map(|scope| scope.spans));
        }
        spans
    }
}

async fn attend(stream: TcpStream, sender: mpsc::UnboundedSender<Vec<u8>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut length, mut path) = (0, String::new());
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok().filter(|octets| *octets > 0)?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if let Some(rest) = line.strip_prefix("POST ") {
                rest.clone_into(&mut path);
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        // Metrics come to the same collector.
        if path.starts_with("/v1/traces") {
            sender.send(body).ok()?;
        }
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok()?;
    }
}

/// The attributes of a span as texts; lists are joined with `; `.
#[must_use]
pub fn attributes(span: &Span) -> BTreeMap<&str, String> {
    span.attributes.iter().map(|pair| (pair.key.as_str(), text(pair.value.as_ref()))).collect()
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
