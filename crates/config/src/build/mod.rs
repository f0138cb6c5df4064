//! From keys to settings. All problems are collected; a setting with a problem keeps its default, and the configuration is not used.

mod delivery;
mod door;
mod intake;
mod tls;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use waxseal_types::{Domain, Service};

use crate::{
    Config, LogKeys, TableSet, TelemetryKeys, TransportKeys, TransportService, check,
    layer::path,
    load::View,
    problem::{Gravity, Place, Problem},
    values::{Count, Flag, Span, Text},
};

/// The OpenTelemetry SDK's own (`OTEL_METRIC_EXPORT_INTERVAL`).
const METRICS_INTERVAL: Duration = Duration::from_secs(60);

/// What a configuration is made from, and what was wrong with it so far.
pub(crate) struct Build<'a> {
    /// What is looked at: the whole, or as one service sees it.
    pub(crate) view: &'a View,
    /// The views of services with settings of their own.
    pub(crate) own: &'a [(Service, View)],
    /// Whether there is any file at all.
    pub(crate) configured: bool,
    pub(crate) system_hostname: String,
    pub(crate) problems: Vec<Problem>,
    /// What is odd, but no error.
    pub(crate) warnings: Vec<Problem>,
    /// What the services of a `master.cf` mean.
    pub(crate) services: Vec<TransportService>,
    /// In what they differ as to the queue.
    pub(crate) limits: Vec<(Service, TransportKeys)>,
    pub(crate) tables: TableSet,
}

