//! The ledger: what became of each message and why, kept on disk, bounded, searchable, and erasable.
//!
//! 1. A [`Recorder`] is a [`Sink`](waxseal_queue::Sink) of the queue. It turns each account into some 200 octets on the thread that delivers
//!    (about a microsecond), and a thread of its own writes them, unsynced. What many messages share (a connection with its certificates, the
//!    policy, what DNS said) is in each file once. When the disk is slow, full or broken, records are lost and counted
//!    ([`Recorder::statistics`]); no delivery waits.
//! 2. A [`Ledger`] is the other end, in any process, also while the first one writes. [`Ledger::search`] goes through it newest first, with one
//!    block of each ring in memory; [`Ledger::story`] is all of one message, oldest first. An [`Entry`] of an attempt holds the
//!    [`Account`](waxseal_queue::Account) itself, so that whatever can tell a delivery that just happened can tell an old one.
//! 3. There are two rings of files. Failures, downgrades and what went in clear are in a ring of their own and outlive plain
//!    successes; [`Ledger::horizon`] says how far back each reaches.
//! 4. Each block has a checksum, and each shared fact one more. A torn tail or rot costs what it hit and nothing else; a connection whose
//!    facts are lost is not shown, rather than shown as one without TLS.
//! 5. Personal data: files are readable by their owner only; addresses can be kept behind a keyed digest (`redact`), by which they are still found;
//!    [`Ledger::erase`] takes an address out.
//!
//! The format is in docs/ledger-format.md. The crate refuses to know why anything was decided, and nothing is ever decided by what it holds.
//!
//! ```
//! use waxseal_ledger::{Ended, Ledger, Query, Recorder, Settings};
//!
//! # let folder = std::env::temp_dir().join(format!("waxseal-ledger-{}", std::process::id()));
//! let recorder = Recorder::start(Settings::new(folder.clone()))?; // a `Sink` for the queue manager
//! recorder.flush();
//! let ledger = Ledger::open(&folder)?;
//! let query = Query { domain: Some("example.com".into()), ended: Some(Ended::Deferred), ..Query::default() };
//! for entry in ledger.search(query)?.take(100) {
//!     println!("{} {}", entry.time.rfc3339(), entry.envelope().id);
//! }
//! # recorder.shutdown();
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod block;
mod contents;
mod data;
mod decode;
mod encode;
mod entry;
mod erase;
mod facts;
mod octets;
mod query;
mod recorder;
mod search;
mod settings;
mod veil;
mod words;
mod writer;

pub use entry::{Entry, Happening};
pub use erase::Erased;
pub use query::{Ended, Query};
pub use recorder::{Recorder, Statistics};
pub use search::{Horizon, Ledger, Search};
pub use settings::{Error, Settings};
