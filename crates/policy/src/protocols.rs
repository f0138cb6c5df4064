//! `smtp_tls_protocols` and the attribute `protocols`.

use alloc::{borrow::ToOwned, string::String};
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
        let (mut included, mut excluded) =
            (Self { tls12: false, tls13: false }, Self { tls12: false, tls13: false });
        let (mut inclusive, mut floor, mut ceiling) = (false, 0, u16::MAX);
        for word in words_at(text, &[',', ':', ' ', '\t', '\r', '\n']) {
            let unknown = || InvalidProtocols::Unknown(word.to_owned());
            if let Some(limit) = word.strip_prefix(">=") {
                floor = version(limit, true).ok_or_else(unknown)?;
            } else if let Some(limit) = word.strip_prefix("<=") {
                // A ceiling of 0 is none.
                ceiling =
                    version(limit, true).map(|v| if v == 0 { u16::MAX } else { v }).ok_or_else(unknown)?;
            } else {
                let (name, set) = match word.strip_prefix('!') {
                    Some(name) => (name, &mut excluded),
                    None => {
                        inclusive = true;
                        (word, &mut included)
                    }
                };
                let number = version(name, false).ok_or_else(unknown)?;
                set.tls12 |= number == TLS12;
                set.tls13 |= number == TLS13;
            }
        }
        let allowed = |number: u16, included: bool, excluded: bool| {
            (floor..=ceiling).contains(&number) && (included || !inclusive) && !excluded
        };
        let left = Self {
            tls12: allowed(TLS12, included.tls12, excluded.tls12),
            tls13: allowed(TLS13, included.tls13, excluded.tls13),
        };
        if left.tls12 || left.tls13 { Ok(left) } else { Err(InvalidProtocols::NoneLeft(text.to_owned())) }
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
}
