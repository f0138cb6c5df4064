//! A client that submits a message, line by line.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::Authority;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection to an intake. It waits for each reply before it goes on, and takes any as an answer.
pub struct Client {
    stream: BufReader<Box<dyn Stream>>,
    greeting: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("greeting", &self.greeting).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects, reads the greeting and says EHLO.
    ///
    /// # Errors
    ///
    /// If the server is not there or leaves.
    pub async fn connect(server: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream: BufReader::new(Box::new(stream)), greeting: String::new() };
        client.greeting = client.reply().await?;
        client.ask("EHLO client.test").await?;
        Ok(client)
    }

    /// The same connection with TLS: STARTTLS, a handshake in which the server must prove to be `name` by a chain to
    /// the authority, and EHLO again.
    ///
    /// # Errors
    ///
    /// If the server refuses, proves something else, or leaves.
    pub async fn seal(mut self, name: &str, authority: &Authority) -> io::Result<Self> {
        let reply = self.ask("STARTTLS").await?;
        if !reply.starts_with("220 ") {
            return Err(io::Error::other(reply));
        }
        let mut roots = RootCertStore::empty();
        roots.add(authority.root_der().to_vec().into()).map_err(io::Error::other)?;
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, self.stream.into_inner()).await?;
        let mut client = Self { stream: BufReader::new(Box::new(stream)), greeting: self.greeting };
        client.ask("EHLO client.test").await?;
        Ok(client)
    }

    /// The first words of the server.
    #[must_use]
    pub fn greeting(&self) -> &str {
        &self.greeting
    }

    /// Sends a line and gives the reply, all lines of it, joined by line feeds.
    ///
    /// # Errors
    ///
    /// If the server leaves.
    pub async fn ask(&mut self, line: &str) -> io::Result<String> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.reply().await
    }

    /// Submits `text` (header and body, line feeds as line ends) and gives the reply that decided: that to the text, or
    /// the first refusal.
    ///
    /// # Errors
    ///
    /// If the server leaves.
    pub async fn submit(&mut self, from: &str, to: &[&str], text: &str) -> io::Result<String> {
        let mut commands = vec![format!("MAIL FROM:<{from}>")];
        commands.extend(to.iter().map(|address| format!("RCPT TO:<{address}>")));
        commands.push("DATA".to_owned());
        for command in commands {
            let reply = self.ask(&command).await?;
            if !reply.starts_with(['2', '3']) {
                self.ask("RSET").await?;
                return Ok(reply);
            }
        }
        let stuffed =
            |line: &str| if line.starts_with('.') { format!(".{line}\r\n") } else { format!("{line}\r\n") };
        let text: String = text.lines().map(stuffed).collect();
        self.ask(&format!("{text}.")).await
    }

    async fn reply(&mut self) -> io::Result<String> {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            if self.stream.read_line(&mut reply).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if reply.as_bytes().get(start + 3) != Some(&b'-') {
                return Ok(reply.trim_end().replace("\r\n", "\n"));
            }
        }
    }
}
