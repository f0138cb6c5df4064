//! The presented certificates, as far as they can be read, and what an operator is told of them.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use waxseal_trust::{Certificate, spki_of};

use crate::{
    failure::{PathFailure, Problem},
    path::{MAX_CERTIFICATES, failure},
};

/// A presented chain; the leaf could be read.
pub(crate) struct Chain {
    pub(crate) certificates: Vec<Certificate>,
}

impl Chain {
    /// Reads what was presented. Only the leaf must be readable; others that are not are as good as not there.
    pub(crate) fn read(chain: &[Vec<u8>]) -> Result<Self, PathFailure> {
        if chain.len() > MAX_CERTIFICATES {
            return Err(failure(None, 0, Problem::TooMany(MAX_CERTIFICATES)));
        }
        let Some((leaf, rest)) = chain.split_first() else {
            return Err(failure(None, 0, Problem::NoCertificate));
        };
        let leaf = Certificate::parse(leaf).map_err(|_| failure(None, 0, Problem::Unreadable))?;
        let mut certificates = vec![leaf];
        certificates.extend(rest.iter().filter_map(|der| Certificate::parse(der).ok()));
        Ok(Self { certificates })
    }
}

/// One line for each certificate: subject, issuer and the fingerprints that a policy could pin, printable.
///
/// ```
/// let lines = waxseal_verify::describe(&[vec![0x30, 0x00]]);
/// assert!(lines[0].starts_with("0: unreadable certificate, sha256 "));
/// ```
#[must_use]
pub fn describe(chain: &[Vec<u8>]) -> Vec<String> {
    let mut lines: Vec<_> =
        chain.iter().take(MAX_CERTIFICATES).enumerate().map(|(at, der)| line(at, der)).collect();
    if chain.len() > MAX_CERTIFICATES {
        lines.push(format!("{} more", chain.len() - MAX_CERTIFICATES));
    }
    lines
}

fn line(at: usize, der: &[u8]) -> String {
    let mut line = match Certificate::parse(der) {
        Ok(certificate) => {
            format!("{at}: subject {}, issuer {}, ", certificate.subject(), certificate.issuer())
        }
        Err(_) => format!("{at}: unreadable certificate, "),
    };
    let _ = write!(line, "sha256 {}", colons(&Sha256::digest(der)));
    if let Some(spki) = spki_of(der) {
        let _ = write!(line, ", public key sha256 {}", colons(&Sha256::digest(spki)));
    }
    line
}

/// As fingerprints are written in policies: `AB:CD:EF`.
pub(crate) fn colons(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len() * 3);
    for (at, octet) in octets.iter().enumerate() {
        let _ = write!(text, "{}{octet:02X}", if at > 0 { ":" } else { "" });
    }
    text
}
