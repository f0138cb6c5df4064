//! Texts that go on to the spool while they come in.

use waxseal_intake::Settings;
use waxseal_spool::Refusal;

use crate::common::{Server, local, settings};

const HEADER: &str = "Subject: large\r\n\r\n";
/// What a session reads at once, on top of what it collects.
const PIECE: usize = (256 << 10) + (64 << 10);

fn lines(octets: usize) -> String {
    "0123456789abcdef0123456789abcdef0123456789abcdef\r\n".repeat(octets / 50)
}

#[test]
fn a_large_text_goes_on_in_pieces_and_arrives_whole() {
    local(async {
        let server = Server::start(settings());
        server.memory.take_pieces(Ok(()));
        let mut client = server.client().await;
        for number in 0..2 {
            client.begin().await;
            let body = lines(3 << 20);
            client.say(&format!("{HEADER}..{number}\r\n{body}.\r\n")).await;
            assert_eq!(client.codes(1).await, [250]);
            let (envelope, text) = server.memory.taken().swap_remove(number);
            let own = text.windows(4).position(|four| four == b"Subj").unwrap();
            assert_eq!(text[own..], *format!("{HEADER}.{number}\r\n{body}").as_bytes());
            assert_eq!((envelope.size, envelope.leading_dots), (text.len() as u64, true));
            assert!(text.starts_with(b"Received: from client.example"));
        }
        let inflows = server.memory.inflows_ended(2).await;
        assert!(inflows.longest <= PIECE, "{inflows:?}");
    });
}

#[test]
fn rfc3030_chunks_go_on_in_pieces_and_rset_throws_them_away() {
    local(async {
        let server = Server::start(settings());
        server.memory.take_pieces(Ok(()));
        let mut client = server.client().await;
        let body = lines(1 << 20);
        let mail = "MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\n";
        let chunk = |text: &str, last: &str| format!("BDAT {}{last}\r\n{text}", text.len());
        client.say(&format!("{mail}{}", chunk(&format!("{HEADER}old\r\n{body}"), ""))).await;
        assert_eq!(client.codes(3).await, [250, 250, 250]);
        // In one flight: nothing of the old text may get into the new one.
        client
            .say(&format!(
                "RSET\r\n{mail}{}{}",
                chunk(&format!("{HEADER}new\r\n"), ""),
                chunk(&body, " LAST")
            ))
            .await;
        assert_eq!(client.codes(5).await, [250, 250, 250, 250, 250]);
        let taken = server.memory.taken();
        assert_eq!(taken.len(), 1);
        let text = std::str::from_utf8(&taken[0].1).unwrap();
        assert!(text.ends_with(&format!("{HEADER}new\r\n{body}")), "not the new text alone");
        server.memory.inflows_ended(2).await;
    });
}

#[test]
fn a_large_text_that_cannot_be_written_is_read_to_its_end_and_refused() {
    local(async {
        let server = Server::start(settings());
        server.memory.take_pieces(Err(Refusal::FULL));
        let mut client = server.client().await;
        client.begin().await;
        client.say(&format!("{HEADER}{}.\r\n", lines(2 << 20))).await;
        assert_eq!(client.codes(1).await, [Refusal::FULL.code]);
        server.memory.inflows_ended(1).await;
        assert!(server.memory.taken().is_empty());
        // The session goes on.
        server.memory.take_pieces(Ok(()));
        client.begin().await;
        client.say("Subject: small\r\n\r\n.\r\n").await;
        assert_eq!(client.codes(1).await, [250]);
    });
}

#[test]
fn a_large_text_that_is_bad_or_too_large_or_left_behind_leaves_nothing() {
    local(async {
        let mut settings: Settings = settings();
        settings.protocol.message_size_limit = 2 << 20;
        let server = Server::start(settings);
        server.memory.take_pieces(Ok(()));
        let mut client = server.client().await;
        let bad = format!("{HEADER}{}bare\nline\r\n.\r\n", lines(1 << 20));
        let too_large = format!("{HEADER}{}.\r\n", lines(3 << 20));
        for (number, text) in [bad, too_large].into_iter().enumerate() {
            client.begin().await;
            client.say(&text).await;
            let reply = client.reply().await;
            assert!(reply.starts_with('5'), "{reply}");
            server.memory.inflows_ended(number + 1).await;
        }
        client.begin().await;
        client.say(&format!("{HEADER}{}", lines(1 << 20))).await;
        drop(client);
        server.memory.inflows_ended(3).await;
        assert!(server.memory.taken().is_empty());
    });
}

#[test]
fn without_anybody_for_pieces_a_large_text_is_accepted_as_a_whole() {
    local(async {
        let server = Server::start(settings());
        let mut client = server.client().await;
        client.begin().await;
        let body = lines(1 << 20);
        client.say(&format!("{HEADER}{body}.\r\n")).await;
        assert_eq!(client.codes(1).await, [250]);
        assert!(server.memory.taken()[0].1.ends_with(body.as_bytes()));
        assert_eq!(server.memory.inflows().begun, 0);
    });
}
