//! The path builder and the comparison of names, for those who want nothing else.

use waxseal_trust::{Anchors, Certificate};
use waxseal_types::{NamePattern, Strength, UnixTime};

use crate::{
    chain::Chain,
    failure::{PathFailure, Problem},
    names,
    path::{self, DEFAULT_DEPTH, Demanded, End, Purpose, Rules, Trust},
};

/// How strict a path is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathRules {
    /// Whether the peer is to be authenticated: SHA-1 signatures and short RSA keys are then refused.
    pub must_match: bool,
    /// What counts as short, and whether SHA-1 is refused where nobody must match, too.
    pub strength: Strength,
    /// Issuers in a path, at most.
    pub depth: u8,
    /// Whether the peer is a server or a client.
    pub purpose: Purpose,
}

impl Default for PathRules {
    /// As for a server that must be authenticated.
    fn default() -> Self {
        Self {
            must_match: true,
            strength: Strength::default(),
            depth: DEFAULT_DEPTH as u8,
            purpose: Purpose::Server,
        }
    }
}

/// A path that passed all checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedPath {
    /// The peer's certificate first.
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
    let demanded = if rules.must_match {
        Demanded::matched(rules.strength)
    } else {
        Demanded::unmatched(rules.strength)
    };
    let rules = Rules { demanded, depth: usize::from(rules.depth), purpose: rules.purpose, now };
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
