//! Why there is no trusted path, by certificate.

use std::fmt;

/// What is wrong with a chain: which of its certificates, and why. Of several paths that fail, the one that came furthest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathFailure {
    /// The certificate's place in the path: 0 is the server's own.
    pub depth: usize,
    /// Its subject, printable.
    pub subject: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a certificate in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The server presented nothing.
    NoCertificate,
    /// What it presented cannot be read.
    Unreadable,
    /// More certificates than are looked at.
    TooMany(usize),
    /// Nobody who is trusted issued it; the issuer that is missing.
    UntrustedIssuer(String),
    /// It signed itself and is not trusted.
    SelfSigned,
    /// The search was given up: too many signatures.
    Budget(usize),
    /// More issuers than allowed.
    TooLong(usize),
    /// Its signature is wrong.
    BadSignature,
    /// Its signature is of a kind that cannot be checked.
    UnsupportedSignature,
    /// Its signature is of a kind that no longer proves anything.
    WeakSignature,
    /// Its RSA key is too short.
    WeakKey {
        /// Its length.
        bits: usize,
        /// What is demanded.
        least: usize,
    },
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// A date in it cannot be read.
    UnreadableDate,
    /// It is no authority, and issued a certificate.
    NotAnAuthority,
    /// More intermediates below it than it allows.
    PathLength,
    /// It is not meant for servers.
    NotForServers,
    /// It is not meant for clients.
    NotForClients,
    /// It has a critical extension that is not understood.
    UnknownCritical,
    /// An extension that matters cannot be read.
    Malformed(&'static str),
    /// A name in it lies outside of what an issuer may name.
    NotPermitted,
    /// A name in it lies in what an issuer must not name.
    Excluded,
    /// The constraints of an issuer cannot be checked.
    UnsupportedConstraint,
}

impl Problem {
    /// Of two failures the one with the higher rank is the one to tell.
    pub(crate) const fn rank(&self) -> u8 {
        match self {
            Self::UntrustedIssuer(_) | Self::SelfSigned | Self::NoCertificate => 1,
            Self::TooLong(_) => 2,
            Self::BadSignature | Self::UnsupportedSignature => 3,
            Self::WeakSignature
            | Self::WeakKey { .. }
            | Self::Expired
            | Self::NotYetValid
            | Self::UnreadableDate
            | Self::NotAnAuthority
            | Self::PathLength
            | Self::NotForServers
            | Self::NotForClients
            | Self::UnknownCritical
            | Self::Malformed(_)
            | Self::NotPermitted
            | Self::Excluded
            | Self::UnsupportedConstraint => 4,
            Self::Unreadable | Self::TooMany(_) | Self::Budget(_) => 5,
        }
    }

    /// Whether it is a matter of time.
    pub(crate) const fn is_time(&self) -> bool {
        matches!(self, Self::Expired | Self::NotYetValid)
    }
}

/// The words are those of Postfix and OpenSSL, which operators search for.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => f.write_str("no certificate was presented"),
            Self::Unreadable => f.write_str("the certificate cannot be read"),
            Self::TooMany(limit) => write!(f, "more than {limit} certificates were presented"),
            Self::UntrustedIssuer(issuer) => write!(f, "untrusted issuer {issuer}"),
            Self::SelfSigned => f.write_str("self-signed certificate"),
            Self::Budget(limit) => write!(f, "no path was found with {limit} signature checks"),
            Self::TooLong(limit) => write!(f, "certificate chain longer than limit({limit})"),
            Self::BadSignature => f.write_str("certificate signature failure"),
            Self::UnsupportedSignature => f.write_str("unsupported signature algorithm"),
            Self::WeakSignature => f.write_str("signature digest algorithm too weak"),
            Self::WeakKey { bits, least } => {
                write!(f, "key too weak (RSA with {bits} bits, {least} are demanded)")
            }
            Self::Expired => f.write_str("certificate has expired"),
            Self::NotYetValid => f.write_str("certificate not yet valid"),
            Self::UnreadableDate => f.write_str("format error in certificate's dates"),
            Self::NotAnAuthority => f.write_str("invalid CA certificate"),
            Self::PathLength => f.write_str("path length constraint exceeded"),
            Self::NotForServers => f.write_str("not designated for use as a server certificate"),
            Self::NotForClients => f.write_str("not designated for use as a client certificate"),
            Self::UnknownCritical => f.write_str("unhandled critical extension"),
            Self::Malformed(what) => write!(f, "malformed extension: {what}"),
            Self::NotPermitted => f.write_str("permitted subtree violation"),
            Self::Excluded => f.write_str("excluded subtree violation"),
            Self::UnsupportedConstraint => f.write_str("name constraints that cannot be checked"),
        }
    }
}

impl fmt::Display for PathFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.depth {
            0 => write!(f, "server certificate {}: {}", self.subject, self.problem),
            depth => write!(f, "CA certificate {} at depth {depth}: {}", self.subject, self.problem),
        }
    }
}

impl std::error::Error for PathFailure {}
