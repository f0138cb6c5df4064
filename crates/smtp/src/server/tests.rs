extern crate std;

use alloc::{
    format,
    string::{String, ToString},
    sync::Arc,
    vec,
    vec::Vec,
};

use bytes::BytesMut;
use proptest::prelude::*;
use waxseal_types::{QueueId, Recipient};

use super::*;

/// Writes down what it is asked.
#[derive(Default)]
struct Recorder {
    senders: Vec<String>,
    refuse: Option<Refusal>,
}

impl Host for Recorder {
    fn mail(&mut self, transaction: &Transaction) -> Result<(), Refusal> {
        self.senders.push(transaction.sender.as_ref().map(ToString::to_string).unwrap_or_default());
        self.refuse.clone().map_or(Ok(()), Err)
    }

    fn recipient(&mut self, _: &Transaction, recipient: &Recipient) -> Result<(), Refusal> {
        if recipient.mailbox.as_str().starts_with("far") { Err(Refusal::RELAY_DENIED) } else { Ok(()) }
    }

    fn text(&mut self, _: &Hello, _: &Transaction, text: &mut BytesMut) -> Result<(), Refusal> {
        text.extend_from_slice(b"Received: here\r\n");
        Ok(())
    }
}

/// A client whose messages are all taken.
struct Client {
    session: Session,
    host: Recorder,
    input: BytesMut,
    messages: Vec<Message>,
    pauses: usize,
    closed: bool,
}

impl Client {
    fn new(settings: Settings) -> Self {
        let mut session = Session::new(Arc::new(settings));
        session.output().clear();
        let input = BytesMut::new();
        Self { session, host: Recorder::default(), input, messages: vec![], pauses: 0, closed: false }
    }

    /// One that has said EHLO.
    fn hello(settings: Settings) -> Self {
        let mut client = Self::new(settings);
        assert!(client.send("EHLO client.example\r\n").starts_with("250-"));
        client
    }

    fn send(&mut self, octets: impl AsRef<[u8]>) -> String {
        if self.closed {
            return String::new();
        }
        self.input.extend_from_slice(octets.as_ref());
        loop {
            match self.session.advance(&mut self.input, &mut self.host) {
                Step::Read => break,
                Step::Message(message) => {
                    self.messages.push(*message);
                    self.session.settle(Ok(QueueId::from_u64(self.messages.len() as u64)));
                }
                Step::Pause => self.pauses += 1,
                Step::Authenticate(_) => self.session.authenticate(Ok(())),
                Step::StartTls => {
                    self.session.begin_tls();
                    self.input.clear();
                    self.session.secured();
                }
                Step::Close => {
                    self.closed = true;
                    break;
                }
            }
        }
        let output = self.session.output().split();
        core::str::from_utf8(&output).unwrap().to_string()
    }

    /// The codes of the replies to it.
    fn codes(&mut self, octets: impl AsRef<[u8]>) -> Vec<u16> {
        let replies = self.send(octets);
        let last = replies.lines().filter(|line| line.as_bytes().get(3) == Some(&b' '));
        last.map(|line| line[..3].parse().unwrap()).collect()
    }

    /// From MAIL to 354.
    fn begin(&mut self) {
        assert_eq!(
            self.codes("MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"),
            [250, 250, 354]
        );
    }
}

#[test]
fn rfc5321_a_whole_session() {
    let mut session =
        Session::new(Arc::new(Settings { hostname: "mx.example".into(), ..Settings::default() }));
    assert_eq!(&**session.output(), b"220 mx.example ESMTP Waxseal\r\n");
    let mut client = Client::new(Settings { hostname: "mx.example".into(), ..Settings::default() });
    assert_eq!(
        client.send("EHLO client.example\r\n"),
        "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n\
         250-DSN\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n"
    );
    assert_eq!(client.send("MAIL FROM:<a@a.example> SIZE=20 RET=HDRS\r\n"), "250 2.1.0 Ok\r\n");
    assert_eq!(client.send("RCPT TO:<b@b.example> NOTIFY=NEVER\r\n"), "250 2.1.5 Ok\r\n");
    assert_eq!(client.send("DATA\r\n"), "354 End data with <CR><LF>.<CR><LF>\r\n");
    assert_eq!(client.send("Message-ID: <1@a.example>\r\n\r\n..hi\r\n"), "");
    assert_eq!(client.send(".\r\nQUIT\r\n"), "250 2.0.0 Ok: queued as 1\r\n221 2.0.0 Bye\r\n");
    assert!(client.closed);
    let [message] = &*client.messages else { panic!() };
    assert_eq!(&*message.text, b"Received: here\r\nMessage-ID: <1@a.example>\r\n\r\n.hi\r\n");
    assert_eq!(message.message_id.as_deref(), Some("<1@a.example>"));
    assert!(message.leading_dots);
    assert_eq!(message.transaction.ret, Some(waxseal_types::Ret::Headers));
}

