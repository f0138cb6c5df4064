//! What of what was seen is wrong. Pure: the time is that of the survey, and that of the end of the days asked about.

mod chains;
mod records;
mod servers;
mod zone;

use waxseal_types::{TlsDemand, UnixTime};

pub(crate) use chains::matrix;

use crate::{Finding, Seen, seen::Host};

/// A survey with its judgement.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was seen.
    pub seen: Seen,
    /// Until when it is to hold.
    pub horizon: UnixTime,
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Judges what was seen, now and `days` later.
    #[must_use]
    pub fn new(seen: Seen, days: u32) -> Self {
        let horizon = seen.at + std::time::Duration::from_secs(u64::from(days) * 86_400);
        let mut findings = zone::blind(&seen);
        // Without DNSSEC every answer looks insecure; to tell each would be to tell the same thing often.
        if findings.is_empty() {
            findings.extend(zone::domain(&seen));
            for host in &seen.hosts {
                findings.extend(of_host(&seen, host, horizon));
            }
            findings.extend(zone::signatures(&seen, horizon));
        }
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.fault.severity()));
        Self { seen, horizon, findings }
    }

    /// Whether a TLSA record authenticates this chain now.
    pub(crate) fn covers(&self, server: &crate::seen::Server, shown: &crate::seen::Shown) -> bool {
        match server.demand.as_deref() {
            Some(TlsDemand::Dane(demand)) => {
                waxseal_verify::check_dane_demand(demand, &shown.chain, self.seen.at).is_ok()
            }
            Some(_) | None => false,
        }
    }

    /// Whether nothing fails, now and until the end of the days asked about.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.findings.iter().any(|finding| finding.fault.severity() == crate::Severity::Error)
    }
}

fn of_host(seen: &Seen, host: &Host, horizon: UnixTime) -> Vec<Finding> {
    let mut found = zone::host(seen, host);
    found.extend(records::of(seen, host));
    for server in &host.servers {
        found.extend(servers::of(host, server));
        found.extend(chains::of(seen, host, server, horizon));
    }
    found.extend(servers::uncalled(host));
    found
        .into_iter()
        .map(|finding| if finding.host.is_none() { finding.of(&host.label()) } else { finding })
        .collect()
}
