//! What presented certificates say of themselves, for accounts; nothing is judged here.

use std::sync::Arc;

use waxseal_trust::{Certificate, GeneralName};

/// More certificates of one chain are not told of; [`waxseal_verify`] looks at no more either.
const MOST_CERTIFICATES: usize = 20;
/// More names of one certificate are not told of; those of large providers have hundreds.
const MOST_NAMES: usize = 20;
/// A name in DNS has at most 253 octets (RFC 1035 §2.3.4); a longer one is none.
const LONGEST_NAME: usize = 253;

/// One presented certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFact {
    /// Whom it is about, as OpenSSL writes it; `not readable` where it is no certificate.
    pub subject: String,
    /// Who says so.
    pub issuer: String,
    /// Its names in DNS, the first ones.
    pub names: Vec<String>,
    /// How many names it has.
    pub all_names: usize,
    /// SHA-256 of the certificate: the matching of TLSA `x 0 1` and of fingerprints.
    pub sha256: [u8; 32],
    /// SHA-256 of its public key: the matching of TLSA `x 1 1`.
    pub spki_sha256: [u8; 32],
    /// When it begins to be valid, in seconds since 1970.
    pub not_before: Option<i64>,
    /// When it expires.
    pub not_after: Option<i64>,
}

impl CertificateFact {
    /// What a chain in DER says, leaf first.
    #[must_use]
    pub fn of_chain(chain: &[Vec<u8>]) -> Arc<[Self]> {
        chain.iter().take(MOST_CERTIFICATES).map(|der| Self::of(der)).collect()
    }

    fn of(der: &[u8]) -> Self {
        let Ok(certificate) = Certificate::parse(der) else {
            return Self {
                subject: "not readable".into(),
                issuer: String::new(),
                names: Vec::new(),
                all_names: 0,
                sha256: Certificate::digest(der),
                spki_sha256: waxseal_trust::spki_of(der).map_or([0; 32], Certificate::digest),
                not_before: None,
                not_after: None,
            };
        };
        let mut all_names = 0;
        let mut names = Vec::new();
        for name in certificate.alternative_names() {
            let GeneralName::Dns(octets) = name else { continue };
            all_names += 1;
            let readable = octets.len() <= LONGEST_NAME && octets.iter().all(u8::is_ascii_graphic);
            if readable && names.len() < MOST_NAMES {
                names.push(String::from_utf8_lossy(octets).into_owned());
            }
        }
        Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            names,
            all_names,
            sha256: certificate.sha256(),
            spki_sha256: Certificate::digest(certificate.spki()),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_has_its_digest_at_least() {
        let facts = CertificateFact::of_chain(&[b"rubbish".to_vec()]);
        assert_eq!(facts[0].subject, "not readable");
        assert_eq!(facts[0].sha256, Certificate::digest(b"rubbish"));
        assert_eq!(CertificateFact::of_chain(&vec![Vec::new(); 100]).len(), MOST_CERTIFICATES);
    }
}
