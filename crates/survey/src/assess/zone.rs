//! DNS: what is there, what is signed, and for how long.

use std::{collections::BTreeMap, time::Duration};

use waxseal_dns::{DnssecHealth, Signature};
use waxseal_tlsa::Owner;
use waxseal_types::{DnsAnswer, DnsFailure, DnsFailureKind, Domain, Lookup, Proof, UnixTime};

use crate::{Fault, Finding, Seen, seen::Host};

/// The resolver itself.
pub(super) fn blind(seen: &Seen) -> Vec<Finding> {
    let (what, remedy) = match &seen.health {
        DnssecHealth::Capable => return Vec::new(),
        DnssecHealth::Off => (
            "DNSSEC is off in the configuration (dns.dnssec)".to_owned(),
            "set dns.dnssec to \"validate\", or ask from another machine",
        ),
        DnssecHealth::Blind { cause, reason } => {
            (format!("the resolver cannot do DNSSEC: {reason}"), cause.remedy())
        }
        DnssecHealth::Unreachable { reason } => {
            (format!("no resolver answers: {reason}"), "set dns.servers to a resolver that answers")
        }
    };
    vec![Finding::new(Fault::ResolverBlind, what, remedy)]
}

/// The next hop's MX records.
pub(super) fn domain(seen: &Seen) -> Vec<Finding> {
    let (Some(domain), Some(answer)) = (seen.domain(), &seen.mx) else { return Vec::new() };
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => return vec![failed(Fault::MxFailed, failure)],
    };
    let mut found = Vec::new();
    match &answer.lookup {
        Lookup::NxDomain => found.push(Finding::new(
            Fault::NoMail,
            format!("there is no domain {domain}"),
            "look after the name that was given",
        )),
        Lookup::Found(hosts) if hosts.iter().all(|mx| mx.host.is_none()) => found.push(Finding::new(
            Fault::NoMail,
            format!("{domain} says by its MX record that it takes no mail (RFC 7505)"),
            "ask about a domain that takes mail",
        )),
        Lookup::Found(_) | Lookup::NoData => {
            if answer.proof == Proof::Insecure {
                let why = because(answer);
                let what = format!(
                    "the MX records of {domain} are not signed{why}: who forges them leads mail elsewhere, and dane-only senders send none (RFC 7672 §2.2.1)"
                );
                found.push(Finding::new(
                    Fault::MxInsecure,
                    what,
                    format!("sign the zone of {domain} and have its DS record published"),
                ));
            }
        }
    }
    found
}

/// The host's addresses, and whether there are TLSA records.
pub(super) fn host(seen: &Seen, host: &Host) -> Vec<Finding> {
    let (Some(name), Some(answer)) = (&host.name, &host.addresses) else { return Vec::new() };
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => return vec![failed(Fault::AddressesFailed, failure)],
    };
    let mut found = Vec::new();
    found.extend(host.lost.as_ref().map(|lost| failed(Fault::FamilyFailed, lost)));
    if !matches!(answer.lookup, Lookup::Found(_)) {
        let what = format!("{name} has no address");
        found.push(Finding::new(
            Fault::NoAddress,
            what,
            "publish its address, or take the host out of the MX records",
        ));
        return found;
    }
    if let Some(canonical) = host.canonical().filter(|_| seen.domain().is_some_and(|domain| domain != name)) {
        found.push(Finding::new(
            Fault::MxAlias,
            format!("the MX record names {name}, which is an alias of {canonical} (RFC 2181 §10.3 forbids it, and not all senders cope)"),
            format!("name {canonical} in the MX record, and publish TLSA records and certificates for it"),
        ));
    }
    if answer.proof == Proof::Insecure && host.tlsa.is_empty() {
        let what = format!(
            "the address records of {name} are not signed{}: nobody asks for its TLSA records (RFC 7672 §2.2.2)",
            because(answer)
        );
        found.push(Finding::new(
            Fault::AddressesInsecure,
            what,
            format!("sign the zone of {name} and have its DS record published"),
        ));
        return found;
    }
    found.extend(tlsa(seen, host, name));
    found
}

