//! Replies in, commands and texts out, each within its time.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf},
    time::{Instant, timeout, timeout_at},
};
use waxseal_smtp::ReplyReader;
use waxseal_types::Reply;

use crate::{
    Cause,
    socket::{Socket, Stream},
};

/// Octets read at once. A flight's replies are some hundred octets.
const INPUT: usize = 4096;

/// Slices given to one write; more than that the system would not take anyway.
const SLICES: usize = 64;

/// How many readable octets are thrown away behind the 220 to STARTTLS; whoever sent more than this sent TLS records, or will fail the handshake.
const DISCARD_LIMIT: usize = 64 * 1024;

/// One connection with its buffers, all of them bounded.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: Stream,
    replies: ReplyReader,
    input: Box<[u8]>,
    start: usize,
    end: usize,
    /// Commands that wait for [`Channel::flush`].
    pub(crate) output: Vec<u8>,
}

impl Channel {
    pub(crate) fn new(socket: Socket) -> Self {
        Self {
            stream: Stream::Clear(socket),
            replies: ReplyReader::new(),
            input: vec![0; INPUT].into(),
            start: 0,
            end: 0,
            output: Vec::with_capacity(512),
        }
    }

    /// Gives the socket up for a handshake. Nothing that was buffered survives.
    pub(crate) fn into_stream(self) -> Stream {
        self.stream
    }

    /// A channel over a stream on which TLS stands.
    pub(crate) fn over(stream: Stream, output: Vec<u8>) -> Self {
        Self { stream, replies: ReplyReader::new(), input: vec![0; INPUT].into(), start: 0, end: 0, output }
    }

    /// Reads one reply. The limit is for the whole reply, so that a server cannot hold us by sending an octet now and then.
    pub(crate) async fn reply(&mut self, limit: Duration) -> Result<Reply, Cause> {
        if let Some(reply) = self.buffered_reply()? {
            return Ok(reply);
        }
        within(limit, self.next_reply()).await
    }

    /// Reads one reply, none of which is here yet. May be dropped at any time without losing an octet.
    pub(crate) async fn reply_until(&mut self, deadline: Instant) -> Result<Reply, Cause> {
        timeout_at(deadline, self.next_reply()).await.unwrap_or(Err(Cause::Timeout))
    }

