//! Where questions come in.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    os::unix::{fs::PermissionsExt as _, net::UnixStream as StdUnixStream},
    path::{Path, PathBuf},
    str::FromStr,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};

/// `unix:/path` or `inet:host:port`, as Postfix writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Unix(PathBuf),
    Inet(SocketAddr),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') {
                Ok(Self::Unix(path.into()))
            } else {
                Err("the path of a socket starts with /".to_owned())
            };
        }
        let Some(address) = text.strip_prefix("inet:") else {
            return Err("write unix:/path or inet:host:port".to_owned());
        };
        let (host, port) = address.rsplit_once(':').ok_or("a port is missing")?;
        let port: u16 = port.parse().map_err(|_| format!("{port:?} is no port"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let ip: IpAddr = match host {
            "localhost" => IpAddr::from([127, 0, 0, 1]),
            host => host.parse().map_err(|_| format!("{host:?} is no address"))?,
        };
        Ok(Self::Inet(SocketAddr::from((ip, port))))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Inet(address) => write!(f, "inet:{address}"),
        }
    }
}

/// A connection of either kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A bound place. A socket file goes with it.
pub(super) enum Listener {
    Unix(UnixListener, PathBuf),
    Inet(TcpListener),
}

impl Listener {
    /// Binds; a socket file that nobody listens on any more is replaced.
    pub(super) async fn bind(place: &Place, mode: u32) -> io::Result<Self> {
        match place {
            Place::Inet(address) => Ok(Self::Inet(TcpListener::bind(address).await?)),
            Place::Unix(path) => {
                remove_dead(path)?;
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
                Ok(Self::Unix(listener, path.clone()))
            }
        }
    }

    /// Where it listens, with the port that was chosen.
    pub(super) fn place(&self) -> io::Result<Place> {
        match self {
            Self::Unix(_, path) => Ok(Place::Unix(path.clone())),
            Self::Inet(listener) => Ok(Place::Inet(listener.local_addr()?)),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Unix(listener, _) => Ok(Box::new(listener.accept().await?.0)),
            Self::Inet(listener) => Ok(Box::new(listener.accept().await?.0)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // Nobody can be told any more.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn remove_dead(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file of that name, and it is no socket",
        )),
        Ok(_) => match StdUnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
            Err(error) => Err(error),
            Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_in_postfix() {
        for (text, expected) in [
            ("unix:/run/x", Some("unix:/run/x")),
            ("inet:127.0.0.1:10025", Some("inet:127.0.0.1:10025")),
            ("inet:localhost:1", Some("inet:127.0.0.1:1")),
            ("inet:[::1]:1", Some("inet:[::1]:1")),
            ("unix:run/x", None),
            ("inet:127.0.0.1", None),
            ("inet:mail.example.com:1", None),
            ("127.0.0.1:1", None),
            ("inet:127.0.0.1:65536", None),
        ] {
            assert_eq!(
                text.parse::<Place>().ok().map(|place| place.to_string()).as_deref(),
                expected,
                "{text}"
            );
        }
    }
}
