//! A message whose text may not leave yet: everything up to it may.
//!
//! While a message is made durable, its connection is opened and its commands are given. Not an octet of its text leaves before the word that the message is
//! this system's to deliver: a message that nobody answers for must not arrive.

use tokio::sync::watch;

/// The side that waits for the word.
#[derive(Debug, Clone)]
pub struct Hold(watch::Receiver<bool>);

/// The side that gives the word. Dropped without one, the text never leaves.
#[derive(Debug)]
pub struct Holder(watch::Sender<bool>);

impl Hold {
    /// A hold, and who ends it.
    #[must_use]
    pub fn new() -> (Holder, Self) {
        let (holder, hold) = watch::channel(false);
        (Holder(holder), Self(hold))
    }

    /// Whether the text may leave by now.
    #[must_use]
    pub fn is_released(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the word: `true` where the text may leave. May be dropped and called again.
    pub async fn ended(&mut self) -> bool {
        self.0.wait_for(|released| *released).await.is_ok()
    }
}

impl Holder {
    /// The text may leave.
    pub fn release(self) {
        self.0.send_replace(true);
    }
}
