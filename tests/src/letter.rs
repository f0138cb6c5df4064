//! A message to be delivered.

use std::time::Duration;

use bytes::Bytes;
use waxseal_types::{Envelope, Mailbox, QueueId, Recipient, UnixTime};

/// When all letters arrive: some noon.
pub const NOON: UnixTime = UnixTime::from_secs(1_795_262_400);

/// A message and how long it has waited.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Its envelope.
    pub envelope: Envelope,
    /// Its text.
    pub text: Bytes,
    /// How long it has been in the queue.
    pub age: Duration,
}

impl Letter {
    /// From a@a.test to these.
    ///
    /// # Panics
    ///
    /// If an address is none.
    #[must_use]
    pub fn to(recipients: &[&str]) -> Self {
        let mailbox = |text: &str| Mailbox::new(text).expect("a scenario writes good addresses");
        let recipient = |text: &&str| Recipient { mailbox: mailbox(text), notify: None, original: None };
        let envelope = Envelope {
            sender: Some(mailbox("a@a.test")),
            recipients: recipients.iter().map(recipient).collect(),
            ..Envelope::empty(QueueId::from_u64(1), NOON, "localhost[127.0.0.1]")
        };
        Self { envelope, text: Bytes::new(), age: Duration::ZERO }.text("Subject: x\r\n\r\nx\r\n")
    }

    /// With this text, CRLF at its line ends.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.envelope.size = text.len() as u64;
        self.envelope.leading_dots = text.starts_with('.') || text.contains("\n.");
        self.text = Bytes::from(text.to_owned());
        self
    }

    /// That has waited so long.
    #[must_use]
    pub fn aged(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    /// That needs SMTPUTF8 (RFC 6531).
    #[must_use]
    pub fn smtputf8(mut self) -> Self {
        self.envelope.smtputf8 = true;
        self
    }
}
