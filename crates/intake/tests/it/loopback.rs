//! Clients over loopback, and a spool that does what each test wants.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use crate::common::{Client, Memory, Server, local, settings};
use tokio::{
    io::DuplexStream,
    net::{TcpListener, TcpStream, UnixStream},
    time::Instant,
};
use waxseal_intake::{Error, Intake, ListenAddr, Settings};
use waxseal_spool::{Accept, Refusal};
use waxseal_types::{BodyKind, Notify, Ret};

#[test]
fn a_message_comes_in_whole() {
    local(async {
        let server = Server::start(settings());
        let mut client = server.client().await;
        let mail = "MAIL FROM:<a@a.example> BODY=8BITMIME RET=FULL ENVID=x+2Bx SIZE=99\r\n";
        client.say(mail).await;
        client.say("RCPT TO:<b@b.example> NOTIFY=SUCCESS ORCPT=rfc822;c@c.example\r\nDATA\r\n").await;
        assert_eq!(client.codes(3).await, [250, 250, 354]);
        client.say("Message-ID: <1@a.example>\r\n\r\n..\r\n.\r\n").await;
        let reply = client.reply().await;
        let [(envelope, text)] = &*server.memory.taken() else { panic!() };
        assert_eq!(reply, format!("250 2.0.0 Ok: queued as {}", envelope.id));
        let text = core::str::from_utf8(text).unwrap();
        let head = format!(
            "Received: from client.example (unknown [127.0.0.1])\r\n\tby mx.example (Waxseal) with ESMTP id {}\r\n\
             \tfor <b@b.example>; ",
            envelope.id
        );
        assert!(text.starts_with(&head), "{text}");
        assert!(text.ends_with(" +0000\r\nMessage-ID: <1@a.example>\r\n\r\n.\r\n"), "{text}");
        assert_eq!(envelope.sender.as_ref().map(|s| s.as_str()), Some("a@a.example"));
        assert_eq!((envelope.body, envelope.ret), (BodyKind::EightBitMime, Some(Ret::Full)));
        assert_eq!(envelope.envelope_id.as_deref(), Some("x+2Bx"));
        assert_eq!(envelope.size, text.len() as u64);
        assert!(envelope.leading_dots && !envelope.smtputf8);
        assert_eq!(envelope.message_id.as_deref(), Some("<1@a.example>"));
        assert_eq!(&*envelope.client, "unknown[127.0.0.1]");
        assert!(envelope.trace.trace_id != 0 && envelope.trace.sampled);
        assert_eq!(envelope.recipients[0].original.as_deref(), Some("rfc822;c@c.example"));
        assert_eq!(
            envelope.recipients[0].notify,
            Some(Notify::On { success: true, failure: false, delay: false })
        );
    });
}

#[test]
fn no_250_before_the_commit_and_others_go_on_meanwhile() {
    local(async {
        let server = Server::start(settings());
        let mut waiting = server.client().await;
        server.memory.hold();
        waiting.begin().await;
        // The next mail rides behind the final dot; nothing of it may be lost, and nothing answered early.
        waiting.say("one\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<b@b.example>\r\n").await;
        server.memory.requested(1).await;
        let mut other = server.client().await;
        other.begin().await;
        assert!(waiting.silent().await);
        server.memory.release();
        assert!(waiting.reply().await.starts_with("250 2.0.0 Ok: queued as "));
        assert_eq!(waiting.codes(2).await, [250, 250]);
        other.say("two\r\n.\r\n").await;
        assert_eq!(other.codes(1).await, [250]);
    });
}

#[test]
fn a_failing_spool_is_never_a_250() {
    local(async {
        let server = Server::start(settings());
        let mut client = server.client().await;
        for (refusal, reply) in [
            (Refusal::FULL, "452 4.3.1 insufficient system storage"),
            (Refusal::FAILED, "451 4.3.0 queue file write error"),
            (Refusal::STALE, "451 4.3.0 storage does not respond"),
        ] {
            server.memory.fail(refusal);
            client.begin().await;
            client.say("text\r\n.\r\n").await;
            assert_eq!(client.reply().await, reply);
        }
        server.memory.not_ready(Some(Refusal::SLOW));
        client.say("MAIL FROM:<>\r\n").await;
        assert_eq!(client.reply().await, "452 4.3.1 storage is slow, try again later");
        server.memory.not_ready(None);
        client.begin().await;
        client.say("text\r\n.\r\n").await;
        assert_eq!(client.codes(1).await, [250]);
        assert_eq!(server.memory.taken().len(), 1);
    });
}

