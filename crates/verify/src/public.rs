//! The path builder and the comparison of names, for those who want nothing else.

use waxseal_trust::{Anchors, Certificate};
use waxseal_types::{NamePattern, UnixTime};

use crate::{
    chain::Chain,
    failure::{PathFailure, Problem},
    names,
    path::{self, DEFAULT_DEPTH, End, Rules, Trust},
};

/// How strict a path is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathRules {
    /// Whether SHA-1 signatures and RSA keys below 1024 bits are refused.
    pub strong: bool,
    /// Issuers in a path, at most.
    pub depth: u8,
}

impl Default for PathRules {
    /// As for a peer that must be authenticated.
    fn default() -> Self {
        Self { strong: true, depth: DEFAULT_DEPTH as u8 }
    }
}

/// A path that passed all checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedPath {
    /// The server's certificate first.
    pub certificates: Vec<Certificate>,
    /// What it leads to: a subject or a key, and the file it came from.
    pub anchor: String,
}

/// Finds a trusted path from a presented chain (DER, leaf first) to one of the anchors. Names are not looked at.
///
/// # Errors
/// What is wrong with the path that came furthest.
pub fn check_path(
    anchors: &Anchors,
    chain: &[Vec<u8>],
    rules: PathRules,
    now: UnixTime,
) -> Result<TrustedPath, PathFailure> {
    let chain = Chain::read(chain)?;
    let rules = Rules { must_match: rules.strong, depth: usize::from(rules.depth), now };
    let path = path::find(&chain.certificates, Trust::Anchors(anchors), rules)?;
    match path.end {
        End::Anchor(anchor) | End::Key(anchor) => {
            Ok(TrustedPath { certificates: path.certificates, anchor: anchor.to_string() })
        }
        // Anchors lead to anchors.
        End::Record(_) | End::RecordKey(_) => Err(path::failure(None, 0, Problem::Unreadable)),
    }
}

/// The name of a certificate (DER) that one of the patterns accepts; `wide` lets a wildcard stand for several labels.
#[must_use]
pub fn names_match(certificate: &[u8], patterns: &[NamePattern], wide: bool) -> Option<String> {
    names::matching(&Certificate::parse(certificate).ok()?, patterns, wide)
}
