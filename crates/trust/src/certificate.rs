//! X.509 certificates, read once, with nothing judged.

use std::{fmt, ops::Range, sync::Arc};

use sha2::{Digest as _, Sha256};

use crate::{
    Name, PublicKey, der,
    der::Reader,
    extensions::Extensions,
    general_name::{self, GeneralName},
};

/// A certificate (RFC 5280 §4.1) that could be read.
///
/// Reading is lenient: what a check needs and could not be understood (a date, an extension) is kept as "not understood", and
/// only a path through the certificate fails for it. Cloning is cheap.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    tbs: Range<usize>,
    spki: Range<usize>,
    algorithm: Range<usize>,
    parameters: Range<usize>,
    same_algorithm: bool,
    signature: Range<usize>,
    version: u8,
    issuer: Name,
    subject: Name,
    not_before: Option<i64>,
    not_after: Option<i64>,
    extensions: Extensions,
}

/// The octets are no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an X.509 certificate")]
pub struct NotACertificate;

/// The parts of a certificate that its signature is about.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The signed octets.
    pub message: &'a [u8],
    /// The object identifier of the algorithm.
    pub algorithm: &'a [u8],
    /// What follows it in the AlgorithmIdentifier: parameters, NULL, or nothing.
    pub parameters: &'a [u8],
    /// Whether the algorithm inside the signed octets is the same (RFC 5280 §4.1.1.2).
    pub same_algorithm: bool,
    /// The signature.
    pub signature: &'a [u8],
}

impl Certificate {
    /// Reads one certificate; nothing may follow it.
    ///
    /// # Errors
    /// [`NotACertificate`], without saying where it stops being one.
    pub fn parse(der: &[u8]) -> Result<Self, NotACertificate> {
        read(der).map(|inner| Self(Arc::new(inner))).ok_or(NotACertificate)
    }

    /// The certificate as it came.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.0.der
    }

    /// Whom it is about.
    #[must_use]
    pub fn subject(&self) -> &Name {
        &self.0.subject
    }

    /// Who says so.
    #[must_use]
    pub fn issuer(&self) -> &Name {
        &self.0.issuer
    }

    /// 1, 2 or 3.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.0.version
    }

    /// The first second of its validity since 1970; `None` if it is not written as RFC 5280 §4.1.2.5 says.
    #[must_use]
    pub fn not_before(&self) -> Option<i64> {
        self.0.not_before
    }

    /// The last second of its validity.
    #[must_use]
    pub fn not_after(&self) -> Option<i64> {
        self.0.not_after
    }

    /// The SubjectPublicKeyInfo as it stands in the certificate.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.0.der[self.0.spki.clone()]
    }

    /// The key, if it is one that can be used.
    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        PublicKey::parse(self.spki())
    }

    /// What its signature is about.
    #[must_use]
    pub fn signed(&self) -> Signed<'_> {
        Signed {
            message: &self.0.der[self.0.tbs.clone()],
            algorithm: &self.0.der[self.0.algorithm.clone()],
            parameters: &self.0.der[self.0.parameters.clone()],
            same_algorithm: self.0.same_algorithm,
            signature: &self.0.der[self.0.signature.clone()],
        }
    }

    /// Its extensions.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// The alternative names of its subject.
    pub fn alternative_names(&self) -> impl Iterator<Item = GeneralName<'_>> {
        general_name::names(self.0.extensions.alternative_names.as_deref().unwrap_or_default())
    }

    /// Whether subject and issuer are the same (RFC 5280 §3.2).
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.0.subject == self.0.issuer
    }

    /// Whether it looks as if its own key signed it; the signature itself is not checked.
    #[must_use]
    pub fn is_root(&self) -> bool {
        let ids = &self.0.extensions;
        let other_key = ids
            .authority_key
            .as_ref()
            .zip(ids.subject_key.as_ref())
            .is_some_and(|(authority, own)| authority != own);
        self.is_self_issued() && !other_key
    }

    /// SHA-256 of the certificate.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Self::digest(&self.0.der)
    }

    /// SHA-256 of anything that is compared with a certificate or its parts.
    #[must_use]
    pub fn digest(octets: &[u8]) -> [u8; 32] {
        Sha256::digest(octets).into()
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.subject())
    }
}

