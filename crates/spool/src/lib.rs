//! Durable messages in an append-only log.
//!
//! A message that was acknowledged has to outlive a loss of power at that very moment, and a sync costs far more than all else that is done
//! with a message. So one thread commits for everyone: what came while the last sync ran is written in one go and shares the next one. A lone message is
//! synced at once; while other clients are about to end theirs (they hold a [`Gathering`]), it waits for them, 300 µs at most.
//!
//! The log is a row of segments. A message is a PUT; results of a delivery are an UPDATE, its end is a DONE, and a notification (DSN) is one record with
//! the results that it tells. A segment goes when no message lives in it and no segment is left that its marks speak of; when dead records prevail, the
//! living ones of the oldest segment are copied forward. The next segment is written over a dead one, which is faster than a file that grows; a
//! generation that is part of every checksum keeps what was there from coming alive. In memory there are some 34 octets for each message, no text;
//! a segment that is full ends with an index, so that a start reads no messages, either. Where the log is long, messages are taken as soon as the last
//! segment is read: it has the highest id. None that was there is given out before all marks are known.
//!
//! What can happen to a disk is met as follows. A *torn tail* (nothing valid follows) was never acknowledged and is passed over; *damage* (something valid
//! follows, or the segment was sealed) is reported with its place, its neighbours are found behind it, and its segment is kept as `*.bad`. A *failed sync*
//! is never repeated on the same file: the group is written to another segment, or its messages are refused and cancelled. On a *full disk* messages are
//! refused while a reserve has room for marks, which are tried until they are written. A *slow disk* refuses new mail after 10 s, and gives up what waits
//! after 120 s.
//!
//! The crate refuses to know what a destination is, when to try again, and why something failed: it keeps what it is told. The log works on a
//! [`Storage`], which is a folder or a [`SimDisk`] that forgets what was not synced; [`open_stepped`] runs it without a thread, so that a test decides
//! what happens when.
//!
//! ```
//! use std::sync::Arc;
//! use waxseal_spool::{Put, Settings, SimDisk, Spool, open_stepped};
//! # use waxseal_types::{BodyKind, Envelope, Mailbox, Recipient, TraceContext, UnixTime};
//! # let recipient = Recipient { mailbox: Mailbox::new("r@example.org")?, notify: None, original: None };
//! # let mut envelope = Envelope {
//! #     id: waxseal_types::QueueId::from_u64(0), arrived: UnixTime::from_secs(0), sender: None, recipients: vec![recipient],
//! #     body: BodyKind::SevenBit, smtputf8: false, envelope_id: None, ret: None, size: 0, leading_dots: false,
//! #     message_id: None, client: "local".into(), trace: TraceContext::default(),
//! # };
//! let disk = SimDisk::new(1);
//! let (log, _, mut stepper) = open_stepped(Arc::new(disk.clone()), Settings::default())?;
//! envelope.id = log.gate().next_id();
//! let durable = log.put(Put { envelope, body: "Subject: hello\r\n\r\n".into() });
//! stepper.step(); // The thread's work: write, sync, answer.
//! drop((durable, stepper, log));
//!
//! let after_power_loss = disk.crash();
//! let (_, recovered, _) = open_stepped(Arc::new(after_power_loss), Settings::default())?;
//! assert_eq!(recovered.remaining(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "actor")]
pub mod actor;

mod answer;
mod api;
mod body;
mod brief;
mod build;
mod checkpoint;
mod codec;
mod committer;
mod disk;
mod engine;
mod errands;
mod error;
mod footer;
mod format;
mod gate;
mod group;
mod index;
mod inspect;
mod loading;
mod log;
mod message;
mod metrics;
mod numbers;
mod packed;
mod pool;
mod read;
mod reclaim;
mod recover;
mod recovery;
mod repair;
mod request;
mod reserve;
mod scan;
mod settings;
mod shelf;
mod sim;
mod spares;
mod stepper;
mod storage;
mod stream;
mod waiting;
mod writer;

pub use answer::Durable;
pub use api::{Accept, Inflow, Later, Pending, Spool};
pub use error::{Error, Refusal};
pub use gate::{Gate, Gathering, Refused};
pub use inspect::{Record, RecordKind, Snapshot};
pub use log::{Entrance, Log, open, open_on, open_stepped, open_unread};
pub use message::{Done, Outcome, Progress, Put, RecipientResult, RecipientState, Recovered, Stored, Update};
pub use metrics::{COMMIT_BOUNDS, CommitTimes, Meter, Metrics};
pub use recover::{Damage, Report};
pub use recovery::Recovery;
pub use repair::{Repair, repair, repair_on};
pub use settings::Settings;
pub use shelf::Shelf;
pub use sim::SimDisk;
pub use stepper::Stepper;
pub use storage::{Storage, StorageFile};
pub use stream::{BodyReader, BodyWriter, Streamed};
pub use waiting::{Found, Waiting};
