//! The addresses to listen on: free, or ours already.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    time::Duration,
};

use waxseal_config::Config;
use waxseal_intake::ListenAddr;

use super::Finding;

const AREA: &str = "ports";
/// How long somebody on this machine may take for a greeting.
const PATIENCE: Duration = Duration::from_secs(3);

/// What came of trying to listen.
#[derive(Debug)]
enum Tried {
    Free,
    /// Somebody listens already, and greets so; or says nothing.
    Taken(String),
    Forbidden,
    Failed(io::Error),
}

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut found: Vec<_> = config.intake.listen.iter().map(|address| listener("mail", address)).collect();
    found.extend(
        config.admin.listen.as_ref().map(|address| listener("the admin API", &ListenAddr::Inet(*address))),
    );
    found
}

fn listener(purpose: &str, address: &ListenAddr) -> Finding {
    let tried = match address {
        ListenAddr::Inet(address) => inet(*address),
        ListenAddr::Unix(path) => match UnixStream::connect(path) {
            Ok(stream) => Tried::Taken(
                stream.set_read_timeout(Some(PATIENCE)).map_or_else(|_| String::new(), |()| greeting(stream)),
            ),
            // Left over by a process that is gone, or still to come: queue-manager makes it anew.
            Err(_) => Tried::Free,
        },
    };
    judge(purpose, &address.to_string(), &tried)
}

fn inet(address: SocketAddr) -> Tried {
    match TcpListener::bind(address) {
        Ok(_) => Tried::Free,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let heard = TcpStream::connect_timeout(&address, PATIENCE).and_then(|stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(greeting(stream))
            });
            Tried::Taken(heard.unwrap_or_default())
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Tried::Forbidden,
        Err(error) => Tried::Failed(error),
    }
}

/// The first line that somebody says by themselves.
fn greeting(mut stream: impl io::Read) -> String {
    let mut octets = [0; 512];
    let length = stream.read(&mut octets).unwrap_or(0);
    String::from_utf8_lossy(&octets[..length]).lines().next().unwrap_or_default().to_owned()
}

fn judge(purpose: &str, address: &str, tried: &Tried) -> Finding {
    match tried {
        Tried::Free => {
            Finding::good(AREA, format!("{address}, for {purpose}, is free: queue-manager is not running"))
        }
        // The words of our own greeting.
        Tried::Taken(words) if words.ends_with("ESMTP Waxseal") => {
            Finding::good(AREA, format!("{address}: queue-manager takes mail there"))
        }
        Tried::Taken(words) if words.is_empty() && purpose != "mail" => {
            Finding::good(AREA, format!("{address}, for {purpose}: somebody listens"))
        }
        Tried::Taken(words) => {
            let who =
                if words.is_empty() { "and says nothing".to_owned() } else { format!("and says {words:?}") };
            let what = format!("{address}, for {purpose}: another program listens there, {who}");
            Finding::bad(AREA, what, "stop that program, or listen elsewhere (listen.smtp, listen.admin)")
        }
        Tried::Forbidden => Finding::bad(
            AREA,
            format!("{address}, for {purpose}: this user may not listen there"),
            "start queue-manager as root with process.user set, or give it CAP_NET_BIND_SERVICE, or use a port above 1023",
        ),
        Tried::Failed(error) => Finding::bad(
            AREA,
            format!("{address}, for {purpose}: {error}"),
            "name an address that this machine has",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        thread,
    };

    use super::{super::State, *};

    /// Listens, and greets once with these words.
    fn server(words: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(words.as_bytes()).unwrap();
            // Until the other side has read and gone.
            let _ = stream.read(&mut [0]);
        });
        address
    }

    #[test]
    fn who_listens_is_heard() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let table = [
            (free, State::Good, "is free"),
            (server("220 mx.example ESMTP Waxseal\r\n"), State::Good, "takes mail"),
            (server("220 mx.example ESMTP Postfix\r\n"), State::Bad, "Postfix"),
            ("192.0.2.1:25".parse().unwrap(), State::Bad, "192.0.2.1:25"),
        ];
        for (address, state, word) in table {
            let found = listener("mail", &ListenAddr::Inet(address));
            assert_eq!(found.state, state, "{found:?}");
            assert!(found.what.contains(word), "{found:?}");
        }
        assert_eq!(judge("mail", "[::1]:25", &Tried::Forbidden).state, State::Bad);
        assert_eq!(judge("the admin API", "[::1]:8025", &Tried::Taken(String::new())).state, State::Good);
    }
}
