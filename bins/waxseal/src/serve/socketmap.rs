//! Postfix's socketmap protocol (socketmap_table(5)): netstrings with `name key` in, netstrings with a status and a text out.

use std::fmt;

/// The longest request. The name of a map and a next hop; a domain has 253 octets at most.
const REQUEST_LIMIT: usize = 2048;

/// Digits of the length: enough for the limit, and no more.
const DIGITS: usize = 4;

/// The longest text of a reply; Postfix takes 100000 octets.
const REPLY_LIMIT: usize = 50_000;

/// What is asked: the key `key` in the map `name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) name: String,
    pub(super) key: String,
}

/// Not the protocol; the connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed request")]
pub(super) struct Malformed;

/// The first request in what was read so far, and its octets; `None` where more has to come.
pub(super) fn parse(read: &[u8]) -> Result<Option<(Request, usize)>, Malformed> {
    let Some(colon) = read.iter().take(DIGITS + 1).position(|b| *b == b':') else {
        let digits = read.iter().all(u8::is_ascii_digit);
        return if digits && read.len() <= DIGITS { Ok(None) } else { Err(Malformed) };
    };
    let digits = std::str::from_utf8(&read[..colon]).map_err(|_| Malformed)?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let length: usize = if plain { digits.parse().map_err(|_| Malformed)? } else { return Err(Malformed) };
    if length > REQUEST_LIMIT {
        return Err(Malformed);
    }
    let start = colon + 1;
    let end = start + length;
    match read.get(end) {
        None => return Ok(None),
        Some(b',') => {}
        Some(_) => return Err(Malformed),
    }
    let text = std::str::from_utf8(&read[start..end]).map_err(|_| Malformed)?;
    let (name, key) = text.split_once(' ').ok_or(Malformed)?;
    Ok(Some((Request { name: name.to_owned(), key: key.to_owned() }, end + 1)))
}

/// The most that is kept of a connection's input: one request with its frame.
pub(super) const BUFFER_LIMIT: usize = REQUEST_LIMIT + DIGITS + 2;

/// A reply. There is none that says "not found": whoever asks gets a policy, or waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// `OK`: this is the entry.
    Found(String),
    /// `TEMP`: there is an entry or a default that cannot be used, or a table failed.
    Temporary(String),
    /// `TIMEOUT`.
    Late,
    /// `PERM`: the question cannot be answered, now or later.
    Permanent(String),
}

impl Reply {
    /// As a netstring.
    pub(super) fn frame(&self) -> String {
        let text = self.to_string();
        format!("{}:{text},", text.len())
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Cut short it would be another policy.
            Self::Found(text) if text.len() > REPLY_LIMIT => f.write_str("TEMP the entry is too long"),
            Self::Found(text) => write!(f, "OK {text}"),
            Self::Temporary(text) => write!(f, "TEMP {}", Short(text)),
            Self::Late => f.write_str("TIMEOUT a table took too long"),
            Self::Permanent(text) => write!(f, "PERM {}", Short(text)),
        }
    }
}

/// A reason for the log of whoever asked: one line, not too long.
struct Short<'a>(&'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        f.write_str(&self.0.chars().take(500).map(plain).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_netstrings_of_name_and_key() {
        let request = |name: &str, key: &str, end| {
            Ok(Some((Request { name: name.to_owned(), key: key.to_owned() }, end)))
        };
        type Parsed = Result<Option<(Request, usize)>, Malformed>;
        let table: [(&[u8], Parsed); 17] = [
            (b"", Ok(None)),
            (b"1", Ok(None)),
            (b"11:", Ok(None)),
            (b"11:smtp a.test", Ok(None)),
            (b"11:smtp a.test,", request("smtp", "a.test", 15)),
            (b"11:smtp a.test,4:", request("smtp", "a.test", 15)),
            (b"9:smtp a b ,", request("smtp", "a b ", 12)),
            (b"5:smtp ,", request("smtp", "", 8)),
            (b"4:smtp,", Err(Malformed)),
            (b"11:smtp a.test;", Err(Malformed)),
            (b"smtp a.test", Err(Malformed)),
            (b":", Err(Malformed)),
            (b"-1:a,", Err(Malformed)),
            (b"99999", Err(Malformed)),
            (b"2049:", Err(Malformed)),
            (b"3:a \xff,", Err(Malformed)),
            (b"GET / HTTP/1.1", Err(Malformed)),
        ];
        for (read, expected) in table {
            assert_eq!(parse(read), expected, "{}", String::from_utf8_lossy(read));
        }
        let long = format!("2048:smtp {},", "x".repeat(2043));
        assert!(long.len() <= BUFFER_LIMIT && matches!(parse(long.as_bytes()), Ok(Some(_))));
    }

    #[test]
    fn replies_never_hold_a_cut_entry_or_a_line_end() {
        assert_eq!(Reply::Found("may".into()).frame(), "6:OK may,");
        assert_eq!(Reply::Temporary("a\nb".into()).frame(), "8:TEMP a b,");
        assert!(Reply::Found("x".repeat(REPLY_LIMIT + 1)).frame().contains(":TEMP "));
        assert!(Reply::Permanent("x".repeat(10_000)).frame().len() < 600);
    }
}
