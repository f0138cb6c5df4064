//! What can be chosen, and what can be wrong with it.

use std::{fmt, io, path::PathBuf};

/// Where to tell what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `log.level`: a level, or a filter as `tracing` has them (`info,waxseal_dns=debug`). For
    /// [`init_logging`](crate::init_logging), which the process calls first.
    pub level: String,
    /// `log.delivery_events`.
    pub delivery_events: Target,
    /// `telemetry.otlp_endpoint`: `http://host:port`, where an OpenTelemetry collector takes OTLP. Over HTTP, `/v1/traces` and
    /// `/v1/metrics` are appended where it has no path of its own.
    pub otlp_endpoint: Option<String>,
    /// `telemetry.protocol`: how that collector is spoken to.
    pub otlp_protocol: Protocol,
    /// Octets of delivery events that may wait for a file that cannot be written, or is slow; what comes on top is counted and lost.
    pub backlog_limit: usize,
    /// Spans that may wait for the collector; what comes on top is counted and lost.
    pub span_limit: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            delivery_events: Target::Off,
            otlp_endpoint: None,
            otlp_protocol: Protocol::Http,
            backlog_limit: 8 << 20,
            span_limit: 8192,
        }
    }
}

/// How a collector is spoken to (OTLP specification).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Protobuf over HTTP/1.1, usually at port 4318.
    #[default]
    Http,
    /// gRPC, usually at port 4317.
    Grpc,
}

/// Where delivery events go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Target {
    /// Nowhere.
    #[default]
    Off,
    /// To standard output.
    Stdout,
    /// To the end of a file, which is made where it is missing.
    File(PathBuf),
}

impl Target {
    /// As configured: empty is off, `-` is standard output, everything else is a path.
    #[must_use]
    pub fn new(text: &str) -> Self {
        match text {
            "" => Self::Off,
            "-" => Self::Stdout,
            path => Self::File(path.into()),
        }
    }
}

impl fmt::Display for Target {
    /// As log lines call it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("nowhere"),
            Self::Stdout => f.write_str("standard output"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// What the operator can set right, and what the machine refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operator's: no filter.
    #[error(
        "log.level: {text:?} is neither a level (error, warn, info, debug, trace) nor a filter: {reason}"
    )]
    Level {
        /// As configured.
        text: String,
        /// What the filter's reader says.
        reason: String,
    },
    /// Something else has taken the log already.
    #[error("log messages already go elsewhere in this process")]
    LogTaken,
    /// The operator's: the file cannot be opened.
    #[error("log.delivery_events: cannot open {} for appending: {source}", path.display())]
    Events {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The operator's: no address of a collector.
    #[error(
        "telemetry.otlp_endpoint: {endpoint:?} is no address of a collector ({reason}); it should be as http://127.0.0.1:4318"
    )]
    Endpoint {
        /// As configured.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The machine's: no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_named_as_in_the_configuration() {
        assert_eq!(Target::new(""), Target::Off);
        assert_eq!(Target::new("-"), Target::Stdout);
        assert_eq!(Target::new("/var/log/delivery.jsonl"), Target::File("/var/log/delivery.jsonl".into()));
    }
}
