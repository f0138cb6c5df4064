//! Distinguished names: compared as OpenSSL compares them, shown as Postfix shows them.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
};

use sha1::{Digest as _, Sha1};

use crate::der::{self, Element, Reader};

/// A distinguished name (RFC 5280 §4.1.2.4). Two are equal when their canonical forms are.
#[derive(Clone)]
pub struct Name {
    raw: Vec<u8>,
    canonical: Vec<u8>,
}

/// id-at-commonName.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// pkcs-9 emailAddress.
const EMAIL_ADDRESS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01];
/// No more than that of a name is shown.
const SHOWN: usize = 400;

impl Name {
    /// From a whole `Name` element.
    #[must_use]
    pub fn new(der: &[u8]) -> Option<Self> {
        let canonical = canonical(der::single(der, der::SEQUENCE)?)?;
        Some(Self { raw: der.to_vec(), canonical })
    }

    /// The name as it came.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.raw
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.canonical.is_empty()
    }

    /// The hash that `openssl rehash` names files by: the first four octets of SHA-1 over the canonical form, lowest first.
    #[must_use]
    pub fn hash(&self) -> u32 {
        let sum = Sha1::digest(&self.canonical);
        u32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]])
    }

    /// Whether this name is `other` or lies below it in the directory (RFC 5280 §4.2.1.10).
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.canonical.starts_with(&other.canonical)
    }

    /// The common names as UTF-8 octets, in order. One that cannot be converted is left out.
    pub fn common_names(&self) -> impl Iterator<Item = Vec<u8>> {
        self.values(COMMON_NAME)
    }

    /// The e-mail addresses in it.
    pub fn email_addresses(&self) -> impl Iterator<Item = Vec<u8>> {
        self.values(EMAIL_ADDRESS)
    }

    fn values<'a>(&'a self, wanted: &'static [u8]) -> impl Iterator<Item = Vec<u8>> + 'a {
        attributes(&self.raw)
            .filter(move |(oid, _)| *oid == wanted)
            .filter_map(|(_, value)| text(&value).map(Cow::into_owned))
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for Name {}

impl std::hash::Hash for Name {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.canonical.hash(state);
    }
}

/// `/O=Parity Lab/CN=Lab Root A`, control characters and what is not ASCII escaped.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = String::new();
        for (oid, value) in attributes(&self.raw) {
            let _ = write!(line, "/{}=", Label(oid));
            let octets = text(&value).unwrap_or(Cow::Borrowed(value.value));
            for &byte in octets.iter().take(SHOWN) {
                match byte {
                    b'\\' | b'/' => drop(write!(line, "\\{}", char::from(byte))),
                    b' '..=b'~' => line.push(char::from(byte)),
                    _ => drop(write!(line, "\\x{byte:02X}")),
                }
            }
            if line.len() > SHOWN {
                line.truncate(SHOWN);
                line.push_str("...");
                break;
            }
        }
        f.write_str(if line.is_empty() { "(empty name)" } else { &line })
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The short word for an attribute type, or its numbers.
struct Label<'a>(&'a [u8]);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            COMMON_NAME => "CN",
            EMAIL_ADDRESS => "emailAddress",
            [0x55, 0x04, 0x05] => "serialNumber",
            [0x55, 0x04, 0x06] => "C",
            [0x55, 0x04, 0x07] => "L",
            [0x55, 0x04, 0x08] => "ST",
            [0x55, 0x04, 0x0a] => "O",
            [0x55, 0x04, 0x0b] => "OU",
            [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19] => "DC",
            other => {
                f.write_str("oid.")?;
                return other.iter().take(16).try_for_each(|octet| write!(f, "{octet:02x}"));
            }
        })
    }
}

/// All attributes of all relative names, in order. Stops at the first thing that is none.
fn attributes(raw: &[u8]) -> impl Iterator<Item = (&[u8], Element<'_>)> {
    let mut sets = Reader::new(der::single(raw, der::SEQUENCE).unwrap_or_default());
    let mut set = Reader::new(&[]);
    std::iter::from_fn(move || {
        if set.is_empty() {
            set = Reader::new(sets.take(der::SET)?);
        }
        let mut pair = Reader::new(set.take(der::SEQUENCE)?);
        Some((pair.take(der::OID)?, pair.next()?))
    })
}

