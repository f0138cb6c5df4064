//! Threats V11: texts and commands that are made to cost more than they should. Each session is with the limits that a server has by default.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use tokio::io::AsyncWriteExt as _;
use waxseal_intake::{Intake, Settings};

use crate::common::{Client, Server, local, settings};

fn server() -> Server {
    let mut settings = settings();
    settings.error_delay = Duration::ZERO;
    Server::start(settings)
}

/// Lines of a text, without those that begin with a dot.
fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut all, number| {
        let _ = write!(all, "{}\r\n", line(number));
        all
    })
}

/// A part within a part within a part.
fn nested(depth: usize) -> String {
    let open = |n: usize| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}");
    lines(depth, open)
        + "Content-Type: text/plain\r\n\r\nx\r\n"
        + &lines(depth, |n| format!("--b{}--", depth - n - 1))
}

#[test]
fn bombs_of_header_and_mime_are_carried_as_they_are_or_refused_and_hold_no_more_memory_than_their_octets() {
    let many_addresses = |count: usize| format!("To: {}\r\n\r\nx\r\n", "a@b.example,".repeat(count));
    let folded = |count: usize| format!("X: x\r\n{}\r\nx\r\n", lines(count, |_| " a@b.example,".into()));
    let parameters = |count: usize| {
        let each = lines(count, |n| format!(" p{n}*0*=utf-8''%41;"));
        format!("Content-Type: text/plain;\r\n{each}\r\nx\r\n")
    };
    let table: [(&str, String, u16); 11] = [
        ("a hundred thousand header fields", lines(100_000, |n| format!("X-{n}: y")) + "\r\nx\r\n", 250),
        ("a header field of 200 kB", format!("X: {}\r\n\r\nx\r\n", "y".repeat(200_000)), 552),
        ("a million addresses in a field", many_addresses(1_000_000), 552),
        ("a million addresses in a folded field", folded(1_000_000), 552),
        ("addresses up to the limit of a field", many_addresses(8_000), 250),
        ("a hundred thousand parameters of a field", parameters(100_000), 552),
        ("parts nested ten thousand deep", nested(10_000), 250),
        ("a line of ten million octets", format!("Subject: x\r\n\r\n{}\r\n", "x".repeat(10_000_000)), 250),
        ("a million empty lines", format!("Subject: x\r\n\r\n{}", "\r\n".repeat(1_000_000)), 250),
        ("a header that never ends", lines(300_000, |_| "X: y".into()), 250),
        ("no header at all", "\r\n\r\n\r\n".into(), 250),
    ];
    local(async {
        let server = server();
        server.memory.take_pieces(Ok(()));
        let mut client = server.client().await;
        for (case, text, code) in &table {
            client.begin().await;
            let before = server.memory.taken().len();
            let mut most = 0;
            for piece in text.as_bytes().chunks(1 << 20) {
                client.write(piece).await;
                most = most.max(server.intake.statistics().octets);
            }
            client.say(".\r\n").await;
            assert_eq!(client.codes(1).await, [*code], "{case}");
            // A header is held until it ends, and what is refused until it has been read; the rest of a text passes in pieces.
            let head = text.find("\r\n\r\n").map_or(text.len(), |end| end + 4);
            let limit = if head < (64 << 10) { 1 << 20 } else { text.len() + (1 << 20) };
            assert!(most <= limit, "{case}: {most} octets held for {}", text.len());
            assert_eq!(server.intake.statistics().octets, 0, "{case}");
            let taken = server.memory.taken();
            assert_eq!(taken.len() - before, usize::from(*code == 250), "{case}");
            if *code == 250 {
                assert!(taken[before].1.ends_with(text.as_bytes()), "{case}: it was changed");
            }
        }
    });
}

#[test]
fn commands_that_are_bombs_are_refused_with_their_codes() {
    let table: [(&str, String, &[u16]); 8] = [
        ("a hundred thousand parameters", format!("MAIL FROM:<>{}\r\n", " A=B".repeat(100_000)), &[500]),
        ("as many as a line has room for", format!("MAIL FROM:<>{}\r\n", " A=B".repeat(500)), &[555]),
        ("a path of a megabyte", format!("MAIL FROM:<{}@a.example>\r\n", "a".repeat(1 << 20)), &[500]),
        ("a path as long as a line", format!("MAIL FROM:<{}@a.example>\r\n", "a".repeat(2000)), &[501]),
        ("a route of many hops", format!("MAIL FROM:<{}a@a.example>\r\n", "@a.example,".repeat(150)), &[501]),
        ("a megabyte of AUTH in clear", format!("AUTH PLAIN {}\r\n", "A".repeat(1 << 20)), &[500]),
        ("a command of ten megabytes", format!("{}\r\n", "x".repeat(10 << 20)), &[500]),
        ("a size beyond all", "MAIL FROM:<> SIZE=99999999999999999999999\r\n".into(), &[501]),
    ];
    local(async {
        let server = server();
        for (case, command, codes) in &table {
            let mut client = server.client().await;
            client.write(command.as_bytes()).await;
            assert_eq!(client.codes(codes.len()).await, *codes, "{case}");
            assert_eq!(server.intake.statistics().octets, 0, "{case}");
            client.say("NOOP\r\n").await;
            assert_eq!(client.codes(1).await, [250], "{case}: the session goes on behind it");
        }
    });
}

