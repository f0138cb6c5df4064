//! `smtp_tls_ciphers` and `smtp_tls_exclude_ciphers`: OpenSSL's words, and the suites that rustls has.

use alloc::{borrow::ToOwned, string::String, sync::Arc, vec::Vec};
use core::str::FromStr;

use crate::{Protocols, openssl, words::words_at};

/// A cipher grade (postconf(5), `smtp_tls_ciphers`). All suites that are offered are of grade `high`, so that the grades differ in
/// one thing only: `null` has none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Grade {
    /// `null`: authentication without encryption, which is not offered.
    Null,
    /// `export`, `low` and `medium`; the first two mean the third since Postfix 3.8.
    #[default]
    Medium,
    /// `high`.
    High,
}

/// Why a grade or a list of exclusions is unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCiphers {
    /// The word is no grade.
    #[error("unknown cipher grade {0:?} (null, export, low, medium or high)")]
    Grade(String),
    /// Exclusions are names; OpenSSL's operators do not belong there.
    #[error("exclusion {0:?} starts with one of !+-@")]
    Modifier(String),
    /// No suite of the protocols is left.
    #[error("no cipher suite is left")]
    NoneLeft,
}

impl FromStr for Grade {
    type Err = InvalidCiphers;

    fn from_str(word: &str) -> Result<Self, InvalidCiphers> {
        const GRADES: [(&str, Grade); 5] = [
            ("null", Grade::Null),
            ("export", Grade::Medium),
            ("low", Grade::Medium),
            ("medium", Grade::Medium),
            ("high", Grade::High),
        ];
        let found = GRADES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        found.map(|(_, grade)| *grade).ok_or_else(|| InvalidCiphers::Grade(word.to_owned()))
    }
}

/// A list of exclusions: names of suites or of their properties, `+` between properties that must come together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Exclusions(Vec<String>);

impl FromStr for Exclusions {
    type Err = InvalidCiphers;

    fn from_str(text: &str) -> Result<Self, InvalidCiphers> {
        let words: Vec<String> =
            words_at(text, &[',', ':', ' ', '\t', '\r', '\n']).map(ToOwned::to_owned).collect();
        match words.iter().find(|word| word.starts_with(['!', '+', '-', '@'])) {
            Some(word) => Err(InvalidCiphers::Modifier(word.clone())),
            None => Ok(Self(words)),
        }
    }
}

impl Exclusions {
    /// These and those.
    #[must_use]
    pub fn and(&self, more: &Self) -> Self {
        Self(self.0.iter().chain(&more.0).cloned().collect())
    }

    /// Whether `suite` is among them.
    fn excludes(&self, suite: &Suite) -> bool {
        self.0.iter().any(|word| word.split('+').all(|part| suite.has(part)))
    }

    /// The words.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Words that exclude nothing, here and in Postfix, since they are none of OpenSSL's: mostly misspelt. OpenSSL ignores them silently.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        let known = |part: &str| SUITES.iter().any(|suite| suite.has(part)) || openssl::knows(part);
        self.words().filter(move |word| !word.split('+').all(known))
    }
}

/// One suite of TLS 1.2 with its names.
struct Suite {
    number: u16,
    openssl: &'static str,
    iana: &'static str,
    /// OpenSSL's words for its properties (openssl-ciphers(1)). `SHA256` and `SHA384` are MACs there, which AEAD suites have none of, and
    /// `RSA` is the key exchange; neither is one of these.
    words: &'static [&'static str],
}

impl Suite {
    fn has(&self, word: &str) -> bool {
        const ALL: [&str; 9] =
            ["ALL", "DEFAULT", "HIGH", "ECDHE", "EECDH", "kECDHE", "kEECDH", "TLSv1.2", "AEAD"];
        word == self.openssl || word == self.iana || ALL.contains(&word) || self.words.contains(&word)
    }
}

