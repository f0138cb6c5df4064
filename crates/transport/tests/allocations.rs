//! How often a message asks for memory on its way out, once its connection stands: bounds, so that what creeps in is noticed.
//!
//! Counted on the thread that delivers; the server has one of its own. The counts are printed (`--nocapture`).

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
};

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use waxseal_smtp::{
    ReplyReader,
    server::{self, Hello, Host, Refusal, Step, Transaction},
};
use waxseal_transport::{
    Connector, Endpoint, Generation, OpenRequest, OutMessage, RcptOutcome, Settings, TlsUse,
};
use waxseal_types::{Envelope, Mailbox, QueueId, Recipient, Service, TlsDemand, UnixTime};
use waxseal_verify::{ClearReason, Clearance, DemandDigest, Question, judge};

/// Messages before the count begins: buffers have their size then.
const WARM: usize = 20;
const COUNTED: usize = 50;

/// A server that takes all it gets, and has another word for each message.
fn server(chunking: bool) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        let stream = listener.accept().unwrap().0;
        // Its replies are small, and each is awaited.
        stream.set_nodelay(true).unwrap();
        let mut say = stream.try_clone().unwrap();
        let mut lines = BufReader::new(stream);
        say.write_all(b"220 mx.example ESMTP\r\n").unwrap();
        let (mut line, mut number) = (String::new(), 1000);
        while lines.read_line(&mut line).unwrap_or(0) > 0 {
            let reply = match line.split([' ', '\r']).next().unwrap_or_default() {
                "EHLO" if chunking => "250-mx.example\r\n250-CHUNKING\r\n250 PIPELINING\r\n".to_owned(),
                "EHLO" => "250-mx.example\r\n250 PIPELINING\r\n".to_owned(),
                "DATA" => "354 go ahead\r\n".to_owned(),
                "BDAT" => {
                    let size: usize = line.split(' ').nth(1).unwrap().parse().unwrap();
                    lines.read_exact(&mut vec![0; size]).unwrap();
                    number += 1;
                    format!("250 2.0.0 Ok: queued as {number}\r\n")
                }
                "." => {
                    number += 1;
                    format!("250 2.0.0 Ok: queued as {number}\r\n")
                }
                "MAIL" | "RCPT" => "250 2.1.0 Ok\r\n".to_owned(),
                "QUIT" => "221 bye\r\n".to_owned(),
                _ => String::new(),
            };
            say.write_all(reply.as_bytes()).unwrap();
            line.clear();
        }
    };
    (address, std::thread::spawn(serve))
}

fn message() -> OutMessage {
    let mailbox = |text| Mailbox::new(text).unwrap();
    let recipient = Recipient { mailbox: mailbox("r@b.example"), notify: None, original: None };
    let text = [b"Subject: x\r\n\r\n".to_vec(), b"some words of a line\r\n".repeat(450)].concat();
    OutMessage {
        envelope: Arc::new(Envelope {
            sender: Some(mailbox("s@a.example")),
            recipients: vec![recipient],
            size: text.len() as u64,
            ..Envelope::empty(QueueId::from_u64(7), UnixTime::from_secs(1), "test")
        }),
        recipients: vec![0],
        body: Bytes::from(text).into(),
        demand: DemandDigest::of(&TlsDemand::Clear),
        policy: Generation::fixed(1),
    }
}

fn cleared(session: &waxseal_transport::Session) -> Clearance {
    let question = Question {
        demand: Arc::new(TlsDemand::Clear),
        facts: None,
        clear: Some(ClearReason::NotOffered),
        anchors: None,
        strength: waxseal_types::Strength::default(),
        connection: session.connection(),
        policy_generation: 1,
        expires: None,
        only_message: None,
        now: UnixTime::from_secs(1),
    };
    judge(&question).outcome.unwrap()
}