#[test]
fn a_client_that_left_before_its_250_keeps_its_message() {
    local(async {
        let server = Server::start(settings());
        let mut client = server.client().await;
        server.memory.hold();
        client.begin().await;
        client.say("text\r\n.\r\n").await;
        server.memory.requested(1).await;
        drop(client);
        server.memory.release();
        server.intake.drained().await;
        assert_eq!(server.memory.taken().len(), 1);
    });
}

#[test]
fn a_client_may_leave_after_any_octet_and_only_a_whole_message_is_one() {
    let envelope = "MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\n";
    let sessions = [
        vec![(format!("{envelope}DATA\r\n"), 3), ("text\r\n..\r\n.\r\n".into(), 1)],
        vec![(format!("{envelope}BDAT 5\r\ntextB"), 3), ("BDAT 7 LAST\r\nDAT 2\r\n".into(), 1)],
    ];
    local(async {
        let server = Server::start(settings());
        for session in sessions {
            let length: usize = session.iter().map(|(segment, _)| segment.len()).sum();
            for cut in 0..=length {
                let before = server.memory.requests();
                let mut client = server.near_client().await;
                let mut left = cut;
                for (segment, replies) in &session {
                    client.say(&segment[..left.min(segment.len())]).await;
                    if left < segment.len() {
                        break;
                    }
                    assert!(client.codes(*replies).await.iter().all(|code| *code < 400));
                    left -= segment.len();
                }
                drop(client);
                server.intake.drained().await;
                let taken = server.memory.requests() - before;
                assert_eq!(taken, usize::from(cut == length), "left after {cut} octets");
            }
        }
    });
}

#[test]
fn a_client_that_left_within_its_text_leaves_nothing() {
    local(async {
        let server = Server::start(settings());
        for begin in ["DATA\r\ntext\r\n.\r", "BDAT 10\r\ntext\r\n", "BDAT 4\r\ntext"] {
            let mut client = server.client().await;
            client.say("MAIL FROM:<>\r\nRCPT TO:<b@b.example>\r\n").await;
            let (command, text) = begin.split_once('\n').unwrap();
            client.say(&format!("{command}\n")).await;
            client.codes(2 + usize::from(command.starts_with("DATA"))).await;
            client.say(text).await;
            drop(client);
            server.intake.drained().await;
        }
        assert_eq!(server.memory.requests(), 0);
    });
}

#[test]
fn strangers_do_not_relay() {
    local(async {
        let server =
            Server::start(Settings { relay_from: vec!["192.0.2.0/24".parse().unwrap()], ..settings() });
        let mut client = server.client().await;
        client.say("MAIL FROM:<a@a.example>\r\n").await;
        assert_eq!(client.codes(1).await, [250]);
        for recipient in
            ["b@b.example", "b%c.example@mx.example", "@mx.example:b@b.example", "\"b@b.example\"@mx.example"]
        {
            client.say(&format!("RCPT TO:<{recipient}>\r\n")).await;
            assert_eq!(client.reply().await, "554 5.7.1 Relay access denied", "{recipient}");
        }
        client.say("DATA\r\n").await;
        assert_eq!(client.reply().await, "554 5.5.1 Error: no valid recipients");
    });
}

#[test]
fn a_stranger_has_few_connections_and_a_relay_client_as_many_as_it_needs() {
    local(async {
        let strict = Settings { client_connection_limit: 1, ..settings() };
        let server = Server::start(strict.clone());
        let mut clients = Vec::new();
        for _ in 0..60 {
            clients.push(server.client().await);
        }
        let server = Server::start(Settings { relay_from: vec![], ..strict });
        let first = server.client().await;
        let mut second = Client::new(server.connect().await);
        assert_eq!(second.reply().await, "421 4.7.0 Error: too many connections from you");
        assert!(second.ended().await);
        drop(first);
        server.intake.drained().await;
        server.client().await;
    });
}

#[test]
fn connections_are_limited_in_all() {
    local(async {
        let server = Server::start(Settings { connection_limit: 2, ..settings() });
        let _two = (server.client().await, server.client().await);
        let mut third = Client::new(server.connect().await);
        assert_eq!(third.codes(1).await, [421]);
        assert!(third.ended().await);
    });
}

#[test]
fn texts_in_memory_are_limited_in_all() {
    local(async {
        let server = Server::start(Settings { memory_limit: 1000, ..settings() });
        let mut first = server.client().await;
        first.begin().await;
        first.say(&"x".repeat(1200)).await;
        let mut second = server.client().await;
        second.say("MAIL FROM:<>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n").await;
        assert_eq!(second.codes(3).await, [250, 250, 452]);
        first.say(&"x".repeat(1200)).await;
        assert_eq!(first.codes(1).await, [421], "beyond twice the limit the text under way ends, too");
        server.memory.fail(Refusal::FULL);
        second.say("DATA\r\n").await;
        assert_eq!(second.codes(1).await, [354], "its memory is free again");
    });
}

