//! The typed configuration: TOML files, `main.cf` and the environment in, the settings of all crates out.
//!
//! Layers, lowest first: Waxseal's defaults, or Postfix's where a `*.cf` file is given; the files in the order of the command line; the
//! environment. Each value is checked where it stands, so that a [`Problem`] names file, line and key, and all problems are found at
//! once; the crate `config` puts the layers on top of each other.
//!
//! `main.cf` is read with Postfix's syntax, `$name` expansion and defaults. Parameters that would weaken or change TLS policy or
//! delivery, but are not implemented, give one warning each ([`parameters`] has what becomes of each). The `master.cf` beside it is read for the `-o` options of the
//! services that send mail out.
//!
//! The crate refuses to know what settings do; it reads the environment and the files it is given, and opens the lookup tables that
//! they name ([`TableSet`]).
//!
//! ```
//! use waxseal_config::Config;
//!
//! let environment = [("WAXSEAL_TLS__SECURITY_LEVEL".to_owned(), "encrypt".to_owned())];
//! let config = Config::load(&[], environment.into_iter())?;
//! assert_eq!(config.policy.smtp.level, waxseal_types::TlsLevel::Encrypt);
//! assert_eq!(config.intake.listen[0].to_string(), "127.0.0.1:2525");
//!
//! let environment = [("WAXSEAL_QUEUE__MINIMAL_BACKOF".to_owned(), "1s".to_owned())];
//! let problems = Config::load(&[], environment.into_iter()).unwrap_err();
//! assert!(problems.to_string().ends_with("unknown key; did you mean minimal_backoff?"));
//! # Ok::<(), waxseal_config::Problems>(())
//! ```

mod build;
mod check;
mod hostname;
mod layer;
mod load;
mod postfix;
mod problem;
mod raw;
mod tables;
mod values;

pub use load::{AdminKeys, Config, LogKeys, TelemetryKeys};
pub(crate) use load::{TransportKeys, TransportService};
pub use postfix::{Parameter, main_cf_values, parameters, parameters_page};
pub use problem::{Gravity, Place, Problem, Problems};
pub use tables::{Severity, TableAlert, TableSet};
