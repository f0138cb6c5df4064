//! What a server offers in its reply to EHLO.

use alloc::string::String;

/// The keywords of a reply to EHLO or LHLO that matter for handing over mail (RFC 5321 §4.1.1.1). All false behind a HELO.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ehlo {
    /// The name by which the server calls itself.
    pub name: String,
    /// Whether EHLO was taken; otherwise the session began with HELO.
    pub extended: bool,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 3030.
    pub chunking: bool,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 2034.
    pub enhanced_status_codes: bool,
    /// RFC 8689.
    pub requiretls: bool,
    /// RFC 1870: the largest message in octets; `None` where SIZE is not offered, or without a limit.
    pub size_limit: Option<u64>,
    /// RFC 1870: whether `SIZE=` may be given.
    pub size: bool,
}

impl Ehlo {
    /// From the lines of a positive reply to EHLO or LHLO; see [`crate::ReplyReader::lines`].
    pub fn parse<'a>(mut lines: impl Iterator<Item = &'a str>) -> Self {
        let name = lines.next().and_then(first_word).unwrap_or_default();
        let mut ehlo = Self { name: name.into(), extended: true, ..Self::default() };
        lines.for_each(|line| ehlo.keyword(line));
        ehlo
    }

    /// From the reply to HELO: a name and nothing else.
    #[must_use]
    pub fn without_extensions(text: &str) -> Self {
        Self { name: first_word(text).unwrap_or_default().into(), ..Self::default() }
    }

    fn keyword(&mut self, line: &str) {
        // Servers of another age write `SIZE=1000`, `AUTH=LOGIN`.
        let mut words = line.split([' ', '\t', '=']).filter(|word| !word.is_empty());
        let Some(keyword) = words.next() else { return };
        // RFC 5321 §2.4: keywords in any case. A keyword is its whole word: XSTARTTLS is not STARTTLS.
        let is = |name: &str| keyword.eq_ignore_ascii_case(name);
        if is("STARTTLS") {
            self.starttls = true;
        } else if is("PIPELINING") {
            self.pipelining = true;
        } else if is("CHUNKING") {
            self.chunking = true;
        } else if is("8BITMIME") {
            self.eight_bit_mime = true;
        } else if is("SMTPUTF8") {
            self.smtputf8 = true;
        } else if is("DSN") {
            self.dsn = true;
        } else if is("ENHANCEDSTATUSCODES") {
            self.enhanced_status_codes = true;
        } else if is("REQUIRETLS") {
            self.requiretls = true;
        } else if is("SIZE") {
            self.size = true;
            // RFC 1870 §3: zero, or no number, is no fixed limit.
            self.size_limit = words.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
        }
    }
}

fn first_word(line: &str) -> Option<&str> {
    line.split([' ', '\t']).find(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_whole_words_in_any_case() {
        let none = Ehlo { name: "mx".into(), extended: true, ..Ehlo::default() };
        let table = [
            ("STARTTLS", Ehlo { starttls: true, ..none.clone() }),
            ("starttls", Ehlo { starttls: true, ..none.clone() }),
            ("STARTTLS required", Ehlo { starttls: true, ..none.clone() }),
            ("XSTARTTLS", none.clone()),
            ("STARTTLSX", none.clone()),
            ("STARTTLS.", none.clone()),
            ("Pipelining", Ehlo { pipelining: true, ..none.clone() }),
            ("SIZE", Ehlo { size: true, ..none.clone() }),
            ("SIZE 0", Ehlo { size: true, ..none.clone() }),
            ("SIZE 1000", Ehlo { size: true, size_limit: Some(1000), ..none.clone() }),
            ("SIZE=1000", Ehlo { size: true, size_limit: Some(1000), ..none.clone() }),
            ("SIZE 99999999999999999999999", Ehlo { size: true, ..none.clone() }),
            ("SIZE -1", Ehlo { size: true, ..none.clone() }),
            ("", none.clone()),
            ("AUTH PLAIN LOGIN", none.clone()),
            ("DSN", Ehlo { dsn: true, ..none.clone() }),
        ];
        for (line, expected) in table {
            assert_eq!(Ehlo::parse(["mx hello", line].into_iter()), expected, "{line}");
        }
        assert_eq!(Ehlo::parse([""].into_iter()), Ehlo { extended: true, ..Ehlo::default() });
        // The first line is the server's name, whatever it looks like.
        assert!(!Ehlo::parse(["STARTTLS"].into_iter()).starttls);
    }
}
