//! A demand in 32 octets.

use std::{fmt, net::IpAddr, sync::OnceLock};

use sha2::{Digest as _, Sha256};
use waxseal_types::{AnchorFiles, DigestAlgorithm, NamePattern, Proof, TlsDemand};

/// The digest of a [`TlsDemand`]: two demands are the same exactly when their digests are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DemandDigest([u8; 32]);

impl fmt::Debug for DemandDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DemandDigest(")?;
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("...)")
    }
}

impl DemandDigest {
    /// Of this demand.
    #[must_use]
    pub fn of(demand: &TlsDemand) -> Self {
        // Demands without particulars are those of nearly all mail; they are digested once.
        static PLAIN: [OnceLock<DemandDigest>; 3] = [const { OnceLock::new() }; 3];
        match demand {
            TlsDemand::Clear => *PLAIN[0].get_or_init(|| Self::digest(demand)),
            TlsDemand::Opportunistic => *PLAIN[1].get_or_init(|| Self::digest(demand)),
            TlsDemand::Encrypted => *PLAIN[2].get_or_init(|| Self::digest(demand)),
            TlsDemand::Fingerprint(_) | TlsDemand::Names(_) | TlsDemand::Dane(_) => Self::digest(demand),
        }
    }

    fn digest(demand: &TlsDemand) -> Self {
        let mut sum = Sum(Sha256::new());
        sum.demand(demand);
        Self(sum.0.finalize().into())
    }
}

/// Feeds values one-to-one: each begins with its kind or its length.
struct Sum(Sha256);

impl Sum {
    fn number(&mut self, number: usize) {
        self.0.update((number as u64).to_be_bytes());
    }

    fn octets(&mut self, octets: &[u8]) {
        self.number(octets.len());
        self.0.update(octets);
    }

    fn demand(&mut self, demand: &TlsDemand) {
        match demand {
            TlsDemand::Clear => self.number(1),
            TlsDemand::Opportunistic => self.number(2),
            TlsDemand::Encrypted => self.number(3),
            TlsDemand::Fingerprint(wanted) => {
                self.number(4);
                self.number(algorithm(wanted.digest));
                self.number(wanted.accepted.len());
                wanted.accepted.iter().for_each(|print| self.octets(&print.0));
            }
            TlsDemand::Names(wanted) => {
                self.number(5);
                self.number(wanted.patterns.len());
                wanted.patterns.iter().for_each(|pattern| self.pattern(pattern));
                self.files(&wanted.anchors);
                self.number(usize::from(wanted.depth));
                self.number(usize::from(wanted.wide_wildcards));
            }
            TlsDemand::Dane(wanted) => {
                self.number(6);
                self.number(wanted.records.len());
                for record in wanted.records.iter() {
                    self.0.update([record.usage.into(), record.selector.into(), record.matching.into()]);
                    self.octets(&record.data);
                }
                self.number(wanted.names.len());
                wanted.names.iter().for_each(|name| self.octets(name.as_str().as_bytes()));
                let digests = wanted.digests.as_slice();
                self.number(digests.len());
                digests.iter().for_each(|digest| self.number(u8::from(*digest).into()));
                self.number(match wanted.mx {
                    Proof::Insecure => 1,
                    Proof::Secure => 2,
                });
            }
        }
    }

    fn pattern(&mut self, pattern: &NamePattern) {
        match pattern {
            NamePattern::Exact(name) => {
                self.number(1);
                self.octets(name.as_str().as_bytes());
            }
            NamePattern::Below(name) => {
                self.number(2);
                self.octets(name.as_str().as_bytes());
            }
            NamePattern::Address(IpAddr::V4(address)) => {
                self.number(3);
                self.octets(&address.octets());
            }
            NamePattern::Address(IpAddr::V6(address)) => {
                self.number(4);
                self.octets(&address.octets());
            }
            NamePattern::Wildcard(name) => {
                self.number(5);
                self.octets(name.as_str().as_bytes());
            }
        }
    }

    fn files(&mut self, files: &AnchorFiles) {
        match files {
            AnchorFiles::Default => self.number(1),
            AnchorFiles::Only(paths) => {
                self.number(2);
                self.number(paths.len());
                paths.iter().for_each(|path| self.octets(path.as_bytes()));
            }
        }
    }
}

const fn algorithm(digest: DigestAlgorithm) -> usize {
    match digest {
        DigestAlgorithm::Md5 => 1,
        DigestAlgorithm::Sha1 => 2,
        DigestAlgorithm::Sha256 => 3,
        DigestAlgorithm::Sha384 => 4,
        DigestAlgorithm::Sha512 => 5,
    }
}
