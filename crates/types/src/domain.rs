//! Domain names as mail uses them.

use alloc::{borrow::ToOwned, string::String, sync::Arc};
use core::{fmt, str::FromStr};

/// A domain name in its one comparable form: A-labels, lower case, no trailing dot.
///
/// At most 253 octets, labels of 1 to 63 octets (RFC 1035 §2.3.4). Letters, digits, hyphens and underscores are
/// taken, since real MX hosts have underscores; U-labels are converted (RFC 5891 §5). Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(Arc<str>);

/// Why a text is no domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDomain {
    /// There is nothing in it.
    #[error("empty domain name")]
    Empty,
    /// A label is empty, longer than 63 octets, or starts or ends with a hyphen.
    #[error("bad label {0:?} in a domain name")]
    Label(String),
    /// The name is longer than 253 octets.
    #[error("domain name longer than 253 octets")]
    TooLong,
    /// A character that no host or domain name has.
    #[error("bad character {0:?} in a domain name")]
    Character(char),
    /// A U-label that IDNA does not allow.
    #[error("domain name is not valid under IDNA")]
    Idna,
    /// It is an IP address, which is no domain name.
    #[error("an IP address is not a domain name")]
    Address,
}

impl Domain {
    /// Checks and normalises `text`.
    ///
    /// # Errors
    /// [`InvalidDomain`] says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, InvalidDomain> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(InvalidDomain::Empty);
        }
        // Longer texts cannot become valid names; stop before IDNA has to read them.
        if text.len() > 1024 {
            return Err(InvalidDomain::TooLong);
        }
        let ascii: Arc<str> = if text.is_ascii() {
            if text.bytes().any(|b| b.is_ascii_uppercase()) {
                text.to_ascii_lowercase().into()
            } else {
                text.into()
            }
        } else {
            let converted = idna::domain_to_ascii_cow(text.as_bytes(), idna::AsciiDenyList::EMPTY)
                .map_err(|_| InvalidDomain::Idna)?;
            converted.to_ascii_lowercase().into()
        };
        check(&ascii)?;
        Ok(Self(ascii))
    }

    pub(crate) fn invalid() -> Self {
        Self("parked.invalid".into())
    }

    /// The name, lower case, without a trailing dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The suffixes with a leading dot, longest first: `.b.c` and `.c` for `a.b.c`; the walk of Postfix's parent lookups.
    pub fn dotted_parents(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('.').map(|(at, _)| &self.0[at..])
    }

    /// Whether this name lies strictly below `parent`.
    #[must_use]
    pub fn is_below(&self, parent: &Domain) -> bool {
        self.0.strip_suffix(&*parent.0).is_some_and(|rest| rest.ends_with('.'))
    }
}

fn check(ascii: &str) -> Result<(), InvalidDomain> {
    if ascii.len() > 253 {
        return Err(InvalidDomain::TooLong);
    }
    if let Some(bad) = ascii.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
        return Err(InvalidDomain::Character(bad));
    }
    for label in ascii.split('.') {
        if label.is_empty() || label.len() > 63 || label.starts_with('-') || label.ends_with('-') {
            return Err(InvalidDomain::Label(label.to_owned()));
        }
    }
    // An all-numeric last label is an address or a typing error for one, never a top-level domain (RFC 3696 §2).
    if ascii.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
        return Err(InvalidDomain::Address);
    }
    Ok(())
}

impl FromStr for Domain {
    type Err = InvalidDomain;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for Domain {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::ToString, vec::Vec};

    #[test]
    fn names_take_their_one_comparable_form() {
        let table = [
            ("Example.COM", Ok("example.com")),
            ("example.com.", Ok("example.com")),
            ("mx_1.example.com", Ok("mx_1.example.com")),
            ("bücher.example", Ok("xn--bcher-kva.example")),
            ("BÜCHER.example", Ok("xn--bcher-kva.example")),
            ("localhost", Ok("localhost")),
            ("", Err(InvalidDomain::Empty)),
            (".", Err(InvalidDomain::Empty)),
            ("a..b", Err(InvalidDomain::Label(String::new()))),
            ("-a.example", Err(InvalidDomain::Label("-a".to_owned()))),
            ("*.example.com", Err(InvalidDomain::Character('*'))),
            ("a b.example", Err(InvalidDomain::Character(' '))),
            ("a\0.example", Err(InvalidDomain::Character('\0'))),
            ("192.0.2.1", Err(InvalidDomain::Address)),
            ("1.2.3", Err(InvalidDomain::Address)),
        ];
        for (text, expected) in table {
            let got = Domain::new(text).map(|d| d.to_string());
            assert_eq!(got, expected.map(ToString::to_string), "{text:?}");
        }
    }

    #[test]
    fn parents_are_dotted_and_longest_first() {
        let domain = Domain::new("a.b.c").unwrap();
        assert_eq!(domain.dotted_parents().collect::<Vec<_>>(), [".b.c", ".c"]);
        assert!(domain.is_below(&Domain::new("b.c").unwrap()));
        assert!(!domain.is_below(&domain));
        assert!(!Domain::new("xb.c").unwrap().is_below(&Domain::new("b.c").unwrap()));
    }
}