#[test]
fn commands_out_of_order_are_refused() {
    let (mail, rcpt) = ("MAIL FROM:<a@a.example>\r\n", "RCPT TO:<b@b.example>\r\n");
    let table: [(&[&str], &[u16]); 14] = [
        (&[mail], &[503]),
        (&["NOOP\r\n", "RSET\r\n", "VRFY x\r\n", "HELP\r\n"], &[250, 250, 252, 214]),
        (&["HELO x\r\n", rcpt], &[250, 503]),
        (&["EHLO x\r\n", "DATA\r\n"], &[250, 503]),
        (&["EHLO x\r\n", mail, mail], &[250, 250, 503]),
        (&["EHLO x\r\n", mail, "DATA\r\n"], &[250, 250, 503]),
        (&["EHLO x\r\n", mail, "RSET\r\n", rcpt], &[250, 250, 250, 503]),
        (&["EHLO x\r\n", mail, "EHLO x\r\n", rcpt], &[250, 250, 250, 503]),
        (&["EHLO x\r\n", mail, "RCPT TO:<far@b.example>\r\n", "DATA\r\n"], &[250, 250, 554, 554]),
        (&["EHLO x\r\n", "STARTTLS\r\n"], &[250, 502]),
        (&["EHLO x\r\n", "EXPN x\r\n", "FOO\r\n", "\r\n"], &[250, 502, 500, 500]),
        (&["EHLO x\r\n", "MAIL FROM:<a@a.example> SIZE=99999999999\r\n"], &[250, 552]),
        (&["EHLO x\r\n", "MAIL FROM:<a@a.example> X=1\r\n", "MAIL FROM:<a b>\r\n"], &[250, 555, 501]),
        (&["EHLO\r\n", "HELO\r\n", "VRFY\r\n"], &[501, 501, 501]),
    ];
    for (lines, expected) in table {
        let mut client = Client::new(Settings::default());
        let codes: Vec<_> = lines.iter().flat_map(|line| client.codes(line)).collect();
        assert_eq!(codes, expected, "{lines:?}");
    }
}

/// All that have been used for SMTP smuggling: the.login's lists and table 1 of the USENIX Security 2025 paper.
const SMUGGLING: [&[u8]; 18] = [
    b"\n.\n",
    b"\n.\r",
    b"\r.\n",
    b"\r.\r",
    b"\n.\r\n",
    b"\r.\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\0\n.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n.\r\0\n",
    b"\n\n.\n\n",
    b"\r\r.\r\r",
    b"\n.\r\r\n",
    b"\r\n\r.\r\n",
];
/// Those that do contain the legal end of data, with what else they have around it.
const LEGAL: [&[u8]; 3] = [b"\0\r\n.\r\n", b"\r\n.\r\n\0", b"\r\n.\r\n"];

const SMUGGLED: &str =
    "MAIL FROM:<evil@a.example>\r\nRCPT TO:<victim@b.example>\r\nDATA\r\nSubject: smuggled\r\n\r\n!";

/// A text with the sequence at its start, in its middle or at its end, then what is to be smuggled.
fn attacks(sequence: &[u8]) -> [Vec<u8>; 3] {
    let behind = |head: &str| [head.as_bytes(), sequence, SMUGGLED.as_bytes(), b"\r\n.\r\n"].concat();
    let end = [b"Subject: x\r\n\r\n", SMUGGLED.as_bytes(), sequence, b"\r\n.\r\n"].concat();
    [behind(""), behind("Subject: x\r\n\r\nhello"), end]
}

#[test]
fn no_smuggling_sequence_ends_a_message() {
    for sequence in SMUGGLING {
        for attack in attacks(sequence) {
            for cut in 0..=attack.len() {
                let mut client = Client::hello(Settings::default());
                client.begin();
                let (first, second) = attack.split_at(cut);
                let replies = client.send(first) + &client.send(second);
                let context = format!("{} at {cut}", attack.escape_ascii());
                assert_eq!(
                    replies, "550 5.5.2 Error: bare <CR>, bare <LF> or <NUL> received\r\n",
                    "{context}"
                );
                assert_eq!((client.messages.len(), client.host.senders.len()), (0, 1), "{context}");
                assert_eq!(client.codes("NOOP\r\n"), [250], "{context}");
            }
        }
    }
}

