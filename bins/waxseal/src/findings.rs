//! What is worth saying about the policy tables of a configuration: for `waxseal check`.

use crate::lookup::Lookups;
use waxseal_config::Config;
use waxseal_policy::{
    Origin,
    findings::{self, Finding},
};

/// All findings, first of SMTP, then of LMTP, where that has tables of its own, and then of the other services of master.cf.
pub(crate) fn of_config(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    let settings = &config.policy;
    for (service, client) in settings.clients() {
        let entries: Vec<(String, Origin)> =
            client.policy_maps.iter().flat_map(|table| config.tables.entries(table)).collect();
        found.extend(findings::of_default(settings, &service));
        found.extend(findings::of_entries(settings, &service, &entries));
        if let Ok(mut lookups) = Lookups::new(config, service.clone()) {
            found.extend(findings::of_detours(settings, &service, &entries, &mut lookups));
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
