//! A client that submits a message, line by line.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// A connection to an intake. It waits for each reply before it goes on, and takes any as an answer.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    greeting: String,
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
        let mut client = Self { stream: BufReader::new(stream), greeting: String::new() };
        client.greeting = client.reply().await?;
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