impl<'a> Build<'a> {
    /// Something for each service with settings of its own, made as that service sees the configuration.
    fn each<T>(&mut self, mut make: impl FnMut(&mut Self, &Service) -> T) -> BTreeMap<Service, T> {
        let (main, own) = (self.view, self.own);
        let one = |(service, view): &'a (Service, View)| {
            self.view = view;
            (service.clone(), make(self, service))
        };
        let all = own.iter().map(one).collect();
        self.view = main;
        all
    }

    /// The configuration, or nothing where there is an error; and all that was found, in order. With `entries`, each entry of each table is looked at, too.
    pub(crate) fn finish(mut self, entries: bool) -> (Option<Config>, Vec<Problem>) {
        let hostname = self.hostname();
        let stale_limit = self.view.raw.tables.stale_limit.as_ref().map(|span| span.0);
        self.tables.set_stale_limit(stale_limit);
        let dns = self.dns();
        let policy = self.policy(&hostname, &dns);
        let trust = self.trust(stale_limit);
        let (mut intake, admin) = (self.intake(&hostname), self.admin());
        let spool = self.spool(&intake);
        let ledger = self.ledger(&spool.path);
        intake.tls = self.intake_tls(&spool);
        let mut transport = self.transport(&hostname);
        transport.services = self.each(|build, _| build.transport(&hostname));
        let mut queue = self.queue(&hostname, &intake);
        queue.services =
            self.each(|build, service| build.queue(&hostname, &intake).reach(&service.protocol().into()));
        self.transport_limits(&mut queue);
        let (log, telemetry) = (self.log(), self.telemetry());
        let complaints = self.tables.complaints();
        self.warnings.extend(complaints.iter().map(|text| Problem::of_text(Gravity::Warning, text)));
        let usable = self.problems.is_empty();
        self.problems.extend(self.warnings);
        if entries {
            self.problems.extend(check::entries(&policy, &self.tables));
        }
        let found = in_order(self.problems);
        if !usable {
            return (None, found);
        }
        let config = Config {
            hostname,
            spool,
            intake,
            admin,
            dns,
            policy: Arc::new(policy),
            trust,
            transport,
            queue,
            log,
            ledger,
            telemetry,
            tables: Arc::new(self.tables),
            user: self.view.raw.process.user.clone().map(|user| user.0).filter(|user| !user.is_empty()),
            warnings: found.iter().filter(|one| one.gravity != Gravity::Error).cloned().collect(),
        };
        (Some(config), found)
    }

    /// Where a key stands and how it is called there. `[lmtp_tls]` inherits from `[tls]`.
    fn place(&self, section: &str, key: &str) -> (Place, String) {
        let inherited =
            || (section == "lmtp_tls").then(|| self.view.stack.place(&path("tls", key))).flatten();
        let found = self.view.stack.place(&path(section, key)).or_else(inherited);
        found.unwrap_or_else(|| (Place::Default, path(section, key)))
    }

    fn problem(&mut self, section: &str, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        let (place, name) = self.place(section, key);
        self.problems.push(Problem::new(place, &name, what, remedy));
    }

    fn warning(&mut self, section: &str, key: &str, what: &str) {
        let (place, name) = self.place(section, key);
        let warning = Problem::warning(place, &name, what, "");
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Whether the value of a key comes from a `main.cf`, where Postfix decides what is an error.
    fn is_postfix(&self, section: &str, key: &str) -> bool {
        match self.place(section, key).0 {
            Place::File { file, .. } => file.ends_with(".cf"),
            // The layer of Postfix's defaults, which may follow from what is set: smtp_tls_key_file is $smtp_tls_cert_file.
            Place::Default => true,
            Place::Environment(_) => false,
        }
    }

    /// A path, where one is set: relative ones are relative to nothing that stays the same, so they are refused.
    fn file(&mut self, section: &str, key: &str, value: Option<&Text>) -> Option<PathBuf> {
        let path = PathBuf::from(&value.filter(|text| !text.0.is_empty())?.0);
        self.absolute(section, key, path)
    }

    fn absolute(&mut self, section: &str, key: &str, path: PathBuf) -> Option<PathBuf> {
        if path.is_absolute() {
            return Some(path);
        }
        self.problem(
            section,
            key,
            format!("{:?} is a relative path", path.display().to_string()),
            "write the whole path",
        );
        None
    }

    /// A text with a parser of its own; the parser's error is what is wrong.
    fn parsed<T, E: std::fmt::Display>(
        &mut self,
        at: (&str, &str),
        value: Option<&Text>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = &value?.0;
        match parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(at.0, at.1, error.to_string(), "");
                None
            }
        }
    }

    /// A list, each word with a parser of its own.
    fn parsed_words<T, E: std::fmt::Display>(
        &mut self,
        at: (&str, &str),
        words: &[String],
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let mut out = Vec::with_capacity(words.len());
        for word in words {
            match parse(word) {
                Ok(value) => out.push(value),
                Err(error) => self.problem(at.0, at.1, error.to_string(), ""),
            }
        }
        out
    }

    fn hostname(&mut self) -> Domain {
        let configured = self.view.raw.hostname.clone().filter(|text| !text.0.is_empty());
        let text = configured.as_ref().map_or_else(|| self.system_hostname.clone(), |text| text.0.clone());
        let name = match Domain::new(&text) {
            Ok(name) => Some(name),
            Err(error) => {
                self.problem(
                    "",
                    "hostname",
                    format!("{text:?}: {error}"),
                    "write the name that this host has in DNS",
                );
                None
            }
        };
        if !text.trim_end_matches('.').contains('.') && self.problems.is_empty() {
            let warning = "is no fully qualified name; servers may refuse mail from it: set hostname";
            self.warning("", "hostname", &format!("{text:?} {warning}"));
        }
        // Not used where there is a problem.
        name.or_else(|| Domain::new("localhost").ok()).unwrap_or_else(|| unreachable!("localhost is a name"))
    }

    fn log(&mut self) -> LogKeys {
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        let level = self
            .view
            .raw
            .log
            .level
            .as_ref()
            .map_or_else(|| "info".to_owned(), |text| text.0.to_ascii_lowercase());
        // A filter such as `info,waxseal_queue=debug` is for tracing to read; a lone word must be a level.
        let lone = !level.contains([',', '=']);
        if lone && !LEVELS.contains(&level.as_str()) {
            self.problem(
                "log",
                "level",
                format!("{level:?} is no level"),
                format!("one of {}", LEVELS.join(", ")),
            );
        }
        let events = self.view.raw.log.delivery_events.clone().map(|text| text.0).unwrap_or_default();
        LogKeys { level, delivery_events: Some(events).filter(|text| !text.is_empty()) }
    }

    fn telemetry(&mut self) -> TelemetryKeys {
        let endpoint = self.view.raw.telemetry.otlp_endpoint.clone().map(|text| text.0).unwrap_or_default();
        if !endpoint.is_empty() && !endpoint.starts_with("http://") {
            let remedy = "write http://host:port; TLS to a collector is not supported";
            self.problem("telemetry", "otlp_endpoint", format!("{endpoint:?} is no such address"), remedy);
        }
        let protocol =
            self.view.raw.telemetry.protocol.clone().map_or_else(|| "http".to_owned(), |text| text.0);
        if !["http", "grpc"].contains(&protocol.as_str()) {
            self.problem(
                "telemetry",
                "protocol",
                format!("{protocol:?} is no protocol of OTLP"),
                "one of http, grpc",
            );
        }
        TelemetryKeys {
            otlp_endpoint: Some(endpoint).filter(|text| !text.is_empty()),
            grpc: protocol == "grpc",
            metrics_interval: span(&self.view.raw.telemetry.metrics_interval).unwrap_or(METRICS_INTERVAL),
        }
    }
}

/// The gravest first, then by file and line, each once. What a default inherits from a wrong value is not said again.
fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    let place = |problem: &Problem| match &problem.place {
        Place::File { file, line } => (0, file.to_string(), *line),
        Place::Environment(name) => (1, name.to_string(), 0),
        Place::Default => (2, String::new(), 0),
    };
    problems.sort_by_key(|problem| (problem.gravity, place(problem)));
    let mut seen: Vec<Problem> = Vec::with_capacity(problems.len());
    for problem in problems {
        let inherited =
            problem.place == Place::Default && seen.iter().any(|other| other.what == problem.what);
        if !inherited && !seen.contains(&problem) {
            seen.push(problem);
        }
    }
    seen
}

/// Puts a value where one is set.
fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

fn span(value: &Option<Span>) -> Option<std::time::Duration> {
    value.as_ref().map(|span| span.0)
}

fn flag(value: &Option<Flag>) -> Option<bool> {
    value.as_ref().map(|flag| flag.0)
}

/// A number, as large as the machine can have it.
fn count(value: &Option<Count>) -> Option<usize> {
    value.as_ref().map(|count| usize::try_from(count.0).unwrap_or(usize::MAX))
}