/// A million recipients: the first thousand are taken, a thousand refused without reproach, and then the session ends.
#[test]
fn rfc5321_4_5_3_1_10_a_million_recipients_are_not_heard_to_the_end() {
    local(async {
        let server = server();
        let mut client = server.client().await;
        client.say("MAIL FROM:<a@a.example>\r\n").await;
        assert_eq!(client.codes(1).await, [250]);
        let mut counts = std::collections::BTreeMap::<u16, usize>::new();
        'all: for _ in 0..10_000 {
            client.say(&"RCPT TO:<b@b.example>\r\n".repeat(100)).await;
            for _ in 0..100 {
                let code = client.codes(1).await[0];
                *counts.entry(code).or_default() += 1;
                if code == 421 {
                    break 'all;
                }
            }
        }
        assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(250, 1000), (421, 1), (452, 1020)]);
        assert_eq!(server.memory.requests(), 0);
    });
}

/// Octets that mean nothing, all at once and without waiting for a reply.
#[test]
fn pipelined_garbage_ends_the_session_soon() {
    let mut seed = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        // Numerical Recipes' generator: what matters is that it is the same each time.
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed.to_be_bytes()[0]
    })
    .take(1 << 20)
    .collect();
    let table: [(&str, Vec<u8>); 5] = [
        ("noise", noise),
        ("words", b"XYZZY\r\n".repeat(100_000)),
        ("NUL octets", vec![0; 1 << 20]),
        ("empty lines", b"\r\n".repeat(100_000)),
        ("hellos", b"EHLO x\r\n".repeat(100_000)),
    ];
    local(async {
        for (case, octets) in table {
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            let intake =
                Arc::new(Intake::bind(Settings { error_delay: Duration::ZERO, ..settings() }).unwrap());
            let accept = Arc::new(crate::common::Memory::default());
            let serving = tokio::task::spawn_local(Arc::clone(&intake).attend(theirs, None, accept));
            let (mut reader, mut writer) = tokio::io::split(ours);
            // The server leaves in the middle of it, and what it says must not wait for whoever does not listen.
            let writing = tokio::task::spawn_local(async move {
                let _ = writer.write_all(&octets).await;
                let _ = writer.shutdown().await;
            });
            let mut said = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut said).await.unwrap();
            drop(reader);
            serving.await.unwrap();
            writing.await.unwrap();
            let said = String::from_utf8(said).unwrap();
            let replies = said.lines().filter(|line| line.as_bytes().get(3) == Some(&b' ')).count();
            assert!(replies <= 102, "{case}: {replies} replies");
            let last = said.lines().last().unwrap();
            assert!(["220", "221", "421", "500", "554"].contains(&&last[..3]), "{case}: {last}");
            assert_eq!(intake.connections(), 0, "{case}");
        }
    });
}

/// A client that asks and never reads what it is answered: what is not read is not piled up here.
#[tokio::test(start_paused = true)]
async fn replies_that_nobody_reads_end_the_session_at_its_deadline() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let intake = Arc::new(Intake::bind(settings()).unwrap());
            let (ours, theirs) = tokio::io::duplex(256);
            let accept = Arc::new(crate::common::Memory::default());
            let serving = tokio::task::spawn_local(Arc::clone(&intake).attend(theirs, None, accept));
            let mut client = Client::new(ours);
            client.hello().await;
            client.say("MAIL FROM:<a@a.example>\r\n").await;
            assert_eq!(client.codes(1).await, [250]);
            let start = tokio::time::Instant::now();
            let recipients = "RCPT TO:<b@b.example>\r\n".repeat(900);
            tokio::select! {
                biased;
                ended = serving => ended.unwrap(),
                () = client.say(&recipients) => panic!("all was taken in, and nothing heard"),
            }
            let taken = start.elapsed().as_secs();
            assert!((299..=320).contains(&taken), "{taken} s");
            assert_eq!(intake.connections(), 0);
        })
        .await;
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Client<S> {
    async fn write(&mut self, octets: &[u8]) {
        self.raw().write_all(octets).await.unwrap();
    }
}

/// docs/threats.md names a test for each threat to the receiving side: each of them is there.
#[test]
fn every_test_that_the_table_of_threats_names_exists() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/threats.md")).unwrap();
    let mut named = 0;
    for line in page.lines().filter(|line| line.starts_with("| V") || line.starts_with("| P")) {
        let tests = line.split('`').skip(1).step_by(2).filter(|word| word.contains("::"));
        for test in tests {
            let (file, name) = test.rsplit_once("::").unwrap();
            let text =
                std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(text.contains(&format!("fn {name}(")), "{file} has no test {name}");
            named += 1;
        }
    }
    assert!(named >= 30, "only {named} tests are named");
}
