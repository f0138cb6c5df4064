//! What clients ask of the log's thread.

use std::time::Instant;

use bytes::Bytes;

use waxseal_types::Envelope;

use crate::{Put, RecipientResult, answer::Ticket, body::Sealed, codec};

/// A message made ready by its client's thread.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) id: u64,
    pub(crate) recipients: u32,
    pub(crate) meta: Vec<u8>,
    pub(crate) crc_meta: u32,
    pub(crate) body: Bytes,
    pub(crate) crc_body: u32,
    /// The length of a body in a file of its own; `body` is empty then.
    pub(crate) external: Option<u32>,
}

impl Prepared {
    pub(crate) fn new(put: Put) -> Self {
        let meta = codec::encode_envelope(&put.envelope);
        Self {
            id: put.envelope.id.as_u64(),
            recipients: put.envelope.recipients.len() as u32,
            crc_meta: crc32c::crc32c(&meta),
            crc_body: crc32c::crc32c(&put.body),
            meta,
            body: put.body,
            external: None,
        }
    }

    /// A message whose body is in a file of its own.
    pub(crate) fn external(envelope: &Envelope, sealed: Sealed) -> Self {
        let put = Put { envelope: envelope.clone(), body: Bytes::new() };
        let length = u32::try_from(sealed.length).unwrap_or(u32::MAX);
        Self { crc_body: sealed.crc_table, external: Some(length), ..Self::new(put) }
    }

    pub(crate) fn size(&self) -> u64 {
        self.meta.len() as u64 + self.body.len() as u64
    }
}

#[derive(Debug)]
pub(crate) enum Work {
    Put(Prepared),
    Update {
        id: u64,
        results: Vec<RecipientResult>,
        dsn: Option<Prepared>,
    },
    Done {
        id: u64,
        dsn: Option<Prepared>,
    },
    /// The end of a message whose 250 was never given, in these segments.
    Cancel {
        id: u64,
        segments: Vec<u32>,
    },
    /// A message of a nearly dead segment.
    Copy {
        id: u64,
        from: u32,
    },
}

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) work: Work,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) since: Instant,
    /// Segments where it was written without a sync that succeeded.
    pub(crate) tainted: Vec<u32>,
    /// How often it was put off, since what it builds on could not be read.
    pub(crate) tries: u8,
}

impl Request {
    pub(crate) const fn new(work: Work, ticket: Option<Ticket>, since: Instant) -> Self {
        Self { work, ticket, since, tainted: Vec::new(), tries: 0 }
    }

    pub(crate) const fn is_put(&self) -> bool {
        matches!(self.work, Work::Put(_))
    }

    pub(crate) const fn is_mark(&self) -> bool {
        matches!(self.work, Work::Update { .. } | Work::Done { .. })
    }

    /// The message that it is about.
    pub(crate) const fn subject(&self) -> u64 {
        match &self.work {
            Work::Put(put) => put.id,
            Work::Update { id, .. } | Work::Done { id, .. } => *id,
            Work::Cancel { id, .. } | Work::Copy { id, .. } => *id,
        }
    }

    /// The message that it brings.
    pub(crate) const fn brings(&self) -> Option<&Prepared> {
        match &self.work {
            Work::Put(put) => Some(put),
            Work::Update { dsn, .. } | Work::Done { dsn, .. } => dsn.as_ref(),
            Work::Cancel { .. } | Work::Copy { .. } => None,
        }
    }

    /// The message whose PUT its record holds.
    pub(crate) fn put_id(&self) -> Option<u64> {
        match &self.work {
            Work::Copy { id, .. } => Some(*id),
            Work::Put(_) | Work::Update { .. } | Work::Done { .. } | Work::Cancel { .. } => {
                self.brings().map(|put| put.id)
            }
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.ticket.as_ref().is_some_and(Ticket::is_settled)
    }
}
