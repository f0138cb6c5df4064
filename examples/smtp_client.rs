//! One mail transaction without a socket: a server's replies go in, commands come out.

use std::{error::Error, sync::Arc};

use bytes::Bytes;
use waxseal_smtp::{DataText, Ehlo, Job, ReplyReader, Transaction, TransactionStep};
use waxseal_types::{BodyKind, Envelope, Protocol, QueueId, Recipient, TraceContext, UnixTime};

/// What the server says, as it comes over the wire.
const SERVER: &[u8] = b"250 ok\r\n250 ok\r\n354 go on\r\n250 2.0.0 taken\r\n";

fn envelope(size: usize) -> Result<Envelope, Box<dyn Error>> {
    Ok(Envelope {
        id: QueueId::from_u64(1),
        arrived: UnixTime::from_secs(1_795_262_400),
        sender: Some("a@example.org".parse()?),
        recipients: vec![Recipient { mailbox: "b@example.com".parse()?, notify: None, original: None }],
        body: BodyKind::SevenBit,
        smtputf8: false,
        envelope_id: None,
        ret: None,
        size: size as u64,
        leading_dots: true,
        message_id: None,
        client: Arc::from("local"),
        trace: TraceContext::default(),
    })
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let ehlo = Ehlo::parse(["mx.example.com", "PIPELINING", "SIZE 10240000"].into_iter());
    let text = Bytes::from_static(b"Subject: dots\r\n\r\n.one\r\n..two\r\n");
    let job = Job { envelope: Arc::new(envelope(text.len())?), recipients: &[0], text: &text };
    let mut transaction = Transaction::new(&job, Protocol::Smtp, Arc::new(ehlo), false);
    let (mut wire, mut reader, mut out) = (SERVER, ReplyReader::new(), Vec::new());
    loop {
        match transaction.step() {
            // With PIPELINING all commands are one flight.
            TransactionStep::Write => transaction.commands(&mut out),
            TransactionStep::Await(_) => {
                let reply = reader.read(&mut wire)?.ok_or("the server left")?;
                transaction.reply(reply)?;
            }
            TransactionStep::SendText => {
                let data = DataText::new(text.clone(), 998)?;
                data.segments().for_each(|segment| out.extend_from_slice(segment));
                transaction.text_sent();
            }
            TransactionStep::SendLoneDot => return Err("nobody takes it".into()),
            TransactionStep::Done => break,
        }
    }
    print!("{}", String::from_utf8_lossy(&out));
    transaction.into_settled().for_each(|(index, settled)| println!("recipient {index}: {settled:?}"));
    Ok(())
}
