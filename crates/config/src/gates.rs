//! What this version can do. Issues that build more change this file.

use waxseal_dns::DnssecMode;
use waxseal_types::TlsLevel;

/// The levels that can be carried out. As the default level any other one is an error; in a table it defers.
pub const BUILT_LEVELS: &[TlsLevel] = &TlsLevel::ALL;

/// Whether `dns.dnssec = "validate"` can be chosen.
pub const VALIDATE_BUILT: bool = true;

/// The level without a configuration.
pub(crate) const DEFAULT_LEVEL: TlsLevel = TlsLevel::May;

/// DNSSEC without a configuration.
pub(crate) const DEFAULT_DNSSEC: DnssecMode = DnssecMode::TrustAd;