#[test]
fn a_silent_client_is_sent_away_when_its_time_is_over() {
    local(async {
        let server = Server::start(settings());
        let mut client = server.near_client().await;
        tokio::time::pause();
        let start = Instant::now();
        assert_eq!(client.reply().await, "421 4.4.2 Error: timeout exceeded");
        assert!((300..302).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    });
}

#[test]
fn an_octet_now_and_then_buys_no_time_for_a_command() {
    local(async {
        let server = Server::start(settings());
        let mut client = server.near_client().await;
        tokio::time::pause();
        let start = Instant::now();
        assert_eq!(trickle(&mut client, Duration::from_secs(10)).await, "421 4.4.2 Error: timeout exceeded");
        assert!((300..312).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    });
}

#[test]
fn an_octet_a_second_buys_no_time_for_a_text() {
    local(async {
        let server = Server::start(settings());
        let mut client = server.near_client().await;
        client.begin().await;
        tokio::time::pause();
        let start = Instant::now();
        assert_eq!(trickle(&mut client, Duration::from_secs(1)).await, "421 4.4.2 Error: timeout exceeded");
        assert!((300..303).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    });
}

#[test]
fn a_text_may_take_long_if_it_keeps_coming() {
    local(async {
        let server = Server::start(settings());
        let mut client = server.near_client().await;
        client.begin().await;
        tokio::time::pause();
        let start = Instant::now();
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            client.say(&"x".repeat(8_000)).await;
        }
        assert!(start.elapsed().as_secs() >= 600);
        client.say("\r\n.\r\n").await;
        let reply = client.reply().await;
        assert!(reply.starts_with("250 "), "{reply}");
    });
}

/// Sends an `x` now and then, until there is a reply.
async fn trickle(client: &mut Client<DuplexStream>, pause: Duration) -> String {
    loop {
        match tokio::time::timeout(pause, client.reply()).await {
            Ok(reply) => return reply,
            Err(_) => client.say("x").await,
        }
    }
}

#[test]
fn at_shutdown_idle_clients_hear_421_and_a_text_under_way_may_end() {
    local(async {
        let server = Server::start(settings());
        let (mut idle, mut between) = (server.client().await, server.client().await);
        between.say("MAIL FROM:<>\r\n").await;
        assert_eq!(between.codes(1).await, [250]);
        let mut sending = server.client().await;
        sending.begin().await;
        server.intake.shut_down();
        for client in [&mut idle, &mut between] {
            assert_eq!(client.reply().await, "421 4.3.2 Service shutting down, closing connection");
            assert!(client.ended().await);
        }
        sending.say("text\r\n.\r\nMAIL FROM:<>\r\n").await;
        assert!(sending.reply().await.starts_with("250 2.0.0 Ok: queued as "));
        while !sending.reply().await.starts_with("421 ") {}
        drop((idle, between, sending));
        server.intake.drained().await;
        let error = TcpStream::connect(server.intake.local_addrs()[0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(server.memory.taken().len(), 1);
    });
}

#[test]
fn serving_again_takes_up_where_it_stopped() {
    local(async {
        let server = Server::start(settings());
        let mut old = server.client().await;
        server.serving.abort();
        // Nobody accepts, but the port is bound: the connection waits.
        let stream = server.connect().await;
        let _again = server.serve();
        let mut new = Client::new(stream);
        assert_eq!(new.codes(1).await, [220]);
        old.begin().await;
        old.say(".\r\n").await;
        assert_eq!(old.codes(1).await, [250]);
    });
}

#[test]
fn a_unix_socket_takes_mail_from_who_may_open_it() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("smtp");
        let listen = vec![ListenAddr::Unix(path.clone())];
        let server = Server::start(Settings { listen: listen.clone(), relay_from: vec![], ..settings() });
        let mut client = Client::new(UnixStream::connect(&path).await.unwrap());
        client.hello().await;
        client.begin().await;
        client.say("text\r\n.\r\n").await;
        assert_eq!(client.codes(1).await, [250]);
        let (envelope, text) = server.memory.taken().remove(0);
        assert!(envelope.client.starts_with("local[uid "), "{}", envelope.client);
        assert!(text.starts_with(b"Received: from client.example (local[uid "));

        let again = Intake::bind(Settings { listen: listen.clone(), ..settings() });
        assert!(matches!(again, Err(Error::Taken(_))), "{again:?}");
        server.intake.shut_down();
        assert!(!path.exists(), "the socket goes with its listener");
        // A process that was killed leaves its socket behind.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        Intake::bind(Settings { listen: listen.clone(), ..settings() }).unwrap();
        std::fs::write(&path, "precious").unwrap();
        let file = Intake::bind(Settings { listen, ..settings() });
        assert!(matches!(file, Err(Error::NotASocket(_))), "{file:?}");
        assert!(path.exists());
    });
}

#[test]
fn an_address_in_use_is_told_with_its_remedy() {
    local(async {
        let taken = TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).await.unwrap();
        let address = taken.local_addr().unwrap();
        let error =
            Intake::bind(Settings { listen: vec![ListenAddr::Inet(address)], ..settings() }).unwrap_err();
        assert!(error.is_configuration());
        let text = error.to_string();
        assert!(text.contains(&address.to_string()) && text.contains("change listen.smtp"), "{text}");
        assert!(matches!(Intake::bind(Settings { listen: vec![], ..settings() }), Err(Error::NoListeners)));
    });
}