#[test]
fn no_smuggling_sequence_ends_a_message_without_pipelining() {
    for sequence in SMUGGLING {
        for attack in attacks(sequence) {
            let mut client = Client::new(Settings::default());
            for line in ["HELO x\r\n", "MAIL FROM:<a@a.example>\r\n", "RCPT TO:<b@b.example>\r\n", "DATA\r\n"]
            {
                client.send(line);
            }
            let replies: String = attack.iter().map(|octet| client.send([*octet])).collect();
            assert!(replies.starts_with("550 5.5.2 ") && replies.lines().count() == 1, "{replies}");
            assert_eq!((client.messages.len(), client.host.senders.len()), (0, 1));
        }
    }
}

#[test]
fn no_smuggling_sequence_ends_a_message_within_or_behind_a_chunk() {
    for sequence in SMUGGLING {
        for attack in attacks(sequence) {
            let mut client = Client::hello(Settings::default());
            let head = "MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\n";
            // The chunk ends where the sequence does, so that a server which looks for an end of data finds one.
            let size = attack.windows(sequence.len()).position(|w| w == sequence).unwrap() + sequence.len();
            let chunk = [format!("{head}BDAT {size} LAST\r\n").as_bytes(), &attack[..size]].concat();
            assert_eq!(client.codes(&chunk), [250, 250, 550], "{}", attack.escape_ascii());
            assert_eq!((client.messages.len(), client.host.senders.len()), (0, 1));
            client.begin();
            assert_eq!(client.codes(&attack), [550]);
            assert_eq!((client.messages.len(), client.host.senders.len()), (0, 2));
        }
    }
}

#[test]
fn the_legal_end_of_data_ends_exactly_there() {
    for sequence in LEGAL {
        let attack = &attacks(sequence)[1];
        let mut client = Client::hello(Settings::default());
        client.begin();
        let replies = client.send(attack);
        // With a NUL before the end the text is refused; behind it, it begins no command of a mail client; without, commands follow,
        // and the DATA among them did not wait for its 354 (RFC 2920 §3.1).
        let expected: &[&str] = match sequence {
            b"\0\r\n.\r\n" => &["550 5.5.2", "250 2.1.0", "250 2.1.5", "554 5.5.0"],
            b"\r\n.\r\n\0" => &["250 2.0.0", "221 2.7.0"],
            _ => &["250 2.0.0", "250 2.1.0", "250 2.1.5", "554 5.5.0"],
        };
        let heads: Vec<_> = replies.lines().map(|line| &line[..9]).collect();
        assert_eq!(heads, expected);
        assert!(client.closed);
        assert!(client.messages.iter().all(|m| &*m.text == b"Received: here\r\nSubject: x\r\n\r\nhello\r\n"));
    }
}

#[test]
fn a_stray_octet_in_a_command_refuses_it_and_its_line() {
    for bad in ["NOOP\nMAIL FROM:<a@a.example>\r\n", "NOOP \r \r\n", "MAIL FROM:<a\0@a.example>\r\n"] {
        let mut client = Client::hello(Settings::default());
        assert_eq!(client.codes(bad), [500], "{bad:?}");
        assert!(client.host.senders.is_empty());
    }
    let mut client = Client::hello(Settings::default());
    assert_eq!(client.send("MAIL FROM:<a@a.example>\n"), "", "a bare LF ends no line");
}

#[test]
fn rfc2920_who_does_not_wait_is_sent_away() {
    for early in ["EHLO x\r\nMAIL FROM:<>\r\n", "HELO x\r\nNOOP\r\n", "NOOP\r\nNOOP\r\n"] {
        let mut client = Client::new(Settings::default());
        assert_eq!(client.codes(early).last(), Some(&554), "{early:?}");
        assert!(client.closed);
    }
    let mut client = Client::hello(Settings::default());
    assert_eq!(
        client.codes("MAIL FROM:<>\r\nRCPT TO:<b@b.example>\r\nDATA\r\nSubject: x\r\n"),
        [250, 250, 554]
    );
    assert!(client.closed && client.messages.is_empty());
}

