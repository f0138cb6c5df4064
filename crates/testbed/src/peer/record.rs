//! What a peer saw.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::Notify;

use super::TlsSeen;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which connection, from 0.
    pub connection: usize,
    /// What.
    pub what: Happening,
}

/// What can happen at a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A connection was made.
    Connected,
    /// A line came where a command was due, without its line end.
    Command(String),
    /// More came behind a command while PIPELINING was not offered, or behind one that must end its group
    /// (RFC 2920 §3.1); the line says which command.
    Early(String),
    /// Something other than a TLS record came where a ClientHello was due: its first bytes.
    ClearBehindStarttls(Vec<u8>),
    /// A handshake succeeded.
    Tls(TlsSeen),
    /// A handshake failed, in rustls' words.
    TlsFailed(String),
    /// A message was taken: recorded before the reply goes out.
    Accepted(Box<Message>),
    /// A message came whole and was refused.
    Refused(Box<Message>),
    /// The connection ended, with an error or without.
    Closed(Option<String>),
}

/// A message as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which connection brought it, from 0.
    pub connection: usize,
    /// The handshake of that connection, if it had one.
    pub tls: Option<TlsSeen>,
    /// The reverse-path without brackets; empty for the null one.
    pub sender: String,
    /// The parameters of MAIL.
    pub parameters: Vec<String>,
    /// The forward-paths without brackets that were answered with 2yz.
    pub recipients: Vec<String>,
    /// The parameters of each of them.
    pub recipient_parameters: Vec<Vec<String>>,
    /// The text, dots un-stuffed.
    pub data: Vec<u8>,
    /// Whether it came by BDAT.
    pub chunked: bool,
    /// When it was whole.
    pub received: Instant,
}

impl Message {
    /// The text, for a look at it.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.data).into_owned()
    }

    /// The first value of a header field, unfolded.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let text = self.text();
        let head = text.split("\r\n\r\n").next()?.replace("\r\n ", " ").replace("\r\n\t", " ");
        let mut fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    }
}

#[derive(Debug, Default)]
pub(super) struct Recorder {
    events: Mutex<Vec<Event>>,
    news: Notify,
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, connection: usize, what: Happening) {
        self.lock().push(Event { connection, what });
        self.news.notify_waiters();
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&[Event]) -> T) -> T {
        look(&self.lock())
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }

    pub(super) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.lock())
    }

    pub(super) fn accepted(&self) -> Vec<Message> {
        let message = |event: &Event| {
            let Happening::Accepted(message) = &event.what else { return None };
            Some((**message).clone())
        };
        self.lock().iter().filter_map(message).collect()
    }

    pub(super) async fn wait(&self, happened: impl Fn(&[Event]) -> bool) {
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            // Enrolled before the look, so that nothing falls between.
            news.as_mut().enable();
            if happened(&self.lock()) {
                return;
            }
            news.await;
        }
    }
}

pub(super) fn count_accepted(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event.what, Happening::Accepted(_))).count()
}
