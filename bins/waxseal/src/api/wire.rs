//! As much of HTTP/1.1 (RFC 9112) as a client of one server needs: a request, and an answer that is read as it comes.

use std::io::{self, BufRead, BufReader, Read};

use super::Request;

/// The longest head of an answer.
const HEAD_LIMIT: u64 = 64 << 10;
/// The longest line with the size of a chunk.
const SIZE_LIMIT: u64 = 4096;

/// A request that closes its connection behind it.
pub(super) fn request(request: Request<'_>, host: &str, token: Option<&str>) -> Vec<u8> {
    let (method, path, body) = match request {
        Request::Get(path) => ("GET", path, None),
        Request::Post(path, value) => ("POST", path, Some(value.to_string())),
    };
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nX-Waxseal: cli\r\n");
    if let Some(token) = token {
        head += &format!("Authorization: Bearer {token}\r\n");
    }
    if let Some(body) = &body {
        head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    head += "\r\n";
    head += body.as_deref().unwrap_or_default();
    head.into_bytes()
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The status of an answer, and its content.
pub(super) fn answer(from: Box<dyn Read>) -> io::Result<(u16, Box<dyn Read>)> {
    let mut from = BufReader::new(from);
    let mut head = (&mut from).take(HEAD_LIMIT);
    let mut line = String::new();
    head.read_line(&mut line)?;
    let code = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    let code: u16 = code.ok_or_else(|| bad("this is no HTTP"))?;
    let (mut length, mut chunked) = (None, false);
    loop {
        line.clear();
        if head.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse::<u64>().map_err(|_| bad("a length that is none"))?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.eq_ignore_ascii_case("chunked");
        }
    }
    // RFC 9112 §6.3.
    Ok(match (chunked, length) {
        (true, _) => (code, Box::new(Chunked { from, left: 0, begun: false, ended: false })),
        (false, Some(length)) => (code, Box::new(Sized { from, left: length })),
        (false, None) => (code, Box::new(from)),
    })
}

/// Content of a known length; an end before it is a fault.
struct Sized<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Sized<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let most = to.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let Some(to) = to.get_mut(..most).filter(|to| !to.is_empty()) else { return Ok(0) };
        let read = self.from.read(to)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// RFC 9112 §7.1.
struct Chunked<R> {
    from: R,
    left: u64,
    begun: bool,
    ended: bool,
}

impl<R: BufRead> Chunked<R> {
    fn next_chunk(&mut self) -> io::Result<()> {
        let mut line = String::new();
        if std::mem::replace(&mut self.begun, true) {
            (&mut self.from).take(2).read_line(&mut line)?;
            line.clear();
        }
        (&mut self.from).take(SIZE_LIMIT).read_line(&mut line)?;
        let digits = line.trim_end().split(';').next().unwrap_or_default().trim();
        if digits.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left = u64::from_str_radix(digits, 16).map_err(|_| bad("a chunk without a size"))?;
        self.ended = self.left == 0;
        Ok(())
    }
}

impl<R: BufRead> Read for Chunked<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.ended {
            self.next_chunk()?;
        }
        if self.ended || to.is_empty() {
            return Ok(0);
        }
        let most = to.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.from.read(to.get_mut(..most).unwrap_or_default())?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> io::Result<(u16, String)> {
        let (code, mut body) = answer(Box::new(text.as_bytes()))?;
        let mut content = String::new();
        body.read_to_string(&mut content)?;
        Ok((code, content))
    }

    #[test]
    fn content_ends_where_rfc_9112_6_3_says() {
        for (text, code, content) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc", 200, "ab"),
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", 404, ""),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
                200,
                "abc0123456789",
            ),
            ("HTTP/1.0 200 OK\r\n\r\nall of it", 200, "all of it"),
        ] {
            assert_eq!(read(text).expect(text), (code, content.to_owned()));
        }
    }

    #[test]
    fn what_breaks_off_is_no_answer() {
        for text in [
            "",
            "SSH-2.0-x\r\n",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
