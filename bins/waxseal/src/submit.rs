//! Handing a message to a server in clear, by the client machine of `waxseal-smtp` over a blocking socket.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use waxseal_smtp::{
    BareLineEnd, DataText, Discard, Ehlo, Hello, Job, Opening, OpeningError, OpeningStep, OutOfStep,
    ReplyError, ReplyReader, Settled, StartTls, Transaction, TransactionStep,
};
use waxseal_types::{
    BodyKind, Envelope, Mailbox, Protocol, QueueId, Recipient, Reply, TraceContext, UnixTime,
};

/// RFC 5321 §4.5.3.2 allows minutes; whoever waits for a server of their own at a terminal wants to know sooner.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest line of a text (RFC 5321 §4.5.3.1.6).
const LINE_LIMIT: usize = 998;

/// Why a message could not be offered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    /// Nobody is there, or not any more.
    #[error("{server}: {source}")]
    Io { server: SocketAddr, source: io::Error },
    /// The name has no address.
    #[error("the server has no address")]
    Nowhere,
    /// The server does not take mail.
    #[error("{0}")]
    Refused(#[from] OpeningError),
    /// The message has something that no server should take.
    #[error("{0}; write CRLF or LF at line ends")]
    Text(#[from] BareLineEnd),
    /// The server does not speak SMTP.
    #[error("{0}")]
    Reply(#[from] ReplyError),
    /// It lost its way.
    #[error("{0}")]
    OutOfStep(#[from] OutOfStep),
}

impl SubmitError {
    /// Whether it makes sense to try again.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Nowhere | Self::Reply(_) | Self::OutOfStep(_) => true,
            Self::Refused(OpeningError::Rejected { reply, .. }) => !reply.is_permanent(),
            Self::Refused(OpeningError::NoStartTls(_) | OpeningError::LoopsToSelf) | Self::Text(_) => false,
        }
    }
}

/// The envelope of a message that is not in any queue yet.
pub(crate) fn envelope(
    sender: Option<Mailbox>,
    recipients: &[Mailbox],
    text: &[u8],
    now: UnixTime,
) -> Envelope {
    let header = text.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(text.len());
    let ascii = sender.iter().chain(recipients).all(Mailbox::is_ascii) && text[..header].is_ascii();
    let recipient = |mailbox: &Mailbox| Recipient { mailbox: mailbox.clone(), notify: None, original: None };
    Envelope {
        id: QueueId::from_u64(0),
        arrived: now,
        sender,
        recipients: recipients.iter().map(recipient).collect(),
        body: if text.is_ascii() { BodyKind::SevenBit } else { BodyKind::EightBitMime },
        // RFC 6531 §3.4: an address or a header field with other characters than ASCII needs it.
        smtputf8: !ascii,
        envelope_id: None,
        ret: None,
        size: text.len() as u64,
        leading_dots: text.starts_with(b".") || text.windows(2).any(|two| two == b"\n."),
        message_id: None,
        client: Arc::from("local"),
        trace: TraceContext::default(),
    }
}

/// Hands over one message; the answer has an end for each recipient, by index. QUIT is said, whatever became of it.
pub(crate) fn submit(
    servers: &[SocketAddr],
    envelope: Envelope,
    text: Bytes,
) -> Result<Vec<(usize, Settled)>, SubmitError> {
    let data = DataText::new(text.clone(), LINE_LIMIT)?;
    let (server, stream) = connect(servers)?;
    let mut wire = Wire { server, stream, reader: ReplyReader::new(), unread: Vec::new() };
    let settled = wire.open().and_then(|ehlo| wire.carry(Arc::new(ehlo), envelope, &text, &data));
    // What was said of the message stands, whatever becomes of the farewell.
    let _ = wire.write(b"QUIT\r\n");
    settled
}

/// The first of the addresses that answers; a name such as `localhost` has several.
fn connect(servers: &[SocketAddr]) -> Result<(SocketAddr, TcpStream), SubmitError> {
    let mut fault = None;
    for &server in servers {
        let connected = TcpStream::connect_timeout(&server, PATIENCE).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => return Ok((server, stream)),
            Err(source) => fault = Some(SubmitError::Io { server, source }),
        }
    }
    Err(fault.unwrap_or(SubmitError::Nowhere))
}

struct Wire {
    server: SocketAddr,
    stream: TcpStream,
    reader: ReplyReader,
    unread: Vec<u8>,
}

impl Wire {
    fn fault(&self, source: io::Error) -> SubmitError {
        SubmitError::Io { server: self.server, source }
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), SubmitError> {
        self.stream.write_all(octets).map_err(|error| self.fault(error))
    }

    fn reply(&mut self) -> Result<Reply, SubmitError> {
        loop {
            let mut rest = self.unread.as_slice();
            let reply = self.reader.read(&mut rest)?;
            let read = self.unread.len() - rest.len();
            self.unread.drain(..read);
            if let Some(reply) = reply {
                return Ok(reply);
            }
            let mut block = [0; 4096];
            let length = self.stream.read(&mut block).map_err(|error| self.fault(error))?;
            if length == 0 {
                return Err(self.fault(io::ErrorKind::UnexpectedEof.into()));
            }
            self.unread.extend_from_slice(&block[..length]);
        }
    }

    fn open(&mut self) -> Result<Ehlo, SubmitError> {
        let own = self.stream.local_addr().map_err(|error| self.fault(error))?.ip();
        // RFC 5321 §4.1.3: a client without a name says its address.
        let name = if own.is_ipv4() { format!("[{own}]") } else { format!("[IPv6:{own}]") };
        let hello = Hello {
            protocol: Protocol::Smtp,
            name,
            starttls: StartTls::Never,
            detect_loop: false,
            discard: Discard::default(),
        };
        let mut opening = Opening::new(hello);
        loop {
            let reply = self.reply()?;
            let mut out = Vec::new();
            let step = opening.reply(&reply, self.reader.lines(), &mut out);
            self.write(&out)?;
            match step {
                OpeningStep::Await(_) => {}
                OpeningStep::Ready(ehlo, _) => return Ok(ehlo),
                OpeningStep::Failed(error) => return Err(error.into()),
                // Not asked for, so that it does not come; if it did, there would be no session.
                OpeningStep::StartTls => {
                    return Err(OpeningError::NoStartTls(waxseal_smtp::Offer::NotWanted).into());
                }
            }
        }
    }

    fn carry(
        &mut self,
        ehlo: Arc<Ehlo>,
        envelope: Envelope,
        text: &Bytes,
        data: &DataText,
    ) -> Result<Vec<(usize, Settled)>, SubmitError> {
        let recipients: Vec<usize> = (0..envelope.recipients.len()).collect();
        let job = Job { envelope: Arc::new(envelope), recipients: &recipients, text };
        let mut transaction = Transaction::new(&job, Protocol::Smtp, ehlo, false);
        loop {
            match transaction.step() {
                TransactionStep::Write => {
                    let mut out = Vec::new();
                    transaction.commands(&mut out);
                    self.write(&out)?;
                }
                TransactionStep::Await(_) => {
                    let reply = self.reply()?;
                    transaction.reply(reply)?;
                }
                TransactionStep::SendText => {
                    let octets = data.segments().collect::<Vec<_>>().concat();
                    self.write(&octets)?;
                    transaction.text_sent();
                }
                TransactionStep::SendLoneDot => {
                    self.write(b".\r\n")?;
                    transaction.text_sent();
                }
                TransactionStep::Done => break,
            }
        }
        Ok(transaction.into_settled().filter_map(|(index, settled)| Some((index, settled?))).collect())
    }
}
