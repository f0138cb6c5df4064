//! From files to a configuration.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use waxseal_policy::Transport;
use waxseal_types::{Domain, Service};

use crate::{
    Problems, TableSet,
    build::Build,
    hostname,
    layer::{Layer, Stack},
    postfix::MainCf,
    problem::{Gravity, Place, Problem},
    raw::Raw,
};

/// Everything that the programs are told.
#[derive(Debug)]
#[non_exhaustive]
pub struct Config {
    /// Our own name.
    pub hostname: Domain,
    /// `[spool]`.
    pub spool: waxseal_spool::Settings,
    /// `[listen]`.
    pub intake: waxseal_intake::Settings,
    /// `listen.admin` and `[admin]`.
    pub admin: AdminKeys,
    /// `[dns]`.
    pub dns: waxseal_dns::Settings,
    /// `[tls]`, `[lmtp_tls]` and the routes of `[transport]`.
    pub policy: Arc<waxseal_policy::Settings>,
    /// The files of `[tls]` and `[lmtp_tls]`.
    pub trust: waxseal_trust::Settings,
    /// `[transport]`.
    pub transport: waxseal_transport::Settings,
    /// `[queue]`.
    pub queue: waxseal_queue::Settings,
    /// `[log]`.
    pub log: LogKeys,
    /// `[ledger]`; `None` where none is kept.
    pub ledger: Option<waxseal_ledger::Settings>,
    /// `[telemetry]`.
    pub telemetry: TelemetryKeys,
    /// The tables that the above name.
    pub tables: Arc<TableSet>,
    /// `process.user`: who the daemon becomes once its ports are bound.
    pub user: Option<String>,
    /// What is odd, but no error.
    pub warnings: Vec<Problem>,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKeys {
    /// A level, or a filter as `tracing` has them.
    pub level: String,
    /// A file, or `-` for standard output.
    pub delivery_events: Option<String>,
}

/// `listen.admin` and `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminKeys {
    /// Where the API and the page are.
    pub listen: Option<SocketAddr>,
    /// Whether that was asked for; without a configuration it is only offered, and is no reason not to start.
    pub wanted: bool,
    /// The file with the secret of those who come in; needed everywhere but on loopback.
    pub token_file: Option<PathBuf>,
}

/// `[telemetry]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryKeys {
    /// Where traces and metrics go.
    pub otlp_endpoint: Option<String>,
    /// Whether that speaks gRPC, and not OTLP over HTTP.
    pub grpc: bool,
    /// How often metrics go there.
    pub metrics_interval: std::time::Duration,
}

/// A file as it is named: `*.toml`, or `*.cf`.
enum Format {
    Toml,
    Postfix,
}

impl Config {
    /// Reads `files`, later ones on top, and `WAXSEAL_*` of `environment` on top of them. Opens the tables, which may wait a second for one
    /// that is just being written.
    ///
    /// # Errors
    /// All [`Problems`] there are.
    pub fn load(
        files: &[PathBuf],
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Problems> {
        let (config, found) = Self::examine(files, environment, false);
        config.ok_or(Problems(found))
    }

    /// As [`Config::load`], and looks at each entry of each table besides. All that was found, the gravest first; the configuration is there where
    /// the daemon would start with it.
    #[must_use]
    pub fn check(
        files: &[PathBuf],
        environment: impl Iterator<Item = (String, String)>,
    ) -> (Option<Self>, Vec<Problem>) {
        Self::examine(files, environment, true)
    }

    fn examine(
        files: &[PathBuf],
        environment: impl Iterator<Item = (String, String)>,
        entries: bool,
    ) -> (Option<Self>, Vec<Problem>) {
        let mut problems = Vec::new();
        let system_hostname = hostname::of_system();
        let mut cf = MainCf::new(&system_hostname);
        let (mut layers, mut postfix) = (vec![Layer::default(); files.len()], false);
        for (number, file) in files.iter().enumerate() {
            match read(file) {
                Err(problem) => problems.push(problem),
                Ok((Format::Toml, text)) => layers[number] = Layer::read_toml(file, &text, &mut problems),
                Ok((Format::Postfix, text)) => {
                    postfix = true;
                    cf.read(file, &text, number, &mut problems);
                    read_master(&mut cf, &file.with_file_name("master.cf"), number, &mut problems);
                }
            }
        }
        layers.push(Layer::read_environment(environment, &mut problems));
        let mut views = |service: Option<&str>| {
            let below = postfix.then(|| cf.layers(service, files.len(), &mut problems));
            View::new(layers.clone(), below, &mut problems)
        };
        let main = views(None);
        let services = cf.transports();
        let own: Vec<(Service, View)> = services
            .iter()
            .filter_map(|service| match &service.transport {
                Transport::Deliver(client) => Some((client.clone(), views(Some(client.name()?)))),
                Transport::Refused(_) => None,
            })
            .collect();
        let limits = if postfix { cf.limits(&mut problems) } else { Vec::new() };
        let (refused, remarks): (Vec<Problem>, _) =
            cf.remarks().into_iter().partition(|one| one.gravity == Gravity::Error);
        problems.extend(refused);
        let build = Build {
            view: &main,
            own: &own,
            configured: !files.is_empty(),
            system_hostname,
            problems,
            warnings: remarks,
            services,
            limits,
            tables: TableSet::default(),
        };
        build.finish(entries)
    }
}

/// What all layers come to, as one service sees them.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) stack: Stack,
    pub(crate) raw: Raw,
}

