//! Log lines for people.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::Error;

/// Sends log messages of the whole process to standard error, those that `level` lets through.
///
/// # Errors
/// `level` is no filter, or something else has taken the log.
pub fn init_logging(level: &str) -> Result<(), Error> {
    let filter = EnvFilter::try_new(level)
        .map_err(|error| Error::Level { text: level.to_owned(), reason: error.to_string() })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init()
        .map_err(|_| Error::LogTaken)
}
