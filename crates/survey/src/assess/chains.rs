//! Each chain of a server against the records, now and at the end of the days asked about.

use waxseal_tlsa::coverage;
use waxseal_types::{DigestOrder, Domain, TlsDemand, Tlsa, UnixTime, Usage};
use waxseal_verify::{DaneFailure, Problem, check_dane_demand, usability};

use super::zone::day;
use crate::{
    Fault, Finding, Seen,
    seen::{Host, Server, Shown},
};

/// What is wrong with the chains of one address.
pub(super) fn of(seen: &Seen, host: &Host, server: &Server, horizon: UnixTime) -> Vec<Finding> {
    let Some(demand) = server.demand.as_deref() else { return Vec::new() };
    let TlsDemand::Dane(demand) = demand else { return Vec::new() };
    let found =
        server.chains.iter().filter_map(|shown| match check_dane_demand(demand, &shown.chain, seen.at) {
            Err(failure) => now(&failure, shown, &demand.records),
            Ok(_) => match check_dane_demand(demand, &shown.chain, horizon) {
                Err(failure) => Some(later(&failure, shown, (seen.at, horizon))),
                Ok(_) => None,
            },
        });
    found.map(|finding| finding.of(&host.label()).at(server.address)).collect()
}

/// It fails already.
fn now(failure: &DaneFailure, shown: &Shown, records: &[Tlsa]) -> Option<Finding> {
    let key = shown.key;
    Some(match failure {
        // Told of the set.
        DaneFailure::NothingUsable(_) => return None,
        DaneFailure::NoMatch(_) if only_anchors(records) => Finding::new(
            Fault::IssuerNotServed,
            format!(
                "none of the {} certificates of its {key} chain is that of a 2 x x record: {}",
                shown.chain.len(),
                subjects(shown)
            ),
            "append the certificate that the record is about to the chain file (RFC 7671 §5.2.1), or publish a 3 1 1 record of the server's key besides",
        ),
        DaneFailure::NoMatch(_) => Finding::new(
            Fault::Mismatch,
            format!("no TLSA record matches its {key} chain: {}", subjects(shown)),
            format!(
                "publish a record for this certificate ({}), or give this server the certificate that the records are about",
                suggested(shown)
            ),
        ),
        DaneFailure::Name { listed } => Finding::new(
            Fault::NameMismatch,
            format!("its {key} certificate is for {listed}, and under usage 2 names count (RFC 7672 §3.2.3)"),
            "get a certificate for the host's name, or publish a 3 1 1 record, under which names do not count",
        ),
        DaneFailure::Path(path) => {
            let fault = match path.problem {
                Problem::Expired => Fault::Expired,
                Problem::NotYetValid => Fault::NotYetValid,
                Problem::UntrustedIssuer(_) | Problem::SelfSigned => Fault::IssuerNotServed,
                _ => Fault::BadChain,
            };
            Finding::new(
                fault,
                format!("its {key} chain does not hold under usage 2: {failure}"),
                "renew the certificate or complete the chain; under 3 1 1 neither dates nor issuers count (RFC 7672 §3.1.1)",
            )
        }
    })
}

/// It holds now, and not at the end.
fn later(failure: &DaneFailure, shown: &Shown, (now, horizon): (UnixTime, UnixTime)) -> Finding {
    let ends = shown.certificates().filter_map(|certificate| {
        let end = u64::try_from(certificate.not_after()?).ok().map(UnixTime::from_secs)?;
        (end > now && end <= horizon).then(|| (end, certificate.subject().to_string()))
    });
    let when = match ends.min() {
        Some((end, subject)) => format!("{subject} expires on {}", day(end)),
        None => failure.to_string(),
    };
    Finding::new(
        Fault::CertificateEnding,
        format!("its {} chain will no longer hold under usage 2: {when}", shown.key),
        "renew it before; under 3 1 1 dates do not count (RFC 7672 §3.1.1)",
    )
}

fn only_anchors(records: &[Tlsa]) -> bool {
    let digests = DigestOrder::default();
    let mut usable = records.iter().filter(|record| usability(record, &digests).is_ok());
    usable.all(|record| record.usage == Usage::DaneTa)
}

fn subjects(shown: &Shown) -> String {
    let names: Vec<String> =
        shown.certificates().take(4).map(|certificate| certificate.subject().to_string()).collect();
    if names.is_empty() { "it cannot be read".to_owned() } else { names.join(", issued by ") }
}

/// The record that would match.
fn suggested(shown: &Shown) -> String {
    let subject = shown.chain.first().and_then(|der| waxseal_tlsa::Subject::certificate_from(der));
    let record = subject.and_then(|subject| waxseal_tlsa::Form::RECOMMENDED.record(&subject).ok());
    record.map_or_else(|| "3 1 1".to_owned(), |record| waxseal_tlsa::rdata(&record))
}

/// For reports: what each record of the set is to each chain.
pub(crate) fn matrix(
    records: &[Tlsa],
    names: &[Domain],
    shown: &Shown,
    at: UnixTime,
) -> waxseal_tlsa::Coverage {
    coverage(records, names, &shown.chain, at)
}
