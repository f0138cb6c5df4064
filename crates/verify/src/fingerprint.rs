//! Fingerprints (postconf(5), `smtp_tls_fingerprint_cert_match`).

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use waxseal_trust::spki_of;
use waxseal_types::{DigestAlgorithm, FingerprintDemand};

use crate::chain::colons;

/// A peer's fingerprints, as Postfix writes them: of its certificate and, where that can be read, of its public key.
#[must_use]
pub fn fingerprints(algorithm: DigestAlgorithm, leaf: &[u8]) -> (String, Option<String>) {
    let print = |part: &[u8]| colons(&digest(algorithm, part));
    (print(leaf), spki_of(leaf).map(print))
}

/// What matched, in words: the server's own certificate or its key. An empty list matches nothing.
pub(crate) fn matching(demand: &FingerprintDemand, leaf: &[u8]) -> Option<String> {
    let parts = [("certificate", Some(leaf)), ("public key", spki_of(leaf))];
    parts.into_iter().find_map(|(what, part)| {
        let sum = digest(demand.digest, part?);
        // A shorter value, the first half of the right one, is another value.
        demand
            .accepted
            .iter()
            .any(|accepted| accepted.0 == sum)
            .then(|| format!("{} {what} fingerprint {}", word(demand.digest), colons(&sum)))
    })
}

/// Whether one of the accepted values has the length that the digest gives.
pub(crate) fn any_possible(demand: &FingerprintDemand) -> bool {
    let length = digest(demand.digest, &[]).len();
    demand.accepted.iter().any(|accepted| accepted.0.len() == length)
}

fn digest(algorithm: DigestAlgorithm, data: &[u8]) -> Vec<u8> {
    match algorithm {
        DigestAlgorithm::Md5 => Md5::digest(data).to_vec(),
        DigestAlgorithm::Sha1 => Sha1::digest(data).to_vec(),
        DigestAlgorithm::Sha256 => Sha256::digest(data).to_vec(),
        DigestAlgorithm::Sha384 => Sha384::digest(data).to_vec(),
        DigestAlgorithm::Sha512 => Sha512::digest(data).to_vec(),
    }
}

const fn word(algorithm: DigestAlgorithm) -> &'static str {
    match algorithm {
        DigestAlgorithm::Md5 => "md5",
        DigestAlgorithm::Sha1 => "sha1",
        DigestAlgorithm::Sha256 => "sha256",
        DigestAlgorithm::Sha384 => "sha384",
        DigestAlgorithm::Sha512 => "sha512",
    }
}
