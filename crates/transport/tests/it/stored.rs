//! Texts that are read while they are sent.

use std::sync::Arc;

use bytes::Bytes;
use tokio::join;
use waxseal_transport::{
    Cause, OutMessage, Piece, Pieces, RcptOutcome, Sent, SessionAfter, Stage, Stored, Text, TlsUse,
    Unsupported,
};
use waxseal_types::{Envelope, TlsDemand};

use crate::peer::{Peer, Wire, cleared, connector, message};

const CLEAR: TlsDemand = TlsDemand::Clear;

/// Pieces, and what is wrong behind them.
struct Shelf {
    pieces: Vec<Bytes>,
    fault: Option<&'static str>,
}

struct Reader(std::vec::IntoIter<Result<Option<Bytes>, String>>);

impl Stored for Shelf {
    fn head(&self) -> &Bytes {
        &self.pieces[0]
    }

    fn pieces(&self) -> Box<dyn Pieces> {
        let end = self.fault.map_or(Ok(None), |fault| Err(fault.to_owned()));
        let all: Vec<_> = self.pieces.iter().cloned().map(|piece| Ok(Some(piece))).chain([end]).collect();
        Box::new(Reader(all.into_iter()))
    }
}

impl Pieces for Reader {
    fn next_piece(&mut self) -> Piece {
        Box::pin(std::future::ready(self.0.next().unwrap_or(Ok(None))))
    }
}

fn stored(pieces: &[&[u8]], fault: Option<&'static str>) -> OutMessage {
    let pieces: Vec<_> = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
    let size = pieces.iter().map(|piece| piece.len() as u64).sum();
    let plain = message(&CLEAR, &["r@b.example"], b"");
    let envelope = Arc::new(Envelope { size, ..Envelope::clone(&plain.envelope) });
    let body = Text::Stored(Arc::new(Shelf { pieces, fault }));
    OutMessage { envelope, body, ..plain }
}

/// Sends `first` and, where the session goes on, a small message; what the server saw behind each 354.
async fn send(first: OutMessage, keywords: &[&str], replies: &[&str]) -> (Vec<Sent>, String) {
    let (peer, connector) = (Peer::bind().await, connector());
    let client = async {
        let mut session = connector.open(&peer.request(TlsUse::Never)).await.unwrap().session;
        let clearance = cleared(&session, &CLEAR, None);
        let mut sent = vec![session.send(&clearance, &first).await];
        if replies.len() > 1 {
            sent.push(session.send(&clearance, &message(&CLEAR, &["r@b.example"], b"x: y\r\n\r\n")).await);
        }
        drop(session);
        sent
    };
    let server = async {
        let mut wire: Wire = peer.accept().await;
        wire.greet(keywords).await;
        let mut text = String::new();
        for reply in replies {
            wire.until("DATA\r\n").await;
            wire.say("250 ok\r\n250 ok\r\n354 go\r\n").await;
            text += &wire.until("\r\n.\r\n").await;
            wire.say(reply).await;
        }
        // Until the client is gone.
        text + &wire.until("\0").await
    };
    join!(client, server)
}

#[tokio::test]
async fn a_text_in_pieces_arrives_as_a_whole_one_does() {
    let first = stored(&[b"Subject: x\r\n\r", b"\n.dot\r\n.\r", b"\n.", b"end"], None);
    // CHUNKING is for small texts.
    let (sent, text) = send(first, &["PIPELINING", "CHUNKING"], &["250 2.0.0 one\r\n"]).await;
    assert!(text.starts_with("Subject: x\r\n\r\n..dot\r\n..\r\n..end\r\n.\r\n"), "{text:?}");
    assert!(matches!(&sent[0].recipients[..], [(0, RcptOutcome::Delivered(reply))] if reply.code == 250));
}

#[tokio::test]
async fn the_connection_carries_more_behind_a_text_in_pieces() {
    let lines = b"0123456789abcdef\r\n".repeat(10_000);
    let pieces: Vec<&[u8]> = [&b"x: y\r\n\r\n"[..]].into_iter().chain(lines.chunks(4_099)).collect();
    let (sent, text) =
        send(stored(&pieces, None), &["PIPELINING"], &["250 2.0.0 one\r\n", "250 2.0.0 two\r\n"]).await;
    assert_eq!(sent.len(), 2);
    for sent in &sent {
        assert!(matches!(&sent.recipients[..], [(0, RcptOutcome::Delivered(_))]), "{sent:?}");
    }
    assert!(text.starts_with("x: y\r\n\r\n0123456789abcdef\r\n"));
    assert_eq!(text.matches("0123456789abcdef\r\n").count(), 10_000);
}

#[tokio::test]
async fn a_text_that_cannot_be_read_to_its_end_is_not_ended() {
    let (sent, text) = interrupted(stored(&[b"x: y\r\n\r\n", b"half\r\n"], Some("the disk is gone"))).await;
    assert_eq!(text, "x: y\r\n\r\nhalf\r\n");
    let cause = Cause::Text("the disk is gone".into());
    assert_eq!(sent.recipients, [(0, RcptOutcome::Failed { stage: Stage::Body, cause })]);
    assert_eq!((sent.session, sent.ambiguous), (SessionAfter::Closed, false));
}

#[tokio::test]
async fn rfc5321_2_3_8_a_bare_line_end_far_into_a_text_ends_nothing() {
    let (sent, text) =
        interrupted(stored(&[b"x: y\r\n\r\n", b"a\r\n", b"\n.\r\nMAIL FROM:<>\r\n"], None)).await;
    assert_eq!(text, "x: y\r\n\r\na\r\n");
    assert!(
        matches!(
            &sent.recipients[..],
            [(0, RcptOutcome::Unsupported(Unsupported::BareLineEnd(bad)))] if bad.at == 11
        ),
        "{sent:?}"
    );
    assert_eq!(sent.session, SessionAfter::Closed);
}

/// Sends a message whose text does not come to its end; what the server has of that text when the connection is closed.
async fn interrupted(bad: OutMessage) -> (Sent, String) {
    let (peer, connector) = (Peer::bind().await, connector());
    let client = async {
        let mut session = connector.open(&peer.request(TlsUse::Never)).await.unwrap().session;
        let clearance = cleared(&session, &CLEAR, None);
        session.send(&clearance, &bad).await
    };
    let server = async {
        let mut wire: Wire = peer.accept().await;
        wire.greet(&["PIPELINING"]).await;
        wire.until("DATA\r\n").await;
        wire.say("250 ok\r\n250 ok\r\n354 go\r\n").await;
        wire.until("\0").await
    };
    join!(client, server)
}