/// In the order of OpenSSL's default list.
const SUITES: [Suite; 6] = [
    Suite {
        number: 0xC02C,
        openssl: "ECDHE-ECDSA-AES256-GCM-SHA384",
        iana: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        words: &["aECDSA", "ECDSA", "AES", "AES256", "AESGCM", "AES256GCM", "FIPS", "SUITEB192"],
    },
    Suite {
        number: 0xC030,
        openssl: "ECDHE-RSA-AES256-GCM-SHA384",
        iana: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        words: &["aRSA", "AES", "AES256", "AESGCM", "AES256GCM", "FIPS"],
    },
    Suite {
        number: 0xCCA9,
        openssl: "ECDHE-ECDSA-CHACHA20-POLY1305",
        iana: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        words: &["aECDSA", "ECDSA", "CHACHA20"],
    },
    Suite {
        number: 0xCCA8,
        openssl: "ECDHE-RSA-CHACHA20-POLY1305",
        iana: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        words: &["aRSA", "CHACHA20"],
    },
    Suite {
        number: 0xC02B,
        openssl: "ECDHE-ECDSA-AES128-GCM-SHA256",
        iana: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        words: &["aECDSA", "ECDSA", "AES", "AES128", "AESGCM", "AES128GCM", "FIPS", "SUITEB128"],
    },
    Suite {
        number: 0xC02F,
        openssl: "ECDHE-RSA-AES128-GCM-SHA256",
        iana: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        words: &["aRSA", "AES", "AES128", "AESGCM", "AES128GCM", "FIPS"],
    },
];

/// RFC 8446 §B.4, in OpenSSL's order. Grades and exclusions are about TLS 1.2 and below: as with OpenSSL they do not touch these.
const TLS13_SUITES: [u16; 3] = [0x1302, 0x1303, 0x1301];

/// The suites to offer, and what is left of `protocols` with them.
pub(crate) fn offer(
    protocols: Protocols,
    grade: Grade,
    exclude: &Exclusions,
) -> Result<(Protocols, Arc<[u16]>), InvalidCiphers> {
    let mut suites: Vec<u16> = Vec::with_capacity(TLS13_SUITES.len() + SUITES.len());
    if protocols.tls13 {
        suites.extend(TLS13_SUITES);
    }
    let older = match grade {
        Grade::Null => &SUITES[..0],
        Grade::Medium | Grade::High => &SUITES[..],
    };
    let before = suites.len();
    if protocols.tls12 {
        suites.extend(older.iter().filter(|suite| !exclude.excludes(suite)).map(|suite| suite.number));
    }
    let left = Protocols { tls12: suites.len() > before, ..protocols };
    if suites.is_empty() { Err(InvalidCiphers::NoneLeft) } else { Ok((left, suites.into())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn left(protocols: &str, grade: &str, exclude: &str) -> Result<Vec<u16>, InvalidCiphers> {
        let (protocols, grade) = (protocols.parse().unwrap(), grade.parse()?);
        offer(protocols, grade, &exclude.parse()?).map(|(_, suites)| suites.to_vec())
    }

    #[test]
    fn exclusions_take_openssl_words_and_leave_tls13_alone() {
        let table = [
            ("TLSv1.2", "high", "AESGCM", Ok(vec![0xCCA9, 0xCCA8])),
            ("TLSv1.2", "medium", "AES256", Ok(vec![0xCCA9, 0xCCA8, 0xC02B, 0xC02F])),
            ("TLSv1.2", "medium", "aRSA+AES128, CHACHA20", Ok(vec![0xC02C, 0xC030, 0xC02B])),
            ("TLSv1.2", "medium", "ECDHE-RSA-AES256-GCM-SHA384:aECDSA", Ok(vec![0xCCA8, 0xC02F])),
            (
                "TLSv1.2",
                "LOW",
                "CAMELLIA:3DES:aNULL:RSA:SHA256",
                Ok(vec![0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC02B, 0xC02F]),
            ),
            ("TLSv1.3", "high", "AES256:CHACHA20:AES128", Ok(vec![0x1302, 0x1303, 0x1301])),
            (">=TLSv1.2", "null", "", Ok(vec![0x1302, 0x1303, 0x1301])),
            ("TLSv1.2", "null", "", Err(InvalidCiphers::NoneLeft)),
            ("TLSv1.2", "high", "ECDHE", Err(InvalidCiphers::NoneLeft)),
            ("TLSv1.2", "strong", "", Err(InvalidCiphers::Grade("strong".into()))),
            ("TLSv1.2", "high", "!AES", Err(InvalidCiphers::Modifier("!AES".into()))),
        ];
        for (protocols, grade, exclude, expected) in table {
            assert_eq!(left(protocols, grade, exclude), expected, "{protocols} {grade} {exclude}");
        }
    }

    #[test]
    fn a_protocol_without_suites_is_not_offered() {
        let (protocols, _) = offer(Protocols::default(), Grade::High, &"ECDHE".parse().unwrap()).unwrap();
        assert_eq!(protocols, Protocols { tls12: false, tls13: true });
    }
}
