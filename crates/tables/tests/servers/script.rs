//! A table server in process, for socketmap_table(5) and tcp_table(5).

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Which protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// socketmap_table(5)
    Socketmap,
    /// tcp_table(5)
    Tcp,
}

/// What is said about a key; the words are in the terms of the protocol but for the two that every table knows.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    /// This value.
    Value(String),
    /// No such key.
    Nothing,
    /// Exactly this, encoded as the protocol has it.
    Words(String),
    /// These octets.
    Octets(Vec<u8>),
    /// Nothing, for ever.
    Silence,
    /// Closes the connection.
    Close,
}

/// A running server; it ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub(crate) struct TableServer {
    address: SocketAddr,
    life: JoinHandle<()>,
}

impl TableServer {
    /// Answers on `address`, which may have the port 0.
    pub(crate) async fn start(
        speaks: Speaks,
        address: SocketAddr,
        answers: impl Fn(&str) -> Says + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let answers = Arc::new(answers);
        let life = tokio::spawn(async move {
            let mut clients = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let answers = Arc::clone(&answers);
                clients.spawn(async move {
                    let _ = serve(speaks, stream, &*answers).await;
                });
            }
        });
        Ok(Self { address, life })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends, as if it were killed.
    pub(crate) async fn stop(mut self) {
        self.life.abort();
        let _ = (&mut self.life).await;
    }
}

impl Drop for TableServer {
    fn drop(&mut self) {
        self.life.abort();
    }
}

async fn serve(
    speaks: Speaks,
    stream: TcpStream,
    answers: &(dyn Fn(&str) -> Says + Send + Sync),
) -> io::Result<()> {
    let mut stream = BufStream::new(stream);
    loop {
        let key = match speaks {
            Speaks::Socketmap => read_netstring(&mut stream).await?,
            Speaks::Tcp => read_get(&mut stream).await?,
        };
        let Some(key) = key else { return Ok(()) };
        let words = match (answers(&key), speaks) {
            (Says::Value(value), Speaks::Socketmap) => format!("OK {value}"),
            (Says::Nothing, Speaks::Socketmap) => "NOTFOUND ".to_owned(),
            (Says::Value(value), Speaks::Tcp) => {
                format!("200 {}", value.replace('%', "%25").replace(' ', "%20"))
            }
            (Says::Nothing, Speaks::Tcp) => "500 none".to_owned(),
            (Says::Words(words), _) => words,
            (Says::Octets(octets), _) => {
                stream.write_all(&octets).await?;
                stream.flush().await?;
                continue;
            }
            (Says::Silence, _) => std::future::pending().await,
            (Says::Close, _) => return Ok(()),
        };
        let reply = match speaks {
            Speaks::Socketmap => format!("{}:{words},", words.len()),
            Speaks::Tcp => format!("{words}\n"),
        };
        stream.write_all(reply.as_bytes()).await?;
        stream.flush().await?;
    }
}

/// The key behind the name of the map.
async fn read_netstring(stream: &mut BufStream<TcpStream>) -> io::Result<Option<String>> {
    let mut length = Vec::new();
    if stream.read_until(b':', &mut length).await? == 0 {
        return Ok(None);
    }
    let length: usize = String::from_utf8_lossy(&length).trim_end_matches(':').parse().unwrap_or_default();
    let mut request = vec![0; length + 1];
    stream.read_exact(&mut request).await?;
    assert_eq!(request.pop(), Some(b','), "a netstring ends with a comma");
    let text = String::from_utf8_lossy(&request).into_owned();
    Ok(text.split_once(' ').map(|(_, key)| key.to_owned()))
}

/// The key behind `get`, of which nothing but blanks and percent signs was encoded.
async fn read_get(stream: &mut BufStream<TcpStream>) -> io::Result<Option<String>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let key = line.trim_end().strip_prefix("get ").expect("the only request there is");
    Ok(Some(key.replace("%20", " ").replace("%25", "%")))
}
