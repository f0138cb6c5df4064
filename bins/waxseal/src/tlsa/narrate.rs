//! A survey for people: what was seen, then what is wrong with it.

use waxseal_survey::{Call, Finding, Host, Report, Server, Severity};
use waxseal_tlsa::{Standing, coverage, rdata};
use waxseal_types::{DnsAnswer, Lookup, TlsDemand};

use crate::{
    narrate::row,
    terminal::{Printable, Terminal, Tone, count},
};

const LABEL: usize = 12;

pub(super) fn tell(report: &Report, terminal: &mut Terminal) {
    let seen = &report.seen;
    terminal.line(Printable(&format!("{}, port {}", seen.nexthop, seen.port)));
    if let Some(answer) = &seen.mx {
        let lines = match answer {
            Ok(DnsAnswer { lookup: Lookup::Found(hosts), proof, .. }) => hosts
                .iter()
                .map(|mx| {
                    let host = mx.host.as_ref().map_or(".", |host| host.as_str());
                    format!("{} {host}; {} by DNSSEC", mx.preference, proof.as_str())
                })
                .collect(),
            Ok(answer) => {
                vec![format!("none: the domain itself is the host; {} by DNSSEC", answer.proof.as_str())]
            }
            Err(failure) => vec![failure.to_string()],
        };
        row(terminal, "mx", &lines);
    }
    for host in &seen.hosts {
        tell_host(report, host, terminal);
    }
    if let Some(first) = seen.signatures.iter().min_by_key(|signature| signature.expires) {
        let end = first.expires.rfc5322();
        let text = format!(
            "{} end at different times; the first, of {} at {}, on {end}",
            count(seen.signatures.len(), "signature"),
            first.kind,
            first.owner
        );
        row(terminal, "signatures", &[text]);
    }
    for finding in &report.findings {
        tell_finding(finding, terminal);
    }
    if report.findings.is_empty() {
        terminal.labelled(
            "healthy",
            LABEL,
            Tone::Good,
            "every chain of every address is what the TLSA records say",
        );
    }
}

fn tell_host(report: &Report, host: &Host, terminal: &mut Terminal) {
    let mut lines = Vec::new();
    if let Some(answer) = &host.addresses {
        lines.push(match answer {
            Ok(answer) => format!("{}; addresses {} by DNSSEC", host.label(), answer.proof.as_str()),
            Err(failure) => failure.to_string(),
        });
    }
    if let Some((base, records)) = host.records() {
        lines.push(format!("{} at {base}, secure by DNSSEC", count(records.len(), "TLSA record")));
    }
    row(terminal, "host", &lines);
    for server in &host.servers {
        tell_server(report, server, terminal);
    }
}

fn tell_server(report: &Report, server: &Server, terminal: &mut Terminal) {
    let mut lines = vec![match &server.call {
        Call::Tls { facts, .. } => {
            format!("{}: STARTTLS, {}, {}", server.address.ip(), facts.protocol, facts.cipher)
        }
        Call::Clear(_) => format!("{}: in clear", server.address.ip()),
        Call::Failed(error) => format!("{}: {error}", server.address.ip()),
    }];
    for shown in &server.chains {
        let leaf = shown.certificates().next();
        let subject =
            leaf.as_ref().map_or_else(|| "unreadable".to_owned(), |leaf| leaf.subject().to_string());
        lines.push(format!(
            "  {} chain of {}: {subject}",
            shown.key,
            count(shown.chain.len(), "certificate")
        ));
        let Some(TlsDemand::Dane(demand)) = server.demand.as_deref() else { continue };
        for (record, standing) in
            coverage(&demand.records, &demand.names, &shown.chain, report.seen.at).records
        {
            let record: String = rdata(&record).chars().take(30).collect();
            lines.push(format!("    {record}  {}", word(&standing, leaf.as_ref(), report)));
        }
    }
    row(terminal, "server", &lines);
}

fn word(standing: &Standing, leaf: Option<&waxseal_trust::Certificate>, report: &Report) -> String {
    match standing {
        Standing::Matches(found) => {
            let expired = leaf
                .and_then(waxseal_trust::Certificate::not_after)
                .is_some_and(|end| u64::try_from(end).unwrap_or_default() < report.seen.at.as_secs());
            // RFC 7672 §3.1.1.
            let dates = if expired { "; it has expired, which does not count under usage 3" } else { "" };
            match found.depth {
                0 => format!("matches the server's certificate{dates}"),
                depth => format!("matches the issuer at depth {depth}"),
            }
        }
        Standing::Unusable(why) => format!("not usable: {why}"),
        Standing::Other => "is of another key".to_owned(),
        Standing::Fails(failure) => format!("fails: {failure}"),
    }
}

fn tell_finding(finding: &Finding, terminal: &mut Terminal) {
    let severity = finding.fault.severity();
    let tone = match severity {
        Severity::Error => Tone::Bad,
        Severity::Warning => Tone::Waiting,
        Severity::Notice => Tone::Plain,
    };
    let place = match (&finding.host, finding.address) {
        (Some(host), Some(address)) => format!("{host}[{}]: ", address.ip()),
        (Some(host), None) => format!("{host}: "),
        (None, _) => String::new(),
    };
    let text = format!("{place}{} ({})", finding.what, finding.fault.as_str());
    terminal.labelled(severity.as_str(), LABEL, tone, Printable(&text));
    terminal.labelled("", LABEL, Tone::Plain, Printable(&format!("-> {}", finding.remedy)));
}
