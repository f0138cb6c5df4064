//! Children: actors whose end is noticed.

use actix::{Actor, Addr, AsyncContext as _, Context, Recipient};

/// A service has come to an end, by panic or otherwise.
#[derive(Debug, Clone, Copy, actix::Message)]
#[rtype(result = "()")]
pub struct Died {
    /// Which.
    pub service: &'static str,
    /// At which quay: 0 is the manager's own thread. Of intakes: which of them.
    pub quay: usize,
}

/// Tells the manager when it is dropped, also while a panic unwinds.
///
/// `actix::Supervisor` does not notice a panic (measured on 0.13.5), hence this.
#[derive(Debug)]
pub struct DeathNotice {
    manager: Recipient<Died>,
    service: &'static str,
    quay: usize,
}

impl DeathNotice {
    pub(super) const fn new(manager: Recipient<Died>, service: &'static str, quay: usize) -> Self {
        Self { manager, service, quay }
    }
}

impl Drop for DeathNotice {
    fn drop(&mut self) {
        self.manager.do_send(Died { service: self.service, quay: self.quay });
    }
}

/// Starts an actor on the current arbiter; its end, whatever it is, drops the notice.
pub fn watch<A: Actor<Context = Context<A>>>(actor: A, notice: DeathNotice) -> Addr<A> {
    let context = Context::new();
    let address = context.address();
    let life = context.into_future(actor);
    actix_rt::spawn(async move {
        let _notice = notice;
        // A task of its own, so that a panic ends that task and not this one.
        let _ = actix_rt::spawn(life).await;
    });
    address
}
