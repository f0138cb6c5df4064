//! What SIGHUP does, asked for over the API: the program does it, since it knows what it read at its start.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use waxseal_admin::Refusal;

/// Requests that wait; a second one finds what the first one did.
const WAITING: usize = 4;
/// Reading all files anew takes less.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody waits for this reload.
#[derive(Debug)]
pub struct ReloadRequest {
    answer: oneshot::Sender<Vec<String>>,
    switches: bool,
}

impl ReloadRequest {
    /// Whether the intake is to take the certificates that its files hold, whatever TLSA records say.
    #[must_use]
    pub const fn switches(&self) -> bool {
        self.switches
    }

    /// It is done; this is odd.
    pub fn done(self, notices: Vec<String>) {
        // Whoever asked may have gone.
        let _ = self.answer.send(notices);
    }
}

/// Where they arrive.
#[derive(Debug)]
pub(crate) struct Reloads(mpsc::Receiver<ReloadRequest>);

impl Reloads {
    pub(crate) fn new() -> (Self, Asking) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(receiver), Asking(sender))
    }

    /// The next one; the desk that asks lives as long as the engine.
    pub(crate) async fn next(&mut self) -> ReloadRequest {
        match self.0.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Asking(mpsc::Sender<ReloadRequest>);

impl Asking {
    pub(crate) async fn reload(&self, switches: bool) -> Result<Vec<String>, Refusal> {
        let nobody = || Refusal::Unavailable("nobody reloads just now".into());
        let (sender, answer) = oneshot::channel();
        self.0.try_send(ReloadRequest { answer: sender, switches }).map_err(|_| nobody())?;
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        answer.ok().and_then(Result::ok).ok_or_else(nobody)
    }
}