fn tlsa(seen: &Seen, host: &Host, name: &Domain) -> Option<Finding> {
    if let Some(failure) = host.tlsa.iter().find_map(|(_, answer)| answer.as_ref().err()) {
        return Some(failed(Fault::TlsaFailed, failure));
    }
    if host.records().is_some() {
        return None;
    }
    let owner = Owner::new(name.clone(), seen.port);
    let insecure = host.tlsa.iter().find_map(|(base, answer)| match answer {
        Ok(answer) if matches!(answer.lookup, Lookup::Found(_)) => Some((base, answer)),
        Ok(_) | Err(_) => None,
    });
    if let Some((base, answer)) = insecure {
        let what = format!(
            "the TLSA records of {base} are not signed{}: clients take no notice of them",
            because(answer)
        );
        return Some(Finding::new(
            Fault::TlsaInsecure,
            what,
            "sign the zone that they lie in, and those of the aliases that lead there",
        ));
    }
    let remedy = match host.elsewhere.first() {
        Some(other) => {
            format!("there are records at {other}, where no client looks: publish them at {owner}")
        }
        None => format!("publish the records that `waxseal tlsa generate` writes at {owner}"),
    };
    Some(Finding::new(
        Fault::TlsaMissing,
        format!("there are no TLSA records at {owner}: mail to this host is not protected"),
        remedy,
    ))
}

/// What zones above should be signed for at any time. They are in other hands, and signed anew every few days, so that the end of `--days` says
/// nothing of them; but who has let it come to this has a signer that stands still (RFC 6781 §4.4.2 wants days to spare).
const ABOVE: Duration = Duration::from_secs(36 * 3600);

/// Zones with signatures that end too soon.
pub(super) fn signatures(seen: &Seen, horizon: UnixTime) -> Vec<Finding> {
    let mut zones: BTreeMap<(bool, &str), Vec<&Signature>> = BTreeMap::new();
    let soon = horizon.min(seen.at + ABOVE);
    let ends = |signature: &&Signature| signature.expires <= if signature.above { soon } else { horizon };
    for signature in seen.signatures.iter().filter(ends) {
        zones.entry((signature.above, &signature.signer)).or_default().push(signature);
    }
    let ending = zones.into_iter().filter_map(|((above, zone), list)| {
        let first = list.iter().min_by_key(|signature| signature.expires)?;
        let what = format!(
            "signatures of the zone {zone} end: that of {} at {} on {}, and {} more before the days are over; from then on the answers are bogus, and mail waits",
            first.kind,
            first.owner,
            day(first.expires),
            list.len() - 1
        );
        Some(if above {
            let remedy = "have those who run that zone sign it anew; nothing in yours can make up for it";
            Finding::new(Fault::ParentSignatureEnding, what, remedy)
        } else {
            let remedy = "have the zone signed anew before; a signer that does so by itself, shortly before the end, needs a smaller --days here";
            Finding::new(Fault::SignatureEnding, what, remedy)
        })
    });
    let unread = seen.unread.iter().map(|failure| failed(Fault::SignatureUnread, failure));
    ending.chain(unread).collect()
}

/// `2026-11-22 10:00:00 UTC`.
pub(super) fn day(time: UnixTime) -> String {
    let (year, month, day, hour, minute, second, _) = time.civil();
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

fn because<T>(answer: &DnsAnswer<T>) -> String {
    answer.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default()
}

fn failed(fault: Fault, failure: &DnsFailure) -> Finding {
    let remedy = match failure.failure {
        DnsFailureKind::Bogus => {
            "sign the zone anew, or correct the DS record above it: validators refuse the answer (RFC 7672 §2.1.2: mail waits)"
        }
        DnsFailureKind::Anchor => {
            "correct the clock or the trust anchor of this machine's resolver: nothing can be said of the zone"
        }
        DnsFailureKind::ServerFailure => {
            "see why its name servers, or the resolver, answer with an error: mail waits meanwhile (RFC 7672 §2.1.2)"
        }
        DnsFailureKind::Timeout => {
            "see why its name servers do not answer: mail waits meanwhile (RFC 7672 §2.1.2)"
        }
        DnsFailureKind::Malformed | DnsFailureKind::AliasLoop => {
            "correct the records: the answer cannot be used"
        }
        DnsFailureKind::Unavailable => "try again",
    };
    Finding::new(fault, failure.to_string(), remedy)
}
