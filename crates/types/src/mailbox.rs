//! Envelope addresses.

use alloc::{string::String, sync::Arc};
use core::{fmt, str::FromStr};

/// An envelope address `local-part@domain` as RFC 5321 §4.1.2 and RFC 6531 §3.3 write it, kept as it was given.
///
/// The local part may be a dot-atom (taken liberally: consecutive dots occur) or a quoted string; the domain a name, U-labels included, or an address
/// literal. No control characters, at most 320 octets beyond quoting. `postmaster` without a domain is a mailbox, too
/// (RFC 5321 §4.1.1.3). Source routes are cut by [`Mailbox::from_path`]. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mailbox {
    text: Arc<str>,
    at: Option<u32>,
}

/// Why a text is no envelope address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMailbox {
    /// Nothing before the `@`.
    #[error("no local part in the address")]
    NoLocalPart,
    /// No `@domain`, and it is not `postmaster`.
    #[error("no domain in the address")]
    NoDomain,
    /// A local part over 64 octets or an address over 320 (RFC 5321 §4.5.3.1 and its sum, taken with some slack).
    #[error("address too long")]
    TooLong,
    /// A character that may not stand there.
    #[error("bad character {0:?} in the address")]
    Character(char),
    /// A quoted string that does not end, or with text behind it.
    #[error("bad quoted string in the address")]
    Quoting,
    /// The part behind the `@` is neither a domain name nor an address literal.
    #[error("bad domain in the address")]
    Domain,
}

/// The longest address that is taken. RFC 5321 §4.5.3.1 says 64 + 1 + 255; local parts in the wild are longer.
const LONGEST: usize = 512;

impl Mailbox {
    /// Checks `text`, an address without angle brackets and without a source route.
    ///
    /// # Errors
    /// [`InvalidMailbox`] says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, InvalidMailbox> {
        if text.len() > LONGEST {
            return Err(InvalidMailbox::TooLong);
        }
        let local_end = local_part_end(text)?;
        if local_end == 0 {
            return Err(InvalidMailbox::NoLocalPart);
        }
        if local_end == text.len() {
            let postmaster = text.eq_ignore_ascii_case("postmaster");
            return if postmaster {
                Ok(Self { text: text.into(), at: None })
            } else {
                Err(InvalidMailbox::NoDomain)
            };
        }
        check_domain(&text[local_end + 1..])?;
        Ok(Self { text: text.into(), at: u32::try_from(local_end).ok() })
    }

    /// As [`Mailbox::new`], for a path that may have a source route `@a,@b:user@domain`, which is ignored (RFC 5321 §4.1.1.3 and appendix C).
    ///
    /// # Errors
    /// [`InvalidMailbox`] says what is wrong with it.
    pub fn from_path(path: &str) -> Result<Self, InvalidMailbox> {
        if path.starts_with('@') {
            let (_, rest) = path.split_once(':').ok_or(InvalidMailbox::NoLocalPart)?;
            return Self::new(rest);
        }
        Self::new(path)
    }

    /// The whole address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the last `@` outside quotes, quotes included.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.at.map_or(&*self.text, |at| &self.text[..at as usize])
    }

    /// The part behind it: a domain name as given, or an address literal in brackets; `None` for a bare `postmaster`.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        self.at.map(|at| &self.text[at as usize + 1..])
    }

    /// Whether all of it is ASCII; other addresses need SMTPUTF8 (RFC 6531).
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }
}

/// Where the local part ends: the octet of the `@` that follows it, or the length where there is none.
fn local_part_end(text: &str) -> Result<usize, InvalidMailbox> {
    if let Some(inner) = text.strip_prefix('"') {
        let mut escaped = false;
        for (at, c) in inner.char_indices() {
            match c {
                _ if c.is_control() => return Err(InvalidMailbox::Character(c)),
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    let end = at + 2;
                    let ends_well = text[end..].is_empty() || text[end..].starts_with('@');
                    return if ends_well { Ok(end) } else { Err(InvalidMailbox::Quoting) };
                }
                _ => {}
            }
        }
        return Err(InvalidMailbox::Quoting);
    }
    let end = text.rfind('@').unwrap_or(text.len());
    let bad = |c: &char| {
        c.is_control()
            || c.is_whitespace()
            || matches!(c, '<' | '>' | '(' | ')' | ',' | ';' | ':' | '\\' | '"' | '@' | '[' | ']')
    };
    text[..end].chars().find(bad).map_or(Ok(end), |c| Err(InvalidMailbox::Character(c)))
}

fn check_domain(domain: &str) -> Result<(), InvalidMailbox> {
    if let Some(literal) = domain.strip_prefix('[') {
        let inner = literal.strip_suffix(']').ok_or(InvalidMailbox::Domain)?;
        return crate::nexthop::address_literal(inner).map(|_| ()).ok_or(InvalidMailbox::Domain);
    }
    crate::Domain::new(domain).map(|_| ()).map_err(|_| InvalidMailbox::Domain)
}

impl FromStr for Mailbox {
    type Err = InvalidMailbox;

    fn from_str(text: &str) -> Result<Self, InvalidMailbox> {
        Self::new(text)
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

impl From<Mailbox> for String {
    fn from(mailbox: Mailbox) -> Self {
        (*mailbox.text).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_at_the_last_at_outside_quotes() {
        let table = [
            ("a@example.com", "a", Some("example.com")),
            ("\"a@b\"@example.com", "\"a@b\"", Some("example.com")),
            ("\"a\\\"b c\"@example.com", "\"a\\\"b c\"", Some("example.com")),
            ("a%b@example.com", "a%b", Some("example.com")),
            ("a..b@example.com", "a..b", Some("example.com")),
            ("用户@例え.example", "用户", Some("例え.example")),
            ("a@[192.0.2.1]", "a", Some("[192.0.2.1]")),
            ("a@[IPv6:2001:db8::1]", "a", Some("[IPv6:2001:db8::1]")),
            ("Postmaster", "Postmaster", None),
        ];
        for (text, local, domain) in table {
            let mailbox = Mailbox::new(text).unwrap();
            assert_eq!((mailbox.local_part(), mailbox.domain()), (local, domain), "{text}");
        }
    }

    #[test]
    fn what_could_break_out_of_a_command_is_no_address() {
        for bad in [
            "",
            "@example.com",
            "a",
            "a@",
            "a b@example.com",
            "a\r\nRCPT TO:<x@y>@example.com",
            "a>b@example.com",
            "\"a\"b@example.com",
            "\"a@example.com",
            "a@exa mple.com",
            "a@[300.1.1.1]",
            "a@[192.0.2.1",
            "a\0@b.example",
            "a@b@c.example",
            "\"a\nb\"@example.com",
            "a@*.example.com",
        ] {
            assert!(Mailbox::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn source_routes_are_reduced_to_the_final_hop() {
        assert_eq!(
            Mailbox::from_path("@a.example,@b.example:user@d.example").unwrap().as_str(),
            "user@d.example"
        );
        assert!(Mailbox::from_path("@a.example").is_err());
    }
}
