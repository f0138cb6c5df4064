//! A place where a peer stops until the test lets it go on.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Cloned into a script, it holds every reply that is behind it until [`Gate::open`].
#[derive(Debug, Clone)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reached: Semaphore,
    open: Semaphore,
}

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Inner { reached: Semaphore::new(0), open: Semaphore::new(0) }))
    }
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets all through, from now on.
    pub fn open(&self) {
        self.0.open.close();
    }

    /// Waits until somebody stands before it; each arrival is told once.
    pub async fn reached(&self) {
        if let Ok(permit) = self.0.reached.acquire().await {
            permit.forget();
        }
    }

    pub(crate) async fn pass(&self) {
        self.0.reached.add_permits(1);
        // There are never permits: it ends when the semaphore is closed, which is what opening means.
        let _ = self.0.open.acquire().await;
    }
}