#[test]
fn the_next_mail_may_ride_behind_the_final_dot() {
    let mut client = Client::hello(Settings::default());
    client.begin();
    let codes = client.codes("one\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n");
    assert_eq!(codes, [250, 250, 250, 354]);
    assert_eq!(client.codes("two\r\n.\r\n"), [250]);
    assert_eq!(client.messages.len(), 2);
}

#[test]
fn alpaca_a_browser_is_sent_away_at_its_first_line() {
    for first in [
        "GET / HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\n",
        "CONNECT x:25 HTTP/1.1\r\n",
        "USER x\r\n",
        "\x16\x03\x01\r\n",
    ] {
        let mut client = Client::new(Settings::default());
        let replies = client.send(format!("{first}Host: <script>\r\n\r\nHELO x\r\nMAIL FROM:<>\r\n"));
        assert_eq!(replies, "221 2.7.0 Error: this is a mail server. Goodbye\r\n", "{first:?}");
        assert!(client.closed);
    }
}

#[test]
fn lines_have_a_limit_and_long_ones_are_thrown_away() {
    let mut client = Client::hello(Settings::default());
    let just = format!("NOOP {}\r\n", "x".repeat(2043));
    assert_eq!(client.codes(&just), [250]);
    assert_eq!(client.codes(format!("NOOP {}\r\n", "x".repeat(2044))), [500]);
    for _ in 0..1000 {
        assert_eq!(client.send("x".repeat(1000)), "");
        assert!(client.input.len() <= 2049);
    }
    assert_eq!(client.codes("\r"), []);
    assert_eq!(client.codes("\nNOOP\r\n"), [500, 250]);
}

#[test]
fn errors_slow_a_client_down_and_then_end_the_session() {
    let mut client = Client::hello(Settings::default());
    let codes: Vec<_> = (0..20).flat_map(|_| client.codes("FOO\r\n")).collect();
    assert_eq!(codes[..20], [500; 20]);
    assert_eq!(codes[20..], [421]);
    assert!(client.closed);
    assert_eq!(client.pauses, 10);
}

#[test]
fn junk_has_a_limit_that_mail_sets_back() {
    let mut client = Client::hello(Settings::default());
    for _ in 0..2 {
        for _ in 0..98 {
            assert_eq!(client.codes("NOOP\r\n"), [250]);
        }
        client.begin();
        assert_eq!(client.codes(".\r\n"), [250]);
    }
    let codes: Vec<_> = (0..101).flat_map(|_| client.codes("RSET\r\n")).collect();
    assert_eq!((codes.len(), codes.last()), (101, Some(&421)));
    assert!(client.closed);
}

#[test]
fn recipients_have_a_limit_that_is_no_error() {
    let limits = Settings { recipient_limit: 3, recipient_overshoot_limit: 30, ..Settings::default() };
    let mut client = Client::hello(limits);
    client.send("MAIL FROM:<>\r\n");
    let codes: Vec<_> = (0..60).flat_map(|_| client.codes("RCPT TO:<b@b.example>\r\n")).collect();
    assert_eq!(codes[..3], [250; 3]);
    assert_eq!(codes[3..53], [452; 50], "30 of them are free, 20 are errors");
    assert_eq!(codes[53..], [421]);
}

#[test]
fn a_message_that_is_too_large_is_read_to_its_end() {
    let limits = Settings { message_size_limit: 100, header_size_limit: 50, ..Settings::default() };
    let mut client = Client::hello(limits);
    let line = format!("{}\r\n", "x".repeat(48));
    client.begin();
    assert_eq!(client.codes(format!("{line}{line}.\r\n")), [250], "just as large as allowed");
    client.begin();
    assert_eq!(client.send(format!("{line}{line}1\r\n.\r\n")).get(..9), Some("552 5.3.4"));
    client.begin();
    let field = format!("X: {}\r\n", "x".repeat(46));
    assert_eq!(
        client.send(format!("{field}\r\n.\r\n")).get(..9),
        Some("552 5.3.4"),
        "a header field of 51 octets"
    );
    client.begin();
    assert_eq!(client.codes(format!("{}\r\n\r\n.\r\n", &field[..48])), [250]);
}

#[test]
fn a_limit_of_zero_is_none() {
    let mut client = Client::new(Settings { message_size_limit: 0, ..Settings::default() });
    assert!(client.send("EHLO x\r\n").contains("\r\n250-SIZE 0\r\n"));
    client.send("MAIL FROM:<> SIZE=99999999999\r\nRCPT TO:<b@b.example>\r\n");
    assert_eq!(client.codes("BDAT 5\r\n12345BDAT 5 LAST\r\n12345"), [250, 250]);
}