/// Where `part`, which was cut out of `whole`, lies in it.
fn place(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

fn read(der: &[u8]) -> Option<Inner> {
    let mut outer = Reader::new(der::single(der, der::SEQUENCE)?);
    let tbs = outer.next().filter(|element| element.tag == der::SEQUENCE)?;
    let algorithm = outer.next().filter(|element| element.tag == der::SEQUENCE)?;
    let signature = outer.take(der::BIT_STRING)?.strip_prefix(&[0])?;
    if !outer.is_empty() {
        return None;
    }
    let mut fields = Reader::new(tbs.value);
    let version = match fields.take(der::explicit(0)) {
        None => 1,
        // RFC 5280 §4.1.2.1: 0, 1 and 2 are versions 1 to 3. Others are read like version 3.
        Some(version) => match der::single(version, der::INTEGER)? {
            [0] => 1,
            [1] => 2,
            _ => 3,
        },
    };
    fields.take(der::INTEGER)?;
    let inner_algorithm = fields.next().filter(|element| element.tag == der::SEQUENCE)?;
    let issuer = Name::new(fields.next()?.whole)?;
    let mut validity = Reader::new(fields.take(der::SEQUENCE)?);
    let (not_before, not_after) = (time(&validity.next()?), time(&validity.next()?));
    let subject = Name::new(fields.next()?.whole)?;
    let spki = fields.next().filter(|element| element.tag == der::SEQUENCE)?;
    let mut identifier = Reader::new(algorithm.value);
    let oid = identifier.take(der::OID)?;
    Some(Inner {
        tbs: place(der, tbs.whole)?,
        spki: place(der, spki.whole)?,
        algorithm: place(der, oid)?,
        parameters: place(der, identifier.rest())?,
        same_algorithm: algorithm.whole == inner_algorithm.whole,
        signature: place(der, signature)?,
        version,
        issuer,
        subject,
        not_before,
        not_after,
        extensions: extensions(fields)?,
        der: der.to_vec(),
    })
}

/// The end of a certificate's fields.
fn extensions(mut fields: Reader<'_>) -> Option<Extensions> {
    // The unique identifiers of version 2 mean nothing to anybody.
    for unique in [1, 2] {
        if matches!(fields.peek(), Some(tag) if tag & !0x20 == der::implicit(unique)) {
            fields.next()?;
        }
    }
    let extensions = match fields.take(der::explicit(3)) {
        None => Extensions::default(),
        Some(list) => Extensions::new(der::single(list, der::SEQUENCE)?)?,
    };
    fields.is_empty().then_some(extensions)
}

/// RFC 5280 §4.1.2.5: `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, nothing else.
fn time(element: &der::Element<'_>) -> Option<i64> {
    let digits = element.value.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let two =
        |at: usize| digits.get(at..at + 2).map(|d| i64::from(d[0] - b'0') * 10 + i64::from(d[1] - b'0'));
    let (year, rest) = match (element.tag, digits.len()) {
        // RFC 5280 §4.1.2.5.1: 50 to 99 are of the last century.
        (0x17, 12) => (two(0)? + if two(0)? < 50 { 2000 } else { 1900 }, 2),
        (0x18, 14) => (two(0)? * 100 + two(2)?, 4),
        _ => return None,
    };
    let (month, day, hour, minute, second) =
        (two(rest)?, two(rest + 2)?, two(rest + 4)?, two(rest + 6)?, two(rest + 8)?);
    if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(days_before(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date algorithms").
const fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The SubjectPublicKeyInfo of something that looks like a certificate from afar; for fingerprints and possession, which
/// do not depend on the rest being in order.
#[must_use]
pub fn spki_of(certificate: &[u8]) -> Option<&[u8]> {
    let mut outer = Reader::new(certificate);
    let mut fields = Reader::new(Reader::new(outer.take(der::SEQUENCE)?).take(der::SEQUENCE)?);
    if fields.peek() == Some(der::explicit(0)) {
        fields.next()?;
    }
    // Serial number, algorithm, issuer, validity, subject.
    for _ in 0..5 {
        fields.next()?;
    }
    fields.next().filter(|element| element.tag == der::SEQUENCE).map(|element| element.whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(tag: u8, text: &[u8]) -> Option<i64> {
        time(&der::Element { tag, value: text, whole: text })
    }

    #[test]
    fn dates_are_read_as_rfc5280_writes_them() {
        assert_eq!(at(0x17, b"700101000000Z"), Some(0));
        assert_eq!(at(0x17, b"491231235959Z"), Some(2_524_607_999));
        assert_eq!(at(0x17, b"500101000000Z"), Some(-631_152_000));
        assert_eq!(at(0x18, b"20240229120000Z"), Some(1_709_208_000));
        assert_eq!(at(0x18, b"99991231235959Z"), Some(253_402_300_799));
        for bad in [
            &b"7001010000Z"[..],
            b"700101000000",
            b"700101000000+0000",
            b"70010100000xZ",
            b"701301000000Z",
            b"Z",
        ] {
            assert_eq!(at(0x17, bad), None, "{bad:?}");
        }
        for bad in [&b"20230229120000Z"[..], b"20240101240000Z", b"20240101120000.5Z", b"240101120000Z", b""]
        {
            assert_eq!(at(0x18, bad), None, "{bad:?}");
        }
    }
}