/// The form that OpenSSL compares and hashes: each relative name a SET, sorted again; string values as UTF-8, lower case,
/// outer blanks gone and inner ones collapsed; other values as they are; no outer SEQUENCE.
fn canonical(name: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(name.len() + 16);
    let mut pairs: Vec<Vec<u8>> = Vec::new();
    let mut sets = Reader::new(name);
    while !sets.is_empty() {
        let mut set = Reader::new(sets.take(der::SET)?);
        pairs.clear();
        while !set.is_empty() {
            let mut pair = Reader::new(set.take(der::SEQUENCE)?);
            let oid = pair.next().filter(|element| element.tag == der::OID)?;
            let value = pair.next()?;
            let mut element = Vec::with_capacity(oid.whole.len() + value.whole.len() + 16);
            let folded = text(&value).map(|text| folded(&text));
            let length = folded.as_ref().map_or(value.whole.len(), |folded| der::size(folded.len()));
            der::header(&mut element, der::SEQUENCE, oid.whole.len() + length);
            element.extend_from_slice(oid.whole);
            match folded {
                Some(folded) => der::write(&mut element, UTF8, &folded),
                None => element.extend_from_slice(value.whole),
            }
            pairs.push(element);
        }
        pairs.sort();
        der::header(&mut out, der::SET, pairs.iter().map(Vec::len).sum());
        pairs.iter().for_each(|pair| out.extend_from_slice(pair));
    }
    Some(out)
}

const UTF8: u8 = 0x0c;

/// A string value as UTF-8; `None` for what is no string or does not convert.
fn text<'a>(value: &Element<'a>) -> Option<Cow<'a, [u8]>> {
    match value.tag {
        UTF8 => Some(value.value.into()),
        0x13 | 0x14 | 0x16 | 0x1a if value.value.is_ascii() => Some(value.value.into()),
        // PrintableString, T61String, IA5String, VisibleString: one octet is one character, as OpenSSL takes them.
        0x13 | 0x14 | 0x16 | 0x1a => {
            let text: String = value.value.iter().map(|octet| char::from(*octet)).collect();
            Some(text.into_bytes().into())
        }
        // BMPString.
        0x1e if value.value.len().is_multiple_of(2) => {
            let units =
                value.value.as_chunks::<2>().0.iter().map(|pair| u32::from(u16::from_be_bytes(*pair)));
            units.map(char::from_u32).collect::<Option<String>>().map(|text| text.into_bytes().into())
        }
        // UniversalString.
        0x1c if value.value.len().is_multiple_of(4) => {
            let units = value.value.as_chunks::<4>().0.iter().map(|four| u32::from_be_bytes(*four));
            units.map(char::from_u32).collect::<Option<String>>().map(|text| text.into_bytes().into())
        }
        _ => None,
    }
}

/// Only ASCII letters are folded and only ASCII blanks collapsed.
fn folded(text: &[u8]) -> Vec<u8> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    for byte in text {
        if !blank(byte) {
            out.push(byte.to_ascii_lowercase());
        } else if out.last().is_some_and(|last| *last != b' ') {
            out.push(b' ');
        }
    }
    if out.last() == Some(&b' ') {
        out.pop();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(parts: &[(u8, u8, &[u8])]) -> Name {
        let mut sets = Vec::new();
        for (attribute, tag, value) in parts {
            let mut inner = Vec::new();
            der::write(&mut inner, der::OID, &[0x55, 0x04, *attribute]);
            der::write(&mut inner, *tag, value);
            let (mut pair, mut set) = (Vec::new(), Vec::new());
            der::write(&mut pair, der::SEQUENCE, &inner);
            der::write(&mut set, der::SET, &pair);
            sets.extend(set);
        }
        let mut whole = Vec::new();
        der::write(&mut whole, der::SEQUENCE, &sets);
        Name::new(&whole).unwrap()
    }

    #[test]
    fn names_are_equal_whatever_their_string_type_case_and_blanks() {
        let plain = name(&[(10, 0x13, b"Parity Lab"), (3, 0x0c, b"Root")]);
        assert_eq!(plain, name(&[(10, 0x0c, b"  PARITY \t lab "), (3, 0x1e, b"\0r\0o\0o\0t")]));
        assert_ne!(plain, name(&[(10, 0x13, b"ParityLab"), (3, 0x0c, b"Root")]));
        assert_ne!(plain, name(&[(3, 0x0c, b"Root"), (10, 0x13, b"Parity Lab")]));
        assert!(plain.is_within(&name(&[(10, 0x13, b"parity lab")])));
        assert!(!name(&[(10, 0x13, b"parity lab")]).is_within(&plain));
    }

    #[test]
    fn names_are_shown_without_their_control_characters() {
        let odd = name(&[(10, 0x0c, b"a\n\x1b[2J/b"), (3, 0x0c, "é".as_bytes())]);
        assert_eq!(odd.to_string(), "/O=a\\x0A\\x1B[2J\\/b/CN=\\xC3\\xA9");
        assert_eq!(name(&[]).to_string(), "(empty name)");
        assert!(name(&[(3, 0x0c, &[b'x'; 9000])]).to_string().len() < 500);
    }
}
