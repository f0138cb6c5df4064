//! What an operator may choose.

use std::{path::PathBuf, time::Duration};

/// How the spool works; the defaults are Waxseal's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The folder; created with mode 0700 if missing. `spool.path`.
    pub path: PathBuf,
    /// A segment is closed when it has grown to this.
    pub segment_size: u64,
    /// How long a message waits for others that are between DATA and the dot, so that they share its sync.
    pub gather: Duration,
    /// How many messages end that wait.
    pub gather_limit: usize,
    /// How long marks may wait for a message to ride with. Bounds the duplicates that a loss of power can cause.
    pub mark_delay: Duration,
    /// From this age of the oldest waiting message on, new ones are refused with 452.
    pub slow: Duration,
    /// From this age on, a waiting message is given up with 451.
    pub stale: Duration,
    /// Octets kept free so that marks can be written when the disk is full.
    pub reserve: u64,
    /// The largest message, envelope included.
    pub message_limit: u64,
    /// A body beyond this is written to a file of its own.
    pub inline_limit: usize,
    /// From so many octets of log on, [`crate::open`] reads the last segment, and all others while messages are taken already: a message that was there is not
    /// known until the [`crate::Recovery`] gives it. Never, for those who have to know.
    pub load_behind: u64,
    /// From so many messages on, what the schedule needs of them is written to a file of its own now and then.
    pub checkpoint_from: usize,
    /// How many segments are begun between two checkpoints.
    pub checkpoint_segments: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            path: PathBuf::from("./waxseal-spool"),
            segment_size: 64 << 20,
            gather: Duration::from_micros(300),
            gather_limit: 10,
            mark_delay: Duration::from_millis(50),
            slow: Duration::from_secs(10),
            stale: Duration::from_secs(120),
            reserve: 4 << 20,
            message_limit: 1 << 30,
            inline_limit: 256 << 10,
            load_behind: u64::MAX,
            checkpoint_from: 10_000,
            checkpoint_segments: 4,
        }
    }
}
