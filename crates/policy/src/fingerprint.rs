//! Fingerprints as text.

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};

use waxseal_types::{DigestAlgorithm, Fingerprint};

use crate::words::words_at;

/// Why a text is no fingerprint of the configured digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFingerprint {
    /// Not hexadecimal octets.
    #[error("fingerprint {0:?} is not hexadecimal octets with or without colons between them")]
    Syntax(String),
    /// Not as long as the digest.
    #[error("fingerprint {text:?} has {octets} octets, but the digest has {expected}")]
    Length {
        /// The text.
        text: String,
        /// Its octets.
        octets: usize,
        /// Those of the digest.
        expected: usize,
    },
}

/// The digest of that name (postconf(5), `smtp_tls_fingerprint_digest`); `None` for one that is not supported.
#[must_use]
pub fn parse_digest_name(name: &str) -> Option<DigestAlgorithm> {
    const NAMES: [(&str, DigestAlgorithm); 10] = [
        ("md5", DigestAlgorithm::Md5),
        ("sha1", DigestAlgorithm::Sha1),
        ("sha-1", DigestAlgorithm::Sha1),
        ("sha256", DigestAlgorithm::Sha256),
        ("sha-256", DigestAlgorithm::Sha256),
        ("sha2-256", DigestAlgorithm::Sha256),
        ("sha384", DigestAlgorithm::Sha384),
        ("sha-384", DigestAlgorithm::Sha384),
        ("sha512", DigestAlgorithm::Sha512),
        ("sha-512", DigestAlgorithm::Sha512),
    ];
    NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, digest)| *digest)
}

const fn octets(digest: DigestAlgorithm) -> usize {
    match digest {
        DigestAlgorithm::Md5 => 16,
        DigestAlgorithm::Sha1 => 20,
        DigestAlgorithm::Sha256 => 32,
        DigestAlgorithm::Sha384 => 48,
        DigestAlgorithm::Sha512 => 64,
    }
}

/// One fingerprint: hexadecimal octets in any case, colons between them or not.
///
/// # Errors
/// [`InvalidFingerprint`], also for one of another length than the digest's.
pub fn parse_fingerprint(text: &str, digest: DigestAlgorithm) -> Result<Fingerprint, InvalidFingerprint> {
    let fingerprint = octets_of(text)?;
    check_length(text, &fingerprint, digest)?;
    Ok(fingerprint)
}

fn octets_of(text: &str) -> Result<Fingerprint, InvalidFingerprint> {
    let wrong = || InvalidFingerprint::Syntax(text.to_owned());
    let nibble = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok()).ok_or_else(wrong);
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut digits = text.bytes().peekable();
    while let Some(high) = digits.next() {
        let low = digits.next().ok_or_else(wrong)?;
        bytes.push(nibble(high)? << 4 | nibble(low)?);
        if digits.next_if_eq(&b':').is_some() && digits.peek().is_none() {
            return Err(wrong());
        }
    }
    if bytes.is_empty() { Err(wrong()) } else { Ok(Fingerprint(bytes)) }
}

fn check_length(
    text: &str,
    fingerprint: &Fingerprint,
    digest: DigestAlgorithm,
) -> Result<(), InvalidFingerprint> {
    let (octets, expected) = (fingerprint.0.len(), octets(digest));
    if octets == expected {
        Ok(())
    } else {
        Err(InvalidFingerprint::Length { text: text.to_owned(), octets, expected })
    }
}

/// A list of them: between `|` in a policy table, between commas, white space or `|` in the configuration.
///
/// As in Postfix, what is no fingerprint is left out, and what is one of some other digest stays, matching nothing; both are complaints.
#[must_use]
pub fn parse_fingerprints(
    text: &str,
    digest: DigestAlgorithm,
) -> (Vec<Fingerprint>, Vec<InvalidFingerprint>) {
    let (mut good, mut complaints) = (Vec::new(), Vec::new());
    for word in words_at(text, &['|', ',', ' ', '\t', '\r', '\n']) {
        let (fingerprint, complaint) = read(word, digest);
        good.extend(fingerprint);
        complaints.extend(complaint);
    }
    (good, complaints)
}

/// One of a list.
pub(crate) fn read(word: &str, digest: DigestAlgorithm) -> (Option<Fingerprint>, Option<InvalidFingerprint>) {
    match octets_of(word) {
        Ok(fingerprint) => {
            let complaint = check_length(word, &fingerprint, digest).err();
            (Some(fingerprint), complaint)
        }
        Err(complaint) => (None, Some(complaint)),
    }
}

/// Octets with colons between them, as tools print them.
pub(crate) fn to_text(fingerprint: &Fingerprint) -> String {
    fingerprint.0.iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn fingerprints_are_read_with_and_without_colons() {
        let digest = DigestAlgorithm::Md5;
        let expected = vec![Fingerprint((0..16).collect())];
        for good in [
            "00:01:02:03:04:05:06:07:08:09:0A:0b:0C:0D:0E:0F",
            "000102030405060708090a0b0c0d0e0f",
            "|000102030405060708090a0b0c0d0e0f|",
        ] {
            assert_eq!(parse_fingerprints(good, digest), (expected.clone(), vec![]), "{good}");
        }
        for bad in [
            "00:01",
            "0",
            "00:01:02:03:04:05:06:07:08:09:0A:0b:0C:0D:0E:0F:",
            "00::01:02:03:04:05:06:07:08:09:0A:0b:0C:0D:0E:0F",
            "g00102030405060708090a0b0c0d0e0f",
            "+0+1020304050607",
        ] {
            assert!(parse_fingerprint(bad, digest).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_fingerprint_is_left_out_and_a_short_one_stays_without_matching() {
        let (good, complaints) = parse_fingerprints("zz:zz|ab:cd", DigestAlgorithm::Sha256);
        assert_eq!(good, [Fingerprint(vec![0xab, 0xcd])]);
        assert_eq!(complaints.len(), 2);
    }
}
