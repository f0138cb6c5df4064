//! The actor may die at any moment; what it owned is closed and can be opened again.
#![cfg(feature = "crash")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use actix::Actor;
use common::{body, put};
use waxseal_spool::{
    Settings,
    actor::{Crash, PutMsg, ReadMsg, SpoolActor},
    open,
};
use waxseal_types::QueueId;

#[test]
fn a_spool_that_panicked_is_opened_again_with_all_its_mail() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { path: folder.path().join("spool"), ..Settings::default() };
    actix::System::new().block_on(async {
        let (log, _) = open(settings.clone()).unwrap();
        let gate = log.gate().clone();
        let spool = SpoolActor::new(log).start();
        spool.send(PutMsg(put(1, 1, 3000))).await.unwrap().unwrap();
        assert!(spool.send(Crash).await.is_err());
        assert!(gate.ready().is_err(), "the intake answers 451 meanwhile");
        let (log, recovery) = open(settings).unwrap();
        assert_eq!(recovery.remaining(), 1);
        let spool = SpoolActor::new(log).start();
        let stored = spool.send(ReadMsg(QueueId::from_u64(1))).await.unwrap().unwrap();
        assert_eq!(stored.body, body(1, 3000));
    });
}