#[test]
fn a_message_with_fifty_hops_is_in_a_loop() {
    for (hops, code) in [(49, "250 2.0.0"), (50, "554 5.4.6"), (51, "554 5.4.6")] {
        let mut client = Client::hello(Settings::default());
        client.begin();
        let text = "Received: from a\r\n\tby b\r\n".repeat(hops) + "\r\nbody\r\n.\r\n";
        assert_eq!(client.send(text).get(..9), Some(code), "{hops}");
    }
}

#[test]
fn rfc3030_chunks() {
    let head = "MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\n";
    let table: [(&str, &[u16], &[&str]); 15] = [
        ("BDAT 4\r\na\r\nbBDAT 3 LAST\r\nc\r\n", &[250, 250], &["a\r\nbc\r\n"]),
        ("BDAT 7 LAST\r\na\r\n.\r\nb", &[250], &["a\r\n.\r\nb\r\n"]),
        ("BDAT 3\r\na\r\nBDAT 0 LAST\r\n", &[250, 250], &["a\r\n"]),
        ("BDAT 0 LAST\r\n", &[250], &[""]),
        ("BDAT 0\r\nBDAT 0\r\nBDAT 1 LAST\r\na", &[250, 250, 250], &["a\r\n"]),
        // A chunk that is refused is thrown away to its last octet, and so are those behind it.
        ("BDAT 2\r\n\n.BDAT 6\r\nNOOP\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", &[550, 503, 503, 250], &[]),
        ("BDAT 2\r\n\n.MAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\n", &[550, 503, 250, 250], &[]),
        ("BDAT 2\r\na\rDATA\r\n", &[250, 503], &[]),
        ("BDAT 2\r\naaRCPT TO:<c@c.example>\r\n", &[250, 503], &[]),
        ("BDAT 2 LAST\r\na\r", &[550], &[]),
        ("BDAT 90\r\n", &[], &[]),
        ("BDAT 200\r\nNOOP\r\n", &[552], &[]),
        ("BDAT 18446744073709551616 LAST\r\nNOOP\r\n", &[552], &[]),
        ("BDAT -1\r\nNOOP\r\n", &[521], &[]),
        ("BDAT\r\n", &[521], &[]),
    ];
    for (wire, codes, texts) in table {
        for cut in 0..wire.len() {
            let mut client = Client::hello(Settings { message_size_limit: 100, ..Settings::default() });
            client.send(head);
            let (first, second) = wire.split_at(cut);
            let mut got = client.codes(first);
            got.extend(client.codes(second));
            assert_eq!(got, codes, "{wire:?} at {cut}");
            let expected: Vec<_> = texts.iter().map(|text| format!("Received: here\r\n{text}")).collect();
            assert!(
                client.messages.iter().map(|m| &*m.text).eq(expected.iter().map(|e| e.as_bytes())),
                "{wire:?}"
            );
        }
    }
}

#[test]
fn rfc3030_chunks_without_a_transaction_are_thrown_away() {
    let mut client = Client::hello(Settings::default());
    assert_eq!(client.codes("BDAT 6 LAST\r\nNOOP\r\nNOOP\r\n"), [503, 250]);
    client.send("MAIL FROM:<>\r\nRCPT TO:<far@b.example>\r\n");
    assert_eq!(client.codes("BDAT 6 LAST\r\nNOOP\r\nNOOP\r\n"), [554, 250]);
    client.begin();
}

#[test]
fn rfc3030_chunks_are_limited_together() {
    let mut client = Client::hello(Settings { message_size_limit: 10, ..Settings::default() });
    client.send("MAIL FROM:<>\r\nRCPT TO:<b@b.example>\r\n");
    assert_eq!(client.codes("BDAT 8\r\n12345678BDAT 3\r\n123BDAT 1 LAST\r\n1NOOP\r\n"), [250, 552, 503, 250]);
}

#[test]
fn a_refusing_host_is_quoted_and_no_error_of_the_client() {
    let mut client = Client::hello(Settings::default());
    client.host.refuse = Some(Refusal::NO_SPACE);
    for _ in 0..50 {
        assert_eq!(client.send("MAIL FROM:<>\r\n"), "452 4.3.1 Error: insufficient system storage\r\n");
    }
    assert!(!client.closed);
}