    /// The lines of the reply that was read last.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.replies.lines()
    }

    /// A reply that is there already, without waiting.
    pub(crate) fn buffered_reply(&mut self) -> Result<Option<Reply>, Cause> {
        let mut input = &self.input[self.start..self.end];
        let before = input.len();
        let reply = self.replies.read(&mut input)?;
        self.start += before - input.len();
        Ok(reply)
    }

    async fn next_reply(&mut self) -> Result<Reply, Cause> {
        loop {
            let read = self.stream.read(&mut self.input).await?;
            if read == 0 {
                return Err(Cause::Lost);
            }
            (self.start, self.end) = (0, read);
            if let Some(reply) = self.buffered_reply()? {
                return Ok(reply);
            }
        }
    }

    /// Whether nothing at all has come in: for a connection that was idle. The peer's closing counts as something, as does a TLS record.
    pub(crate) fn is_quiet(&mut self) -> bool {
        !self.has_unasked() && self.stream.socket().is_quiet()
    }

    /// Whether a reply has come in that nobody asked for, as far as that can be known without waiting.
    ///
    /// Under TLS other records may come at any time (session tickets, key updates); they are no replies.
    pub(crate) fn is_spoken_to(&mut self) -> bool {
        if self.has_unasked() {
            return true;
        }
        if self.stream.socket().is_quiet() {
            return false;
        }
        match &self.stream {
            Stream::Clear(_) => true,
            Stream::Tls(_) => self.read_now() > 0,
        }
    }

    fn has_unasked(&mut self) -> bool {
        let decrypted = match &mut self.stream {
            Stream::Clear(_) => 0,
            Stream::Tls(tls) => {
                tls.get_mut().1.process_new_packets().map_or(1, |state| state.plaintext_bytes_to_read())
            }
        };
        self.start < self.end || self.replies.is_amid() || decrypted > 0
    }

    /// What the peer said unasked, if that is a reply and can be read now.
    pub(crate) fn unasked(&mut self) -> Option<Reply> {
        if let Ok(Some(reply)) = self.buffered_reply() {
            return Some(reply);
        }
        if self.read_now() > 0 { self.buffered_reply().ok().flatten() } else { None }
    }

    /// Throws away what has been read and what can be read now, and counts it.
    pub(crate) fn discard_input(&mut self) -> usize {
        let mut discarded = self.end - self.start;
        while discarded < DISCARD_LIMIT {
            match self.read_now() {
                0 => break,
                read => discarded += read,
            }
        }
        (self.start, self.end) = (0, 0);
        discarded
    }

    /// Reads what is there without waiting; nothing where the peer closed or the connection broke, either.
    fn read_now(&mut self) -> usize {
        let mut buf = ReadBuf::new(&mut self.input);
        let mut cx = Context::from_waker(Waker::noop());
        let ready = Pin::new(&mut self.stream).poll_read(&mut cx, &mut buf);
        let read = if matches!(ready, Poll::Ready(Ok(()))) { buf.filled().len() } else { 0 };
        (self.start, self.end) = (0, read);
        read
    }

    /// Writes the commands that wait, in one go.
    pub(crate) async fn flush(&mut self, limit: Duration) -> Result<(), Cause> {
        if self.output.is_empty() {
            return Ok(());
        }
        let (stream, output) = (&mut self.stream, &self.output);
        let written = within(limit, async {
            stream.write_all(output).await?;
            Ok(stream.flush().await?)
        })
        .await;
        self.output.clear();
        written
    }

    /// Writes texts and commands without copying them; the limit is for each write. A failure says how many octets had left before it.
    pub(crate) async fn write_all<'a>(
        &mut self,
        segments: impl Iterator<Item = &'a [u8]>,
        limit: Duration,
    ) -> Result<(), (usize, Cause)> {
        let mut slices: Vec<IoSlice<'a>> = segments.map(IoSlice::new).collect();
        let mut slices = &mut slices[..];
        let mut octets = 0;
        while !slices.is_empty() {
            let some = &slices[..slices.len().min(SLICES)];
            let stream = &mut self.stream;
            let written = within(limit, async { Ok(stream.write_vectored(some).await?) }).await;
            let written = written.map_err(|cause| (octets, cause))?;
            if written == 0 {
                return Err((octets, Cause::Lost));
            }
            octets += written;
            IoSlice::advance_slices(&mut slices, written);
        }
        let stream = &mut self.stream;
        // What a TLS library holds back has not left; that it is the end of the text is all that is known, which is why it counts as sent.
        within(limit, async { Ok(stream.flush().await?) }).await.map_err(|cause| (octets, cause))
    }

    /// Says QUIT and goes, as Postfix does with `smtp_skip_quit_response`.
    pub(crate) async fn quit(mut self, limit: Duration) {
        self.output.clear();
        self.output.extend_from_slice(b"QUIT\r\n");
        if self.flush(limit).await.is_ok() {
            // close_notify, where there is TLS; the server's is not awaited.
            let _ = within(limit, async { Ok(self.stream.shutdown().await?) }).await;
        }
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Cause>>) -> Result<T, Cause> {
    timeout(limit, work).await.unwrap_or(Err(Cause::Timeout))
}

/// Connecting fails in more ways than reading does; all of them are told apart by the system.
pub(crate) async fn connecting<T>(
    limit: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, Cause> {
    let connected = timeout(limit, work).await;
    connected.map_or(Err(Cause::Timeout), |result| result.map_err(|error| Cause::of_connecting(&error)))
}
