//! Clients on several threads.

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
};
use waxseal_testbed::{Client, Peer, within};
use waxseal_tests::{LIMIT, World};
use waxseal_types::TlsLevel;

const TEXT: &str = "Subject: x\n\nx\n";
const THREADS: usize = 3;
const CLIENTS: usize = 12;

#[actix_rt::test]
async fn the_limits_of_clients_hold_over_all_threads_and_the_end_waits_for_each_of_them() {
    let peer = Peer::builder().start().await.expect("starts");
    let mut world = World::new(&peer.nexthop(), TlsLevel::May);
    world.settings.intake.threads = Some(THREADS);
    world.settings.intake.connection_limit = CLIENTS;
    let engine = world.start().await;
    let address = engine.addresses()[0];
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(within(LIMIT, Client::connect(address)).await.expect("it listens"));
    }
    let counted =
        engine.intake(THREADS - 1).expect("it attends").send(waxseal_intake::actor::Connections).await;
    assert_eq!(counted.expect("it answers").expect("it counts"), CLIENTS);
    // One more, whichever thread it comes to.
    for _ in 0..THREADS {
        let mut line = String::new();
        let mut refused = BufReader::new(TcpStream::connect(address).await.expect("it listens"));
        within(LIMIT, refused.read_line(&mut line)).await.expect("it answers");
        assert!(line.starts_with("421 "), "{line}");
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let reply = within(LIMIT, client.submit("a@a.test", &[&format!("b{number}@b.test")], TEXT)).await;
        assert!(reply.expect("it answers").starts_with("250 "));
    }
    within(LIMIT, peer.wait_for(CLIENTS)).await;
    // Half of them are in the middle of a text when the end comes.
    let mut sending = clients.split_off(CLIENTS / 2);
    for client in &mut sending {
        for line in ["MAIL FROM:<a@a.test>", "RCPT TO:<last@b.test>", "DATA"] {
            let reply = within(LIMIT, client.ask(line)).await.expect("it answers");
            assert!(reply.starts_with(['2', '3']), "{reply}");
        }
    }
    let mut taken = 0;
    let texts = async {
        for client in &mut sending {
            // No new connection is taken by anybody: all threads have heard of the end.
            while TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
            let reply = client.ask("Subject: x\r\n\r\nx\r\n.").await.expect("it answers");
            assert!(reply.starts_with("250 ") || reply.starts_with('4'), "{reply}");
            taken += usize::from(reply.starts_with('2'));
        }
        drop(sending);
        drop(clients);
    };
    let (in_time, ()) = within(LIMIT, async { tokio::join!(engine.shut_down(), texts) }).await;
    assert!(in_time);
    // What was promised is there.
    let engine = world.start().await;
    within(LIMIT, peer.wait_for(CLIENTS + taken)).await;
    assert!(within(LIMIT, engine.shut_down()).await);
    assert_eq!(peer.accepted().len(), CLIENTS + taken);
}
