//! `waxseal policy`: the TLS policy of a next hop, and the line that it comes from.

mod diff;

use std::sync::Arc;

use serde_json::{Value, json};
use waxseal_policy::{PolicyError, PolicySource, TableAnswer, TlsPolicy};
use waxseal_types::{AnchorFiles, NamePattern, NextHop, TlsLevel};

use crate::{
    lookup::{Asked, Lookups, service},
    settings::ConfigFiles,
    terminal::{Printable, Status, Terminal, complain},
};

/// Prints the TLS policy in force for a next hop, and the line that it comes from.
///
/// A next hop is what mail is routed to: a domain, whose MX records count, or a host in brackets; with a port where one is configured.
/// Write it as the route has it, since policy tables are searched for it with brackets and port.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Exit status: 0, or 1 where a next hop has no usable policy, so that its mail waits.\n\nExample:\n  \
                  waxseal policy --config /etc/postfix/main.cf example.com '[mx.example.net]:587'"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    config: ConfigFiles,
    /// Asks for the parameters of LMTP instead of SMTP.
    #[arg(long)]
    lmtp: bool,
    /// Asks for those of this transport: a service of master.cf.
    #[arg(long, value_name = "NAME", conflicts_with = "lmtp")]
    transport: Option<String>,
    /// Prints one JSON object for each next hop.
    #[arg(long)]
    json: bool,
    /// example.com, example.com:587, [mx.example.com], [192.0.2.1]:25, ...
    #[arg(value_name = "NEXTHOP", required = true)]
    nexthops: Vec<NextHop>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Diff(diff::Arguments),
}

pub(crate) fn run(arguments: &Arguments, terminal: &mut Terminal) -> Status {
    if let Some(Action::Diff(arguments)) = &arguments.action {
        return diff::run(arguments, terminal);
    }
    let config = match arguments.config.load() {
        Ok(config) => config,
        Err(problems) => {
            complain(problems);
            return Status::Configuration;
        }
    };
    let service = match service(&config, arguments.transport.as_deref(), arguments.lmtp) {
        Ok(service) => service,
        Err(reason) => {
            complain(Printable(&reason));
            return Status::No;
        }
    };
    let lookups = match Lookups::new(&config, service) {
        Ok(lookups) => lookups,
        Err(error) => {
            complain(error);
            return Status::TryAgain;
        }
    };
    let mut status = Status::Done;
    for nexthop in &arguments.nexthops {
        let (found, asked) = lookups.traced(nexthop);
        if found.is_err() {
            status = Status::No;
        }
        match (arguments.json, found) {
            (true, found) => terminal.json(&to_json(nexthop, &found, &asked)),
            (false, Ok(policy)) => tell(nexthop, &policy, terminal),
            (false, Err(error)) => {
                terminal
                    .line(format_args!("{nexthop}: no usable policy; mail waits with {}", error.status()));
                terminal.line(format_args!("  {}", Printable(&error.to_string())));
            }
        }
        if !arguments.json {
            tell_asked(&asked, terminal);
        }
    }
    status
}

fn tell_asked(asked: &[Asked], terminal: &mut Terminal) {
    for (at, Asked { table, key, answer }) in asked.iter().enumerate() {
        let name = if at == 0 { "asked" } else { "" };
        let said = match answer {
            TableAnswer::Found { origin, .. } => format!("found in {origin}"),
            TableAnswer::Absent => "no entry".to_owned(),
            TableAnswer::TempFail(reason) => format!("failed: {reason}"),
        };
        terminal.line(format_args!("  {name:<10}{}", Printable(&format!("{table} for {key}: {said}"))));
    }
}

fn tell(nexthop: &NextHop, policy: &TlsPolicy, terminal: &mut Terminal) {
    let source = match &policy.source {
        PolicySource::Default => "the default, since no table has an entry".to_owned(),
        PolicySource::Entry(origin) => format!("{origin}, key {:?} of {}", &*origin.key, origin.table),
    };
    terminal.line(format_args!("{nexthop}: {}", policy.level));
    let mut field = |name: &str, value: &str| terminal.line(format_args!("  {name:<10}{}", Printable(value)));
    field("from", &source);
    field("means", meaning(policy.level));
    if policy.level != TlsLevel::None {
        let shape = policy.shape_for(nexthop, None, policy.level != TlsLevel::May, Arc::default());
        field("versions", &versions(shape.tls12, shape.tls13).join(", "));
    }
    match policy.level {
        TlsLevel::Verify | TlsLevel::Secure => field("names", &names(nexthop, policy).join(", ")),
        TlsLevel::Fingerprint => field("digests", &digests(policy).join(", ")),
        TlsLevel::None | TlsLevel::May | TlsLevel::Encrypt | TlsLevel::Dane | TlsLevel::DaneOnly => {}
    }
    if let AnchorFiles::Only(files) = &policy.anchors {
        field("anchors", &files.join(", "));
    }
    field("entry", &policy.to_entry().to_string());
    field(
        "reuse",
        if policy.connection_reuse {
            "a connection may carry several messages"
        } else {
            "one message for each connection"
        },
    );
    policy.remarks.iter().for_each(|remark| field("warning", &remark.to_string()));
}

