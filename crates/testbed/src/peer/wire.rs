//! Reading and writing a connection, in clear or inside TLS.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Most bytes that a peer keeps unread; no client has reason to send that much without a line end.
const MAX_BUFFER: usize = 1 << 20;

enum Stream {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// While a handshake has it, or after it failed.
    Gone,
}

pub(super) struct Wire {
    stream: Stream,
    buffer: Vec<u8>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream: Stream::Clear(stream), buffer: Vec::new() }
    }

    /// Whether something was read that nobody has taken yet.
    pub(super) fn has_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// What was read and not taken.
    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// The next line without its line end; `None` at the end of the connection.
    pub(super) async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=searched + at).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(Some(line));
            }
            searched = self.buffer.len();
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// Exactly `n` bytes.
    pub(super) async fn bytes(&mut self, n: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < n {
            if !self.fill_beyond(n).await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..n).collect())
    }

    /// Everything to CRLF.CRLF and nothing else (RFC 5321 §4.1.1.4), dots un-stuffed.
    pub(super) async fn text(&mut self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        loop {
            let Some(end) = line_end(&self.buffer) else {
                if !self.fill_beyond(usize::MAX).await? {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                continue;
            };
            let line: Vec<u8> = self.buffer.drain(..end).collect();
            if line == b".\r\n" {
                return Ok(text);
            }
            text.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    /// Waits for the first byte, without taking it. `None` at the end of the connection.
    pub(super) async fn peek(&mut self) -> io::Result<Option<u8>> {
        if let Some(first) = self.buffer.first() {
            return Ok(Some(*first));
        }
        let mut byte = [0];
        match &self.stream {
            Stream::Clear(stream) => Ok((stream.peek(&mut byte).await? > 0).then_some(byte[0])),
            Stream::Tls(_) | Stream::Gone => Ok(None),
        }
    }

    /// Reads and drops everything until the client closes.
    pub(super) async fn drain(&mut self) -> io::Result<()> {
        loop {
            self.buffer.clear();
            if !self.fill().await? {
                return Ok(());
            }
        }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Clear(stream) => stream.write_all(bytes).await,
            Stream::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
            Stream::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(super) async fn close(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Clear(stream) => stream.shutdown().await,
            Stream::Tls(stream) => stream.shutdown().await,
            Stream::Gone => Ok(()),
        }
    }

    /// Drops the connection so that the client sees a reset.
    pub(super) fn reset(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.stream, Stream::Gone) {
            Stream::Clear(stream) => stream.set_zero_linger(),
            Stream::Tls(stream) => stream.get_ref().0.set_zero_linger(),
            Stream::Gone => Ok(()),
        }
    }

    /// The server's handshake; afterwards all goes through TLS.
    pub(super) async fn handshake(
        &mut self,
        acceptor: &TlsAcceptor,
    ) -> io::Result<&rustls::ServerConnection> {
        let Stream::Clear(stream) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        self.stream = Stream::Tls(Box::new(acceptor.accept(stream).await?));
        match &self.stream {
            Stream::Tls(stream) => Ok(stream.get_ref().1),
            Stream::Clear(_) | Stream::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    async fn fill(&mut self) -> io::Result<bool> {
        self.fill_beyond(MAX_BUFFER).await
    }

    /// Reads once; `false` at the end of the connection.
    async fn fill_beyond(&mut self, limit: usize) -> io::Result<bool> {
        if self.buffer.len() > limit {
            return Err(io::Error::other("a line without end"));
        }
        let read = match &mut self.stream {
            Stream::Clear(stream) => stream.read_buf(&mut self.buffer).await?,
            Stream::Tls(stream) => stream.read_buf(&mut self.buffer).await?,
            Stream::Gone => 0,
        };
        Ok(read > 0)
    }
}

/// Where the first line that ends in CRLF ends.
fn line_end(buffer: &[u8]) -> Option<usize> {
    buffer.windows(2).position(|pair| pair == b"\r\n").map(|at| at + 2)
}
