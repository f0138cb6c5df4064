//! What a connection must prove before mail may go over it.

use alloc::{string::String, sync::Arc, vec::Vec};

use crate::{DigestOrder, Domain, Proof, Tlsa};

/// What policy, DANE and, later, MTA-STS ask of one connection to one host.
///
/// The counterpart, what a connection did prove, is `TlsAchieved` of the crate `waxseal-verify`, which also has the one
/// comparison of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsDemand {
    /// Level `none`: in clear.
    Clear,
    /// Level `may`, or `dane` without secure TLSA records: TLS where it can be had.
    Opportunistic,
    /// Level `encrypt`, or `dane` with TLSA records none of which is usable (RFC 7672 §2.2): TLS, peer unauthenticated.
    Encrypted,
    /// Level `fingerprint`.
    Fingerprint(FingerprintDemand),
    /// Levels `verify` and `secure`.
    Names(NameDemand),
    /// Levels `dane` and `dane-only` with usable TLSA records.
    Dane(DaneDemand),
}

/// Digests for fingerprints (postconf(5), `smtp_tls_fingerprint_digest`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names of the algorithms say it all")]
pub enum DigestAlgorithm {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// One accepted digest of a certificate or public key, in octets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub Vec<u8>);

/// The leaf certificate or its public key has one of these digests. An empty list matches nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FingerprintDemand {
    /// The digest they were computed with.
    pub digest: DigestAlgorithm,
    /// The accepted ones.
    pub accepted: Arc<[Fingerprint]>,
}

/// A trusted chain, and a name that matches one of the patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameDemand {
    /// Any of them will do.
    pub patterns: Arc<[NamePattern]>,
    /// What the chain must lead to.
    pub anchors: AnchorFiles,
    /// Longest chain, counted in issuers (postconf(5), `smtp_tls_scert_verifydepth`).
    pub depth: u8,
    /// Whether a wildcard label may stand for several labels (`tls_wildcard_matches_multiple_labels`); default is one.
    pub wide_wildcards: bool,
}

/// The least that keys and signatures must be to prove anything.
///
/// `Default` is OpenSSL's security level 1, as Postfix has it where the peer must match: RSA from 1024 bits, no SHA-1. Where
/// nobody needs to match, neither counts, and a weak chain may still be called trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Strength {
    /// The shortest RSA key, in bits, of a server that is authenticated and of those who vouch for it.
    pub rsa_bits: u16,
    /// Whether chains with SHA-1 signatures are untrusted at the levels without authentication, too.
    pub refuse_sha1: bool,
}

impl Strength {
    /// RSA keys below this many bits prove nothing at all: 80 bits of security.
    pub const LEAST_RSA_BITS: u16 = 1024;
}

impl Default for Strength {
    fn default() -> Self {
        Self { rsa_bits: Self::LEAST_RSA_BITS, refuse_sha1: false }
    }
}

/// One reference identifier (postconf(5), `smtp_tls_secure_cert_match`), with nexthop and hostname already filled in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NamePattern {
    /// This name.
    Exact(Domain),
    /// `.domain`: any name strictly below it.
    Below(Domain),
    /// `*.domain`: a certificate name that is literally this wildcard, as OpenSSL compares it; `mx.domain` does not match.
    Wildcard(Domain),
    /// An address literal, matched with the certificate's IP addresses.
    Address(core::net::IpAddr),
}

/// Where the anchors of a demand come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AnchorFiles {
    /// `CAfile` and `CApath` of the configuration.
    Default,
    /// These trust anchor files and nothing else (postconf(5), `smtp_tls_trust_anchor_file`).
    Only(Arc<[String]>),
}

/// RFC 7672 §3: one of the records matches the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaneDemand {
    /// All secure records, unusable ones included; `verify` drops those.
    pub records: Arc<[Tlsa]>,
    /// Reference identifiers for usage DANE-TA (RFC 7672 §3.2.2), the TLSA base domain first.
    pub names: Arc<[Domain]>,
    /// The digests that records may have.
    pub digests: DigestOrder,
    /// What DNSSEC says of the MX records that led here; behind an insecure one the host is proven, the destination is not.
    pub mx: Proof,
}
