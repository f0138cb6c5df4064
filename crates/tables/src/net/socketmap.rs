//! `socketmap:` tables (socketmap_table(5)).

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    Endpoint, Trouble,
    endpoint::Stream,
    pool::{Dial, remaining},
};

/// socketmap_table(5), "REPLY FORMAT": not longer than this, without the netstring around it.
const REPLY_LIMIT: usize = 100_000;
/// Digits of the length of a netstring, and its colon.
const LENGTH_LIMIT: usize = 7;

/// Questions to one map of a server.
#[derive(Debug)]
pub(crate) struct Socketmap {
    map: String,
}

impl Socketmap {
    pub(crate) const fn new(map: String) -> Self {
        Self { map }
    }

    /// `inet:host:port:name`, `unix:pathname:name`.
    pub(crate) fn parse(name: &str) -> Option<(Endpoint, String)> {
        let (server, map) = name.rsplit_once(':')?;
        let endpoint = match server.split_once(':')? {
            ("inet", server) => Endpoint::host_and_port(server)?,
            ("unix", path) => Endpoint::unix(path)?,
            _ => return None,
        };
        (!map.is_empty()).then(|| (endpoint, map.to_owned()))
    }
}

impl Dial for Socketmap {
    type Connection = Stream;
    type Answer = Option<Arc<str>>;

    async fn dial(&self, server: &Endpoint) -> Result<Stream, String> {
        server.connect().await.map_err(|error| error.to_string())
    }

    async fn talk(&self, stream: &mut Stream, key: &str) -> Result<Self::Answer, Trouble> {
        let request = format!("{} {key}", self.map);
        let netstring = format!("{}:{request},", request.len());
        stream.write_all(netstring.as_bytes()).await.map_err(Trouble::lost)?;
        let reply = read_netstring(stream).await?;
        meaning(&reply)
    }
}

/// Length, colon, that many octets, comma (D. J. Bernstein, "Netstrings", 1997). Nothing may follow, since nothing was asked.
async fn read_netstring(stream: &mut Stream) -> Result<Vec<u8>, Trouble> {
    let mut buffer = Vec::new();
    loop {
        if let Some(payload) = payload(&buffer)? {
            return Ok(payload.to_vec());
        }
        let left = remaining(REPLY_LIMIT + LENGTH_LIMIT + 1, buffer.len())?;
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk[..left.min(4096)]).await.map_err(Trouble::lost)?;
        if read == 0 {
            return Err(Trouble::Lost("connection closed in the middle of a reply".to_owned()));
        }
        buffer.extend_from_slice(&chunk[..read]);
    }
}

/// The payload, once all of it is there.
fn payload(buffer: &[u8]) -> Result<Option<&[u8]>, Trouble> {
    let bad = || Trouble::Lost("a reply that is no netstring".to_owned());
    let digits = buffer.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let Some(colon) = buffer.get(digits) else {
        return if digits < LENGTH_LIMIT { Ok(None) } else { Err(bad()) };
    };
    let length = std::str::from_utf8(&buffer[..digits]).ok().and_then(|digits| digits.parse::<usize>().ok());
    let length = length.filter(|length| *colon == b':' && *length <= REPLY_LIMIT).ok_or_else(bad)?;
    let end = digits + 1 + length;
    match buffer.get(end) {
        None => Ok(None),
        Some(b',') if buffer.len() == end + 1 => Ok(Some(&buffer[digits + 1..end])),
        Some(_) => Err(bad()),
    }
}

/// socketmap_table(5), "REPLY FORMAT".
fn meaning(reply: &[u8]) -> Result<Option<Arc<str>>, Trouble> {
    let text =
        std::str::from_utf8(reply).map_err(|_| Trouble::Said("a reply that is not UTF-8".to_owned()))?;
    let (status, rest) = text.split_once(' ').unwrap_or((text, ""));
    match status {
        "OK" => Ok(Some(rest.into())),
        "NOTFOUND" => Ok(None),
        // PERM, too: the question was not answered, so mail waits until the operator has mended what is wrong.
        "TEMP" | "TIMEOUT" | "PERM" => {
            Err(Trouble::Said(format!("the server said: {status} {}", shown(rest))))
        }
        other => Err(Trouble::Said(format!("unknown reply {:?}", shown(other)))),
    }
}

/// The server's words, not too many and without control characters.
fn shown(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_as_socketmap_table_5_has_them() {
        let found = |text: &str| Ok(Some(Arc::from(text)));
        let read = |reply: &str| meaning(reply.as_bytes()).map_err(|_| ());
        for (reply, expected) in [
            ("OK secure match=a.test", found("secure match=a.test")),
            ("OK ", found("")),
            ("NOTFOUND ", Ok(None)),
            ("NOTFOUND", Ok(None)),
            ("TEMP later", Err(())),
            ("TIMEOUT x", Err(())),
            ("PERM no such map", Err(())),
            ("ok x", Err(())),
            ("", Err(())),
        ] {
            assert_eq!(read(reply), expected, "{reply}");
        }
        assert!(meaning(b"OK \xff").is_err());
    }

    #[test]
    fn netstrings_come_in_pieces_and_end_with_a_comma() {
        for end in 0..9 {
            assert_eq!(
                payload(&b"5:OK ab,"[..end.min(8)]).ok(),
                Some((end >= 8).then_some(&b"OK ab"[..])),
                "{end}"
            );
        }
        for bad in ["5:OK ab;", "x", ":", "100001:", "99999999", "2:OK,x"] {
            assert!(payload(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_read_as_socketmap_table_5_has_them() {
        let read = |name| Socketmap::parse(name).map(|(endpoint, map)| (endpoint.to_string(), map));
        assert_eq!(read("inet:localhost:9:m"), Some(("localhost:9".into(), "m".into())));
        assert_eq!(read("inet:[::1]:9:m"), Some(("::1:9".into(), "m".into())));
        assert_eq!(read("unix:/run/x:m"), Some(("unix:/run/x".into(), "m".into())));
        for bad in ["inet:localhost:9", "unix:x:m", "tcp:a:9:m", "inet:localhost:9:", ""] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
