//! `tcp:` tables (tcp_table(5)).

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    Endpoint, Trouble,
    endpoint::Stream,
    pool::{Dial, remaining},
};

/// tcp_table(5), "REPLY FORMAT": not longer than this, with the newline.
const REPLY_LIMIT: usize = 4096;

/// The protocol has no settings.
#[derive(Debug)]
pub(crate) struct Tcp;

impl Dial for Tcp {
    type Connection = Stream;
    type Answer = Option<Arc<str>>;

    async fn dial(&self, server: &Endpoint) -> Result<Stream, String> {
        server.connect().await.map_err(|error| error.to_string())
    }

    async fn talk(&self, stream: &mut Stream, key: &str) -> Result<Self::Answer, Trouble> {
        let request = format!("get {}\n", encode(key));
        stream.write_all(request.as_bytes()).await.map_err(Trouble::lost)?;
        let reply = read_line(stream).await?;
        meaning(&reply)
    }
}

/// Up to the newline. Nothing may follow, since nothing was asked.
async fn read_line(stream: &mut Stream) -> Result<Vec<u8>, Trouble> {
    let mut buffer = Vec::new();
    loop {
        let left = remaining(REPLY_LIMIT, buffer.len())?;
        let mut chunk = [0; REPLY_LIMIT];
        let read = stream.read(&mut chunk[..left]).await.map_err(Trouble::lost)?;
        if read == 0 {
            return Err(Trouble::Lost("connection closed in the middle of a reply".to_owned()));
        }
        let searched = buffer.len();
        buffer.extend_from_slice(&chunk[..read]);
        match buffer[searched..].iter().position(|octet| *octet == b'\n') {
            Some(at) if searched + at + 1 == buffer.len() => {
                buffer.pop();
                return Ok(buffer);
            }
            Some(_) => return Err(Trouble::Lost("more than one line of reply".to_owned())),
            None => {}
        }
    }
}

/// tcp_table(5), "REPLY FORMAT".
fn meaning(reply: &[u8]) -> Result<Option<Arc<str>>, Trouble> {
    let bad = || Trouble::Said("a reply that is not a status code, a space and text".to_owned());
    let (status, text) = match reply.iter().position(u8::is_ascii_whitespace) {
        Some(at) => (&reply[..at], reply[at..].trim_ascii_start()),
        None => return Err(bad()),
    };
    match status {
        b"200" => decode(text).map(|text| Some(text.into())).ok_or_else(bad),
        b"500" => Ok(None),
        b"400" => {
            let words: String = String::from_utf8_lossy(text).chars().take(200).collect();
            Err(Trouble::Said(format!("the server said: 400 {}", words.escape_debug())))
        }
        _ => Err(bad()),
    }
}

/// tcp_table(5), "ENCODING": "the character %, each non-printing character, and each whitespace character must be replaced by %XX".
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_graphic() && octet != b'%' {
            encoded.push(char::from(octet));
        } else {
            encoded.push_str(&format!("%{octet:02X}"));
        }
    }
    encoded
}

/// `None` where a `%` is not followed by two digits, or the result is not UTF-8.
fn decode(text: &[u8]) -> Option<String> {
    let (mut decoded, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            decoded.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        decoded.push(digit(digits[0])? << 4 | digit(digits[1])?);
        rest = after;
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_and_values_decoded() {
        assert_eq!(encode("a b%c\té~"), "a%20b%25c%09%C3%A9~");
        assert_eq!(decode(b"a%20b%25%c3%A9").as_deref(), Some("a b%é"));
        assert_eq!(["%", "%2", "%gg", "%ff"].map(|text| decode(text.as_bytes())), [None, None, None, None]);
    }

    #[test]
    fn replies_are_read_as_tcp_table_5_has_them() {
        let found = |text: &str| Ok(Some(Arc::from(text)));
        for (reply, expected) in [
            ("200 secure%20match=a.test", found("secure match=a.test")),
            ("200 secure match=a.test", found("secure match=a.test")),
            ("200 ", found("")),
            ("500 none", Ok(None)),
            ("500 ", Ok(None)),
            ("400 later", Err(())),
            ("500", Err(())),
            ("200 %zz", Err(())),
            ("250 x", Err(())),
            ("", Err(())),
        ] {
            assert_eq!(meaning(reply.as_bytes()).map_err(|_| ()), expected, "{reply:?}");
        }
    }
}
