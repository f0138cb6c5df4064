//! Alternative names and the constraints on them.

use crate::{Name, der, der::Reader};

/// One alternative name (RFC 5280 §4.2.1.6), as octets: what they spell is for the reader to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GeneralName<'a> {
    /// rfc822Name.
    Email(&'a [u8]),
    /// dNSName.
    Dns(&'a [u8]),
    /// directoryName.
    Directory(Name),
    /// uniformResourceIdentifier.
    Uri(&'a [u8]),
    /// iPAddress.
    Ip(&'a [u8]),
    /// Another kind, by its number.
    Other(u8),
}

/// More alternative names than this are not looked at; the largest certificates in use have a few hundred.
pub(crate) const MAX_NAMES: usize = 5000;

/// The names in a `GeneralNames` element's contents. Ends at the first thing that cannot be read.
pub(crate) fn names(contents: &[u8]) -> impl Iterator<Item = GeneralName<'_>> {
    let mut reader = Reader::new(contents);
    std::iter::from_fn(move || one(&mut reader)).take(MAX_NAMES)
}

/// Whether all of it can be read.
pub(crate) fn well_formed(contents: &[u8]) -> bool {
    let mut reader = Reader::new(contents);
    while !reader.is_empty() {
        if one(&mut reader).is_none() {
            return false;
        }
    }
    true
}

fn one<'a>(reader: &mut Reader<'a>) -> Option<GeneralName<'a>> {
    let element = reader.next()?;
    Some(match element.tag {
        0x81 => GeneralName::Email(element.value),
        0x82 => GeneralName::Dns(element.value),
        0xa4 => GeneralName::Directory(Name::new(element.value)?),
        0x86 => GeneralName::Uri(element.value),
        0x87 => GeneralName::Ip(element.value),
        tag @ (0xa0 | 0xa3 | 0xa5 | 0x88) => GeneralName::Other(tag & 0x1f),
        _ => return None,
    })
}

/// One subtree of a name constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subtree {
    /// A mailbox, a host, or a domain with a leading dot.
    Email(Vec<u8>),
    /// A domain.
    Dns(Vec<u8>),
    /// A name and all below it.
    Directory(Name),
    /// A host, or a domain with a leading dot.
    Uri(Vec<u8>),
    /// Address and mask.
    Ip(Vec<u8>),
    /// A kind that cannot be checked, by its number.
    Other(u8),
}

/// RFC 5280 §4.2.1.10.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameConstraints {
    /// Names of a kind that occurs here must lie in one of these.
    pub permitted: Vec<Subtree>,
    /// No name may lie in one of these.
    pub excluded: Vec<Subtree>,
}

impl NameConstraints {
    /// From the extension's value. A minimum or maximum, which RFC 5280 rules out, makes it unreadable.
    pub(crate) fn new(value: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(der::single(value, der::SEQUENCE)?);
        let permitted = reader.take(der::explicit(0)).map_or(Some(Vec::new()), subtrees)?;
        let excluded = reader.take(der::explicit(1)).map_or(Some(Vec::new()), subtrees)?;
        reader.is_empty().then_some(Self { permitted, excluded })
    }
}

fn subtrees(contents: &[u8]) -> Option<Vec<Subtree>> {
    let mut reader = Reader::new(contents);
    let mut found = Vec::new();
    while !reader.is_empty() {
        let mut subtree = Reader::new(reader.take(der::SEQUENCE)?);
        found.push(match one(&mut subtree)? {
            GeneralName::Email(text) => Subtree::Email(text.to_vec()),
            GeneralName::Dns(text) => Subtree::Dns(text.to_vec()),
            GeneralName::Directory(name) => Subtree::Directory(name),
            GeneralName::Uri(text) => Subtree::Uri(text.to_vec()),
            GeneralName::Ip(octets) => Subtree::Ip(octets.to_vec()),
            GeneralName::Other(kind) => Subtree::Other(kind),
        });
        // `minimum [0] DEFAULT 0` written out all the same is tolerated.
        if subtree.peek() == Some(der::implicit(0)) && subtree.take(der::implicit(0))? != [0] {
            return None;
        }
        if !subtree.is_empty() {
            return None;
        }
    }
    Some(found)
}
