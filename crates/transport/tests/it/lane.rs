//! Several messages over one connection, and connections that break under them.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{join, task::LocalSet};
use waxseal_transport::{Connector, Generation, Hold, Lane, OutMessage, RcptOutcome, Sent, TlsUse};
use waxseal_types::TlsDemand;
use waxseal_verify::Clearance;

use crate::peer::{Peer, Wire, cleared, connector, message};

const CLEAR: TlsDemand = TlsDemand::Clear;
const COMMANDS: &str = "MAIL FROM:<s@a.example>\r\nRCPT TO:<r@b.example>\r\nDATA\r\n";
const CHUNK: &str = "MAIL FROM:<s@a.example>\r\nRCPT TO:<r@b.example>\r\nBDAT 3 LAST\r\n";
const TAKEN: &str = "250 ok\r\n250 ok\r\n250 taken\r\n";

fn out(body: &'static [u8]) -> OutMessage {
    message(&CLEAR, &["r@b.example"], body)
}

fn word(sent: &Sent) -> String {
    let mark = if sent.ambiguous { "?" } else { "" };
    match &sent.recipients[0].1 {
        RcptOutcome::Delivered(reply) => format!("delivered {}", reply.code),
        RcptOutcome::Rejected { stage, reply } => format!("{stage:?} {}", reply.code),
        RcptOutcome::Failed { stage, cause } => format!("{stage:?}{mark}: {cause}"),
        RcptOutcome::Unsupported(why) => why.to_string(),
    }
}

/// A delivery over `lane`.
async fn send(lane: &Lane, clearance: &Clearance, out: OutMessage) -> String {
    word(&lane.send(clearance.clone(), out, Arc::new(AtomicBool::new(false)), None).await)
}

/// Opens a lane to a server with these keywords, and lets `client` and `server` have it; the connection's task runs beside them.
async fn over<C, S, T>(
    keywords: &[&str],
    client: impl FnOnce(Lane, Clearance) -> C,
    server: impl FnOnce(Wire) -> S,
) -> (T, Connector)
where
    C: Future<Output = T>,
    S: Future<Output = ()>,
{
    let (peer, connector) = (Peer::bind().await, connector());
    let local = LocalSet::new();
    let told = local
        .run_until(async {
            let client = async {
                let session = connector.open(&peer.request(TlsUse::Never)).await.unwrap().session;
                let clearance = cleared(&session, &CLEAR, None);
                let (lane, task) = connector.lead(session);
                let task = tokio::task::spawn_local(task);
                let told = client(lane, clearance).await;
                task.await.unwrap();
                told
            };
            let server = async {
                let mut wire = peer.accept().await;
                wire.greet(keywords).await;
                server(wire).await;
            };
            join!(client, server).0
        })
        .await;
    (told, connector)
}

#[tokio::test]
async fn rfc2920_3_1_the_next_message_rides_behind_the_final_dot() {
    let client = async |lane: Lane, clearance: Clearance| {
        let [a, b, c] = [b"1\r\n", b"2\r\n", b"3\r\n"].map(|body| send(&lane, &clearance, out(body)));
        let told = join!(a, b, c);
        drop(lane);
        told
    };
    let server = async |mut wire: Wire| {
        assert_eq!(wire.flight().await, COMMANDS);
        wire.say("250 ok\r\n250 ok\r\n354 go\r\n").await;
        assert_eq!(wire.flight().await, format!("1\r\n.\r\n{COMMANDS}"));
        wire.say("250 one\r\n250 ok\r\n250 ok\r\n354 go\r\n").await;
        assert_eq!(wire.flight().await, format!("2\r\n.\r\n{COMMANDS}"));
        // The first of the two is refused; that does not concern the other.
        wire.say("451 two\r\n250 ok\r\n250 ok\r\n354 go\r\n").await;
        assert_eq!(wire.flight().await, "3\r\n.\r\n");
        wire.say("250 three\r\n").await;
    };
    let (told, _) = over(&["PIPELINING"], client, server).await;
    assert_eq!(told, ("delivered 250".into(), "EndOfData 451".into(), "delivered 250".into()));
}