impl View {
    /// `above`: a layer for each file, and the environment's; `below`: what `main.cf` says, the defaults and for each file.
    fn new(mut above: Vec<Layer>, below: Option<(Layer, Vec<Layer>)>, problems: &mut Vec<Problem>) -> Self {
        let mut stack = Stack::default();
        if let Some((defaults, set)) = below {
            stack.add(defaults);
            for (slot, layer) in above.iter_mut().zip(set) {
                slot.append(layer);
            }
        }
        above.into_iter().for_each(|layer| stack.add(layer));
        let raw = stack.merge().unwrap_or_else(|error| {
            problems.push(Problem::new(Place::Default, "", error.to_string(), ""));
            Raw::default()
        });
        Self { stack, raw }
    }
}

/// The `master.cf` beside a `main.cf`, where there is one. One that cannot be read may make a policy stricter, so that is an error.
fn read_master(cf: &mut MainCf, path: &Path, number: usize, problems: &mut Vec<Problem>) {
    match fs::read(path) {
        Ok(bytes) => cf.read_master(path, &String::from_utf8_lossy(&bytes), number, problems),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => problems.push(Problem::new(
            Place::file(path),
            "",
            format!("cannot be read: {error}"),
            "its -o options override main.cf: let this user read it",
        )),
    }
}

/// What a service of a `master.cf` means for the transport of its name.
#[derive(Debug, Clone)]
pub(crate) struct TransportService {
    pub(crate) name: String,
    pub(crate) transport: waxseal_policy::Transport,
}

/// What a transport may have of a destination, where it is not what all may have (postconf(5), `transport_destination_...`).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct TransportKeys {
    pub(crate) concurrency: Option<u32>,
    pub(crate) initial: Option<u32>,
    pub(crate) rate_delay: Option<std::time::Duration>,
    pub(crate) recipients: Option<u32>,
    pub(crate) positive: Option<waxseal_queue::FeedbackAmount>,
    pub(crate) negative: Option<waxseal_queue::FeedbackAmount>,
    pub(crate) failed_cohorts: Option<u32>,
}

fn read(file: &Path) -> Result<(Format, String), Problem> {
    let place = Place::file(file);
    let format = match file.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => Format::Toml,
        Some("cf") if file.file_name().is_some_and(|name| name == "master.cf") => {
            let remedy = "name the main.cf; the master.cf beside it is read with it";
            return Err(Problem::new(place, "", "master.cf is no main.cf", remedy));
        }
        Some("cf") => Format::Postfix,
        Some(_) | None => {
            return Err(Problem::new(
                place,
                "",
                "not a configuration file",
                "name it *.toml or, for Postfix's format, *.cf",
            ));
        }
    };
    let bytes = fs::read(file).map_err(|error| {
        Problem::new(
            place.clone(),
            "",
            format!("cannot be read: {error}"),
            "check --config and the file's permissions",
        )
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        Problem::new(Place::line(file, u32::try_from(line).unwrap_or_default()), "", "not UTF-8", "")
    })?;
    Ok((format, text))
}
