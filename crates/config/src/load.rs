//! From files to a configuration.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use waxseal_types::Domain;

use crate::{
    Problems, TableSet,
    build::Build,
    hostname,
    layer::{Layer, Stack},
    postfix::MainCf,
    problem::{Place, Problem},
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
    /// `listen.admin`.
    pub admin: Option<waxseal_intake::ListenAddr>,
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
    /// `[telemetry]`.
    pub telemetry: TelemetryKeys,
    /// The tables that the above name.
    pub tables: Arc<TableSet>,
    /// `process.user`: who the daemon becomes once its ports are bound.
    pub user: Option<String>,
    /// What is odd, but no error; one line each.
    pub warnings: Vec<String>,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKeys {
    /// A level, or a filter as `tracing` has them.
    pub level: String,
    /// A file, or `-` for standard output.
    pub delivery_events: Option<String>,
}

/// `[telemetry]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryKeys {
    /// Where traces go.
    pub otlp_endpoint: Option<String>,
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
                }
            }
        }
        let mut stack = Stack::default();
        if postfix {
            let (defaults, set) = cf.layers(files.len(), &mut problems);
            stack.add(defaults);
            for (slot, layer) in layers.iter_mut().zip(set) {
                slot.append(layer);
            }
        }
        layers.into_iter().for_each(|layer| stack.add(layer));
        stack.add(Layer::read_environment(environment, &mut problems));
        let raw = stack.merge().unwrap_or_else(|error| {
            problems.push(Problem::new(Place::Default, "", error.to_string(), ""));
            Raw::default()
        });
        let warnings = cf.warnings();
        let (configured, tables) = (!files.is_empty(), TableSet::default());
        let build = Build { stack: &stack, raw, configured, system_hostname, problems, warnings, tables };
        let (config, problems) = build.finish();
        config.ok_or(Problems(problems))
    }
}

fn read(file: &Path) -> Result<(Format, String), Problem> {
    let place = Place::file(file);
    let format = match file.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => Format::Toml,
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
