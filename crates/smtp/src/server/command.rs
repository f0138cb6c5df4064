//! Command lines (RFC 5321 §4.1.1).

use alloc::string::String;

use super::Refusal;

/// A command with the rest of its line, trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Helo(&'a str),
    Ehlo(&'a str),
    Mail(&'a str),
    Rcpt(&'a str),
    Data,
    Bdat(&'a str),
    Rset,
    Noop,
    Help,
    Vrfy,
    Quit,
    StartTls,
    Auth(&'a str),
    /// No mail client says this.
    Forbidden,
}

impl<'a> Command<'a> {
    /// Reads a line without its CRLF; `forbidden` are first words that no mail client says.
    pub(super) fn parse(line: &'a [u8], forbidden: &[String]) -> Result<Self, Refusal> {
        let Some(first) = line.first() else { return Err(Refusal::BAD_SYNTAX) };
        let end = line.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(line.len());
        let forbidden = forbidden.iter().any(|word| line[..end].eq_ignore_ascii_case(word.as_bytes()));
        // The last entry of Postfix's list is "whatever does not begin with a letter": a TLS record, a stray chunk.
        if forbidden || !first.is_ascii_alphabetic() {
            return Ok(Self::Forbidden);
        }
        // RFC 5321 §2.3.8: CR and LF stand nowhere but in CRLF.
        if line.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
            return Err(Refusal::STRAY_CONTROL);
        }
        let line = core::str::from_utf8(line).map_err(|_| Refusal::NOT_UTF8)?;
        let (verb, rest) = line.split_at(end);
        if !(rest.is_empty() || rest.starts_with([' ', '\t'])) {
            return Err(Refusal::UNKNOWN_COMMAND);
        }
        Self::of(verb, rest.trim_matches([' ', '\t']))
    }

    fn of(verb: &str, rest: &'a str) -> Result<Self, Refusal> {
        let bare = |command| if rest.is_empty() { Ok(command) } else { Err(Refusal::NO_ARGUMENT) };
        let is = |word: &str| verb.eq_ignore_ascii_case(word);
        if is("MAIL") {
            Ok(Self::Mail(rest))
        } else if is("RCPT") {
            Ok(Self::Rcpt(rest))
        } else if is("DATA") {
            bare(Self::Data)
        } else if is("BDAT") {
            Ok(Self::Bdat(rest))
        } else if is("EHLO") {
            argument(rest).map(Self::Ehlo)
        } else if is("HELO") {
            argument(rest).map(Self::Helo)
        } else if is("RSET") {
            bare(Self::Rset)
        } else if is("QUIT") {
            bare(Self::Quit)
        } else if is("NOOP") {
            Ok(Self::Noop)
        } else if is("HELP") {
            Ok(Self::Help)
        } else if is("VRFY") {
            argument(rest).map(|_| Self::Vrfy)
        } else if is("STARTTLS") {
            bare(Self::StartTls)
        } else if is("AUTH") {
            argument(rest).map(Self::Auth)
        } else if is("EXPN") || is("ETRN") || is("TURN") {
            Err(Refusal::NOT_IMPLEMENTED)
        } else {
            Err(Refusal::UNKNOWN_COMMAND)
        }
    }

    /// Whether the client has to wait for the reply before it sends more (RFC 2920 §3.1).
    ///
    /// NOOP, VRFY and QUIT belong to that list as well, but nothing can go wrong behind them.
    pub(super) const fn ends_group(&self) -> bool {
        match self {
            Self::Helo(_) | Self::Ehlo(_) | Self::Data | Self::StartTls | Self::Auth(_) => true,
            Self::Mail(_)
            | Self::Rcpt(_)
            | Self::Bdat(_)
            | Self::Rset
            | Self::Noop
            | Self::Help
            | Self::Vrfy
            | Self::Quit
            | Self::Forbidden => false,
        }
    }

    /// Whether it may come in clear where TLS is demanded (RFC 3207 §4).
    pub(super) const fn may_be_in_clear(&self) -> bool {
        match self {
            Self::Helo(_) | Self::Ehlo(_) | Self::Noop | Self::Quit | Self::StartTls | Self::Forbidden => {
                true
            }
            Self::Mail(_)
            | Self::Rcpt(_)
            | Self::Data
            | Self::Bdat(_)
            | Self::Rset
            | Self::Help
            | Self::Vrfy
            | Self::Auth(_) => false,
        }
    }

    /// Whether it brings no mail nearer (postconf(5) `smtpd_junk_command_limit`).
    pub(super) const fn is_junk(&self) -> bool {
        match self {
            Self::Helo(_) | Self::Ehlo(_) | Self::Rset | Self::Noop | Self::Help | Self::Vrfy => true,
            Self::Mail(_)
            | Self::Rcpt(_)
            | Self::Data
            | Self::Bdat(_)
            | Self::Quit
            | Self::StartTls
            | Self::Auth(_)
            | Self::Forbidden => false,
        }
    }
}

fn argument(rest: &str) -> Result<&str, Refusal> {
    if rest.is_empty() { Err(Refusal::ARGUMENT_MISSING) } else { Ok(rest) }
}

/// The argument of BDAT (RFC 3030 §2): how many octets follow, and whether they are the last.
pub(super) fn parse_chunk(argument: &str) -> Option<(u64, bool)> {
    let mut words = argument.split_ascii_whitespace();
    let size = parse_size(words.next()?)?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return None,
    };
    words.next().is_none().then_some((size, last))
}

/// RFC 1870 §5 and RFC 3030 §2: up to 20 digits. What is above 2^64 is still a number, only a large one.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let digits = (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_commands_or_are_refused() {
        let table: [(&[u8], Result<Command<'_>, Refusal>); 21] = [
            (b"EHLO x", Ok(Command::Ehlo("x"))),
            (b"ehlo  x ", Ok(Command::Ehlo("x"))),
            (b"EHLO", Err(Refusal::ARGUMENT_MISSING)),
            (b"MAIL FROM:<a@b.example>", Ok(Command::Mail("FROM:<a@b.example>"))),
            (b"DATA", Ok(Command::Data)),
            (b"DATA now", Err(Refusal::NO_ARGUMENT)),
            (b"NOOP whatever", Ok(Command::Noop)),
            (b"", Err(Refusal::BAD_SYNTAX)),
            (b"FOO", Err(Refusal::UNKNOWN_COMMAND)),
            (b"MAIL\0FROM:<>", Err(Refusal::STRAY_CONTROL)),
            (b"NOOP\nMAIL FROM:<>", Err(Refusal::STRAY_CONTROL)),
            (b"NOOP\rMAIL FROM:<>", Err(Refusal::STRAY_CONTROL)),
            (b"NOOP \xff", Err(Refusal::NOT_UTF8)),
            (b"GET / HTTP/1.1", Ok(Command::Forbidden)),
            (b"get / HTTP/1.1\nHost: x", Ok(Command::Forbidden)),
            (b"POST / HTTP/1.1", Ok(Command::Forbidden)),
            (b"CONNECT x:25 HTTP/1.1", Ok(Command::Forbidden)),
            (b"\x16\x03\x01", Ok(Command::Forbidden)),
            (b" EHLO x", Ok(Command::Forbidden)),
            (b"STARTTLS:", Err(Refusal::UNKNOWN_COMMAND)),
            (b"AUTH PLAIN AAAA", Ok(Command::Auth("PLAIN AAAA"))),
        ];
        let forbidden = crate::server::Settings::default().forbidden;
        for (line, expected) in table {
            assert_eq!(Command::parse(line, &forbidden), expected, "{:?}", line.escape_ascii());
        }
    }

    #[test]
    fn rfc3030_chunk_arguments() {
        let table = [
            ("0", Some((0, false))),
            ("0 LAST", Some((0, true))),
            ("86 last", Some((86, true))),
            ("18446744073709551615", Some((u64::MAX, false))),
            ("18446744073709551616", Some((u64::MAX, false))),
            ("99999999999999999999", Some((u64::MAX, false))),
            ("999999999999999999999", None),
            ("-1", None),
            ("+1", None),
            ("0x10", None),
            ("", None),
            ("LAST", None),
            ("5 LAST LAST", None),
            ("5 FIRST", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_chunk(text), expected, "{text:?}");
        }
    }
}
