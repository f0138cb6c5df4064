//! What is worth saying about the policy tables of a configuration: for `waxseal check`.

use waxseal_config::Config;
use waxseal_policy::{
    Origin,
    findings::{self, Finding},
};
use waxseal_types::Protocol;

use crate::lookup::Lookups;

/// All findings, first of SMTP, then of LMTP, where that has tables of its own.
pub(crate) fn of_config(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    for protocol in [Protocol::Smtp, Protocol::Lmtp] {
        let settings = &config.policy;
        let entries: Vec<(String, Origin)> = settings
            .client(protocol)
            .policy_maps
            .iter()
            .flat_map(|table| config.tables.entries(table))
            .collect();
        found.extend(findings::of_default(settings, protocol));
        found.extend(findings::of_entries(settings, protocol, &entries));
        if let Ok(mut lookups) = Lookups::new(config, protocol) {
            found.extend(findings::of_detours(settings, protocol, &entries, &mut lookups));
        }
    }
    let mut once: Vec<Finding> = Vec::with_capacity(found.len());
    let mut seen = std::collections::HashSet::new();
    for finding in found {
        if seen.insert(finding.to_string()) {
            once.push(finding);
        }
    }
    once
}
