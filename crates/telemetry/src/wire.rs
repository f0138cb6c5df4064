//! OTLP to a collector: protobuf over HTTP/1.1, or gRPC over HTTP/2.
//!
//! One transport for both protocols and all signals, over the HTTP library that is here anyway. A unary gRPC call is a request with five octets before its
//! message and a status in the trailers; the usual client for it would bring twelve crates more.

use std::{fmt, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, Response, Uri,
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
    header::{self, HeaderMap, HeaderValue},
    http::{request::Builder, uri::Authority},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::{Error, Protocol};

/// The longest wait for the collector.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest answer that is read; a good one has a few octets.
const ANSWER_LIMIT: usize = 64 << 10;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    /// OTLP specification, "OTLP/HTTP Request".
    const fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
        }
    }

    /// The services of opentelemetry-proto, `collector/*/v1/*_service.proto`.
    const fn call(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        }
    }
}

/// Why a collector did not take something.
#[derive(Debug)]
pub(crate) enum Problem {
    /// It cannot be reached, or the connection broke.
    Network(String),
    /// It said no.
    Refused(String),
    /// It said nothing for [`TIMEOUT`].
    Late,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(what) => write!(f, "{what}"),
            Self::Refused(what) => write!(f, "the collector answers {what}"),
            Self::Late => write!(f, "no answer within {} s", TIMEOUT.as_secs()),
        }
    }
}

fn network(error: impl fmt::Display) -> Problem {
    Problem::Network(error.to_string())
}

/// A collector, and the connection to it, if there is one.
pub(crate) struct Collector {
    protocol: Protocol,
    authority: Authority,
    /// A path that the operator gave, for traces.
    own_path: Option<String>,
    link: Option<Link>,
}

enum Link {
    Http(http1::SendRequest<Full<Bytes>>),
    Grpc(http2::SendRequest<Full<Bytes>>),
}

impl Collector {
    pub(crate) fn new(endpoint: &str, protocol: Protocol) -> Result<Self, Error> {
        let bad = |reason: &str| Error::Endpoint { endpoint: endpoint.to_owned(), reason: reason.to_owned() };
        let uri: Uri = endpoint.parse().map_err(|error| bad(&format!("{error}")))?;
        // No TLS: a collector that is far away wants an agent near by.
        if uri.scheme_str() != Some("http") {
            return Err(bad("only http:// is spoken"));
        }
        let authority = uri.authority().cloned().ok_or_else(|| bad("it names no host"))?;
        let own_path = Some(uri.path().to_owned()).filter(|path| path != "/" && !path.is_empty());
        if own_path.is_some() && protocol == Protocol::Grpc {
            return Err(bad("gRPC knows no path"));
        }
        Ok(Self { protocol, authority, own_path, link: None })
    }

    /// Where a signal goes; `None` where the operator's own path leaves no place for it.
    fn path(&self, signal: Signal) -> Option<String> {
        match (self.protocol, &self.own_path, signal) {
            (Protocol::Grpc, ..) => Some(signal.call().to_owned()),
            (Protocol::Http, None, _) => Some(signal.path().to_owned()),
            (Protocol::Http, Some(own), Signal::Traces) => Some(own.clone()),
            (Protocol::Http, Some(own), Signal::Metrics) => {
                own.strip_suffix(Signal::Traces.path()).map(|base| format!("{base}{}", signal.path()))
            }
        }
    }

    /// Whether there is a place for a signal.
    pub(crate) fn takes(&self, signal: Signal) -> bool {
        self.path(signal).is_some()
    }

    /// Sends one request and gives the answer's message. A kept connection may have gone stale: then there is one more try, over a new one.
    pub(crate) async fn send(&mut self, signal: Signal, message: Vec<u8>) -> Result<Bytes, Problem> {
        let Some(path) = self.path(signal) else {
            return Err(Problem::Refused("nothing: no path".to_owned()));
        };
        let message = Bytes::from(message);
        let kept = self.link.take();
        let was_kept = kept.is_some();
        let tried = tokio::time::timeout(TIMEOUT, async {
            let outcome = self.exchange(kept, &path, message.clone()).await;
            match outcome {
                Err(Problem::Network(_)) if was_kept => self.exchange(None, &path, message).await,
                outcome => outcome,
            }
        });
        tried.await.unwrap_or(Err(Problem::Late))
    }

