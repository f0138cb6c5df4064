//! Sockets, and what runs over them.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::client::TlsStream;

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What a session is spoken over.
#[derive(Debug)]
pub(crate) enum Stream {
    Clear(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Socket {
    /// Whether nothing has come in and the peer has not closed. Asks the system, not the runtime, which may not have looked yet.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut octet = [MaybeUninit::uninit(); 1];
        let peeked = match self {
            Self::Tcp(tcp) => SockRef::from(tcp).peek(&mut octet),
            Self::Unix(unix) => SockRef::from(unix).peek(&mut octet),
        };
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Stream {
    pub(crate) fn socket(&self) -> &Socket {
        match self {
            Self::Clear(socket) => socket,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }
}

/// Passes every call on to whichever stream it is.
macro_rules! delegate {
    ($type:ident: $first:ident, $second:ident) => {
        impl AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $type::$first(inner) => Pin::new(inner).poll_read(cx, buf),
                    $type::$second(inner) => Pin::new(inner).poll_read(cx, buf),
                }
            }
        }

        impl AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $type::$first(inner) => Pin::new(inner).poll_write(cx, buf),
                    $type::$second(inner) => Pin::new(inner).poll_write(cx, buf),
                }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $type::$first(inner) => Pin::new(inner).poll_write_vectored(cx, bufs),
                    $type::$second(inner) => Pin::new(inner).poll_write_vectored(cx, bufs),
                }
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    $type::$first(inner) => inner.is_write_vectored(),
                    $type::$second(inner) => inner.is_write_vectored(),
                }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $type::$first(inner) => Pin::new(inner).poll_flush(cx),
                    $type::$second(inner) => Pin::new(inner).poll_flush(cx),
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $type::$first(inner) => Pin::new(inner).poll_shutdown(cx),
                    $type::$second(inner) => Pin::new(inner).poll_shutdown(cx),
                }
            }
        }
    };
}

delegate!(Socket: Tcp, Unix);
delegate!(Stream: Clear, Tls);
