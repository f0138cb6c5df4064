//! What is unwise about a record that was asked for.

use waxseal_types::{Domain, Matching, Selector, Tlsa, UnixTime, Usage};
use waxseal_verify::DaneFailure;

use crate::{Standing, coverage};

/// One thing to know before a record is published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Advice {
    /// Usages 0 and 1.
    #[error(
        "usage {0} is not for mail: clients pass such records over (RFC 7672 §3.1.3), and a set of nothing else leaves the server unauthenticated; publish 3 1 1"
    )]
    Pkix(u8),
    /// Usage 2 about a certificate that the server does not send.
    #[error(
        "the trust anchor {subject} is not in the chain that is served ({served}): clients cannot match its digest (RFC 7672 §3.1.2, RFC 7671 §5.2.1); append it to the chain file{hint}"
    )]
    AnchorNotServed {
        /// Its name, or that of a key.
        subject: String,
        /// How many certificates are.
        served: usize,
        /// What else can be done.
        hint: &'static str,
    },
    /// Usage 2 about a certificate that may be in the chain, and what is served is not known.
    #[error(
        "usage 2 holds only while the server sends this certificate in its chain (RFC 7671 §5.2.1), the certificate names the host, and nothing in the chain has expired"
    )]
    Anchor,
    /// Usage 2, and the chain served does not verify.
    #[error("the chain that is served would not be taken under this record: {0}")]
    WouldFail(DaneFailure),
    /// `3 0 x`.
    #[error(
        "selector 0 with usage 3 changes with every renewal of the certificate, even with the same key: publish 3 1 {matching}"
    )]
    EachRenewal {
        /// Its matching type.
        matching: u8,
    },
    /// Matching type 0.
    #[error(
        "matching type 0 puts {octets} octets into DNS, more than a digest needs (RFC 7671 §10.1.2): prefer matching type 1"
    )]
    Large {
        /// How many.
        octets: usize,
    },
    /// SHA2-512.
    #[error(
        "matching type 2 is optional for clients (RFC 7671 §9): publish matching type 1, alone or beside it"
    )]
    Sha512,
}

/// What is to be said of publishing `record` about `subject` for `host`. `served` is the chain that the server sends, leaf first, where that is known.
#[must_use]
pub fn advise(record: &Tlsa, subject: &str, served: &[Vec<u8>], host: &Domain, now: UnixTime) -> Vec<Advice> {
    let mut found = Vec::new();
    match record.usage {
        Usage::PkixTa | Usage::PkixEe => found.push(Advice::Pkix(record.usage.into())),
        Usage::DaneTa => found.extend(anchor(record, subject, served, host, now)),
        Usage::DaneEe => {
            if record.selector == Selector::Cert {
                found.push(Advice::EachRenewal { matching: record.matching.into() });
            }
        }
        Usage::Unassigned(_) => {}
    }
    match record.matching {
        Matching::Full => found.push(Advice::Large { octets: record.data.len() }),
        Matching::Sha512 => found.push(Advice::Sha512),
        Matching::Sha256 | Matching::Unassigned(_) => {}
    }
    found
}

fn anchor(record: &Tlsa, subject: &str, served: &[Vec<u8>], host: &Domain, now: UnixTime) -> Option<Advice> {
    // A chain of one shows nothing of what stands above it.
    if served.is_empty() {
        return Some(Advice::Anchor);
    }
    let covered = coverage(std::slice::from_ref(record), std::slice::from_ref(host), served, now);
    let (_, standing) = covered.records.into_iter().next()?;
    match standing {
        Standing::Matches(_) | Standing::Unusable(_) => None,
        Standing::Other => Some(Advice::AnchorNotServed {
            subject: subject.into(),
            served: served.len(),
            // RFC 7671 §5.2.2: a full certificate in DNS need not be served.
            hint: match record.matching {
                Matching::Full => "",
                Matching::Sha256 | Matching::Sha512 | Matching::Unassigned(_) => {
                    ", or publish the whole certificate (2 0 0)"
                }
            },
        }),
        Standing::Fails(failure) => Some(Advice::WouldFail(failure)),
    }
}