    async fn exchange(&mut self, link: Option<Link>, path: &str, message: Bytes) -> Result<Bytes, Problem> {
        let link = match link {
            Some(link) => link,
            None => self.connect().await?,
        };
        match link {
            Link::Http(mut link) => {
                let request = Request::post(path).header(header::HOST, self.authority.as_str());
                let request = finished(request, "application/x-protobuf", message)?;
                link.ready().await.map_err(network)?;
                let response = link.send_request(request).await.map_err(network)?;
                let answer = plain(response).await?;
                self.link = Some(Link::Http(link));
                Ok(answer)
            }
            Link::Grpc(mut link) => {
                let uri = format!("http://{}{path}", self.authority);
                let request = Request::post(uri).header(header::TE, "trailers");
                let request = finished(request, "application/grpc", framed(&message))?;
                link.ready().await.map_err(network)?;
                let response = link.send_request(request).await.map_err(network)?;
                let answer = unframed(response).await?;
                self.link = Some(Link::Grpc(link));
                Ok(answer)
            }
        }
    }

    async fn connect(&self) -> Result<Link, Problem> {
        let host = self.authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = self.authority.port_u16().unwrap_or(80);
        let stream = TcpStream::connect((host, port)).await.map_err(network)?;
        let stream = TokioIo::new(stream);
        match self.protocol {
            Protocol::Http => {
                let (link, connection) = http1::handshake(stream).await.map_err(network)?;
                tokio::spawn(connection);
                Ok(Link::Http(link))
            }
            Protocol::Grpc => {
                let shaking = http2::handshake(TokioExecutor::new(), stream);
                let (link, connection) = shaking.await.map_err(network)?;
                tokio::spawn(connection);
                Ok(Link::Grpc(link))
            }
        }
    }
}

fn finished(request: Builder, kind: &'static str, body: Bytes) -> Result<Request<Full<Bytes>>, Problem> {
    request
        .header(header::CONTENT_TYPE, kind)
        .header(header::USER_AGENT, concat!("waxseal/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(body))
        .map_err(network)
}

async fn body(response: Response<Incoming>) -> Result<(Bytes, Option<HeaderMap>), Problem> {
    let limited = Limited::new(response.into_body(), ANSWER_LIMIT);
    let collected = limited.collect().await.map_err(network)?;
    let trailers = collected.trailers().cloned();
    Ok((collected.to_bytes(), trailers))
}

async fn plain(response: Response<Incoming>) -> Result<Bytes, Problem> {
    let status = response.status();
    let (answer, _) = body(response).await?;
    if status.is_success() { Ok(answer) } else { Err(Problem::Refused(status.to_string())) }
}

/// gRPC over HTTP/2, "Length-Prefixed-Message": not compressed, and how long.
fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(message.len() + 5);
    frame.push(0);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    frame.into()
}

/// gRPC over HTTP/2, "Responses": the status is in the trailers, or in the headers where nothing else came.
async fn unframed(response: Response<Incoming>) -> Result<Bytes, Problem> {
    let status = response.status();
    if !status.is_success() {
        return Err(Problem::Refused(status.to_string()));
    }
    let headers = response.headers().clone();
    let (answer, trailers) = body(response).await?;
    let find = |name| trailers.as_ref().and_then(|all| all.get(name)).or_else(|| headers.get(name));
    let word = |value: &HeaderValue| value.to_str().unwrap_or("?").to_owned();
    match find("grpc-status").map(word).as_deref() {
        Some("0") => Ok(answer.slice(answer.len().min(5)..)),
        code => {
            let code = code.unwrap_or("without a status");
            let text = find("grpc-message").map(word).unwrap_or_default();
            Err(Problem::Refused(format!("gRPC status {code} {text}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_that_are_none_are_told() {
        for bad in [
            "",
            "127.0.0.1:4318",
            "https://127.0.0.1:4318",
            "http://",
            "http://a b",
            "http:///v1/traces",
            "/v1",
        ] {
            assert!(matches!(Collector::new(bad, Protocol::Http), Err(Error::Endpoint { .. })), "{bad}");
        }
        assert!(Collector::new("http://127.0.0.1:4317/path", Protocol::Grpc).is_err());
    }

    #[test]
    fn signals_go_to_paths_of_their_own() {
        let table = [
            ("http://127.0.0.1:4318", "/v1/traces", Some("/v1/metrics")),
            ("http://collector:4318/", "/v1/traces", Some("/v1/metrics")),
            ("http://[::1]:4318/own/v1/traces", "/own/v1/traces", Some("/own/v1/metrics")),
            ("http://[::1]:4318/custom", "/custom", None),
        ];
        for (endpoint, traces, metrics) in table {
            let collector = Collector::new(endpoint, Protocol::Http).unwrap();
            assert_eq!(collector.path(Signal::Traces).as_deref(), Some(traces), "{endpoint}");
            assert_eq!(collector.path(Signal::Metrics).as_deref(), metrics, "{endpoint}");
        }
        let collector = Collector::new("http://127.0.0.1:4317", Protocol::Grpc).unwrap();
        assert!(collector.path(Signal::Metrics).unwrap().ends_with("MetricsService/Export"));
    }
}
