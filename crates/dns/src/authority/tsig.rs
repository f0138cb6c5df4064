//! Keys for updates, in the files that BIND's tools read and write (`tsig-keygen`, `nsupdate -k`).

use std::fmt;

use hickory_proto::rr::{Name, TSigner, rdata::tsig::TsigAlgorithm};

/// Octets of a key file; real ones have two hundred.
const MAX_FILE: usize = 64 << 10;
/// Seconds that the clocks may differ (RFC 8945 §10: 300 are recommended).
const FUDGE: u16 = 300;

/// A shared key (RFC 8945).
#[derive(Clone)]
pub struct TsigKey {
    name: String,
    pub(super) signer: TSigner,
}

impl fmt::Debug for TsigKey {
    /// The secret is never shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TsigKey({})", self.name)
    }
}

/// Why a text is no key file. The secret is never quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTsigKey {
    /// There is no `key "name" { ... };` in it.
    #[error("no key \"NAME\" {{ algorithm ...; secret \"...\"; }}; is in it")]
    Shape,
    /// More than one key.
    #[error("more than one key is in it")]
    Several,
    /// An algorithm that is not taken here.
    #[error("algorithm {0:?} is none of hmac-sha256, hmac-sha384 and hmac-sha512")]
    Algorithm(String),
    /// The secret is no base64, or none.
    #[error("the secret is no base64")]
    Secret,
    /// The name of the key is no domain name.
    #[error("the name of the key is no domain name")]
    Name,
}

impl TsigKey {
    /// Reads `key "name" { algorithm hmac-sha256; secret "base64"; };`, comments allowed.
    ///
    /// # Errors
    /// [`InvalidTsigKey`] says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, InvalidTsigKey> {
        let words = words(text)?;
        let mut words = words.iter().map(String::as_str);
        let (mut name, mut algorithm, mut secret) = (None, None, None);
        while let Some(word) = words.next() {
            let place = match word {
                "key" => &mut name,
                "algorithm" => &mut algorithm,
                "secret" => &mut secret,
                "{" | "}" | ";" => continue,
                _ => return Err(InvalidTsigKey::Shape),
            };
            let value = words.next().filter(|value| !["{", "}", ";"].contains(value));
            if place.is_some() {
                return Err(InvalidTsigKey::Several);
            }
            *place = Some(value.ok_or(InvalidTsigKey::Shape)?);
        }
        let (Some(name), Some(algorithm), Some(secret)) = (name, algorithm, secret) else {
            return Err(InvalidTsigKey::Shape);
        };
        let algorithm = match algorithm.to_ascii_lowercase().trim_end_matches('.') {
            "hmac-sha256" => TsigAlgorithm::HmacSha256,
            "hmac-sha384" => TsigAlgorithm::HmacSha384,
            "hmac-sha512" => TsigAlgorithm::HmacSha512,
            other => return Err(InvalidTsigKey::Algorithm(other.chars().take(40).collect())),
        };
        let octets = base64(secret).filter(|octets| !octets.is_empty()).ok_or(InvalidTsigKey::Secret)?;
        let wire = Name::from_ascii(name).map_err(|_| InvalidTsigKey::Name)?.to_lowercase();
        let shown = wire.to_ascii().trim_end_matches('.').to_owned();
        let signer = TSigner::new(octets, algorithm, wire, FUDGE).map_err(|_| InvalidTsigKey::Shape)?;
        Ok(Self { name: shown, signer })
    }

    /// Its name, as the server knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Words, strings without their quotes, and marks; comments in the three ways of named.conf(5).
fn words(text: &str) -> Result<Vec<String>, InvalidTsigKey> {
    if text.len() > MAX_FILE {
        return Err(InvalidTsigKey::Shape);
    }
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") || first == '#' {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").ok_or(InvalidTsigKey::Shape)?.1;
        } else if let Some(quoted) = rest.strip_prefix('"') {
            let (word, after) = quoted.split_once('"').ok_or(InvalidTsigKey::Shape)?;
            found.push(word.to_owned());
            rest = after;
        } else if "{};".contains(first) {
            found.push(first.to_string());
            rest = &rest[1..];
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || "{};\"".contains(c)).unwrap_or(rest.len());
            found.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(found)
}

/// RFC 4648 §4, padded.
fn base64(text: &str) -> Option<Vec<u8>> {
    let value = |octet: u8| {
        Some(match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        })
    };
    let text = text.as_bytes();
    let padding = text.iter().rev().take_while(|octet| **octet == b'=').count();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut octets = Vec::with_capacity(text.len() / 4 * 3);
    let (mut kept, mut bits) = (0_u32, 0_u32);
    for octet in &text[..text.len() - padding] {
        kept = kept << 6 | u32::from(value(*octet)?);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            octets.push((kept >> bits) as u8);
            kept &= (1 << bits) - 1;
        }
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_files_are_read_as_binds_tools_write_them() {
        let file = "# made by tsig-keygen\nkey \"Mail-Update\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0IG9jdGV0cyE=\"; // it\n};\n";
        let key = TsigKey::parse(file).unwrap();
        assert_eq!((key.name(), key.signer.key()), ("mail-update", &b"secret octets!"[..]));
        assert_eq!(format!("{key:?}"), "TsigKey(mail-update)");
        let with = |algorithm: &str| format!("/* x */ key k {{ algorithm {algorithm}; secret AAAA; }};");
        assert!(TsigKey::parse(&with("hmac-sha512")).is_ok());
        for (text, wrong) in [
            (with("hmac-md5"), InvalidTsigKey::Algorithm("hmac-md5".into())),
            (with("hmac-sha256").replace("AAAA", "AA*A"), InvalidTsigKey::Secret),
            (with("hmac-sha256").replace("AAAA", "\"\""), InvalidTsigKey::Secret),
            (with("hmac-sha256").repeat(2), InvalidTsigKey::Several),
            (with("hmac-sha256").replace("secret", "sekret"), InvalidTsigKey::Shape),
            ("/* open".into(), InvalidTsigKey::Shape),
            (String::new(), InvalidTsigKey::Shape),
        ] {
            assert_eq!(TsigKey::parse(&text).unwrap_err(), wrong, "{text}");
        }
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (text, octets) in
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar")]
        {
            assert_eq!(base64(text).as_deref(), Some(octets.as_bytes()), "{text}");
        }
        for wrong in ["Z", "Zg=", "Z===", "Zg=v", "Zm9v\n"] {
            assert_eq!(base64(wrong), None, "{wrong}");
        }
    }
}