const fn meaning(level: TlsLevel) -> &'static str {
    match level {
        TlsLevel::None => "in clear, even where the server offers TLS",
        TlsLevel::May => {
            "TLS where the server offers it, in clear otherwise; nobody's certificate is checked"
        }
        TlsLevel::Encrypt => "TLS, or the mail waits; nobody's certificate is checked",
        TlsLevel::Dane => {
            "TLS to the server that secure TLSA records describe, or the mail waits; without such records as at may"
        }
        TlsLevel::DaneOnly => "TLS to the server that secure TLSA records describe, or the mail waits",
        TlsLevel::Fingerprint => {
            "TLS to the server whose certificate or key has one of the digests, or the mail waits"
        }
        TlsLevel::Verify | TlsLevel::Secure => {
            "TLS to a server with a trusted certificate for one of the names, or the mail waits"
        }
    }
}

fn versions(tls12: bool, tls13: bool) -> Vec<&'static str> {
    let offered = [(tls12, "TLSv1.2"), (tls13, "TLSv1.3")];
    offered.into_iter().filter_map(|(offered, name)| offered.then_some(name)).collect()
}

fn names(nexthop: &NextHop, policy: &TlsPolicy) -> Vec<String> {
    let mut names: Vec<String> = if policy.matches.believes_dns() {
        vec!["the MX host's (which DNS says)".into()]
    } else {
        Vec::new()
    };
    names.extend(policy.matches.patterns(nexthop, None, None).iter().map(|pattern| match pattern {
        NamePattern::Exact(name) => name.to_string(),
        NamePattern::Below(parent) => format!(".{parent}"),
        NamePattern::Wildcard(parent) => format!("*.{parent}"),
        NamePattern::Address(address) => address.to_string(),
    }));
    names
}

fn digests(policy: &TlsPolicy) -> Vec<String> {
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":");
    policy.fingerprints.accepted.iter().map(|fingerprint| hex(&fingerprint.0)).collect()
}

fn asked_to_json(asked: &[Asked]) -> Vec<Value> {
    let one = |Asked { table, key, answer }: &Asked| {
        let (answer, value, source, reason) = match answer {
            TableAnswer::Found { value, origin } => ("found", Some(value), Some(origin.to_string()), None),
            TableAnswer::Absent => ("absent", None, None, None),
            TableAnswer::TempFail(reason) => ("failed", None, None, Some(reason)),
        };
        json!({ "table": table.as_str(), "key": key, "answer": answer, "value": value, "source": source, "reason": reason })
    };
    asked.iter().map(one).collect()
}

fn to_json(nexthop: &NextHop, found: &Result<TlsPolicy, PolicyError>, asked: &[Asked]) -> Value {
    let asked = asked_to_json(asked);
    match found {
        Ok(policy) => {
            let shape = policy.shape_for(nexthop, None, policy.level != TlsLevel::May, Arc::default());
            let origin = policy.source.origin();
            json!({
                "nexthop": nexthop.as_str(),
                "level": policy.level.as_str(),
                "source": policy.source.to_string(),
                "table": origin.map(|origin| origin.table.as_str()),
                "key": origin.map(|origin| &*origin.key),
                "versions": versions(shape.tls12, shape.tls13),
                "names": match policy.level {
                    TlsLevel::Verify | TlsLevel::Secure => Some(names(nexthop, policy)),
                    TlsLevel::None | TlsLevel::May | TlsLevel::Encrypt | TlsLevel::Dane | TlsLevel::DaneOnly | TlsLevel::Fingerprint => None,
                },
                "digests": digests(policy),
                "anchors": match &policy.anchors {
                    AnchorFiles::Default => None,
                    AnchorFiles::Only(files) => Some(files.to_vec()),
                },
                "connection_reuse": policy.connection_reuse,
                "entry": policy.to_entry().to_string(),
                "asked": asked,
                "warnings": policy.remarks.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        }
        Err(error) => json!({
            "nexthop": nexthop.as_str(),
            "error": error.to_string(),
            "status": error.status().to_string(),
            "source": error.origin.as_ref().map(ToString::to_string),
            "asked": asked,
        }),
    }
}
