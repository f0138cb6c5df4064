//! The extensions that path validation reads.

use crate::{
    der,
    der::Reader,
    general_name::{self, NameConstraints},
};

/// What the extensions of a certificate say (RFC 5280 §4.2).
#[derive(Debug, Clone, Default)]
pub struct Extensions {
    /// basicConstraints.
    pub basic: Option<BasicConstraints>,
    /// keyUsage.
    pub key_usage: Option<KeyUsage>,
    /// extKeyUsage.
    pub extended: Option<ExtendedKeyUsage>,
    /// nameConstraints.
    pub name_constraints: Option<NameConstraints>,
    /// subjectKeyIdentifier.
    pub subject_key: Option<Vec<u8>>,
    /// The key identifier of authorityKeyIdentifier.
    pub authority_key: Option<Vec<u8>>,
    /// One of them is critical and not among those that are processed or may be ignored.
    pub unknown_critical: bool,
    /// One that matters could not be read, or occurs twice.
    pub malformed: Option<&'static str>,
    pub(crate) alternative_names: Option<Vec<u8>>,
}

/// RFC 5280 §4.2.1.9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BasicConstraints {
    /// It is an authority.
    pub ca: bool,
    /// At most so many intermediates below it.
    pub path_length: Option<u32>,
}

/// RFC 5280 §4.2.1.3, the first octet; the second has decipherOnly alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage(u8);

impl KeyUsage {
    /// keyCertSign.
    #[must_use]
    pub const fn signs_certificates(self) -> bool {
        self.0 & 0x04 != 0
    }

    /// digitalSignature, keyEncipherment or keyAgreement: what a TLS server does with its key.
    #[must_use]
    pub const fn serves_tls(self) -> bool {
        self.0 & (0x80 | 0x20 | 0x08) != 0
    }

    /// digitalSignature or keyAgreement: what a TLS client does with its key.
    #[must_use]
    pub const fn proves_clients(self) -> bool {
        self.0 & (0x80 | 0x08) != 0
    }
}

/// RFC 5280 §4.2.1.12, as far as it concerns TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtendedKeyUsage {
    /// serverAuth, or its forerunners of Netscape and Microsoft.
    pub server: bool,
    /// clientAuth.
    pub client: bool,
    /// anyExtendedKeyUsage.
    pub any: bool,
}

/// More extensions than this are not read; real certificates have about ten.
const MAX_EXTENSIONS: usize = 100;

impl Extensions {
    /// From the contents of the list. `None` if it is not even a list.
    pub(crate) fn new(list: &[u8]) -> Option<Self> {
        let mut found = Self::default();
        let mut seen: Vec<&[u8]> = Vec::new();
        let mut reader = Reader::new(list);
        while !reader.is_empty() {
            let mut extension = Reader::new(reader.take(der::SEQUENCE)?);
            let oid = extension.take(der::OID)?;
            let critical = extension.take(der::BOOLEAN).is_some_and(|flag| flag != [0]);
            let value = extension.take(der::OCTET_STRING)?;
            if seen.len() >= MAX_EXTENSIONS {
                found.malformed = Some("too many extensions");
                break;
            }
            // RFC 5280 §4.2: not more than one instance of an extension.
            if seen.contains(&oid) {
                found.malformed = Some("an extension that occurs twice");
            }
            seen.push(oid);
            found.take(oid, critical, value);
        }
        Some(found)
    }

    fn take(&mut self, oid: &[u8], critical: bool, value: &[u8]) {
        let malformed = match oid {
            [0x55, 0x1d, 14] => keep(&mut self.subject_key, key_id(value), "subjectKeyIdentifier")
                .or_else(|| self.unknown(critical)),
            [0x55, 0x1d, 35] => {
                self.authority_key = authority_key(value);
                self.unknown(critical)
            }
            [0x55, 0x1d, 15] => keep(&mut self.key_usage, key_usage(value), "keyUsage"),
            [0x55, 0x1d, 17] => keep(&mut self.alternative_names, alternative_names(value), "subjectAltName"),
            [0x55, 0x1d, 19] => keep(&mut self.basic, basic(value), "basicConstraints"),
            [0x55, 0x1d, 30] => {
                keep(&mut self.name_constraints, NameConstraints::new(value), "nameConstraints")
            }
            [0x55, 0x1d, 37] => keep(&mut self.extended, extended(value), "extKeyUsage"),
            // cRLDistributionPoints, certificatePolicies, policyMappings, policyConstraints, inhibitAnyPolicy and Netscape's
            // certificate type change nothing where no policy is asked for and no revocation list is read.
            [0x55, 0x1d, 31 | 32 | 33 | 36 | 54] | [0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x42, 0x01, 0x01] => {
                None
            }
            _ => self.unknown(critical),
        };
        self.malformed = self.malformed.or(malformed);
    }

    fn unknown(&mut self, critical: bool) -> Option<&'static str> {
        self.unknown_critical |= critical;
        None
    }
}

/// Stores what was read, or says what was not.
fn keep<T>(slot: &mut Option<T>, value: Option<T>, what: &'static str) -> Option<&'static str> {
    let missing = value.is_none().then_some(what);
    *slot = value;
    missing
}

fn key_id(value: &[u8]) -> Option<Vec<u8>> {
    der::single(value, der::OCTET_STRING).map(<[u8]>::to_vec)
}

fn authority_key(value: &[u8]) -> Option<Vec<u8>> {
    Reader::new(der::single(value, der::SEQUENCE)?).take(der::implicit(0)).map(<[u8]>::to_vec)
}

fn alternative_names(value: &[u8]) -> Option<Vec<u8>> {
    let contents = der::single(value, der::SEQUENCE)?;
    general_name::well_formed(contents).then(|| contents.to_vec())
}

fn basic(value: &[u8]) -> Option<BasicConstraints> {
    let mut fields = Reader::new(der::single(value, der::SEQUENCE)?);
    let ca = fields.take(der::BOOLEAN).is_some_and(|flag| flag != [0]);
    let path_length = match fields.take(der::INTEGER) {
        None => None,
        Some(number @ [0..=0x7f, ..]) if number.len() <= 4 => {
            Some(number.iter().fold(0u32, |sum, octet| sum << 8 | u32::from(*octet)))
        }
        Some(_) => return None,
    };
    // RFC 5280 §4.2.1.9: a length only for an authority; written elsewhere it is a mistake that must not be read as a limit.
    (fields.is_empty() && (ca || path_length.is_none())).then_some(BasicConstraints { ca, path_length })
}

fn key_usage(value: &[u8]) -> Option<KeyUsage> {
    let bits = der::single(value, der::BIT_STRING)?;
    let (unused, octets) = bits.split_first()?;
    // A usage of no bits at all allows nothing.
    (*unused < 8 && octets.len() <= 2).then(|| KeyUsage(octets.first().copied().unwrap_or(0)))
}

fn extended(value: &[u8]) -> Option<ExtendedKeyUsage> {
    let mut list = Reader::new(der::single(value, der::SEQUENCE)?);
    let mut found = ExtendedKeyUsage { server: false, client: false, any: false };
    while !list.is_empty() {
        match list.take(der::OID)? {
            // serverAuth; Microsoft's and Netscape's "server gated cryptography".
            [0x2b, 6, 1, 5, 5, 7, 3, 1]
            | [0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x0a, 3, 3]
            | [0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x42, 4, 1] => found.server = true,
            [0x2b, 6, 1, 5, 5, 7, 3, 2] => found.client = true,
            [0x55, 0x1d, 37, 0] => found.any = true,
            _ => {}
        }
    }
    Some(found)
}
