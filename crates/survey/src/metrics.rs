//! Reports as Prometheus text (exposition format 0.0.4), for the textfile collector of node_exporter.

use std::fmt::Write as _;

use crate::{
    Report, Severity,
    json::end,
    seen::{Call, Server},
};

/// Name, type and help of each metric, in the order in which they are written.
const METRICS: [(&str, &str); 7] = [
    ("waxseal_tlsa_check_ok", "Whether nothing would fail, now and until the end of the days asked about."),
    ("waxseal_tlsa_check_findings", "Findings by severity."),
    ("waxseal_tlsa_check_fault", "Findings by fault, host and address."),
    (
        "waxseal_tlsa_check_server_covered",
        "Whether a TLSA record authenticates the chain that a delivery sees.",
    ),
    (
        "waxseal_tlsa_check_certificate_end_timestamp_seconds",
        "When the first certificate of a chain expires; under usage 3 it does not count.",
    ),
    ("waxseal_tlsa_check_signature_end_timestamp_seconds", "When the signature of a record set ends."),
    ("waxseal_tlsa_check_timestamp_seconds", "When this was looked at."),
];

/// All metrics of these reports. Every value is a gauge.
#[must_use]
pub fn metrics(reports: &[Report]) -> String {
    let mut text = String::new();
    for (number, (name, help)) in METRICS.into_iter().enumerate() {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for report in reports {
            for (labels, value) in report.samples(number) {
                let own = [("target", report.seen.nexthop.to_string())];
                let labels: Vec<String> = own
                    .into_iter()
                    .chain(labels)
                    .map(|(label, value)| format!("{label}=\"{}\"", escaped(&value)))
                    .collect();
                let _ = writeln!(text, "{name}{{{}}} {value}", labels.join(","));
            }
        }
    }
    text
}

type Sample = (Vec<(&'static str, String)>, u64);

impl Report {
    fn samples(&self, number: usize) -> Vec<Sample> {
        match number {
            0 => vec![(Vec::new(), u64::from(self.is_healthy()))],
            1 => [Severity::Error, Severity::Warning, Severity::Notice]
                .map(|severity| self.count(severity))
                .to_vec(),
            2 => self.faults(),
            3 => self.each_server(|server| match &server.call {
                Call::Tls { .. } => server
                    .chains
                    .first()
                    .map(|shown| (Vec::new(), u64::from(self.covers(server, shown))))
                    .into_iter()
                    .collect(),
                Call::Clear(_) | Call::Failed(_) => vec![(Vec::new(), 0)],
            }),
            4 => self.each_server(|server| {
                let ends = server.chains.iter().filter_map(|shown| {
                    let end = shown.certificates().filter_map(|certificate| end(&certificate)).min()?;
                    Some((vec![("key", shown.key.to_owned())], end.as_secs()))
                });
                ends.collect()
            }),
            5 => self
                .seen
                .signatures
                .iter()
                .map(|signature| {
                    (
                        vec![("owner", signature.owner.clone()), ("type", signature.kind.clone())],
                        signature.expires.as_secs(),
                    )
                })
                .collect(),
            _ => vec![(Vec::new(), self.seen.at.as_secs())],
        }
    }

    fn count(&self, severity: Severity) -> Sample {
        let number = self.findings.iter().filter(|finding| finding.fault.severity() == severity).count();
        (vec![("severity", severity.as_str().to_owned())], number as u64)
    }

    /// Equal labels may not be written twice.
    fn faults(&self) -> Vec<Sample> {
        let mut found: Vec<Sample> = Vec::new();
        for finding in &self.findings {
            let labels = vec![
                ("fault", finding.fault.as_str().to_owned()),
                ("host", finding.host.clone().unwrap_or_default()),
                ("address", finding.address.map(|address| address.ip().to_string()).unwrap_or_default()),
            ];
            match found.iter_mut().find(|(known, _)| *known == labels) {
                Some((_, number)) => *number += 1,
                None => found.push((labels, 1)),
            }
        }
        found
    }

    fn each_server(&self, samples: impl Fn(&Server) -> Vec<Sample>) -> Vec<Sample> {
        let mut found = Vec::new();
        for host in &self.seen.hosts {
            for server in &host.servers {
                let own = [("host", host.label()), ("address", server.address.ip().to_string())];
                found.extend(
                    samples(server)
                        .into_iter()
                        .map(|(labels, value)| (own.iter().cloned().chain(labels).collect(), value)),
                );
            }
        }
        found
    }
}

/// Backslash, quote and line feed (exposition format); other control characters have no business in a name.
fn escaped(value: &str) -> String {
    value
        .chars()
        .filter(|c| !c.is_control())
        .flat_map(|c| match c {
            '\\' | '"' => vec!['\\', c],
            c => vec![c],
        })
        .collect()
}