#[tokio::test]
async fn rfc3030_4_2_whole_messages_follow_one_another_once_one_was_taken() {
    let client = async |lane: Lane, clearance: Clearance| {
        assert_eq!(lane.places(), 4);
        let first = send(&lane, &clearance, out(b"1\r\n"));
        let rest = [b"2\r\n"; 9].map(|body| send(&lane, &clearance, out(body)));
        let (first, rest) = join!(first, futures_all(rest));
        assert_eq!(lane.places(), 10, "eight under way, and two that get ready");
        drop(lane);
        (first, rest)
    };
    let server = async |mut wire: Wire| {
        // Two at first: one that is sent, and one behind it.
        assert_eq!(wire.flight().await, format!("{CHUNK}1\r\n{CHUNK}2\r\n"));
        wire.say(TAKEN).await;
        // Eight at a time, of which one was under way already.
        let mut seen = String::new();
        while seen.len() < 7 * (CHUNK.len() + 3) {
            seen.push_str(&wire.flight().await);
        }
        assert_eq!(seen, format!("{CHUNK}2\r\n").repeat(7));
        wire.say(&TAKEN.repeat(8)).await;
        wire.until("LAST\r\n2\r\n").await;
        wire.say(TAKEN).await;
    };
    let (told, _) = over(&["PIPELINING", "CHUNKING"], client, server).await;
    assert_eq!(told, ("delivered 250".into(), vec!["delivered 250".to_owned(); 9]));
}

