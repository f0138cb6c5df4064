//! Published vectors for the end of data and for SMTP smuggling, read at test time from the folder that `LAB_SHARED` names.

use std::{path::PathBuf, sync::Arc};

use bytes::BytesMut;
use serde_json::Value;
use waxseal_smtp::server::{Hello, Host, Refusal, Session, Settings, Step, Transaction};
use waxseal_types::{QueueId, Recipient};

struct Anyone {
    senders: usize,
}

impl Host for Anyone {
    fn mail(&mut self, _: &Transaction) -> Result<(), Refusal> {
        self.senders += 1;
        Ok(())
    }
    fn recipient(&mut self, _: &Transaction, _: &Recipient) -> Result<(), Refusal> {
        Ok(())
    }
    fn text(&mut self, _: &Hello, _: &Transaction, _: &mut BytesMut) -> Result<(), Refusal> {
        Ok(())
    }
}

/// `None`, told on the way, where the vectors are missing; in CI that is an error.
fn vectors(name: &str) -> Option<Value> {
    let folder = std::env::var_os("LAB_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let path = folder.join("data/smtp-framing").join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(error) if std::env::var_os("CI").is_none() => {
            println!("SKIPPED: {}: {error}", path.display());
            None
        }
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// What became of a DATA transfer that came in two segments.
struct Outcome {
    texts: Vec<Vec<u8>>,
    replies: String,
    senders: usize,
}

fn transfer(wire: &[u8], cut: usize) -> Outcome {
    let mut session = Session::new(Arc::new(Settings::default()));
    let mut host = Anyone { senders: 0 };
    let mut texts = Vec::new();
    let head: [&[u8]; 2] = [b"EHLO x\r\n", b"MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"];
    for (at, segment) in head.into_iter().chain([&wire[..cut], &wire[cut..]]).enumerate() {
        if at == 2 {
            session.output().clear();
        }
        let mut input = BytesMut::from(segment);
        while let Step::Message(message) = session.advance(&mut input, &mut host) {
            texts.push(message.text.to_vec());
            session.settle(Ok(QueueId::from_u64(1)));
        }
    }
    let replies = String::from_utf8(session.output().to_vec()).unwrap();
    Outcome { texts, replies, senders: host.senders }
}

#[test]
fn published_smuggling_sequences_do_not_split_a_message() {
    let Some(vectors) = vectors("smtp-smuggling.json") else { return };
    let mut sequences = Vec::new();
    for list in ["the-login_inbound", "the-login_outbound", "usenix25_table1_A1_A13"] {
        let list = vectors[list].as_array().unwrap();
        sequences.extend(list.iter().map(|entry| unhex(entry["hex"].as_str().or(entry.as_str()).unwrap())));
    }
    assert!(sequences.len() >= 29, "{}", sequences.len());
    let legal = unhex(vectors["legal_terminator"].as_str().unwrap());
    let smuggled =
        b"MAIL FROM:<evil@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\nSubject: evil\r\n\r\n!\r\n.\r\n";
    let mut held = 0;
    for sequence in &sequences {
        let ends = sequence.windows(legal.len()).any(|window| window == legal);
        for head in ["", "Subject: x\r\n\r\nhello", "Subject: x\r\n\r\nhello\r\n"] {
            let wire = [head.as_bytes(), sequence, smuggled].concat();
            for cut in 0..=wire.len() {
                let outcome = transfer(&wire, cut);
                if ends {
                    let first = outcome.texts.first().map(Vec::as_slice).unwrap_or_default();
                    assert!(!first.windows(4).any(|w| w == b"MAIL"), "{} at {cut}", wire.escape_ascii());
                    continue;
                }
                assert!(outcome.texts.is_empty(), "{} at {cut}", wire.escape_ascii());
                assert_eq!(outcome.senders, 1);
                assert!(outcome.replies.starts_with("550 5.5.2 ") && outcome.replies.lines().count() == 1);
            }
        }
        held += usize::from(!ends);
    }
    println!("{held} of {} sequences contain no end of data", sequences.len());
}

#[test]
fn published_texts_are_read_as_they_should_be() {
    let Some(vectors) = vectors("smtp-data-framing.json") else { return };
    let cases = vectors["reader"].as_array().unwrap();
    for case in cases {
        let wire = case["wire"].as_str().unwrap().as_bytes();
        for cut in 0..=wire.len() {
            let Outcome { texts, replies, .. } = transfer(wire, cut);
            let expected = case["out"].as_str().unwrap().as_bytes();
            match case["err"].as_str() {
                // The vectors' reader lets a lone LF pass; this one does not.
                None if expected.windows(2).any(|w| w[1] == b'\n' && w[0] != b'\r') => {
                    assert!(texts.is_empty() && replies.starts_with("550 5.5.2 "), "{case}");
                }
                None => assert_eq!(texts, [expected], "{case} at {cut}"),
                Some("io.ErrUnexpectedEOF") => {
                    assert!(texts.is_empty() && replies.is_empty(), "{case} {replies}")
                }
                Some(_) => assert!(texts.is_empty() && replies.starts_with("550 5.5.2 "), "{case} {replies}"),
            }
        }
    }
    assert!(cases.len() >= 22);
}
