//! The two traits by which other crates know the spool.

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use waxseal_types::{Envelope, QueueId};

use crate::{Done, Error, Gathering, Put, Recovered, Refusal, Stored, Update};

/// An answer that is under way. The request was made when the call returned: dropping this takes nothing back.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// An answer of [`Accept`] or [`Inflow`], for any executor.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Durable messages. Small on purpose, so that a store shared by several machines can implement it.
pub trait Spool: Send + Sync {
    /// Takes a message. Resolves to `Ok` only when it would survive a loss of power at that moment; until then no 250 may be given.
    fn put(&self, put: Put) -> Pending<()>;

    /// The message as it is now.
    fn read(&self, id: QueueId) -> Pending<Stored>;

    /// Several messages as they are now, but for their texts, which are not read: for listings. The answers are in the order of `ids`.
    fn outlines(&self, ids: Vec<QueueId>) -> Pending<Vec<Result<Recovered, Error>>>;

    /// Marks the results of a transaction. It rides with the next commit, which comes within [`crate::Settings::mark_delay`].
    fn update(&self, update: Update) -> Pending<()>;

    /// Ends a message. Rides with the next commit as [`Spool::update`] does.
    fn done(&self, done: Done) -> Pending<()>;

    /// Takes a message out without a word to anyone.
    fn remove(&self, id: QueueId) -> Pending<()> {
        self.done(Done { id, dsn: None })
    }
}

/// Where the intake hands its messages over; the queue implements it above a [`Spool`].
pub trait Accept: Send + Sync {
    /// Whether mail is taken now; asked at MAIL.
    ///
    /// # Errors
    /// The reply to give instead.
    fn ready(&self) -> Result<(), Refusal>;

    /// A fresh id, never given before. Made when DATA begins, since the `Received:` line shows it.
    fn next_id(&self) -> QueueId;

    /// To be held from DATA (or the first BDAT) until just before [`Accept::accept`] is called: lone messages are synced at once, but
    /// while others are about to end, their commits are shared.
    fn gathering(&self) -> Gathering;

    /// Where a text goes that is too large for memory, piece by piece; `None` where such texts are collected and accepted as a whole.
    fn inflow(&self, id: QueueId) -> Later<Option<Box<dyn Inflow>>> {
        let _ = id;
        Box::pin(std::future::ready(None))
    }

    /// Takes responsibility (RFC 5321 §6.1): `Ok` is the 250, and comes only when the message is durable.
    /// Dropping the future (a client that left) takes nothing back.
    fn accept(
        &self,
        envelope: Envelope,
        body: Bytes,
    ) -> Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>;
}

/// A large text on its way in. Dropped before [`Inflow::accept`], it leaves nothing behind.
pub trait Inflow: Send {
    /// The next piece. Who waits for it before the next one bounds the memory. Who keeps a clone of `piece` has it alone again when this resolves.
    ///
    /// The error stays: whatever follows fails as well.
    fn write(&mut self, piece: Bytes) -> Later<Result<(), Refusal>>;

    /// Ends the text and takes responsibility, as [`Accept::accept`] does. The envelope's id is the one that was given for the text.
    fn accept(self: Box<Self>, envelope: Envelope) -> Later<Result<(), Refusal>>;
}
