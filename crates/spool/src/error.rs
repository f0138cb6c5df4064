//! What can go wrong, and what a client is told of it.

use std::{io, path::PathBuf, sync::Arc};

use waxseal_types::{EnhancedStatus, QueueId};

/// Whose fault it is, and where.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operator's: a second process on one spool.
    #[error("the spool {path} is in use by {}; stop that process, or set another spool.path", holder(*pid))]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who holds it, where that could be read.
        pid: Option<u32>,
    },
    /// The operator's: the folder cannot be used.
    #[error(
        "cannot {doing} {path}: {source}; spool.path must be a folder that the user of this process owns and may write"
    )]
    Folder {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The operator's: an older program on a newer spool.
    #[error(
        "{path} has spool format {found}, this program knows formats up to {known}; start the version that wrote it, \
         let it deliver or export its mail, or set another spool.path"
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// The disk's: a record no longer has the checksum it was written with.
    #[error("record of message {id} at offset {offset} of {segment} is damaged: {what}")]
    Corrupt {
        /// The message.
        id: QueueId,
        /// The file.
        segment: String,
        /// Where in it.
        offset: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// The disk's: a read, a write or a sync failed.
    #[error("cannot {doing} {name}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file of the spool.
        name: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The disk is full, or would eat into the reserve for marks.
    #[error("no space left in the spool")]
    Full,
    /// The disk's: no sync for too long; the message was not taken.
    #[error("the disk did not confirm the message in time")]
    Stale,
    /// The client's: it does not fit into one record.
    #[error("a message of {size} octets is beyond the spool's limit of {limit}")]
    TooLarge {
        /// Octets of the record.
        size: u64,
        /// The most that is taken.
        limit: u64,
    },
    /// Ours: no such message (any more).
    #[error("no message {0} in the spool")]
    Unknown(QueueId),
    /// Ours: an id was used twice.
    #[error("message {0} is in the spool already")]
    Duplicate(QueueId),
    /// Ours: the log was closed, or its thread died.
    #[error("the spool is closed")]
    Closed,
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
}

impl Error {
    /// Whether the operator has to change something before the program can start (exit status 78).
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        matches!(self, Self::Locked { .. } | Self::Folder { .. } | Self::NewerFormat { .. })
    }

    /// What a client hears that was waiting for its 250.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Full => Refusal::FULL,
            // RFC 3463 §3.4: X.3.4, message too big for system.
            Self::TooLarge { .. } => Refusal {
                code: 552,
                status: EnhancedStatus::permanent(3, 4),
                text: "message too big for system",
            },
            Self::Stale => Refusal::STALE,
            Self::Locked { .. }
            | Self::Folder { .. }
            | Self::NewerFormat { .. }
            | Self::Corrupt { .. }
            | Self::Io { .. }
            | Self::Unknown(_)
            | Self::Duplicate(_)
            | Self::Closed => Refusal::FAILED,
        }
    }
}

/// Why no mail is taken now: the reply to MAIL or to the end of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{code} {status} {text}")]
pub struct Refusal {
    /// 452 or 451; 552 for what can never be taken.
    pub code: u16,
    /// RFC 3463.
    pub status: EnhancedStatus,
    /// For people.
    pub text: &'static str,
}

impl Refusal {
    /// RFC 5321 §4.2.3: 452 insufficient system storage; RFC 3463 §3.4: X.3.1.
    pub const FULL: Self =
        Self { code: 452, status: EnhancedStatus::transient(3, 1), text: "insufficient system storage" };
    /// The disk is slow: not now.
    pub const SLOW: Self =
        Self { code: 452, status: EnhancedStatus::transient(3, 1), text: "storage is slow, try again later" };
    /// The disk answers no more.
    pub const STALE: Self =
        Self { code: 451, status: EnhancedStatus::transient(3, 0), text: "storage does not respond" };
    /// Anything else.
    pub const FAILED: Self =
        Self { code: 451, status: EnhancedStatus::transient(3, 0), text: "queue file write error" };
}
