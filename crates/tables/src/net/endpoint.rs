//! Where a server is.

use std::{
    fmt, io,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// A server's address.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Inet {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
    /// A URL, which may have a password in it.
    #[cfg(feature = "pgsql")]
    Url(String),
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            #[cfg(feature = "pgsql")]
            Self::Url(_) => f.write_str("the server of a postgresql:// URL"),
        }
    }
}

impl Endpoint {
    /// `host:port`, `[address]:port`.
    pub(crate) fn host_and_port(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']')?,
            None if host.contains(':') => return None,
            None => host,
        };
        let port = port.parse().ok().filter(|port| *port != 0)?;
        (!host.is_empty()).then(|| Self::Inet { host: host.to_owned(), port })
    }

    /// An absolute path.
    pub(crate) fn unix(path: &str) -> Option<Self> {
        path.starts_with('/').then(|| Self::Unix(PathBuf::from(path)))
    }

    pub(crate) async fn connect(&self) -> io::Result<Stream> {
        match self {
            Self::Inet { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                // Questions are short, and each waits for its answer.
                stream.set_nodelay(true)?;
                Ok(Stream::Inet(stream))
            }
            Self::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
            #[cfg(feature = "pgsql")]
            Self::Url(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Inet(TcpStream),
    Unix(UnixStream),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Inet(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Inet(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Inet(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Inet(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_postfix_reads_them() {
        let inet = |host: &str, port| Some(Endpoint::Inet { host: host.to_owned(), port });
        for (text, expected) in [
            ("localhost:27", inet("localhost", 27)),
            ("[::1]:27", inet("::1", 27)),
            ("[a.test]:27", inet("a.test", 27)),
            ("::1:27", None),
            ("a.test", None),
            ("a.test:smtp", None),
            ("a.test:0", None),
            (":27", None),
        ] {
            assert_eq!(Endpoint::host_and_port(text), expected, "{text}");
        }
        assert_eq!(Endpoint::unix("relative"), None);
    }
}
