//! `smtp_tls_protocols` and the attribute `protocols`.

use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::{fmt, str::FromStr};

use crate::words::words_at;

/// The TLS versions that a handshake may end up with. Versions below TLS 1.2 can be named, but are never offered (RFC 8996).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Protocols {
    /// TLS 1.2.
    pub tls12: bool,
    /// TLS 1.3.
    pub tls13: bool,
}

/// Why a list of protocols is unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProtocols {
    /// A word that is no protocol.
    #[error(
        "unknown TLS protocol {0:?} (SSLv2, SSLv3, TLSv1, TLSv1.1, TLSv1.2, TLSv1.3; also !P, >=P and <=P)"
    )]
    Unknown(String),
    /// RFC 8996: nothing that is offered is left.
    #[error("protocols {0:?} leave neither TLSv1.2 nor TLSv1.3, and older ones are not offered")]
    NoneLeft(String),
}

impl Default for Protocols {
    /// All that is offered.
    fn default() -> Self {
        Self { tls12: true, tls13: true }
    }
}

/// The names with their wire versions; SSLv2 has its own numbering.
const NAMES: [(&str, u16); 6] = [
    ("SSLv2", 0x0002),
    ("SSLv3", 0x0300),
    ("TLSv1", 0x0301),
    ("TLSv1.1", 0x0302),
    ("TLSv1.2", 0x0303),
    ("TLSv1.3", 0x0304),
];
const TLS10: u16 = 0x0301;
const TLS11: u16 = 0x0302;
const TLS12: u16 = 0x0303;
const TLS13: u16 = 0x0304;

/// A name in any case, or the number of a version in hexadecimal or decimal, which limits may be written as.
fn version(word: &str, limit: bool) -> Option<u16> {
    let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, number)| *number);
    named.or_else(|| {
        if !limit {
            return None;
        }
        let hex = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
        hex.map_or_else(|| word.parse().ok(), |digits| u16::from_str_radix(digits, 16).ok())
    })
}

impl FromStr for Protocols {
    type Err = InvalidProtocols;

    /// postconf(5), `smtp_tls_mandatory_protocols`: `!P` excludes, `P` includes, `>=P` and `<=P` limit; all must hold.
    fn from_str(text: &str) -> Result<Self, InvalidProtocols> {
        let rules = Rules::read(text)?;
        let left = Self { tls12: rules.allow(TLS12), tls13: rules.allow(TLS13) };
        if left.tls12 || left.tls13 { Ok(left) } else { Err(InvalidProtocols::NoneLeft(text.to_owned())) }
    }
}

impl Protocols {
    /// Whether a list that is valid also allows versions below TLS 1.2, which are never offered.
    #[must_use]
    pub fn allows_older(text: &str) -> bool {
        // SSLv2 and SSLv3 are gone from OpenSSL, too.
        Rules::read(text).is_ok_and(|rules| rules.allow(TLS10) || rules.allow(TLS11))
    }
}

/// A list of protocols, read.
#[derive(Debug)]
struct Rules {
    included: Vec<u16>,
    excluded: Vec<u16>,
    floor: u16,
    ceiling: u16,
}

impl Rules {
    fn read(text: &str) -> Result<Self, InvalidProtocols> {
        let mut rules = Self { included: Vec::new(), excluded: Vec::new(), floor: 0, ceiling: u16::MAX };
        for word in words_at(text, &[',', ':', ' ', '\t', '\r', '\n']) {
            let unknown = || InvalidProtocols::Unknown(word.to_owned());
            if let Some(limit) = word.strip_prefix(">=") {
                rules.floor = version(limit, true).ok_or_else(unknown)?;
            } else if let Some(limit) = word.strip_prefix("<=") {
                // A ceiling of 0 is none.
                let ceiling = version(limit, true).ok_or_else(unknown)?;
                rules.ceiling = if ceiling == 0 { u16::MAX } else { ceiling };
            } else {
                let (name, list) = match word.strip_prefix('!') {
                    Some(name) => (name, &mut rules.excluded),
                    None => (word, &mut rules.included),
                };
                list.push(version(name, false).ok_or_else(unknown)?);
            }
        }
        Ok(rules)
    }

    fn allow(&self, version: u16) -> bool {
        (self.floor..=self.ceiling).contains(&version)
            && (self.included.is_empty() || self.included.contains(&version))
            && !self.excluded.contains(&version)
    }
}

impl fmt::Display for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.tls12, self.tls13) {
            (true, true) => ">=TLSv1.2",
            (true, false) => "TLSv1.2",
            (false, true) => "TLSv1.3",
            (false, false) => "none",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_lists_of_both_syntaxes() {
        let (v12, v13, both) = (Some((true, false)), Some((false, true)), Some((true, true)));
        let table = [
            ("", both),
            ("TLSv1.2", v12),
            ("tlsv1.2", v12),
            ("TLSv1.3", v13),
            ("!TLSv1.3", v12),
            ("!TLSv1.2", v13),
            (">=TLSv1.3", v13),
            ("<=TLSv1.2", v12),
            (">=TLSv1", both),
            (">=0x0304", v13),
            (">=771", both),
            (">=TLSv1.2:<=TLSv1.2", v12),
            ("!SSLv2:!SSLv3:!TLSv1:!TLSv1.1", both),
            ("!SSLv2, !SSLv3", both),
            ("TLSv1.2:TLSv1.3", both),
            ("TLSv1 TLSv1.2", v12),
            (">=TLSv1.2:!TLSv1.2", v13),
            ("TLSv1.1", None),
            ("<=TLSv1.1", None),
            ("!TLSv1.2:!TLSv1.3", None),
            ("TLSv9", None),
            ("TLSv1.2 and up", None),
            ("!", None),
        ];
        for (text, expected) in table {
            let got = text.parse::<Protocols>().ok().map(|p| (p.tls12, p.tls13));
            assert_eq!(got, expected, "{text:?}");
        }
    }

    #[test]
    fn lists_that_allow_what_is_never_offered() {
        for (text, expected) in [
            ("", true),
            (">=TLSv1", true),
            ("!SSLv2:!SSLv3", true),
            (">=TLSv1.1", true),
            ("!SSLv2:!SSLv3:!TLSv1:!TLSv1.1", false),
            (">=TLSv1.2", false),
            ("TLSv1.2", false),
            ("TLSv1:TLSv1.2", true),
            ("SSLv3:TLSv1.2", false),
            ("nonsense", false),
        ] {
            assert_eq!(Protocols::allows_older(text), expected, "{text:?}");
        }
    }
}