/// The most allocations of one message over a connection that stands.
fn most_on_the_way_out(chunking: bool) -> u64 {
    let (address, serving) = server(chunking);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let settings = Settings { helo_name: "client.example".into(), ..Settings::default() };
    let request = OpenRequest {
        endpoint: Endpoint::Inet(address),
        host: None,
        service: Service::SMTP,
        tls: TlsUse::Never,
        reuse: true,
        resume: true,
    };
    let connector = Connector::new(settings).unwrap();
    let mut session = runtime.block_on(connector.open(&request)).unwrap().session;
    let (clearance, message) = (cleared(&session), message());
    let counts = (0..WARM + COUNTED).map(|_| {
        let counted = measure(|| {
            let sent = runtime.block_on(session.send(&clearance, &message));
            assert!(matches!(&sent.recipients[..], [(0, RcptOutcome::Delivered(_))]), "{sent:?}");
        });
        counted.count_total
    });
    let most = counts.skip(WARM).max().unwrap();
    runtime.block_on(session.quit());
    serving.join().unwrap();
    most
}

#[test]
fn a_message_over_an_open_connection_asks_for_memory_a_few_times() {
    for (chunking, bound) in [(false, 6), (true, 6)] {
        let most = most_on_the_way_out(chunking);
        println!("sending, chunking {chunking}: {most} allocations a message");
        assert!(most <= bound, "{most} with chunking {chunking}");
    }
}

#[test]
fn replies_are_read_without_allocation() {
    let mut reader = ReplyReader::new();
    let wires: Vec<_> = (0..WARM + COUNTED)
        .map(|number| {
            format!("250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go\r\n250 2.0.0 Ok: queued as {}\r\n", 1000 + number)
        })
        .collect();
    let mut counts = wires.iter().map(|wire| {
        let mut wire = wire.as_bytes();
        measure(|| {
            for _ in 0..4 {
                assert!(reader.read(&mut wire).unwrap().is_some());
            }
        })
        .count_total
    });
    assert!(counts.by_ref().take(WARM).count() == WARM);
    assert_eq!(counts.max(), Some(0));
}

/// Takes anything.
struct Anyone;

impl Host for Anyone {
    fn mail(&mut self, _: &Transaction) -> Result<(), Refusal> {
        Ok(())
    }
    fn recipient(&mut self, _: &Transaction, _: &Recipient) -> Result<(), Refusal> {
        Ok(())
    }
    fn text(&mut self, _: &Hello, _: &Transaction, text: &mut BytesMut) -> Result<(), Refusal> {
        text.extend_from_slice(b"Received: from client.example\r\n");
        Ok(())
    }
}

#[test]
fn a_message_on_its_way_in_asks_for_memory_a_few_times() {
    let mut session = server::Session::new(Arc::new(server::Settings::default()));
    let mut input = BytesMut::from(&b"EHLO client.example\r\n"[..]);
    assert!(matches!(session.advance(&mut input, &mut Anyone), Step::Read));
    let text = b"Message-ID: <1@a.example>\r\n\r\nsome words of a line\r\n".to_vec();
    let message = [
        b"MAIL FROM:<s@a.example>\r\nRCPT TO:<r@b.example>\r\nDATA\r\n".to_vec(),
        text,
        b"some words of a line\r\n".repeat(450),
        b".\r\n".to_vec(),
    ];
    let commands = message[0].clone();
    let text = message[1..].concat();
    let mut counts = (0..WARM + COUNTED).map(|_| {
        let counted = measure(|| {
            input.extend_from_slice(&commands);
            assert!(matches!(session.advance(&mut input, &mut Anyone), Step::Read));
            session.output().clear();
            input.extend_from_slice(&text);
            let Step::Message(taken) = session.advance(&mut input, &mut Anyone) else { return };
            assert_eq!(taken.text.len(), text.len() - 3 + 31);
            session.settle(Ok(QueueId::from_u64(1)));
            session.output().clear();
        });
        counted.count_total
    });
    assert!(counts.by_ref().take(WARM).count() == WARM);
    let most = counts.max().unwrap();
    println!("receiving: {most} allocations a message");
    assert!(most <= 12, "{most}");
}
