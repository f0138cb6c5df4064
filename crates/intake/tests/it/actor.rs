//! The actor's own tests.

use std::sync::Arc;

use crate::common::{Client, Memory, settings};
use actix::{Actor, MailboxError, System};
use tokio::net::TcpStream;
use waxseal_intake::{
    Intake,
    actor::{Connections, Crash, IntakeActor, ShutDown},
};
use waxseal_spool::Accept;

#[test]
fn after_a_crash_the_listener_is_back_and_sessions_have_gone_on() {
    System::new().block_on(async {
        let memory = Arc::new(Memory::default());
        let intake = Arc::new(Intake::bind(settings()).unwrap());
        let actor = || IntakeActor::new(Arc::clone(&intake), Arc::clone(&memory) as Arc<dyn Accept>);
        let connect = || TcpStream::connect(intake.local_addrs()[0]);
        let first = actor().start();
        let mut before = Client::new(connect().await.unwrap());
        before.hello().await;
        assert_eq!(first.send(Connections).await.unwrap().unwrap(), 1);
        assert!(matches!(first.send(Crash).await, Err(MailboxError::Closed)));
        assert!(!first.connected());
        // The port is still bound: who comes now waits until the next actor serves.
        let waiting = connect().await.unwrap();
        let second = actor().start();
        let mut waiting = Client::new(waiting);
        waiting.hello().await;
        for client in [&mut before, &mut waiting] {
            client.begin().await;
            client.say("text\r\n.\r\n").await;
            assert_eq!(client.codes(1).await, [250]);
        }
        assert_eq!(memory.taken().len(), 2);
        drop((before, waiting));
        second.send(ShutDown).await.unwrap().unwrap();
        assert!(connect().await.is_err());
    });
}