/// Runs all of them at once, in one task.
async fn futures_all<F: Future<Output = String>>(all: impl IntoIterator<Item = F>) -> Vec<String> {
    let mut all: Vec<_> = all.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in all.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(word) = future.as_mut().poll(cx) {
                *done = Some(word);
            }
        }
        if all.iter().all(|(_, done)| done.is_some()) {
            std::task::Poll::Ready(all.iter_mut().filter_map(|(_, done)| done.take()).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn a_lost_connection_is_ambiguous_for_each_message_that_left_whole_and_for_no_other() {
    // With DATA: the first one's text left, of the second one only commands.
    let client = async |lane: Lane, clearance: Clearance| {
        let told =
            join!(send(&lane, &clearance, out(b"1\r\n")), send(&lane, &clearance, out(b"2\r\n")), async {
                send(&lane, &clearance, out(b"3\r\n")).await
            });
        assert_eq!(lane.places(), 0);
        drop(lane);
        told
    };
    let server = async |mut wire: Wire| {
        wire.until("DATA\r\n").await;
        wire.say("250 ok\r\n250 ok\r\n354 go\r\n").await;
        wire.until("DATA\r\n").await;
    };
    let (told, connector) = over(&["PIPELINING"], client, server).await;
    let lost = "Mail: lost connection";
    assert_eq!(told, ("EndOfData?: lost connection".into(), lost.into(), lost.into()));
    assert_eq!(connector.idle(), 0);

    // With chunks: whatever left whole may have been taken, heard of or not.
    let client = async |lane: Lane, clearance: Clearance| {
        let told = join!(
            send(&lane, &clearance, out(b"1\r\n")),
            send(&lane, &clearance, out(b"2\r\n")),
            send(&lane, &clearance, out(b"3\r\n"))
        );
        drop(lane);
        told
    };
    let server = async |mut wire: Wire| {
        wire.until("1\r\n").await;
        wire.until("2\r\n").await;
        wire.say("250 ok\r\n550 no\r\n").await;
    };
    let (told, _) = over(&["PIPELINING", "CHUNKING"], client, server).await;
    assert_eq!(told, ("Rcpt 550".into(), "EndOfData?: lost connection".into(), lost.into()));
}

#[tokio::test]
async fn a_server_that_ends_the_session_has_said_nothing_of_those_behind() {
    let client = async |lane: Lane, clearance: Clearance| {
        let told = join!(send(&lane, &clearance, out(b"1\r\n")), send(&lane, &clearance, out(b"2\r\n")));
        drop(lane);
        told
    };
    let server = async |mut wire: Wire| {
        wire.until("DATA\r\n").await;
        wire.say("250 ok\r\n250 ok\r\n354 go\r\n").await;
        wire.until("DATA\r\n").await;
        wire.say("421 4.3.2 shutting down\r\n").await;
    };
    let (told, _) = over(&["PIPELINING"], client, server).await;
    assert_eq!(told, ("EndOfData 421".into(), "Mail: lost connection".into()));

    // Nor has it taken what had left whole: it read the words before, and closed.
    let server = async |mut wire: Wire| {
        wire.until("2\r\n").await;
        wire.say("421 4.7.0 too many messages\r\n").await;
    };
    let (told, _) = over(&["PIPELINING", "CHUNKING"], client, server).await;
    assert_eq!(told, ("Mail 421".into(), "Mail: lost connection".into()));
}

#[tokio::test]
async fn mail_refused_behind_a_chunk_that_failed_counts_as_not_tried() {
    let client = async |lane: Lane, clearance: Clearance| {
        let told = join!(send(&lane, &clearance, out(b"1\r\n")), send(&lane, &clearance, out(b"2\r\n")));
        let third = send(&lane, &clearance, out(b"3\r\n")).await;
        drop(lane);
        (told, third)
    };
    let server = async |mut wire: Wire| {
        wire.until("2\r\n").await;
        // This server holds on to the failed transaction until RSET.
        wire.say("250 ok\r\n250 ok\r\n552 5.3.4 full\r\n503 nested MAIL\r\n503 no\r\n503 no\r\n").await;
        assert_eq!(wire.flight().await, format!("RSET\r\n{CHUNK}3\r\n"));
        wire.say(&format!("250 ok\r\n{TAKEN}")).await;
    };
    let ((told, third), _) = over(&["PIPELINING", "CHUNKING"], client, server).await;
    assert_eq!(told.0, "EndOfData 552");
    assert!(told.1.starts_with("Mail: protocol error: behind a transaction that failed"), "{}", told.1);
    assert_eq!(third, "delivered 250");
}

#[tokio::test]
async fn every_message_is_cleared_by_itself_and_one_that_was_taken_back_is_not_sent() {
    let client = async |lane: Lane, clearance: Clearance| {
        let newer = OutMessage { policy: Generation::fixed(2), ..out(b"2\r\n") };
        let first = send(&lane, &clearance, out(b"1\r\n"));
        let second = send(&lane, &clearance, newer);
        let under_way = Arc::new(AtomicBool::new(false));
        // Dropped before its turn comes.
        let third = async {
            let sending = lane.send(clearance.clone(), out(b"3\r\n"), Arc::clone(&under_way), None);
            tokio::select! {
                biased;
                _ = sending => {}
                () = std::future::ready(()) => {}
            }
        };
        let told = join!(first, second, third);
        assert!(!under_way.load(Ordering::Acquire));
        drop(lane);
        (told.0, told.1)
    };
    let server = async |mut wire: Wire| {
        assert_eq!(wire.flight().await, COMMANDS);
        wire.say("250 ok\r\n250 ok\r\n354 go\r\n").await;
        assert_eq!(wire.flight().await, "1\r\n.\r\n");
        wire.say("250 one\r\n").await;
    };
    let ((first, second), _) = over(&["PIPELINING"], client, server).await;
    assert_eq!(first, "delivered 250");
    assert!(second.starts_with("Mail: not cleared"), "{second}");
}

/// A table that changes while a message waits for its turn counts: what is read is the policy of the moment its MAIL is made.
#[tokio::test]
async fn a_policy_that_changes_while_a_message_waits_in_the_lane_stops_it() {
    let tables = Arc::new(AtomicU64::new(1));
    let watched = Arc::clone(&tables);
    let policy = Generation::watched(Arc::new(move || watched.load(Ordering::Acquire)));
    let client = async |lane: Lane, clearance: Clearance| {
        let message = |body| OutMessage { policy: policy.clone(), ..out(body) };
        let told =
            join!(send(&lane, &clearance, message(b"1\r\n")), send(&lane, &clearance, message(b"2\r\n")));
        drop(lane);
        told
    };
    let server = async |mut wire: Wire| {
        for (command, reply) in [("MAIL", "250 ok\r\n"), ("RCPT", "250 ok\r\n"), ("DATA", "354 go\r\n")] {
            assert!(wire.flight().await.starts_with(command));
            wire.say(reply).await;
        }
        assert_eq!(wire.flight().await, "1\r\n.\r\n");
        tables.store(2, Ordering::Release);
        wire.say("250 one\r\n").await;
    };
    let (told, _) = over(&[], client, server).await;
    assert_eq!(told.0, "delivered 250", "its MAIL was out before the change");
    assert!(told.1.starts_with("Mail: not cleared") && told.1.contains("older policy"), "{}", told.1);
}

#[tokio::test]
async fn without_pipelining_there_is_one_place_and_a_large_text_waits_to_be_wanted() {
    let client = async |lane: Lane, clearance: Clearance| {
        assert_eq!(lane.places(), 1);
        let told = join!(send(&lane, &clearance, out(b"1\r\n")), send(&lane, &clearance, out(b"2\r\n")));
        drop(lane);
        told
    };
    let server = async |mut wire: Wire| {
        for body in ["1\r\n.\r\n", "2\r\n.\r\n"] {
            for (command, reply) in [("MAIL", "250 ok\r\n"), ("RCPT", "250 ok\r\n"), ("DATA", "354 go\r\n")] {
                assert!(wire.flight().await.starts_with(command));
                wire.say(reply).await;
            }
            assert_eq!(wire.flight().await, body);
            wire.say("250 ok\r\n").await;
        }
    };
    let (told, _) = over(&["CHUNKING"], client, server).await;
    assert_eq!(told, ("delivered 250".into(), "delivered 250".into()));

    let large: &'static [u8] = Vec::leak(b"0123456789\r\n".repeat(10_000));
    let client = async |lane: Lane, clearance: Clearance| {
        let told = send(&lane, &clearance, out(large)).await;
        drop(lane);
        told
    };
    let server = async |mut wire: Wire| {
        wire.take_message().await;
    };
    let (told, _) = over(&["PIPELINING", "CHUNKING"], client, server).await;
    assert_eq!(told, "delivered 250");
}

#[tokio::test]
async fn a_lane_serves_whoever_an_idle_connection_would_and_is_not_kept_when_closed() {
    let (peer, connector) = (Peer::bind().await, connector());
    let client = async {
        let session = connector.open(&peer.request(TlsUse::Never)).await.unwrap().session;
        let clearance = cleared(&session, &CLEAR, None);
        let (lane, task) = connector.lead(session);
        let request = peer.request(TlsUse::Never);
        assert!(lane.serves(&request).is_some_and(|report| report.pooled));
        assert!(lane.serves(&waxseal_transport::OpenRequest { reuse: false, ..request.clone() }).is_none());
        assert!(lane.serves(&peer.request(TlsUse::IfOffered(crate::peer::shape(None)))).is_none());
        let used = async {
            assert_eq!(send(&lane, &clearance, out(b"1\r\n")).await, "delivered 250");
            lane.close();
            assert!(lane.serves(&request).is_none() && lane.places() == 0);
            drop(lane);
        };
        join!(task, used);
        assert_eq!(connector.idle(), 0);
    };
    let server = async {
        let mut wire = peer.accept().await;
        wire.greet(&["PIPELINING"]).await;
        wire.take_message().await;
        assert_eq!(wire.line().await, "QUIT");
    };
    join!(client, server);
}

/// A held message, and what `end` does with it once the server has heard all that comes before the text.
async fn held(keywords: &[&str], released: bool) -> (String, Vec<String>) {
    let (holder, hold) = Hold::new();
    let (heard, told) = tokio::sync::oneshot::channel();
    let client = async move |lane: Lane, clearance: Clearance| {
        let under_way = Arc::new(AtomicBool::new(false));
        let first = lane.send(clearance.clone(), out(b"1\r\n"), under_way, Some(hold));
        // Whatever is behind it waits for it: its commands may not stand where a text is expected.
        let second = send(&lane, &clearance, out(b"2\r\n"));
        let end = async {
            told.await.unwrap();
            // Time for a text to leave that must not.
            tokio::time::sleep(Duration::from_millis(50)).await;
            if released { holder.release() } else { drop(holder) }
        };
        let (first, second, ()) = join!(first, second, end);
        drop(lane);
        format!("{}; {second}", word(&first))
    };
    let (seen, all) = tokio::sync::oneshot::channel();
    let server = async move |mut wire: Wire| {
        let mut flights = vec![wire.flight().await];
        if flights[0].ends_with("DATA\r\n") {
            wire.say("250 ok\r\n250 ok\r\n354 go\r\n").await;
        }
        heard.send(()).unwrap();
        flights.push(wire.flight().await);
        if released && flights[0].ends_with("DATA\r\n") {
            wire.say("250 one\r\n250 ok\r\n250 ok\r\n354 go\r\n").await;
            flights.push(wire.flight().await);
            wire.say("250 two\r\n").await;
        } else if released {
            wire.say(&TAKEN.repeat(2)).await;
        }
        seen.send(flights).unwrap();
    };
    let (told, _) = over(keywords, client, server).await;
    (told, all.await.unwrap())
}

#[tokio::test]
async fn a_text_leaves_when_its_hold_is_released_and_its_commands_before() {
    let (told, flights) = held(&["PIPELINING"], true).await;
    assert_eq!(told, "delivered 250; delivered 250");
    assert_eq!(flights, [COMMANDS.to_owned(), format!("1\r\n.\r\n{COMMANDS}"), "2\r\n.\r\n".into()]);
    let (told, flights) = held(&["PIPELINING", "CHUNKING"], true).await;
    assert_eq!(told, "delivered 250; delivered 250");
    assert_eq!(flights, [CHUNK.to_owned(), format!("1\r\n{CHUNK}2\r\n")]);
}

#[tokio::test]
async fn a_text_that_is_withdrawn_never_leaves_and_the_connection_closes() {
    for (keywords, commands) in [(&["PIPELINING"][..], COMMANDS), (&["PIPELINING", "CHUNKING"], CHUNK)] {
        let (told, flights) = held(keywords, false).await;
        let first = "Body: the text of the message cannot be sent: it was withdrawn";
        assert_eq!(told, format!("{first}; Mail: lost connection"));
        assert_eq!(flights, [commands, ""]);
    }
}

#[tokio::test]
async fn who_is_ahead_of_a_withdrawn_text_is_heard_out() {
    let (holder, hold) = Hold::new();
    let (heard, told) = tokio::sync::oneshot::channel();
    let client = async move |lane: Lane, clearance: Clearance| {
        let ahead = send(&lane, &clearance, out(b"1\r\n"));
        let under_way = Arc::new(AtomicBool::new(false));
        let withdrawn = lane.send(clearance.clone(), out(b"2\r\n"), under_way, Some(hold));
        let end = async {
            told.await.unwrap();
            drop(holder);
        };
        let (ahead, withdrawn, ()) = join!(ahead, withdrawn, end);
        drop(lane);
        (ahead, word(&withdrawn))
    };
    let server = async move |mut wire: Wire| {
        assert_eq!(wire.flight().await, format!("{CHUNK}1\r\n{CHUNK}"));
        heard.send(()).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        wire.say(TAKEN).await;
        assert_eq!(wire.flight().await, "");
    };
    let (told, _) = over(&["PIPELINING", "CHUNKING"], client, server).await;
    let withdrawn = "Body: the text of the message cannot be sent: it was withdrawn";
    assert_eq!(told, ("delivered 250".into(), withdrawn.into()));
}
