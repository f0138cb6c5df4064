//! What is worth saying about policy tables before mail depends on them: for `waxseal check`.
//!
//! Given are the settings and the tables' entries with their origins, as they stand. [`of_default`] looks at the configuration's own
//! level, [`of_entries`] at each entry and at all of them together, [`of_detours`] at the ways by which mail gets around an entry: routes,
//! `relayhost` and `smtp_fallback_relay`. Entries that are invalid are [`TlsPolicy::of_entry`]'s to tell; they have no findings.
//!
//! ```
//! use waxseal_policy::{Concern, Origin, Settings, TableName, findings};
//! use waxseal_types::Service;
//!
//! let table = TableName::new("texthash:/etc/waxseal/tls_policy");
//! let entry = |line: u32, key: &str, value: &str| {
//!     (value.to_owned(), Origin::new(table.clone(), &format!("/etc/waxseal/tls_policy:{line}"), key))
//! };
//! let entries =
//!     [entry(1, "example.com", "secure match=hostname"), entry(2, "*.example.net", "encrypt"), entry(3, "example.org", "secure")];
//! let found = findings::of_entries(&Settings::default(), &Service::SMTP, &entries);
//! let told: Vec<_> = found.iter().map(|finding| (finding.place(), finding.remark.concern)).collect();
//! assert_eq!(
//!     told,
//!     [("/etc/waxseal/tls_policy:1", Concern::Dangerous), ("/etc/waxseal/tls_policy:2", Concern::Unreachable)]
//! );
//! ```

mod detours;
mod keys;

use alloc::{format, string::String, vec::Vec};
use core::fmt;

use waxseal_types::{DigestAlgorithm, NextHop, Service, Target, TlsLevel};

pub use detours::{Ask, of_detours};
pub use keys::{Examples, Key, examples};

use crate::{Concern, Origin, Remark, Settings, TlsPolicy, compare::is_broken};

/// Something worth saying, and the line that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The entry; `None`: the configuration.
    pub origin: Option<Origin>,
    /// What it is.
    pub remark: Remark,
}

impl Finding {
    fn new(origin: Option<&Origin>, remark: Remark) -> Self {
        Self { origin: origin.cloned(), remark }
    }

    /// `/etc/waxseal/tls_policy:12`, or `default`.
    #[must_use]
    pub fn place(&self) -> &str {
        self.origin.as_ref().map_or("default", |origin| &origin.place)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place())?;
        if let Some(origin) = &self.origin {
            write!(f, "{}: ", origin.key)?;
        }
        write!(f, "{}", self.remark)
    }
}

/// Looks at the level for destinations without entry.
#[must_use]
pub fn of_default(settings: &Settings, service: &Service) -> Vec<Finding> {
    let policy = settings.client(service).and_then(|client| TlsPolicy::from_default(settings, client));
    let remarks = policy.map(|policy| dangers(&policy, None)).unwrap_or_default();
    remarks.into_iter().map(|remark| Finding::new(None, remark)).collect()
}

/// Looks at the entries of all policy tables of a service, the tables in the order in which the configuration has them.
#[must_use]
pub fn of_entries(settings: &Settings, service: &Service, entries: &[(String, Origin)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut keys = keys::Order::default();
    for (value, origin) in entries {
        let key = Key::of(origin);
        if let Ok(policy) = TlsPolicy::of_entry(settings, service, value, origin.clone()) {
            let mut remarks = policy.remarks.clone();
            remarks.extend(dangers(&policy, Some(&key)));
            findings.extend(remarks.into_iter().map(|remark| Finding::new(Some(origin), remark)));
        }
        findings.extend(keys.next(origin, key).map(|remark| Finding::new(Some(origin), remark)));
    }
    findings.extend(keys.end());
    findings
}

/// What promises more than it gives, or cannot be kept at all.
fn dangers(policy: &TlsPolicy, key: Option<&Key>) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut add = |concern, text: String, remedy: &str| remarks.push(Remark::new(concern, text, remedy));
    // A host in brackets is the operator's word, not that of DNS.
    let asks_dns = !matches!(key, Some(Key::Hop(hop)) if !matches!(hop.target(), Target::Mx(_)));
    let names = matches!(policy.level, TlsLevel::Verify | TlsLevel::Secure);
    if names && policy.matches.believes_dns() && asks_dns {
        match (policy.level, &policy.dane_blind) {
            (TlsLevel::Secure, _) => add(
                Concern::Dangerous,
                "hostname is among the names at level secure: whoever can forge MX records passes".into(),
                "write nexthop, dot-nexthop or the servers' names",
            ),
            (_, Some(reason)) => add(
                Concern::Dangerous,
                format!("verify believes the names in MX records, and nothing proves those ({reason})"),
                "write secure, with match= where the servers have other names",
            ),
            (_, None) => {}
        }
    }
    if names && policy.matches.never() {
        add(Concern::Invalid, "no certificate can match, so that mail waits".into(), "give match= a name");
    }
    if policy.level == TlsLevel::Fingerprint && is_broken(policy.fingerprints.digest) {
        let name = match policy.fingerprints.digest {
            DigestAlgorithm::Md5 => "md5",
            DigestAlgorithm::Sha1 => "sha1",
            DigestAlgorithm::Sha256 | DigestAlgorithm::Sha384 | DigestAlgorithm::Sha512 => "sha2",
        };
        let text = format!("fingerprints of {name} can be had twice: collisions are known");
        add(Concern::Dangerous, text, "set fingerprint_digest = sha256, and write the fingerprints anew");
    }
    match (policy.level, &policy.dane_blind) {
        (TlsLevel::Dane, Some(reason)) => {
            let text = format!("dane is as may here: {reason}");
            add(Concern::Lowered, text, "validate DNSSEC, or write the level that is meant");
        }
        (TlsLevel::DaneOnly, Some(reason)) => {
            add(
                Concern::Invalid,
                format!("dane-only cannot be had here, so that mail waits: {reason}"),
                "validate DNSSEC",
            );
        }
        _ => {}
    }
    remarks
}

/// A next hop whose mail comes to an entry.
fn hop_of(key: &Key) -> Option<NextHop> {
    match key {
        Key::Hop(hop) => Some(hop.clone()),
        Key::Below(parent) => format!("any.{parent}").parse().ok(),
        Key::Pattern(_) | Key::Every | Key::Nobody(_) => None,
    }
}
