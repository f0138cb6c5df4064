//! The three numbers of a record, and what they make of a certificate or key.

use std::{fmt, fmt::Write as _, str::FromStr};

use sha2::{Digest as _, Sha256, Sha512};
use waxseal_types::{Matching, Selector, Tlsa, Usage};

use crate::{Error, Subject};

/// Usage, selector and matching type; only such as are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Form {
    /// What the record stands for.
    pub usage: Usage,
    /// What of the certificate it is about.
    pub selector: Selector,
    /// How it is presented.
    pub matching: Matching,
}

impl Form {
    /// `3 1 1`: the server's own key. Nothing else of the certificate counts, so that a renewal with the same key changes nothing
    /// (RFC 7671 §5.1).
    pub const RECOMMENDED: Self =
        Self { usage: Usage::DaneEe, selector: Selector::Spki, matching: Matching::Sha256 };

    /// `2 1 1`: the key of the issuer, where that is stable and in the chain that is served (RFC 7671 §5.2).
    pub const ISSUER: Self =
        Self { usage: Usage::DaneTa, selector: Selector::Spki, matching: Matching::Sha256 };

    /// The record of this form about `subject`.
    ///
    /// # Errors
    /// [`Error::NeedsCertificate`] where selector 0 meets a bare key.
    pub fn record(self, subject: &Subject) -> Result<Tlsa, Error> {
        let part = match self.selector {
            Selector::Cert => {
                subject.certificate().ok_or_else(|| Error::NeedsCertificate(subject.kind().as_str()))?
            }
            Selector::Spki => subject.spki(),
            Selector::Unassigned(_) => return Err(Error::Form { text: self.to_string() }),
        };
        // RFC 6698 §2.1.3.
        let data = match self.matching {
            Matching::Full => part.into(),
            Matching::Sha256 => Sha256::digest(part)[..].into(),
            Matching::Sha512 => Sha512::digest(part)[..].into(),
            Matching::Unassigned(_) => return Err(Error::Form { text: self.to_string() }),
        };
        Ok(Tlsa { usage: self.usage, selector: self.selector, matching: self.matching, data })
    }
}

/// The form of a record that there is.
impl From<&Tlsa> for Form {
    fn from(record: &Tlsa) -> Self {
        Self { usage: record.usage, selector: record.selector, matching: record.matching }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", u8::from(self.usage), u8::from(self.selector), u8::from(self.matching))
    }
}

/// `3 1 1`, `3-1-1` or `311`.
impl FromStr for Form {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::Form { text: text.chars().take(40).collect() };
        let digits: Vec<u8> =
            text.bytes().filter(|byte| !matches!(byte, b' ' | b'-' | b',' | b'\t')).collect();
        let [usage, selector, matching] = digits[..] else { return Err(bad()) };
        let number = |digit: u8, most: u8| {
            let number = digit.wrapping_sub(b'0');
            (number <= most).then_some(number).ok_or_else(bad)
        };
        Ok(Self {
            usage: number(usage, 3)?.into(),
            selector: number(selector, 1)?.into(),
            matching: number(matching, 2)?.into(),
        })
    }
}

/// The record's data in presentation form, whole: `3 1 1 0123abcd...` (RFC 6698 §2.2).
#[must_use]
pub fn rdata(record: &Tlsa) -> String {
    let mut text = format!("{} ", Form::from(record));
    for octet in record.data.iter() {
        let _ = write!(text, "{octet:02x}");
    }
    text
}

/// Most octets of a record: that is what fits into a DNS message.
const MAX_OCTETS: usize = 65_535;

/// Reads what [`rdata`] writes; the hexadecimal digits may be upper case and in several words (RFC 6698 §2.2).
///
/// # Errors
/// [`Error::Record`] where it is none. Numbers that nobody knows are records, too.
pub fn parse_record(text: &str) -> Result<Tlsa, Error> {
    let bad = || Error::Record { text: text.chars().take(80).collect() };
    let mut words = text.split_ascii_whitespace();
    let mut number = || words.next().and_then(|word| word.parse::<u8>().ok()).ok_or_else(bad);
    let (usage, selector, matching) = (number()?, number()?, number()?);
    let digits: String = words.collect();
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return Err(bad()) };
    if pairs.is_empty() || pairs.len() > MAX_OCTETS {
        return Err(bad());
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let data: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect();
    Ok(Tlsa::new(usage, selector, matching, &data.ok_or_else(bad)?))
}
