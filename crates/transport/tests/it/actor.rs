//! One round trip for each message of the actor.

use actix::Actor;
use waxseal_transport::{Lead, Open, Park, Quit, RcptOutcome, TlsUse, TransportActor};
use waxseal_types::TlsDemand;

use crate::peer::{Peer, cleared, connector, message};

#[test]
fn the_actor_passes_on_what_the_library_does() {
    actix_rt::System::new().block_on(round_trips());
}

async fn round_trips() {
    let (peer, connector) = (Peer::bind().await, connector());
    let request = peer.request(TlsUse::Never);
    let actor = TransportActor::new(connector.clone()).start();
    let client = async {
        let opened = actor.send(Open(request.clone())).await.unwrap().unwrap();
        let clearance = cleared(&opened.session, &TlsDemand::Clear, None);
        let out = message(&TlsDemand::Clear, &["r@b.example"], b"Hi\r\n");
        let lane = actor.send(Lead(opened.session)).await.unwrap().unwrap();
        let sent = lane.send(clearance, out, Default::default(), None).await;
        assert!(matches!(sent.recipients[0].1, RcptOutcome::Delivered(_)));
        drop(lane);
        while connector.idle() == 0 {
            tokio::task::yield_now().await;
        }
        let kept = actor.send(Open(request.clone())).await.unwrap().unwrap();
        actor.send(Park(kept.session)).await.unwrap();
        assert_eq!(connector.idle(), 1);
        let again = actor.send(Open(request)).await.unwrap().unwrap();
        assert!(again.report.pooled);
        actor.send(Quit(again.session)).await.unwrap();
    };
    let serve = async {
        let mut wire = peer.accept().await;
        wire.greet(&["PIPELINING"]).await;
        wire.take_message().await;
        assert_eq!(wire.line().await, "QUIT");
    };
    tokio::join!(client, serve);
}

#[cfg(feature = "crash")]
#[test]
fn a_crash_is_noticed_by_who_asked() {
    actix_rt::System::new().block_on(async {
        let actor = TransportActor::new(connector()).start();
        assert!(actor.send(waxseal_transport::Crash).await.is_err());
        assert!(!actor.connected());
    });
}