#[test]
fn a_message_that_nobody_answers_for_is_not_accepted() {
    let mut client = Client::hello(Settings::default());
    client.begin();
    let mut input = BytesMut::from("text\r\n.\r\n");
    assert!(matches!(client.session.advance(&mut input, &mut client.host), Step::Message(_)));
    assert_eq!(client.send("NOOP\r\n"), "451 4.3.0 Error: queue file write error\r\n250 2.0.0 Ok\r\n");
}

#[test]
fn starttls_forgets_all_that_was_said_in_clear() {
    let mut client = Client::hello(Settings { starttls: true, ..Settings::default() });
    client.send("MAIL FROM:<>\r\n");
    assert_eq!(client.send("STARTTLS\r\n"), "220 2.0.0 Ready to start TLS\r\n");
    assert_eq!(client.codes("RCPT TO:<b@b.example>\r\n"), [503]);
    assert_eq!(client.codes("MAIL FROM:<>\r\n"), [503]);
    let ehlo = client.send("EHLO x\r\n");
    assert!(!ehlo.contains("STARTTLS"), "{ehlo}");
    assert_eq!(client.codes("STARTTLS\r\n"), [503]);
}

#[test]
fn commands_injected_behind_starttls_end_the_session() {
    let mut client = Client::hello(Settings { starttls: true, ..Settings::default() });
    assert_eq!(client.codes("STARTTLS\r\nRSET\r\nEHLO x\r\n"), [554]);
    assert!(client.closed && client.host.senders.is_empty());
}

#[test]
fn a_bare_postmaster_is_ours() {
    let mut client = Client::hello(Settings { hostname: "mx.example".into(), ..Settings::default() });
    assert_eq!(client.codes("MAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\nDATA\r\n"), [250, 250, 354]);
    client.send(".\r\n");
    assert_eq!(client.messages[0].transaction.recipients[0].mailbox.as_str(), "Postmaster@mx.example");
}

#[test]
fn a_hello_cannot_write_into_the_header() {
    let mut seen = None;
    struct Look<'a>(&'a mut Option<String>);
    impl Host for Look<'_> {
        fn mail(&mut self, _: &Transaction) -> Result<(), Refusal> {
            Ok(())
        }
        fn recipient(&mut self, _: &Transaction, _: &Recipient) -> Result<(), Refusal> {
            Ok(())
        }
        fn text(&mut self, hello: &Hello, _: &Transaction, _: &mut BytesMut) -> Result<(), Refusal> {
            *self.0 = Some(hello.name.to_string());
            Err(Refusal::NO_SPACE)
        }
    }
    let mut session = Session::new(Arc::new(Settings::default()));
    for line in ["EHLO x (\x1b[2J) <y>;\u{e9}\r\n", "MAIL FROM:<>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"] {
        session.advance(&mut BytesMut::from(line), &mut Look(&mut seen));
    }
    assert_eq!(seen.as_deref(), Some("x???[2J???y???"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn no_octets_make_it_panic_or_talk_nonsense(
        parts in prop::collection::vec(prop_oneof![
            4 => prop::sample::select(vec![
                "EHLO x\r\n", "HELO x\r\n", "MAIL FROM:<a@a.example>\r\n", "RCPT TO:<b@b.example>\r\n", "DATA\r\n", ".\r\n",
                "BDAT 5\r\n", "BDAT 3 LAST\r\n", "RSET\r\n", "NOOP\r\n", "STARTTLS\r\n", "\r\n.\r\n", "\n", "\r", "QUIT\r\n",
            ]).prop_map(|s| s.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..30),
        ], 0..30),
        cut in 1usize..40,
    ) {
        let wire = parts.concat();
        let limits = Settings { message_size_limit: 20, line_length_limit: 60, starttls: true, ..Settings::default() };
        let mut client = Client::new(limits);
        for piece in wire.chunks(cut) {
            for line in client.send(piece).lines() {
                prop_assert!(line.len() < 512 && line.bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "{line:?}");
                prop_assert!(line[..3].parse::<u16>().is_ok_and(|code| (200..600).contains(&code)), "{line:?}");
            }
            prop_assert!(client.session.held() <= 20 + 16);
        }
        for message in &client.messages {
            let text = core::str::from_utf8(&message.text).unwrap_or_default();
            prop_assert!(text.replace("\r\n", "").chars().all(|c| !matches!(c, '\r' | '\n' | '\0')));
            prop_assert!(!message.transaction.recipients.is_empty());
        }
    }
}
