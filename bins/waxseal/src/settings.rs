//! `--config`, for the commands that have it.

use std::path::PathBuf;

use waxseal_config::{Config, Problem, Problems};

/// The configuration to be read, as queue-manager reads it.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigFiles {
    /// A configuration file: *.toml, or *.cf for a Postfix main.cf. Later ones override earlier ones, WAXSEAL_* variables override all;
    /// without any, the defaults count.
    #[arg(long = "config", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

impl ConfigFiles {
    pub(crate) fn load(&self) -> Result<Config, Problems> {
        self.load_with(Vec::new())
    }

    /// With variables on top of those of the environment.
    pub(crate) fn load_with(&self, over: Vec<(String, String)>) -> Result<Config, Problems> {
        let names: Vec<String> = over.iter().map(|(name, _)| name.clone()).collect();
        let own =
            environment().filter(|(name, _)| !names.iter().any(|known| known.eq_ignore_ascii_case(name)));
        Config::load(&self.files, own.chain(over))
    }

    /// The configuration, where queue-manager would start with it, and all that is wrong or odd.
    pub(crate) fn check(&self) -> (Option<Config>, Vec<Problem>) {
        Config::check(&self.files, environment())
    }

    /// The files' names, for a person.
    pub(crate) fn names(&self) -> String {
        if self.files.is_empty() {
            return "defaults (no --config)".to_owned();
        }
        let names: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        names.join(", ")
    }
}

/// A value that is no Unicode becomes one that is wrong, and is told as such.
fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    };
    std::env::vars_os().filter_map(text)
}
