//! A failure before it knows which question it belongs to.

use hickory_proto::rr::Name;
use waxseal_types::{DnsFailure, DnsFailureKind, RecordKind};

/// Longest phrase that is kept: enough for every server of a long list, bounded whatever a server says.
const MAX_DETAIL: usize = 400;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) failure: DnsFailureKind,
    pub(crate) detail: String,
}

impl Trouble {
    pub(crate) fn new(failure: DnsFailureKind, detail: impl Into<String>) -> Self {
        let mut detail: String = detail.into();
        // Words of libraries may quote a stranger's octets.
        if detail.chars().any(|c| c.is_control() || !c.is_ascii()) {
            detail = detail.escape_default().to_string();
        }
        if let Some((cut, _)) = detail.char_indices().nth(MAX_DETAIL) {
            detail.truncate(cut);
            detail.push_str("...");
        }
        Self { failure, detail }
    }

    pub(crate) fn bogus(detail: impl Into<String>) -> Self {
        Self::new(DnsFailureKind::Bogus, detail)
    }

    /// The keys of an anchored zone do not fit the anchor. Those of the root are nobody's to break; a zone further down may be broken by its owners.
    pub(crate) fn unanchored(zone: &Name, detail: String) -> Self {
        Self::new(if zone.is_root() { DnsFailureKind::Anchor } else { DnsFailureKind::Bogus }, detail)
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(DnsFailureKind::Malformed, detail)
    }

    pub(crate) fn server(detail: impl Into<String>) -> Self {
        Self::new(DnsFailureKind::ServerFailure, detail)
    }

    pub(crate) fn timeout(detail: impl Into<String>) -> Self {
        Self::new(DnsFailureKind::Timeout, detail)
    }

    pub(crate) fn of(&self, name: String, kind: RecordKind) -> DnsFailure {
        DnsFailure { name, kind, failure: self.failure, detail: self.detail.clone() }
    }
}
