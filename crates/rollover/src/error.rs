use std::path::PathBuf;

/// Why something of a rollover was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not the time for this step: nothing was done. The sentence says what comes first.
    #[error("{0}")]
    OutOfOrder(String),
    /// Nobody knows enough to go on just now; trying again may help.
    #[error("{0}")]
    Unknown(String),
    /// The zone cannot be changed.
    #[error("publishing failed: {0}")]
    Publish(String),
    /// A file that was given cannot be used.
    #[error("{path}: {problem}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A command of the operator's failed.
    #[error("{0}")]
    Command(String),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Wrong(String),
    /// Another process works on the same rollover.
    #[error("{0}: another rollover command is at work there; wait for its end")]
    Busy(PathBuf),
}

impl Error {
    pub(crate) fn file(path: &std::path::Path, problem: impl ToString) -> Self {
        Self::File { path: path.to_owned(), problem: problem.to_string() }
    }
}