#[test]
fn an_error_after_the_other_is_answered_slowly_and_then_no_more() {
    local(async {
        let server = Server::start(settings());
        let mut client = server.near_client().await;
        tokio::time::pause();
        let start = Instant::now();
        for _ in 0..20 {
            client.say("FOO\r\n").await;
            assert_eq!(client.codes(1).await, [500]);
        }
        assert_eq!(client.reply().await, "421 4.7.0 Error: too many errors");
        assert_eq!(start.elapsed().as_secs(), 10);
        assert!(client.ended().await);
    });
}

#[test]
fn two_intakes_share_one_queue() {
    local(async {
        let memory = Arc::new(Memory::default());
        for _ in 0..2 {
            let server = Server::with(settings(), Arc::clone(&memory));
            let mut client = server.client().await;
            client.begin().await;
            client.say("text\r\n.\r\n").await;
            assert_eq!(client.codes(1).await, [250]);
        }
        let taken = memory.taken();
        assert!(taken.len() == 2 && taken[0].0.id != taken[1].0.id);
        assert_ne!(taken[0].0.trace, taken[1].0.trace);
    });
}

#[test]
fn the_spool_knows_who_is_about_to_end_a_message() {
    local(async {
        let server = Server::start(settings());
        let (mut first, mut second, mut third) =
            (server.client().await, server.client().await, server.client().await);
        let counted = || server.memory.gathering_now();
        assert_eq!(counted(), 0);
        first.begin().await;
        assert_eq!(counted(), 1);
        second.say("MAIL FROM:<>\r\nRCPT TO:<b@b.example>\r\nBDAT 3\r\na\r\n").await;
        assert_eq!(second.codes(3).await, [250, 250, 250]);
        assert_eq!(counted(), 2);
        server.memory.hold();
        first.say("text\r\n.\r\n").await;
        server.memory.requested(1).await;
        assert_eq!(counted(), 1, "who waits for its commit is not waited for");
        second.say("RSET\r\n").await;
        assert_eq!(second.codes(1).await, [250]);
        third.begin().await;
        third.say("bare\ntext\r\n.\r\n").await;
        assert_eq!(third.codes(1).await, [550]);
        assert_eq!(counted(), 0);
        third.begin().await;
        drop(third);
        server.memory.release();
        drop((first, second));
        server.intake.drained().await;
        assert_eq!(counted(), 0);
    });
}

#[test]
fn two_threads_serve_one_port() {
    let memory = Arc::new(Memory::default());
    let intake = Arc::new(Intake::bind(settings()).unwrap());
    let serve = || {
        let (intake, accept) = (Arc::clone(&intake), Arc::clone(&memory) as Arc<dyn Accept>);
        std::thread::spawn(move || {
            local(async {
                Arc::clone(&intake).serve(accept).await.unwrap();
                intake.drained().await;
            });
        })
    };
    let threads = [serve(), serve()];
    local(async {
        for _ in 0..40 {
            let mut client = Client::new(TcpStream::connect(intake.local_addrs()[0]).await.unwrap());
            client.hello().await;
            client.begin().await;
            client.say("text\r\n.\r\n").await;
            assert_eq!(client.codes(1).await, [250]);
        }
    });
    intake.shut_down();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let mut ids: Vec<_> = memory.taken().into_iter().map(|(envelope, _)| envelope.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 40);
}
